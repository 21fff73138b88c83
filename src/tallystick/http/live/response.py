"""The answer to a reader of a live tail: server-sent events for as long as both sides want.

A route admits the reader: it says who that is, what it may have, and how to look again. The native
route does so for `Authorization`, a console for its session.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tallystick import limits
from tallystick.errors import TallystickError
from tallystick.http.connection import ABORT
from tallystick.http.live.hub import Hub, LiveChannel
from tallystick.http.live.reader import End, LiveReader
from tallystick.subscriptions.changes import LogPosition
from tallystick.subscriptions.frames import MEDIA_TYPE, Frames, heartbeat, read_frames

_log = structlog.get_logger("tallystick.live")

_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    # What some proxies take for leave to pass each event on at once.
    "X-Accel-Buffering": "no",
}
_NEAR_ENTRIES = 2048
"""A reader so close to what the hub has read joins it."""

_FLUSH_S = 0.5
"""How long an ended reader may take over what waits for it."""


class LiveResponse(Response):
    """Sends a reader its events until it goes away, loses its rights, or the server stops."""

    media_type = MEDIA_TYPE

    def __init__(self, hub: Hub, reader: LiveReader) -> None:
        super().__init__(headers=_HEADERS)
        # It goes on and on.
        del self.headers["content-length"]
        self._hub = hub
        self._live_reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body"})
            return
        reader, hub = self._live_reader, self._hub
        hub.enter(reader)
        watching = asyncio.create_task(_watch(receive, reader))
        sending = asyncio.create_task(self._send_all(send))
        try:
            await asyncio.wait((reader.ended, sending), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((sending,), timeout=_FLUSH_S)
            if _is_whole(sending):
                await send({"type": "http.response.body"})
            elif _break_off(scope):
                await watching
        finally:
            hub.leave(reader)
            for task in (watching, sending):
                await _cancelled(task)

    async def _send_all(self, send: Send) -> None:
        """Send until the reader is ended and its queue is empty."""
        reader = self._live_reader
        channel = await self._hub.channel(reader)
        begin = heartbeat(channel.origin, reader.position)
        await self._send_body(send, b"retry: %d\n" % limits.TAIL_RETRY_MS + begin)
        while not reader.ended.done():
            await self._catch_up(send)
            while (body := await reader.next()) is not None:
                await self._send_body(send, body)
                reader.sent()

    async def _catch_up(self, send: Send) -> None:
        """Send what the log has, up to where the hub goes on."""
        reader = self._live_reader
        while not reader.ended.done():
            channel = await self._hub.channel(reader)
            start = reader.position
            if channel.position.index - start.index > _NEAR_ENTRIES:
                reader.position = await self._send_read(send, channel, channel.position.index)
                continue
            joined = await channel.join(reader)
            # From there on the hub fills the queue, which waits.
            await self._send_read(send, channel, joined.index, start)
            return

    async def _send_read(
        self, send: Send, channel: LiveChannel, stop: int, start: LogPosition | None = None
    ) -> LogPosition:
        """Send the entries up to `stop` as this reader reads them, and return where that ends."""
        reader, hub = self._live_reader, self._hub
        position = start or reader.position
        while position.index < stop and not reader.ended.done():
            async with hub.catching_up:
                frames: Frames = await hub.run(
                    read_frames,
                    hub.store, channel.tenant, channel.origin, position, stop,
                    {reader.subscription: reader.judge}, over=channel.over,
                )  # fmt: skip
            position = frames.following
            body = frames.bodies.get(reader.subscription)
            if body is None and reader.is_quiet(hub.heartbeat_s):
                body = heartbeat(channel.origin, position)
            if body is not None:
                await self._send_read_body(send, body)
        return position

    async def _send_read_body(self, send: Send, body: bytes) -> None:
        """Send what no queue bounds: a reader that takes none of it is ended."""
        reader = self._live_reader
        for piece in _pieces(body):
            try:
                async with asyncio.timeout(limits.TAIL_STALL_S):
                    await send(_part(piece))
            except TimeoutError:
                reader.end(End.UNREAD)
                raise
            reader.took()

    async def _send_body(self, send: Send, body: bytes) -> None:
        for piece in _pieces(body):
            await send(_part(piece))
            self._live_reader.took()


def _is_whole(sending: asyncio.Task[None]) -> bool:
    """Tell whether all that was queued was sent, so that the answer may end as one that is whole.

    An answer whose reader lost its rights ends so, too: what waited for it is dropped.
    """
    if not sending.done() or sending.cancelled():
        return False
    error = sending.exception()
    if error is not None and not isinstance(error, TallystickError | TimeoutError):
        _log.error("live_tail_failed", exc_info=error)
    return error is None or isinstance(error, TallystickError)


async def _watch(receive: Receive, reader: LiveReader) -> None:
    """Wait until the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.end(End.GONE)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


def _break_off(scope: Scope) -> bool:
    """Close the connection, whatever of the answer the client has not taken, if that is known."""
    extension = scope.get("extensions", {}).get(ABORT)
    if extension is not None:
        extension["call"]()
    return extension is not None


def _pieces(body: bytes) -> Iterator[bytes]:
    step = limits.SMALL_ANSWER_BYTES
    return (body[at : at + step] for at in range(0, len(body), step))


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}

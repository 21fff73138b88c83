"""Answers that leave in one piece, and clients that neither go on and on nor stand still.

The HTTP server writes the head and the body of an answer one after the other, and each write would
be a call to the system and a packet of its own: a third of what a small request costs. Here all
that a connection writes in one turn of the event loop goes out together.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from weakref import ref

from starlette.types import Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from tallystick import limits
from tallystick.http.auth import CONTROL
from tallystick.identity.admission import ADMISSION

ABORT = "tallystick.abort"
"""Name of the extension by which an answer that its client does not take is broken off."""

WHOLE = "tallystick.whole"
"""Name of the extension by which an answer that is there as a whole is sent in one step."""

SendWhole = Callable[[int, Sequence[tuple[bytes, bytes]], bytes], Awaitable[None]]
"""Sends status, headers and body; the headers state the length of the body."""

_END = b"content-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _END
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n" + _END


_FRAMING = frozenset((b"connection", b"transfer-encoding"))
# What would end a header, or what none may hold.
_not_in_headers = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search


class JoinedWrites(asyncio.Transport):
    """A transport that keeps what is written until the loop's turn ends."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._kept: list[bytes | bytearray | memoryview[Any]] = []

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send `data` soon, together with what follows at once."""
        if not self._kept:
            self._loop.call_soon(self._send)
        self._kept.append(data)

    def write_at_once(self, data: bytes) -> None:
        """Send `data` behind what is kept: nothing follows in this turn."""
        if self._kept:
            self._kept.append(data)
        else:
            self._transport.write(data)

    def _send(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, []
            self._transport.write(b"".join(kept))

    def close(self) -> None:
        """Send what is kept, then close."""
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._kept.clear()
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the other side has not taken yet."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._kept))

    def is_closing(self) -> bool:
        """Tell whether the connection is closing or closed."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._transport.set_protocol(protocol)

    def pause_reading(self) -> None:
        """Take no more bytes from the other side."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes from the other side again."""
        self._transport.resume_reading()


class Protocol(HttpToolsProtocol):
    """The HTTP server's protocol over such a transport; it bounds what is no body, and waiting.

    How long a body takes is up to a client that has shown a credential: lines may be sent as they
    come about. Trailers are read and dropped, since what a proxy checked were the headers.
    """

    _loose_bytes = 0
    _head_since_s: float | None = None
    """Since when the head of a request is waited for."""
    _head_begun = False
    _body_since_s: float | None = None
    """Since when the body of a request is waited for."""
    _taking_since_s = 0.0
    """When the client was last seen to take something of an answer, or had taken everything."""
    _untaken_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(JoinedWrites(transport))
        self._head_since_s = self._taking_since_s = self.loop.time()
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._next_look.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Go on with answers: the client has taken enough."""
        self._taking_since_s = self.loop.time()
        super().resume_writing()

    def _look_again(self) -> None:
        # A timer for each request would cost every request; one that looks now and then does not.
        self._next_look = self.loop.call_later(limits.CLIENT_WAIT_S / 4, self._look)

    def _look(self) -> None:
        """Close the connection of a client that stands still, else look again later."""
        now_s = self.loop.time()
        untaken_bytes = self.transport.get_write_buffer_size()
        if untaken_bytes < self._untaken_bytes or not untaken_bytes:
            self._taking_since_s = now_s
        self._untaken_bytes = untaken_bytes
        latest_s = now_s - limits.CLIENT_WAIT_S
        if self._taking_since_s <= latest_s:
            self.transport.abort()
            return
        is_late = self._head_since_s is not None and self._head_since_s <= latest_s
        if self._body_since_s is not None and self._is_stranger():
            is_late |= self._body_since_s <= latest_s
        # Where reading is paused, as while an answer is under way, it is not the client who waits.
        if is_late and not self.flow.read_paused and not self.transport.is_closing():
            # Without a request, an answer could be taken for that to the next one.
            is_in_body = self._body_since_s is not None and not self.cycle.response_started
            if self._head_begun or is_in_body:
                self.transport.write(_TOO_SLOW)
            self.transport.close()
        self._look_again()

    def _is_stranger(self) -> bool:
        """Tell whether the request under way has shown no credential that was good."""
        state = self.scope["state"]
        return ADMISSION not in state and CONTROL not in state

    def data_received(self, data: bytes) -> None:
        """Take what came in; a head, or trailers, that go on and on are not waited for."""
        self._loose_bytes += len(data)
        super().data_received(data)
        # What follows an end in the same read does not count: that is bounded by itself.
        if self._loose_bytes > limits.HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        # Between requests an empty line is no beginning of one, but ends the wait for the next.
        if self._head_since_s is None and self.cycle.response_complete:
            self._head_since_s = self.loop.time()

    def on_message_begin(self) -> None:
        """Count from the beginning of a request."""
        self._loose_bytes = 0
        self._head_since_s = self.loop.time()
        self._head_begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Count from zero: the head is whole."""
        self._loose_bytes = 0
        super().on_headers_complete()
        # The request keeps its headers; trailers, which come behind the body, go nowhere.
        self.headers = []
        self.scope["extensions"] = {
            ABORT: {"call": self.transport.abort},
            # Weakly: the request and its answer would otherwise wait for the garbage collector.
            WHOLE: {"call": partial(_send_whole, ref(self.cycle))},
        }
        self._head_since_s = None
        self._head_begun = False
        self._body_since_s = self.loop.time()

    def on_message_complete(self) -> None:
        """Wait no longer: the request is whole."""
        self._body_since_s = None
        super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """Count from zero: a piece of the body is here."""
        self._loose_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Go on with the next request, if it is here; `_look` ends a wait that is too long."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())


def whole_sender(scope: Scope) -> SendWhole | None:
    """Return what sends a whole answer in one step; None where the server cannot."""
    extension = scope.get("extensions", {}).get(WHOLE)
    return None if extension is None else extension["call"]


async def _send_in_steps(
    send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_whole(
    weakly: ref[RequestResponseCycle],
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    """Do for a whole answer, in one write, what uvicorn does for its head and its body."""
    cycle = weakly()
    assert cycle is not None, "its own task is running"
    lines = [STATUS_LINE[status]]
    is_plain = cycle.keep_alive and cycle.scope["method"] != "HEAD" and not cycle.response_started
    length = b""
    for name, value in (*cycle.default_headers, *headers):
        low = name.lower()
        if low == b"content-length":
            length = value
        elif low in _FRAMING:
            is_plain = False
        lines += (low, b": ", value, b"\r\n")
    is_plain &= length == b"%d" % len(body)
    if not is_plain or cycle.flow.write_paused or _not_in_headers(b"".join(lines[3::4])):
        await _send_in_steps(cycle.send, status, headers, body)  # type: ignore[arg-type]
        return
    if cycle.disconnected:
        return
    lines += (b"\r\n", body)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write_at_once(b"".join(lines))  # type: ignore[attr-defined]
    cycle.message_event.set()
    cycle.on_response()

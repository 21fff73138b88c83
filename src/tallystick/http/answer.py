"""An answer on its way to a client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.types import Message, Scope, Send

from tallystick import limits
from tallystick.dialects.base import PathOwner
from tallystick.http.auth import CONTROL
from tallystick.http.connection import SendWhole
from tallystick.http.metrics import Metrics
from tallystick.http.proof_headers import ProofHeaders
from tallystick.http.read_recorder import ReadRecorder
from tallystick.http.room import Room
from tallystick.identity.admission import ADMISSION
from tallystick.ledger.entries_read import begin

# Beside the piece that is sent, what it was made of is still there.
_COPIES = 3


async def _no_look() -> None:
    """Look at nothing."""


class Answering(NamedTuple):
    """What the answers of a server share."""

    metrics: Metrics
    room: Room
    proof_headers: ProofHeaders
    recorder: ReadRecorder


class Answer:
    """Passes an answer on, adding what every answer carries, and counts it.

    A long one goes out in pieces, each when the client has taken the last, and begins when there is
    room for it.
    """

    __slots__ = (
        "_answering",
        "_look",
        "_scope",
        "_send",
        "_send_whole",
        "_shown",
        "_start",
        "_taken",
        "owner",
        "started",
    )

    def __init__(
        self,
        send: Send,
        send_whole: SendWhole | None,
        owner: PathOwner | None,
        scope: Scope,
        answering: Answering,
    ) -> None:
        """Begin; `send_whole`, where there is one, sends a small answer in one step."""
        self._send = send
        self._send_whole = send_whole
        self._shown = begin()
        self.owner = owner
        self._scope = scope
        self._answering = answering
        self._start: Message | None = None
        self._taken = 0
        self._look: Callable[[], Awaitable[None]] = _no_look
        self.started = False

    def look_again_with(self, look: Callable[[], Awaitable[None]]) -> None:
        """Have `look` look at the credential before each piece of a long answer; it may raise."""
        self._look = look

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            # Sent with the first piece: until there is room for that, another answer may be given.
            self._start = message
            return
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if more:
            await self._look()
        await self._take_room(len(body), more)
        start = self._start
        if start is not None:
            await self._begin(start)
            if not more and len(body) <= limits.SMALL_ANSWER_BYTES and self._send_whole is not None:
                await self._send_whole(start["status"], start["headers"], body)
                return
            await self._send(start)
        step = limits.SMALL_ANSWER_BYTES
        if len(body) <= step:
            await self._send(message)
            return
        for at in range(0, len(body), step):
            if at:
                await self._look()
            is_last = not more and at + step >= len(body)
            await self._send({**message, "body": body[at : at + step], "more_body": not is_last})
            # What was sent is written in the next turn of the loop; only then may sending pause.
            await asyncio.sleep(0)

    async def _take_room(self, size_bytes: int, more: bool) -> None:
        """Wait for room for the first long piece; what later ones need beyond is there at once."""
        if size_bytes <= limits.SMALL_ANSWER_BYTES:
            return
        wanted = _COPIES * max(size_bytes, limits.SLICE_BYTES) if more else size_bytes
        if self._taken:
            if wanted > self._taken:
                self._answering.room.grow(wanted - self._taken)
                self._taken = wanted
        elif self.started:
            # To break off an answer is worse than to begin it late.
            self._taken = await self._answering.room.take(wanted, limits.CLIENT_WAIT_S)
        else:
            self._taken = await self._answering.room.take(wanted)

    async def _begin(self, start: Message) -> None:
        # Before anything leaves: of a tenant that wants it so, there is no read without its entry.
        if self._shown.asked is not None:
            await self._answering.recorder.record(self._scope, self._shown, start["status"])
        self.started, self._start = True, None
        self._add_headers(start)
        if self._shown.tenant is not None:
            # After the page was read: the checkpoint covers all that it shows.
            of = self._answering.proof_headers.of
            start["headers"] += await of(self._scope, self._shown, start["status"])

    def _add_headers(self, message: Message) -> None:
        headers = message["headers"] = list(message.get("headers", ()))
        state = self._scope["state"]
        if ADMISSION in state or CONTROL in state:
            _keep_from_caches(headers)
        headers.append((b"x-content-type-options", b"nosniff"))
        if self.owner is None:
            headers.append((b"x-request-id", state["request_id"].encode("latin-1")))
            name = "native"
        else:
            name = self.owner.name
            extra = self.owner.headers(Request(self._scope))
            headers += [(k.encode("latin-1"), v.encode("latin-1")) for k, v in extra.items()]
            if self._scope["path"].startswith(f"/extensions/{name}/"):
                headers.append((b"x-tallystick-extension", name.encode("latin-1")))
        self._answering.metrics.count_request(name, message["status"])

    def end(self) -> None:
        """Make room for others: nothing of the answer is held any more."""
        if self._taken:
            self._answering.room.give_back(self._taken)
            self._taken = 0


def _keep_from_caches(headers: list[tuple[bytes, bytes]]) -> None:
    """Let no shared cache keep an answer that was for one caller."""
    values = [value for name, value in headers if name.lower() == b"cache-control"]
    if not values:
        headers.append((b"cache-control", b"no-store"))
        return
    rules = b",".join(values)
    if b"private" in rules:
        headers.append((b"vary", b"Authorization, X-Api-Key"))
    elif b"no-store" not in rules:
        headers[:] = [pair for pair in headers if pair[0].lower() != b"cache-control"]
        headers.append((b"cache-control", b"no-store"))

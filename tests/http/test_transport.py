"""What a connection writes in one turn of the loop is one piece, in order, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from tallystick import limits
from tallystick.http.transport import JoinedWrites, Protocol


class Wire(asyncio.Transport):
    """The other end: what arrives, and how it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.seen.append(bytes(data))

    def close(self) -> None:
        self.seen.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.seen

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def abort(self) -> None:
        self.seen.append("aborted")


def test_writes_of_one_turn_are_one_piece() -> None:
    async def run() -> Wire:
        wire = Wire()
        transport = JoinedWrites(wire)
        transport.write(b"head ")
        transport.write(b"body")
        assert wire.seen == []
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)
        return wire

    assert asyncio.run(run()).seen == [b"head body", b"next"]


def test_closing_sends_what_is_kept_first_and_nothing_twice() -> None:
    async def run() -> Wire:
        wire = Wire()
        transport = JoinedWrites(wire)
        transport.write(b"last words")
        transport.close()
        await asyncio.sleep(0)
        return wire

    assert asyncio.run(run()).seen == [b"last words", "closed"]


def test_aborting_sends_nothing_more() -> None:
    async def run() -> Wire:
        wire = Wire()
        transport = JoinedWrites(wire)
        transport.write(b"never")
        transport.abort()
        await asyncio.sleep(0)
        return wire

    assert asyncio.run(run()).seen == ["aborted"]


def answers_to(pieces: Sequence[bytes]) -> list[bytes | str]:
    """Return what a connection answers to pieces that come in one after the other."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> Wire:
        wire, state = Wire(), ServerState()
        protocol = Protocol(Config(app, log_config=None), state, {})
        protocol.connection_made(wire)
        for piece in pieces:
            if not wire.is_closing():
                protocol.data_received(piece)
            while state.tasks:
                await asyncio.gather(*state.tasks)
            await asyncio.sleep(0)
        protocol.connection_lost(ConnectionError())
        return wire

    return asyncio.run(run()).seen


def test_a_head_that_goes_on_and_on_is_refused() -> None:
    for begin in (b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nX: a\r\nY: "):
        [answer, closed] = answers_to([begin, *[b"a" * 8192] * 9])
        assert isinstance(answer, bytes)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert closed == "closed"


def test_trailers_that_go_on_and_on_are_refused() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for end in (b"1\r\na\r\n0\r\nX: ", b"1;x="):
        *_, answer, closed = answers_to([head, end, *[b"a" * 8192] * 9])
        assert isinstance(answer, bytes)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert closed == "closed"


def test_what_belongs_to_no_head_does_not_count() -> None:
    long = b"a" * limits.HEAD_BYTES
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % (2 * len(long))
    request = [head, b"X: " + long[:-100], b"\r\n\r\n", long, long]
    answers = answers_to(request * 2)
    assert b"".join(a for a in answers if isinstance(a, bytes)).count(b"HTTP/1.1 204 ") == 2
    assert "closed" not in answers

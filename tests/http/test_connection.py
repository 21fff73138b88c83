"""What a connection writes in one turn of the loop is one piece; what it waits for has an end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from tallystick import limits
from tallystick.http.connection import JoinedWrites, Protocol
from tallystick.identity.admission import ADMISSION


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

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing is read here that was not handed over."""

    def resume_reading(self) -> None:
        """Nothing is read here that was not handed over."""


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


async def app_that_reads(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body to its end, then answer."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def connection(wire: Wire, app: ASGIApp = app_that_reads) -> AsyncIterator[Protocol]:
    """Run a connection until the block ends."""
    state = ServerState()
    protocol = Protocol(Config(app, log_config=None), state, {})
    protocol.connection_made(wire)
    yield protocol
    protocol.connection_lost(ConnectionError())
    await asyncio.gather(*state.tasks)


async def until_it_ends(wire: Wire, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Wait until the other side is sent away."""
    async with asyncio.timeout(30):
        while not {"closed", "aborted"} & set(wire.seen):
            meanwhile()
            await asyncio.sleep(0.01)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for clients a tenth of a second."""
    monkeypatch.setattr(limits, "CLIENT_WAIT_S", 0.1)


@pytest.mark.usefixtures("impatience")
@pytest.mark.parametrize("drip", [b"", b"a"])
def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(drip: bytes) -> None:
    """However often a byte of it comes."""

    async def run() -> Wire:
        wire = Wire()
        async with connection(wire) as protocol:
            protocol.data_received(b"GET / HTTP/1.1\r\nX: ")
            await until_it_ends(wire, lambda: protocol.data_received(drip))
        return wire

    [answer, closed] = asyncio.run(run()).seen
    assert isinstance(answer, bytes)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert closed == "closed"


@pytest.mark.usefixtures("impatience")
@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_connection_that_is_kept_for_nothing_is_closed(first: bytes) -> None:
    """One on which nothing comes, and one on which an empty line follows an answer."""

    async def run() -> Wire:
        wire = Wire()
        async with connection(wire) as protocol:
            if first:
                protocol.data_received(first)
                while not wire.seen:
                    await asyncio.sleep(0.01)
                protocol.data_received(b"\r\n")
            await until_it_ends(wire)
        return wire

    assert asyncio.run(run()).seen[-1] == "closed"


@pytest.mark.usefixtures("impatience")
def test_a_body_of_a_known_client_may_take_its_time() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"][ADMISSION] = "somebody"
        await app_that_reads(scope, receive, send)

    async def run() -> Wire:
        wire = Wire()
        async with connection(wire, app) as protocol:
            protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
            await asyncio.sleep(0.3)
            assert wire.seen == []
            protocol.data_received(b"b")
            while not wire.seen:
                await asyncio.sleep(0.01)
        return wire

    [answer] = asyncio.run(run()).seen
    assert isinstance(answer, bytes)
    assert answer.startswith(b"HTTP/1.1 204 ")


@pytest.mark.usefixtures("impatience")
@pytest.mark.parametrize(
    ("begin", "drip"),
    [
        (b"Content-Length: 100000\r\n\r\na", b"a"),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"1\r\na\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"Content-Length: 2\r\n\r\n", b""),
    ],
    ids=["body", "chunks", "trailers", "silence"],
)
def test_a_body_of_a_stranger_is_not_waited_for(begin: bytes, drip: bytes) -> None:
    """However often a part of it, or of its trailers, comes."""

    async def run() -> Wire:
        wire = Wire()
        async with connection(wire) as protocol:
            protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\n" + begin)
            await until_it_ends(wire, lambda: protocol.data_received(drip))
        return wire

    [answer, closed] = asyncio.run(run()).seen
    assert isinstance(answer, bytes)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert closed == "closed"


async def app_that_tells_much(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with more than a socket and its buffers hold, in one piece."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * MUCH_BYTES})


MUCH_BYTES = 32_000_000


@asynccontextmanager
async def much_told() -> AsyncIterator[tuple[socket.socket, set[Any]]]:
    """Yield a client to which a server on a real socket tells much, and what is connected there."""
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Protocol(Config(app_that_tells_much, log_config=None), state, {}), "127.0.0.1", 0
    )
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.setblocking(False)
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        yield client, state.connections
    server.close()
    await server.wait_closed()


@pytest.mark.usefixtures("impatience")
def test_an_answer_that_nobody_takes_is_given_up() -> None:
    """Though it was closed already, and only what is left of the answer is still to be sent."""

    async def run() -> None:
        async with much_told() as (client, connections), asyncio.timeout(30):
            assert await asyncio.get_running_loop().sock_recv(client, 10)
            while connections:
                await asyncio.sleep(0.01)

    asyncio.run(run())


def test_an_answer_that_is_taken_slowly_is_told_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes several times as long as a client may stand still."""
    monkeypatch.setattr(limits, "CLIENT_WAIT_S", 1.0)

    async def run() -> int:
        loop = asyncio.get_running_loop()
        async with much_told() as (client, _), asyncio.timeout(60):
            begun_s, taken_bytes = loop.time(), 0
            while data := await loop.sock_recv(client, 1 << 18):
                taken_bytes += len(data)
                await asyncio.sleep(0.02)
            assert loop.time() - begun_s > 2 * limits.CLIENT_WAIT_S
        return taken_bytes

    assert asyncio.run(run()) > MUCH_BYTES


@pytest.mark.usefixtures("impatience")
def test_a_head_behind_an_answer_that_is_under_way_is_waited_for() -> None:
    """It is we who read no further meanwhile."""

    async def run() -> Wire:
        wire, done = Wire(), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await done.wait()
            await app_that_reads(scope, receive, send)

        async with connection(wire, app) as protocol:
            protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET /")
            await asyncio.sleep(0.3)
            assert wire.seen == []
            done.set()
            await until_it_ends(wire)
        return wire

    *answers, late, closed = asyncio.run(run()).seen
    assert b"".join(a for a in answers if isinstance(a, bytes)).count(b"HTTP/1.1 204 ") == 2
    assert isinstance(late, bytes)
    assert late.startswith(b"HTTP/1.1 408 ")
    assert closed == "closed"

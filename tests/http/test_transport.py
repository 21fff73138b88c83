"""What a connection writes in one turn of the loop is one piece, in order, and none is lost."""

from __future__ import annotations

import asyncio

from tallystick.http.transport import JoinedWrites


class Wire(asyncio.Transport):
    """The other end: what arrives, and how it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.seen.append(bytes(data))

    def close(self) -> None:
        self.seen.append("closed")

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

"""Measures what leaves the store: `python -m bench.following` for live tails and exports.

Readers are connections that filter by kind: each event goes to one reader in `--filters`. An
event carries the time when it was sent; its age when a reader has it is the delivery time. Writer,
readers and server share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
import time
import urllib.request
from pathlib import Path

import uvloop

from bench.servers import KEY, tallystick

_SENT = re.compile(rb'"sent":(\d+)')
_BATCH = 5


class _TailReader(asyncio.Protocol):
    """A reader of a live tail that only notes how old events are."""

    def __init__(self, kind: str, ages_ms: list[float]) -> None:
        self._kind = kind
        self._ages_ms = ages_ms
        self._rest = b""
        self.begun = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask for the tail."""
        transport.write(
            b"GET /v1/events/stream?kind=%b HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Authorization: Bearer %b\r\n\r\n" % (self._kind.encode(), KEY.encode())
        )

    def data_received(self, data: bytes) -> None:
        """Note the age of what came."""
        now_ns = time.monotonic_ns()
        if not self.begun.done():
            self.begun.set_result(None)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:") and (sent := _SENT.search(line)) is not None:
                self._ages_ms.append((now_ns - int(sent[1])) / 1e6)


async def tails(port: int, readers: int, filters: int, rate: float, seconds: float) -> list[float]:
    """Return the delivery times in milliseconds, sorted."""
    loop = asyncio.get_running_loop()
    ages_ms: list[float] = []
    for number in range(readers):
        kind = f"bench.k{number % filters}"
        _, reader = await loop.create_connection(
            lambda kind=kind: _TailReader(kind, ages_ms), "127.0.0.1", port
        )
        await reader.begun
    await asyncio.sleep(1)
    stream_in, stream_out = await asyncio.open_connection("127.0.0.1", port)
    started_s, sent = time.monotonic(), 0
    while (passed_s := time.monotonic() - started_s) < seconds:
        if sent > passed_s * rate:
            await asyncio.sleep(sent / rate - passed_s)
            continue
        await _post(stream_in, stream_out, _events(sent, filters))
        sent += _BATCH
    await asyncio.sleep(2)
    print(f"{sent / seconds:,.0f} events/s written, {len(ages_ms):,} of "
          f"{sent * readers // filters:,} deliveries")  # fmt: skip
    return sorted(ages_ms)


def _events(start: int, filters: int) -> bytes:
    now_ns = time.monotonic_ns()
    return json.dumps(
        [
            {
                "kind": f"bench.k{n % filters}",
                "actor": {"type": "user", "id": str(n % 97), "name": "Ann"},
                "data": {"sent": now_ns, "n": n, "text": "x" * 300},
            }
            for n in range(start, start + _BATCH)
        ]
    ).encode()


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(
        b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (KEY.encode(), len(body), body)
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 20" in head[:16], head
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert found is not None, "an answer with a length"
    await reader.readexactly(int(found[1]))


def exported(port: int) -> tuple[int, float]:
    """Return how many rows an export has, and how long it took in seconds."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/events/export", headers={"Authorization": f"Bearer {KEY}"}
    )
    started_s, rows = time.monotonic(), 0
    with urllib.request.urlopen(asked) as answer:  # noqa: S310  # our own server
        while piece := answer.read(1 << 20):
            rows += piece.count(b"\n")
    return rows, time.monotonic() - started_s


async def _fill(port: int, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for start in range(0, count, 1000):
        lines = b"".join(
            _events(start + at, 20)[1:-1].replace(b'}, {"kind"', b'}\n{"kind"') + b"\n"
            for at in range(0, 1000, _BATCH)
        )
        await _post(reader, writer, b"[" + lines.replace(b"\n", b",")[:-1] + b"]")


def main() -> None:
    """Measure tails, then exports."""
    parser = argparse.ArgumentParser(prog="bench.following", description=__doc__)
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--filters", type=int, default=20)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--events", type=int, default=100_000, help="in the export")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tallystick-following-") as scratch,
        tallystick(Path(scratch) / "data") as (port, _),
    ):
        ages_ms = uvloop.run(
            tails(port, arguments.readers, arguments.filters, arguments.rate, arguments.seconds)
        )
        for share in (0.5, 0.99, 1.0):
            at = min(len(ages_ms) - 1, int(len(ages_ms) * share))
            print(f"delivery, {share:.0%} within {ages_ms[at]:,.1f} ms")
        uvloop.run(_fill(port, arguments.events))
        for _ in range(3):
            rows, seconds = exported(port)
            print(f"export: {rows:,} rows, {rows / seconds:,.0f}/s")


if __name__ == "__main__":
    main()

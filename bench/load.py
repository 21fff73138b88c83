"""A load generator on asyncio: keep-alive connections, closed loop or open loop.

It is made to cost little beside the server it measures: requests are bytes made beforehand, and an
answer is read only as far as its status and length.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import uvloop


class Outcome(NamedTuple):
    """What one run saw; latencies in milliseconds, sorted."""

    requests: int
    errors: int
    seconds: float
    latencies_ms: list[float]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Return the latency that `share` of the requests did not exceed."""
        return self.latencies_ms[
            min(len(self.latencies_ms) - 1, int(len(self.latencies_ms) * share))
        ]


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self) -> None:
        self.waiter: asyncio.Future[int] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.waiter

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        if head[9:12] == b"204":
            pass
        elif at >= 0:
            length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
        elif not self._buffer.endswith(b"0\r\n\r\n"):
            return
        status = int(self._buffer[9:12])
        self._buffer = b""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(status)

    def connection_lost(self, error: Exception | None) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(0)


async def _connect(port: int, count: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(_Connection, "127.0.0.1", port) for _ in range(count)]
    return [protocol for _, protocol in made]


async def closed_loop(
    port: int, requests: Sequence[bytes], connections: int, seconds: float, count: int
) -> Outcome:
    """Keep every connection busy for a time, or until `count` requests were sent."""
    pool = await _connect(port, connections)
    latencies: list[float] = []
    errors = 0
    stop_at = time.perf_counter() + seconds
    numbers = iter(range(count))

    async def run(connection: _Connection) -> None:
        nonlocal errors
        while True:
            started = time.perf_counter()
            number = next(numbers, None)
            if number is None or started > stop_at:
                return
            status = await connection.ask(requests[number % len(requests)])
            latencies.append((time.perf_counter() - started) * 1000)
            errors += not 200 <= status < 300

    started = time.perf_counter()
    await asyncio.gather(*map(run, pool))
    elapsed = time.perf_counter() - started
    for connection in pool:
        connection.transport.close()
    return Outcome(len(latencies), errors, elapsed, sorted(latencies))


async def open_loop(
    port: int, requests: Sequence[bytes], connections: int, seconds: float, rate: float
) -> Outcome:
    """Send at a fixed rate whatever the answers do; latency counts from when a request was due."""
    pool = await _connect(port, connections)
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    for connection in pool:
        free.put_nowait(connection)
    latencies: list[float] = []
    errors = 0

    async def run(due: float, request: bytes) -> None:
        nonlocal errors
        connection = await free.get()
        status = await connection.ask(request)
        latencies.append((time.perf_counter() - due) * 1000)
        errors += not 200 <= status < 300
        free.put_nowait(connection)

    started = time.perf_counter()
    tasks: set[asyncio.Task[None]] = set()
    sent = 0
    while (now := time.perf_counter()) - started < seconds:
        while sent < (now - started) * rate:
            due = started + sent / rate
            task = asyncio.ensure_future(run(due, requests[sent % len(requests)]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        await asyncio.sleep(0.0005)
    await asyncio.gather(*tasks)
    elapsed = time.perf_counter() - started
    for connection in pool:
        connection.transport.close()
    return Outcome(len(latencies), errors, elapsed, sorted(latencies))


def start_apart(
    port: int,
    requests: Sequence[str],
    *,
    connections: int,
    seconds: float,
    rate: float | None = None,
    count: int | None = None,
) -> subprocess.Popen[str]:
    """Start the load generator in a process of its own; `finish` waits for it."""
    job = {
        "port": port, "requests": requests, "connections": connections, "seconds": seconds,
        "rate": rate, "count": count,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdin is not None, "it was asked for"
    with process.stdin as stdin:
        json.dump(job, stdin)
    process.stdin = None
    return process


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a load generator saw, once it is done.

    Raises: SystemExit when requests failed.
    """
    output, _ = process.communicate(timeout=600)
    if process.returncode:
        raise SystemExit("the load generator died")
    result: dict[str, Any] = json.loads(output)
    if result["errors"]:
        raise SystemExit(f"{result['errors']} requests failed: {result}")
    return result


def run_apart(
    port: int,
    requests: Sequence[str],
    *,
    connections: int,
    seconds: float,
    count: int | None = None,
) -> dict[str, Any]:
    """Keep connections busy for a time, from a process of its own, and return what it saw.

    With `count` it ends once so many requests were sent.
    """
    started = start_apart(port, requests, connections=connections, seconds=seconds, count=count)
    return finish(started)


def main() -> None:
    """Run as a process of its own: a job as JSON on standard input, an outcome on the output."""
    job = json.load(sys.stdin)
    requests = [request.encode("latin-1") for request in job["requests"]]
    if job.get("rate"):
        run = open_loop(job["port"], requests, job["connections"], job["seconds"], job["rate"])
    else:
        count = job.get("count") or sys.maxsize
        run = closed_loop(job["port"], requests, job["connections"], job["seconds"], count)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(run)
    json.dump(
        {
            "requests": outcome.requests,
            "errors": outcome.errors,
            "seconds": outcome.seconds,
            "rate": outcome.rate,
            **{f"p{p}": outcome.percentile_ms(p / 100) for p in (50, 95, 99)},
            "max": outcome.latencies_ms[-1],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()

"""How fast an ordered stream goes to a receiver on this machine: `python -m bench.streams`.

The receiver is a process of its own that reads requests and answers them, and looks at nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import tempfile
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import httpx2

from bench.servers import KEY, tallystick

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
_BATCH = 1_000


def receive(listener: socket.socket, octets: Synchronized[int]) -> None:
    """Answer every request of one connection after the other."""
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, client.makefile("rb") as file:
            while True:
                length = 0
                while (line := file.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                if not line:
                    break
                octets.value += len(file.read(length))
                client.sendall(_ANSWER)


def fill(http: httpx2.Client, count: int) -> None:
    """Append events such as an application tells."""
    for first in range(0, count, _BATCH):
        events = [
            {
                "kind": "order.paid",
                "actor": {"type": "user", "id": str(number % 97)},
                "target": {"type": "order", "id": str(number)},
                "data": {"total": number % 1000, "currency": "EUR", "note": "paid by card"},
            }
            for number in range(first, first + _BATCH)
        ]
        http.post("/v1/events", json=events).raise_for_status()


def measure(http: httpx2.Client, to: str, count: int) -> float:
    """Return how many events a second a stream of all events delivers."""
    body = {"name": "bench", "sink": "webhook", "to": to, "from": "start"}
    http.post("/v1/admin/tenants/bench/streams", json=body).raise_for_status()
    path = "/v1/admin/tenants/bench/streams/bench"
    started_s = first = None
    while True:
        stream = http.get(path).json()
        delivered = stream.get("delivered", 0)
        # What it takes to start the process is not what is measured.
        if delivered and started_s is None:
            started_s, first = time.monotonic(), delivered
        if delivered >= count and started_s is not None:
            return float((delivered - (first or 0)) / (time.monotonic() - started_s))
        time.sleep(0.05)


def main() -> None:
    """Fill a log, send all of it, and print the rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    count = parser.parse_args().events
    listener = socket.create_server(("127.0.0.1", 0))
    octets: Synchronized[int] = multiprocessing.Value("q", 0)
    receiver = multiprocessing.Process(target=receive, args=(listener, octets), daemon=True)
    receiver.start()
    to = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    environment = {"TALLYSTICK_STREAMS_ALLOW": "127.0.0.0/8"}
    with (
        tempfile.TemporaryDirectory() as folder,
        tallystick(Path(folder) / "data", environment) as (port, _),
        httpx2.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=60,
            verify=False,
        ) as http,
    ):
        fill(http, count)
        rate = measure(http, to, count)
    print(f"ordered webhook: {rate:,.0f} events/s, {octets.value / 1e6:,.0f} MB received")
    receiver.terminate()


if __name__ == "__main__":
    main()

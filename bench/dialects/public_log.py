"""How soon the public log of DataTrails has a seal over an event, while events keep coming.

Events come in at a fixed rate whatever the server does. Beside them a few probes each write an
event, ask for it until it is CONFIRMED, and tell how long after the acknowledgement that was. Once
no more events come in, one last probe shows what the log was behind.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import load, write
from bench.dialects import serving, world
from bench.dialects.asking import Headers, request, token_of_application
from tallystick.node.node import open_node
from tallystick.settings import Settings

CONFIRMED_S = 1.0
EVENTS_A_SECOND = 1_000
FOLLOWED_A_SECOND = 5_000
TENANTS = 100

_SECONDS = 20.0
_CONNECTIONS = 64
_PROBES = 4
_PAUSE_S = 0.02
_PATIENCE_S = 60.0
_BATCH = 100
_ENOUGH = 0.98
_EVENTS = "/archivist/v1/events"


class Load(NamedTuple):
    """What comes in: requests with so many events each, so many events a second."""

    requests: Sequence[str]
    events_each: int
    rate: int


def measure(scratch: Path) -> list[str]:
    """Measure one tenant, many tenants, and the rate to keep up with; return what missed."""
    scratch.mkdir()
    one = _measure(scratch, 1, _singles)
    _measure(scratch, TENANTS, _singles)
    keeps_up = _measure(scratch, 1, _batches)
    return [run.name for run in (one, keeps_up) if not run.met]


class _Run(NamedTuple):
    name: str
    met: bool


def _measure(
    scratch: Path, tenants: int, make_load: Callable[[Sequence[Headers]], Load]
) -> _Run:  # fmt: skip
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        _serving(Path(folder), tenants) as port,
    ):
        tokens = [token_of_application(port, n) for n in range(tenants)]
        coming = make_load(tokens)
        name = f"{coming.rate:,} events/s, {coming.events_each} a request, {tenants} tenant(s)"
        generator = load.start_apart(
            port,
            coming.requests,
            connections=_CONNECTIONS,
            seconds=_SECONDS,
            rate=coming.rate / coming.events_each,
        )
        waits_s = _probe_while(generator, port, tokens)
        last_s = Probe(port, tokens[0]).wait_s()
    found = load.finish(generator)
    rate = found["rate"] * coming.events_each
    waits_s.sort()
    p50, p99 = (waits_s[int(len(waits_s) * share)] for share in (0.5, 0.99))
    print(
        f"{name}: {rate:,.0f}/s stored, acknowledged p50 {found['p50']:.1f} p99 {found['p99']:.1f}"
        f" ms; CONFIRMED after p50 {p50:.2f} p99 {p99:.2f} max {waits_s[-1]:.2f} s"
        f" ({len(waits_s)} probes), at the end {last_s:.2f} s   (wanted: max < {CONFIRMED_S:g} s)"
    )
    in_time = max(waits_s[-1], last_s) < CONFIRMED_S
    return _Run(f"CONFIRMED at {name}", in_time and rate > _ENOUGH * coming.rate)


def _singles(tokens: Sequence[Headers]) -> Load:
    requests = [
        request("POST", _EVENTS, token, _event(n)) for n in range(1_000 // len(tokens))
        for token in tokens
    ]  # fmt: skip
    return Load(requests, 1, EVENTS_A_SECOND)


def _batches(tokens: Sequence[Headers]) -> Load:
    bodies = write.events(50 * _BATCH)
    requests = [
        write.request("\n".join(bodies[n : n + _BATCH]), kind="application/x-ndjson")
        for n in range(0, len(bodies), _BATCH)
    ]
    return Load(requests, _BATCH, FOLLOWED_A_SECOND)


@contextlib.contextmanager
def _serving(folder: Path, tenants: int) -> Iterator[int]:
    node = open_node(folder, Settings(), followers=False)
    for number in range(tenants):
        world.account(node, number)
    node.close()
    with serving.server(folder) as port:
        yield port


def _probe_while(
    generator: subprocess.Popen[str], port: int, tokens: Sequence[Headers]
) -> list[float]:
    """Probe until the generator ends; return how long each event took to be CONFIRMED."""
    waits_s: list[float] = []

    def run(number: int) -> None:
        probes = [Probe(port, token) for token in tokens[number::_PROBES] or tokens[:1]]
        while generator.poll() is None:
            for probe in probes:
                waits_s.append(probe.wait_s())
                if generator.poll() is not None:
                    break

    threads = [threading.Thread(target=run, args=(number,)) for number in range(_PROBES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits_s


class Probe:
    """Writes events and waits for each until it is CONFIRMED."""

    def __init__(self, port: int, token: Headers) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        self._token = token

    def wait_s(self) -> float:
        """Return how long after its acknowledgement an event was CONFIRMED.

        Raises: SystemExit when it is not after a minute.
        """
        created = self._ask("POST", _EVENTS, _event(0))
        acknowledged_s = time.perf_counter()
        while (waited_s := time.perf_counter() - acknowledged_s) < _PATIENCE_S:
            event = self._ask("GET", f"/archivist/v1/{created['identity']}")
            if event["confirmation_status"] == "CONFIRMED":
                return time.perf_counter() - acknowledged_s
            time.sleep(_PAUSE_S)
        raise SystemExit(f"an event was not CONFIRMED after {waited_s:.0f} s")

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        self._connection.request(method, path, body, dict(self._token))
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise SystemExit(f"{method} {path} answered {response.status}: {answer[:500]!r}")
        found: dict[str, Any] = json.loads(answer)
        return found


def _event(number: int) -> str:
    return json.dumps(
        {
            "event_type": world.EVENT_TYPES[number % len(world.EVENT_TYPES)],
            "trails": [f"trail-{number}", "everything"],
            "attributes": {
                "inspector": f"Inspector {number % 50}",
                "note": {"text": "as it should be, " * 12},
            },
        }
    )

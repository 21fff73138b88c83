"""Writing with every follower on: a sustained load, what lags at its end, and single requests."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.scale.asking import Asker
from bench.scale.events import CHUNK, Generator
from bench.write import request

SUSTAINED_S = 60.0
OFFERED = 6_000
"""Events a second that are sent whatever the answers do."""

_MOST_S = 20.0

_BATCH = 500
_BATCHES = 20
_WRITERS = 4
_SINGLES = 2_000
_SATURATION_S = 5.0
_HALF_S = 10.0
_CONNECTIONS = 64


class Ingest(NamedTuple):
    """What writing came to: events a second when so many were offered, seconds until lists and
    search had them all, and events a second when writers only wait for answers.
    """

    rate: float
    lists_lag_s: float
    search_lag_s: float
    most: float
    saturation: float
    half_p50_ms: float
    half_p99_ms: float


def bodies(generator: Generator, count: int) -> list[str]:
    """Return events as the native API takes them, happening when they are written."""
    far = 10_000 * CHUNK
    return [event.body(dated=False) for event in generator.events(far, count)]


def writers(
    port: int, requests: Sequence[str], connections: int, seconds: float, rate: float | None = None
) -> subprocess.Popen[str]:
    """Start the load generator; its outcome is read by `outcome`."""
    # Requests travel as text of one byte a character.
    sent = [text.encode().decode("latin-1") for text in requests]
    job = {
        "port": port, "requests": sent, "connections": connections, "seconds": seconds,
        "rate": rate,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    return process


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for the load generator and return what it saw.

    Raises: SystemExit when a request failed.
    """
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(process.stdout.read())
    process.wait()
    if told["errors"]:
        raise SystemExit(f"{told['errors']} of {told['requests']} writes failed")
    return told


def measure(port: int, events: Sequence[str], seconds: float = SUSTAINED_S) -> Ingest:
    """Write batches at a rate and as fast as they go, then singles at saturation and at half."""
    batches = [
        request("\n".join(events[at : at + _BATCH]), kind="application/x-ndjson")
        for at in range(0, _BATCH * _BATCHES, _BATCH)
    ]
    done = outcome(writers(port, batches, _WRITERS, seconds, OFFERED / _BATCH))
    ended_s = time.perf_counter()
    asker = Asker(port)
    asker.get("/v1/events?limit=1")
    lists_lag_s = time.perf_counter() - ended_s
    asker.get("/v1/events?limit=1&q=authorized")
    search_lag_s = time.perf_counter() - ended_s
    most = outcome(writers(port, batches, _WRITERS, _MOST_S))["rate"]
    asker.get("/v1/events?limit=1&q=authorized", patience_ms=math.inf)
    asker.close()
    singles = [request(event) for event in events[:_SINGLES]]
    saturation = outcome(writers(port, singles, _CONNECTIONS, _SATURATION_S))["rate"]
    half = outcome(writers(port, singles, _CONNECTIONS, _HALF_S, saturation / 2))
    return Ingest(
        done["rate"] * _BATCH,
        lists_lag_s,
        search_lag_s,
        most * _BATCH,
        saturation,
        half["p50"],
        half["p99"],
    )

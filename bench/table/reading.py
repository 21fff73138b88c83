"""Pages, searches and counts over many events, and what a server that starts on them takes."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import servers
from bench.load import start_apart
from bench.scale.asking import Asker
from bench.scale.events import Generator
from bench.scale.filling import fill, size_bytes
from bench.table.rows import Part, Rounds, Row, World
from bench.table.writing import CATCH_UP_S
from bench.write import events, request, settle

PAGES = {
    "first page": "/v1/events?limit=50",
    "by kind": "/v1/events?limit=50&kind={kind}",
    "deep by offset": "/v1/events?limit=50&offset={deep}",
}
SEARCHES = {
    "term": "/v1/events?limit=50&q=authorized",
    "phrase": "/v1/events?limit=50&q=%22not%20authorized%22",
    "wildcard": "/v1/events?limit=50&q=author*",
    "range": "/v1/events?limit=50&q=data.requestParameters.maxResults:%5B1%20TO%20500%5D",
}
COUNTS = {
    "top values": "/v1/events/facets?fields=kind",
    "hourly histogram": "/v1/events/histogram?interval=hour",
}
WRITES = 500.0
_SAMPLE = 5_000


def reading(world: World) -> Part:
    """Ask a quiet server, then the same searches under 500 single writes a second."""
    stored, folder = world.plan.stored_events, world.kept / f"events-{world.plan.stored_events}"
    filled = _filled(world, folder)
    about = {"deep": stored // 2, "kind": filled.kind}
    rounds: Rounds = {}
    with servers.tallystick(folder) as (port, _):
        settle(port, CATCH_UP_S)
        index_share = size_bytes(folder / "index") / filled.events_bytes
        asker = Asker(port)
        for name, path in {**PAGES, **SEARCHES, **COUNTS}.items():
            rounds[name] = _asked(asker, path.format(**about), world.plan.asked)
        with _writing(port):
            began_s, before = time.perf_counter(), _newest(asker)
            for name, path in SEARCHES.items():
                rounds[f"{name}, {WRITES:.0f} writes/s"] = _asked(asker, path, world.plan.asked)
            written = (_newest(asker) - before) / (time.perf_counter() - began_s)
        asker.close()
    middle = {name: statistics.median(values) for name, values in rounds.items()}
    worst_page = max(middle[name] for name in PAGES)
    of_all = f"of {stored:,} events, ms"
    return Part(
        [
            Row(f"list page p50 {of_all}", worst_page, 3, 1.5, less=True),
            Row(f"list page p99 {of_all}", max(_p99(rounds[n]) for n in PAGES), 15, 8, less=True),
            Row(f"search p50 quiet {of_all}", max(middle[n] for n in SEARCHES), 8, 4, less=True),
            Row(f"search p50 under {WRITES:.0f} writes/s {of_all}",
                max(middle[f"{n}, {WRITES:.0f} writes/s"] for n in SEARCHES), 25, 10, less=True),
            Row(f"top values {of_all}", middle["top values"], 30, 10, less=True),
            Row(f"hourly histogram {of_all}", middle["hourly histogram"], 15, 8, less=True),
            Row("index bytes / event bytes", index_share, 0.6, 0.4, less=True),
        ],
        {f"{name}: p50, p99 ms": [middle[name], _p99(values)] for name, values in rounds.items()},
        [
            "Lines of pages and searches are those of the slowest kind of question. Writes a second"
            f" while searches were asked: {written:.0f} of {WRITES:.0f}."
        ],
    )  # fmt: skip


def starting(world: World) -> Part:
    """Measure a start on the same events, and what an idle server takes of memory."""
    folder = world.kept / f"events-{world.plan.stored_events}"
    _filled(world, folder)
    rounds: Rounds = {"ready, s": [], "first page, s": [], "PSS, MB": []}
    for _ in range(world.plan.rounds):
        port = servers.free_port()
        command = [servers.TALLYSTICK, "serve", "--data", str(folder), "--port", str(port)]
        began_s = time.perf_counter()
        with servers.running(command, port) as process:
            asker = Asker(port)
            asker.get("/readyz")
            rounds["ready, s"].append(time.perf_counter() - began_s)
            asker.get("/v1/events?limit=50")
            rounds["first page, s"].append(time.perf_counter() - began_s)
            asker.close()
            settle(port, CATCH_UP_S)
            rounds["PSS, MB"].append(_pss_mb(process.pid))
    middle = {name: statistics.median(values) for name, values in rounds.items()}
    return Part(
        [
            Row("ready after start, s", middle["ready, s"], 0.8, 0.5, less=True),
            Row("first page after start, s", middle["first page, s"], 1.0, 0.6, less=True),
            Row("idle memory, all processes (PSS), MB", middle["PSS, MB"], 160, 110, less=True),
        ],
        rounds,
        [f"Of {world.plan.stored_events:,} events."],
    )


class _Filled(NamedTuple):
    """What is known of the events in a folder."""

    kind: str
    events_bytes: int
    """Bytes of all events as JSON, by the mean of the first of them."""


def _filled(world: World, folder: Path) -> _Filled:
    """Fill a folder, unless a run before did; the generator takes its time to read the records."""
    note = folder.with_suffix(".json")
    if not note.exists():
        generator, events_count = Generator(world.data), world.plan.stored_events
        fill(folder, generator, events_count, print)
        drawn = list(generator.events(0, min(events_count, _SAMPLE)))
        mean = sum(len(event.body().encode()) for event in drawn) / len(drawn)
        note.write_text(json.dumps([drawn[0].kind, int(mean * events_count)]))
    return _Filled(*json.loads(note.read_text()))


def _asked(asker: Asker, path: str, times: int) -> list[float]:
    asker.get(path)
    return [asker.get(path)[0] for _ in range(times)]


def _newest(asker: Asker) -> int:
    """Return the index of the newest event."""
    index: int = asker.json("/v1/events?limit=1&view=log&order=desc")["events"][0]["index"]
    return index


@contextlib.contextmanager
def _writing(port: int) -> Iterator[None]:
    """Write single events meanwhile, at a fixed rate."""
    requests = [request(body) for body in events(2_000)]
    writer = start_apart(port, requests, connections=16, seconds=3_600, rate=WRITES)
    time.sleep(1)
    try:
        yield
    finally:
        writer.kill()
        writer.communicate()


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def _pss_mb(pid: int) -> float:
    """Return the memory of a process and all below it, shared pages counted by their share."""
    pids, total_kb = [pid], 0
    for each in pids:
        listed = subprocess.run(
            ["ps", "--ppid", str(each), "-o", "pid="], capture_output=True, text=True, check=False
        )
        pids += [int(child) for child in listed.stdout.split() if os.path.exists(f"/proc/{child}")]
        lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb / 1024

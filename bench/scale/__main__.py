"""Measures reading and writing over many events: `python -m bench.scale --events 1000000`.

Fills a folder (kept and used again with --folder), fills SQLite with the same events, serves the
folder, asks the same questions of both, asks the product again under writes, and measures writing
with every follower on, beside a folder of a hundred thousand events.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.scale import asking, ingest, report
from bench.scale.asking import Asker, Latencies
from bench.scale.events import Generator, data_folder
from bench.scale.filling import fill, size_bytes
from bench.scale.questions import Question, questions
from bench.scale.report import Asked, Sizes
from bench.scale.rival import Rival
from bench.servers import tallystick
from bench.write import request
from tallystick.data_folder import LEDGER_FILE

SMALL_EVENTS = 100_000
WRITES_PER_S = 500.0

_BUSY_SECONDS = 3.0
_WRITERS = 20


def main() -> None:
    """Fill, ask, write, report."""
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="kept and used again")
    parser.add_argument("--report", type=Path, help="where the report goes beside the output")
    parser.add_argument("--only", choices=("fill", "questions"), help="stop after that")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tallystick-scale-")))
        folder = arguments.folder or scratch / "kept"
        folder.mkdir(parents=True, exist_ok=True)
        generator = Generator(data_folder())
        rival = _filled(folder, generator, arguments.events)
        if arguments.only == "fill":
            return
        asked, sizes, writes = _ask(folder, rival, generator)
        written = {}
        if arguments.only is None:
            fill(scratch / "small", generator, SMALL_EVENTS, _tell)
            for place, stored in ((scratch / "small", SMALL_EVENTS), (folder / "data", rival.size)):
                with serving(place) as port:
                    written[f"{stored:,}"] = ingest.measure(port, ingest.bodies(generator, 10_000))
                    _tell(f"written beside {stored:,}: {written[f'{stored:,}']}")
    text = report.page(sizes, asked, written, writes)
    print(text)
    if arguments.report:
        arguments.report.write_text(text)


def _filled(folder: Path, generator: Generator, events: int) -> Rival:
    """Bring folder and rival to the same events, and the indexes to all of them."""
    fill(folder / "data", generator, events, _tell)
    rival = Rival(folder / "rival.db")
    started_s = time.perf_counter()
    with tallystick(folder / "data") as (port, _):
        rival.follow(folder / "data" / LEDGER_FILE, _tell)
        _settle(port, folder / "data")
        _tell(f"in SQLite and indexed after {time.perf_counter() - started_s:,.0f} s")
    return rival


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Run a server that has nothing left to do."""
    with tallystick(folder) as (port, _):
        _settle(port, folder)
        yield port


def _settle(port: int, folder: Path) -> None:
    """Wait until followers have caught up, and merged what they merge afterwards."""
    asker = Asker(port)
    for target in ("/v1/events?limit=1", "/v1/events?limit=1&q=authorized"):
        asker.get(target, patience_ms=math.inf)
    asker.close()
    before = -1
    while (now := size_bytes(folder / "index")) != before:
        before = now
        time.sleep(2)


def _ask(
    folder: Path, rival: Rival, generator: Generator
) -> tuple[list[Asked], Sizes, dict[str, float]]:
    with serving(folder / "data") as port:
        asker = Asker(port)
        asking_what = questions(rival, lambda depth: asking.cursor_at(asker, depth))
        sizes = _sizes(folder, rival)
        quiet = [_ask_quietly(asker, rival, question) for question in asking_what]
        singles = [request(body) for body in ingest.bodies(generator, 5_000)]
        seconds = (_BUSY_SECONDS + 0.5) * (len(asking_what) + 2)
        writing = ingest.writers(port, singles, _WRITERS, seconds, WRITES_PER_S)
        time.sleep(_BUSY_SECONDS)
        asked = []
        for question, (ours, theirs) in zip(asking_what, quiet, strict=True):
            busy = asking.measure(asker, question, _BUSY_SECONDS)
            asked.append(Asked(question.name, question.group, ours, busy, theirs))
            _tell(f"{question.name:40} under writes {busy.p50:8.2f} {busy.p99:8.2f}")
        asker.close()
        return asked, sizes, ingest.outcome(writing)


def _ask_quietly(asker: Asker, rival: Rival, question: Question) -> tuple[Latencies, Latencies]:
    asking.check(asker, rival, question)
    ours, theirs = asking.measure(asker, question), asking.measure_rival(rival, question)
    _tell(f"{question.name:40} {ours.p50:8.2f} {ours.p99:8.2f}   SQLite {theirs.p50:8.2f}")
    return ours, theirs


def _sizes(folder: Path, rival: Rival) -> Sizes:
    index = folder / "data" / "index"
    ((events,),) = rival.rows("SELECT count(*) FROM events")
    ledger = sum(path.stat().st_size for path in (folder / "data").glob(f"{LEDGER_FILE}*"))
    return Sizes(
        events,
        rival.raw_bytes,
        ledger,
        size_bytes(index / "views"),
        size_bytes(index / "search"),
        (folder / "rival.db").stat().st_size,
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""Runs the parts and writes the report.

A part takes from half a minute to a few; with `--only` some are measured and the others stay as
they were, so that a run can be made in pieces.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.table import report
from bench.table.others import others
from bench.table.reading import reading, starting
from bench.table.rows import FULL, QUICK, Measure, World
from bench.table.writing import batches, burst, postgres, singles, sustained

PARTS: dict[str, Measure] = {
    "singles": singles,
    "batches": batches,
    "burst": burst,
    "sustained": sustained,
    "reading": reading,
    "starting": starting,
    "postgres": postgres,
    "others": others,
}
_ROOT = Path(__file__).parents[2]
REPORT = _ROOT / "bench" / "REPORT.md"
KEPT = _ROOT / "build" / "bench"


def main() -> None:
    """Measure some parts, print them, and write the report of all that were measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds over few events")
    parser.add_argument("--only", metavar="PART,...", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--events", type=int, help="events behind pages and searches")
    parser.add_argument("--burst", type=int, help="events of the burst")
    parser.add_argument("--report", type=Path, default=REPORT, metavar="FILE.md")
    parser.add_argument("--folder", type=Path, default=KEPT, help="where results and events stay")
    parser.add_argument("--data", type=Path, default=_data(), help="records that events imitate")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    plan = plan._replace(
        stored_events=options.events or plan.stored_events,
        burst_events=options.burst or plan.burst_events,
    )
    names = options.only.split(",") if options.only else list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}")
    options.folder.mkdir(parents=True, exist_ok=True)
    state = options.folder / "results.json"
    for name in names:
        with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as scratch:
            world = World(plan, Path(scratch), options.folder, options.data)
            saved = _measured(PARTS[name], world, "quick" if options.quick else "full")
        parts = json.loads(state.read_text()) if state.exists() else {}
        parts[name] = saved
        ordered = {each: parts[each] for each in PARTS if each in parts}
        state.write_text(json.dumps(ordered, indent=1))
        missing = [each for each in PARTS if each not in ordered]
        options.report.write_text(report.written(ordered, missing))
        print(report.written({name: saved}).split("\n\n", 2)[2])


def _measured(measure: Measure, world: World, plan: str) -> dict[str, Any]:
    before = report.load_average()
    part = measure(world)
    return {
        "plan": plan, "commit": report.commit(), "before": before, "after": report.load_average(),
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "rows": part.rows, "rounds": part.rounds, "notes": part.notes,
    }  # fmt: skip


def _data() -> Path:
    named = os.environ.get("TALLYSTICK_TEST_DATA")
    return Path(named) if named else _ROOT.parent / "shared" / "data"

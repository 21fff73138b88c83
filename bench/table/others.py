"""Libraries and logs without HTTP, schema or search, beside single POSTs of Tallystick."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from itertools import count

from bench import servers
from bench.load import run_apart
from bench.peers import tessera
from bench.peers.in_process import LIBRARIES
from bench.table.rows import Part, Row, Step, World, alternate, medians
from bench.table.writing import CATCH_UP_S
from bench.write import CONNECTIONS, events, request, settle

TESSERA = "Tessera (POSIX), under a published checkpoint"


def others(world: World) -> Part:
    """Measure all of them in turns."""
    requests, seconds = [request(body) for body in events(2_000)], world.plan.round_s
    with servers.tallystick(world.scratch / "data") as (port, _):
        steps: dict[str, Step] = {
            "Tallystick": lambda: float(
                run_apart(port, requests, connections=CONNECTIONS, seconds=seconds)["rate"]
            )
        }
        for name in LIBRARIES:
            steps[name] = partial(_library, world, name, seconds)
        program = tessera.built(world.scratch)
        if program is not None:
            numbers = count()
            steps[TESSERA] = lambda: tessera.published_rate(
                program, world.scratch / f"tessera-{next(numbers)}", seconds
            )
        rounds = alternate(steps, world.plan.rounds, lambda: settle(port, CATCH_UP_S))
    middle = medians(rounds)
    rows = [
        Row(f"single POST / {name}", middle["Tallystick"] / middle[name], None, None)
        for name in steps
        if name != "Tallystick"
    ]
    notes = ["Libraries and Tessera run in process; Tallystick is asked over HTTP."]
    if program is None:
        notes.append("Tessera was left out: there is no Go, or its modules could not be fetched.")
    return Part(rows, {f"{name}, appends/s": values for name, values in rounds.items()}, notes)


def _library(world: World, name: str, seconds: float) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "bench.peers.in_process", name, str(world.scratch), str(seconds)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    rate: float = json.loads(done.stdout)["rate"]
    return rate

"""What a part of the run measures: figures with what is wanted of them and their raw rounds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Plan(NamedTuple):
    """How long a run takes."""

    rounds: int
    round_s: float
    batches_s: float
    burst_events: int
    sustained_s: float
    stored_events: int
    asked: int
    """Times each question is asked."""


FULL = Plan(3, 4.0, 60.0, 1_000_000, 30.0, 300_000, 200)
QUICK = Plan(3, 1.5, 6.0, 50_000, 6.0, 20_000, 60)


class World(NamedTuple):
    """Where a run happens."""

    plan: Plan
    scratch: Path
    kept: Path
    """A folder that outlives the run, with the events that pages and searches go over."""
    data: Path
    """The records that generated events are made after."""


class Row(NamedTuple):
    """A line of the table; `must` and `goal` are missed below, with `less` above."""

    name: str
    value: float
    must: float | None
    goal: float | None
    less: bool = False

    def verdict(self) -> str:
        """Return which of the wanted figures is met."""
        if self.must is None or self.goal is None:
            return ""
        reached = [self.value <= limit if self.less else self.value >= limit
                   for limit in (self.goal, self.must)]  # fmt: skip
        return "goal" if reached[0] else "must" if reached[1] else "missed"


class Part(NamedTuple):
    """What one part saw: lines of the table, and the raw rounds behind them."""

    rows: list[Row]
    rounds: dict[str, list[float]]
    notes: list[str]


Measure = Callable[[World], Part]
Step = Callable[[], float]


def alternate(steps: Mapping[str, Step], rounds: int, between: Callable[[], None]) -> Rounds:
    """Take every step in turns, so that whatever else the machine does hits all of them."""
    seen: Rounds = {name: [] for name in steps}
    for n in range(rounds):
        for name in steps if n % 2 == 0 else reversed(list(steps)):
            between()
            seen[name].append(steps[name]())
    return seen


Rounds = dict[str, list[float]]


def medians(rounds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each step's rounds."""
    return {name: statistics.median(values) for name, values in rounds.items()}


def best(medians_of: Mapping[str, float], peers: Sequence[str]) -> float:
    """Return what the best of some peers did."""
    return max(medians_of[name] for name in peers)

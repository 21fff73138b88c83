"""How many events happened in each interval of the calendar, over the blocks of a tenant.

Within a block rows stand in the order of time, so an interval is a run of them and is counted
without looking at any. What would take many runs is left to the search.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tallystick import deadline
from tallystick.index.lists.block import Block
from tallystick.index.lists.block_query import BlockNode, at_times_of
from tallystick.index.lists.row_set import RowSet, count_between, highest, is_empty, lowest, size
from tallystick.query.aggregate import TimeCount, TimeSeries, TimeSeriesResult
from tallystick.query.calendar import WIDTHS_MS, Buckets, Interval
from tallystick.times import DAY_MS

RUNS_MAX = 10_000
"""Runs that are counted for one question; at 3 us each it answers within 30 ms."""

_SHORTEST_MS = {
    **WIDTHS_MS,
    Interval.MONTH: 28 * DAY_MS,
    Interval.QUARTER: 90 * DAY_MS,
    Interval.YEAR: 365 * DAY_MS,
}


class _Matches(NamedTuple):
    """The rows of a block that match, and the first and the last of them."""

    block: Block
    rows: RowSet
    first: int
    last: int


def series(
    blocks: Sequence[Block], node: BlockNode, request: TimeSeries
) -> TimeSeriesResult | None:
    """Return the buckets that have rows which match; None if that takes too many runs."""
    matches: list[_Matches] = []
    runs = 0
    for block in at_times_of(node, blocks):
        deadline.check()
        rows = block.kept(node.rows(block))
        if is_empty(rows):
            continue
        found = _Matches(block, rows, lowest(rows), highest(rows))
        span_ms = block.ms[found.last] - block.ms[found.first]
        runs += min(span_ms // _SHORTEST_MS[request.interval] + 2, found.last - found.first + 1)
        if runs > RUNS_MAX:
            return None
        matches.append(found)
    counts = _counted(matches, request)
    buckets = tuple(TimeCount(start, count) for start, count in sorted(counts.items()))
    return TimeSeriesResult(counts.total(), buckets)


def _counted(matches: Sequence[_Matches], request: TimeSeries) -> Counter[int]:
    counts: Counter[int] = Counter()
    buckets = Buckets(request.calendar)
    for block, rows, first, last in matches:
        have_all = size(rows) == last - first + 1
        rank = first
        while rank <= last:
            start, end_ms = buckets.of(block.ms[rank])
            end = bisect_left(block.ms, end_ms, rank, last + 1)
            if count := end - rank if have_all else count_between(rows, rank, end):
                counts[start] += count
            rank = end
    return counts

"""Pages and totals over the blocks of a tenant.

Each block answers with a set of rows; a page is read from the ends of those sets, merged by key,
and a block is not even asked before the page has come down to its range. A page far in is found
by counting, not by walking: pivots halve what is left of every block until the offset is reached.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tallystick.index.views.block import Block, IndexOrder, Key, Order
from tallystick.index.views.nodes import Node
from tallystick.index.views.rows import RowSet, count_between, downwards, is_empty, size, upwards

_WALKED = 64
_FRONT = 8


class Row(NamedTuple):
    """One row of a page."""

    key: Key
    entry: int
    """The index of the entry."""


def count(blocks: Sequence[Block], node: Node) -> int:
    """Return how many rows match."""
    return sum(size(block.kept(node.rows(block))) for block in blocks)


class Extent(NamedTuple):
    """How many rows match, and where they begin and end; zeros when none does."""

    rows: int
    first_ms: int
    last_ms: int
    last_index: int


def extent(blocks: Sequence[Block], node: Node) -> Extent:
    """Return how many rows match, and the ends of both orders."""
    count = 0
    first_ms: list[int] = []
    last_ms: list[int] = []
    last_index: list[int] = []
    for block in blocks:
        rows = block.kept(node.rows(block))
        if is_empty(rows):
            continue
        count += size(rows)
        first, last = next(upwards(rows, 0)), next(downwards(rows, block.rows))
        first_ms.append(block.ms[first])
        last_ms.append(block.ms[last])
        place = next(block.walk(rows, block.rows, down=True))
        last_index.append(IndexOrder.index(block, place))
    if not count:
        return Extent(0, 0, 0, 0)
    return Extent(count, min(first_ms), max(last_ms), max(last_index))


def page(
    blocks: Sequence[Block],
    node: Node,
    order: Order,
    *,
    descending: bool,
    after: Key | None = None,
    offset: int = 0,
    limit: int,
) -> list[Row]:
    """Return up to `limit` matching rows in order, from behind `after` and `offset` rows later."""
    runs = [_Run(block, node, order, descending, after) for block in blocks]
    if offset > _WALKED:
        offset = _skip(runs, order, descending, offset)
    rows: list[Row] = []
    for row in _merged(runs):
        if offset:
            offset -= 1
            continue
        rows.append(row)
        if len(rows) == limit:
            break
    return rows


class _Run:
    """The places of one block that a page may still take, from `low` up to below `high`."""

    def __init__(
        self, block: Block, node: Node, order: Order, descending: bool, after: Key | None
    ) -> None:
        self.block = block
        self.order = order
        self.descending = descending
        self.low, self.high = 0, block.rows
        self._node = node
        self._matches: RowSet | None = None
        self._places: RowSet | None = None
        if after is not None:
            if descending:
                self.high = order.place(block, after)
            else:
                # An open block may have the key twice: a row that is gone and the one after it.
                self.low = order.place(block, order.next_key(after))

    @property
    def matches(self) -> RowSet:
        """The ranks of the rows that match."""
        if self._matches is None:
            self._matches = self.block.kept(self._node.rows(self.block))
        return self._matches

    def count(self, low: int, high: int) -> int:
        """Return how many rows that match have their places in [low, high)."""
        if low == 0 and high == self.block.rows:
            return size(self.matches)
        if self._places is None:
            self._places = self.order.rows(self.block, self.matches)
        return count_between(self._places, low, high)

    def first(self) -> Key:
        """Return the first key that the run can have."""
        return self.order.key(self.block, self.high - 1 if self.descending else self.low)

    def span(self) -> tuple[Key, Key]:
        """Return the first and the last key that the run can have, as a page sorts them."""
        low, high = self.order.key(self.block, self.low), self.order.key(self.block, self.high - 1)
        return (_signed(high, -1), _signed(low, -1)) if self.descending else (low, high)

    def __iter__(self) -> Iterator[Row]:
        block, order = self.block, self.order
        start = self.high if self.descending else self.low
        for place in order.walk(block, self.matches, start, down=self.descending):
            yield Row(order.key(block, place), order.index(block, place))


def _merged(runs: Sequence[_Run]) -> Iterator[Row]:
    """Yield the rows of all runs in order, asking a run only when its range is reached."""
    sign = -1 if runs and runs[0].descending else 1
    heap: list[tuple[Key, int, int, Row | None, Iterator[Row]]] = []
    for number, run in enumerate(runs):
        if run.low < run.high:
            heap.append((_signed(run.first(), sign), 0, number, None, iter(run)))
    heapq.heapify(heap)
    while heap:
        _, _, number, row, rest = heap[0]
        if row is not None:
            yield row
        following = next(rest, None)
        if following is None:
            heapq.heappop(heap)
        else:
            # A run not yet asked sorts before a row with the same key: the row may be its own.
            entry = (_signed(following.key, sign), 1, number, following, rest)
            heapq.heapreplace(heap, entry)


def _signed(key: Key, sign: int) -> Key:
    return (sign * key[0], sign * key[1])


def _skip(runs: Sequence[_Run], order: Order, descending: bool, offset: int) -> int:
    """Move the runs past `offset` rows, nearly; return how many are left to walk over."""
    offset, left = _skip_whole(runs, offset)
    windows = _front(left, offset)
    while True:
        windows = [window for window in windows if window.low < window.high]
        if sum(window.high - window.low for window in windows) <= max(_WALKED, 2 * len(windows)):
            break
        pivot = _weighted_median(windows, order)
        cuts = [window.cut(pivot) for window in windows]
        before = sum(window.before(cut) for window, cut in zip(windows, cuts, strict=True))
        past = before <= offset
        moved = [window.move(cut, past) for window, cut in zip(windows, cuts, strict=True)]
        if past:
            offset -= before
        if not any(moved):
            break
    return offset


def _skip_whole(runs: Sequence[_Run], offset: int) -> tuple[int, list[_Run]]:
    """Give up the runs that end before the offset, as far as they follow each other.

    Returns what is left of the offset, and the runs in which it may be, in order.
    """
    left = sorted((run for run in runs if run.low < run.high), key=_Run.span)
    for number, run in enumerate(left):
        if number + 1 < len(left) and run.span()[1] >= left[number + 1].span()[0]:
            return offset, left[number:]
        rows = run.count(run.low, run.high)
        if rows > offset:
            return offset, [run]
        offset -= rows
        run.low = run.high
    return offset, []


def _front(runs: Sequence[_Run], offset: int) -> list[_Window]:
    """Return windows on the first of some runs in order, the row at the offset being in one.

    Enough runs are taken that more rows than the offset come before the first key of all others.
    """
    taken = _FRONT
    while True:
        windows = [_Window(run) for run in runs[:taken] if not is_empty(run.matches)]
        if taken >= len(runs):
            return windows
        others = runs[taken].first()
        if sum(window.before(window.cut(others)) for window in windows) > offset:
            return windows
        taken *= 2


class _Window:
    """Where the row at the offset may be, within one run."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.low, self.high = run.low, run.high

    def cut(self, pivot: Key) -> int:
        """Return the place of a key, within the window."""
        place = self.run.order.place(self.run.block, pivot)
        return min(max(place, self.low), self.high)

    def before(self, cut: int) -> int:
        """Return how many rows of the window come before the cut in the order of the page."""
        if self.run.descending:
            return self.run.count(cut, self.high)
        return self.run.count(self.low, cut)

    def move(self, cut: int, past: bool) -> bool:
        """Give up the rows before the cut, for good, or those behind; tell whether it shrank."""
        old = (self.low, self.high)
        if past == self.run.descending:
            self.high = cut
        else:
            self.low = cut
        if past and self.run.descending:
            self.run.high = cut
        elif past:
            self.run.low = cut
        return (self.low, self.high) != old


def _weighted_median(windows: Sequence[_Window], order: Order) -> Key:
    middles = sorted(
        (order.key(window.run.block, (window.low + window.high) // 2), window.high - window.low)
        for window in windows
    )
    half = sum(weight for _, weight in middles) / 2
    for key, weight in middles:
        half -= weight
        if half <= 0:
            return key
    return middles[-1][0]

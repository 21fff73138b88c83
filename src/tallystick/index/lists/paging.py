"""Pages and totals over the blocks of a tenant.

Each block answers with a set of rows; a page is read from the ends of those sets, merged by key,
and a block is not even asked before the page has come down to its range. A page far in is found
by counting, not by walking: pivots halve what is left of every block until the offset is reached.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from tallystick import deadline
from tallystick.index.lists.block import Block, BlockReach, IndexOrder, Key, Order, reverse
from tallystick.index.lists.block_query import BlockNode, at_times_of
from tallystick.index.lists.row_set import RowSet, count_between, highest, is_empty, lowest, size

_WALKED = 64
_FRONT = 8


class ListRow(NamedTuple):
    """One row of a page."""

    key: Key
    entry: int
    """The index of the entry."""


def count(blocks: Sequence[Block], node: BlockNode) -> int:
    """Return how many rows match."""
    rows = 0
    for block in at_times_of(node, blocks):
        deadline.check()
        rows += size(block.kept(node.rows(block)))
    return rows


class Extent(NamedTuple):
    """How many rows match, and where they begin and end; zeros when none does."""

    rows: int
    first_ms: int
    last_ms: int
    last_index: int


def extent(blocks: Sequence[Block], node: BlockNode) -> Extent:
    """Return how many rows match, and the ends of both orders."""
    count = 0
    first_ms: list[int] = []
    last_ms: list[int] = []
    last_index: list[int] = []
    for block in blocks:
        deadline.check()
        rows = block.kept(node.rows(block))
        if is_empty(rows):
            continue
        count += size(rows)
        first, last = lowest(rows), highest(rows)
        first_ms.append(block.ms[first])
        last_ms.append(block.ms[last])
        place = next(block.walk(rows, block.rows, down=True))
        last_index.append(IndexOrder.index(block, place))
    if not count:
        return Extent(0, 0, 0, 0)
    return Extent(count, min(first_ms), max(last_ms), max(last_index))


def page(
    blocks: Sequence[Block],
    node: BlockNode,
    order: Order,
    *,
    descending: bool,
    after: Key | None = None,
    offset: int = 0,
    limit: int,
) -> list[ListRow]:
    """Return up to `limit` matching rows in order, from behind `after` and `offset` rows later."""
    within = {block.id: block for block in at_times_of(node, blocks)}
    asked = _Asked(within, node, order, descending, after)
    reaches: Sequence[BlockReach] = _within_reach(asked)
    runs: Sequence[_Run] = ()
    if offset > _WALKED:
        offset, runs, reaches = _skip(reaches, asked, offset)
    return list(islice(_merged(runs, reaches, asked), offset, offset + limit))


class _Asked(NamedTuple):
    """What a page is made of."""

    blocks: Mapping[int, Block]
    """Those of the times outside of which nothing matches, by id."""
    node: BlockNode
    order: Order
    descending: bool
    after: Key | None

    def sorted_by(self, key: Key) -> Key:
        """Return what sorts a key as the page does; of that, the key again."""
        return reverse(key) if self.descending else key


def _within_reach(asked: _Asked) -> list[BlockReach]:
    """Return the blocks that may have rows of the page, in the order in which they may."""
    order, descending = asked.order, asked.descending
    reaches = [block.reach(order, descending) for block in asked.blocks.values()]
    if asked.after is not None:
        behind = asked.sorted_by(asked.after)
        reaches = [
            reach if reach.first > behind else reach._replace(first=behind)
            for reach in reaches
            if reach.last > behind
        ]
    reaches.sort()
    return reaches


class _Run:
    """The places of one block that a page may still take, from `low` up to below `high`."""

    def __init__(self, reach: BlockReach, asked: _Asked) -> None:
        deadline.check()
        block = self.block = asked.blocks[reach.id]
        self.id = reach.id
        self.order, self.descending = asked.order, asked.descending
        self.low, self.high = 0, block.rows
        self.matches = block.kept(asked.node.rows(block))
        """The ranks of the rows that match."""
        self._places: RowSet | None = None
        after = asked.after
        if after is not None:
            if asked.descending:
                self.high = asked.order.place(block, after)
            else:
                # An open block may have the key twice: a row that is gone and the one after it.
                self.low = asked.order.place(block, asked.order.next_key(after))

    def count(self, low: int, high: int) -> int:
        """Return how many rows that match have their places in [low, high)."""
        if low == 0 and high == self.block.rows:
            return size(self.matches)
        if self._places is None:
            self._places = self.order.rows(self.block, self.matches)
        return count_between(self._places, low, high)

    def __iter__(self) -> Iterator[ListRow]:
        block, order = self.block, self.order
        start = self.high if self.descending else self.low
        for place in order.walk(block, self.matches, start, down=self.descending):
            yield ListRow(order.key(block, place), order.index(block, place))


def _merged(
    runs: Iterable[_Run], reaches: Iterable[BlockReach], asked: _Asked
) -> Iterator[ListRow]:
    """Yield the rows of all runs in order, asking a block only when its range is reached."""
    waiting = iter(reaches)
    coming = next(waiting, None)
    heap: list[tuple[Key, int, ListRow, Iterator[ListRow]]] = []
    for run in runs:
        _enter(heap, run, asked)
    while True:
        # A block that begins where a row stands is asked first: the row may be its own.
        while coming is not None and (not heap or coming.first <= heap[0][0]):
            _enter(heap, _Run(coming, asked), asked)
            coming = next(waiting, None)
        if not heap:
            return
        _, id, row, rest = heap[0]
        yield row
        following = next(rest, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (asked.sorted_by(following.key), id, following, rest))


def _enter(
    heap: list[tuple[Key, int, ListRow, Iterator[ListRow]]], run: _Run, asked: _Asked
) -> None:
    rest = iter(run)
    row = next(rest, None)
    if row is not None:
        heapq.heappush(heap, (asked.sorted_by(row.key), run.id, row, rest))


def _skip(
    reaches: Sequence[BlockReach], asked: _Asked, offset: int
) -> tuple[int, list[_Run], Sequence[BlockReach]]:
    """Pass `offset` rows, nearly.

    Returns how many are left to walk over, the runs they are in, and the blocks behind these.
    """
    offset, runs, reaches = _skip_whole(reaches, asked, offset)
    if not runs:
        runs = _front(reaches, asked, offset)
        reaches = reaches[len(runs) :]
    windows = [_Window(run) for run in runs]
    while True:
        windows = [window for window in windows if window.low < window.high]
        if sum(window.high - window.low for window in windows) <= max(_WALKED, 2 * len(windows)):
            break
        pivot = _weighted_median(windows, asked.order)
        cuts = [window.cut(pivot) for window in windows]
        before = sum(window.before(cut) for window, cut in zip(windows, cuts, strict=True))
        past = before <= offset
        moved = [window.move(cut, past) for window, cut in zip(windows, cuts, strict=True)]
        if past:
            offset -= before
        if not any(moved):
            break
    return offset, runs, reaches


def _skip_whole(
    reaches: Sequence[BlockReach], asked: _Asked, offset: int
) -> tuple[int, list[_Run], Sequence[BlockReach]]:
    """Give up the blocks that end before the offset, as far as they follow each other.

    Returns what is left of the offset, the run it is in if that is known, and the blocks behind.
    """
    for at, reach in enumerate(reaches):
        if at + 1 < len(reaches) and reach.last >= reaches[at + 1].first:
            return offset, [], reaches[at:]
        run = _Run(reach, asked)
        rows = run.count(run.low, run.high)
        if rows > offset:
            return offset, [run], reaches[at + 1 :]
        offset -= rows
    return offset, [], ()


def _front(reaches: Sequence[BlockReach], asked: _Asked, offset: int) -> list[_Run]:
    """Return the runs of the first of some blocks in order, the row at the offset being in one.

    Enough are taken that more rows than the offset come before the first key of all others.
    """
    runs: list[_Run] = []
    taken = _FRONT
    while True:
        runs += [_Run(reach, asked) for reach in reaches[len(runs) : taken]]
        if taken >= len(reaches):
            return runs
        others = asked.sorted_by(reaches[taken].first)
        windows = [_Window(run) for run in runs]
        if sum(window.before(window.cut(others)) for window in windows) > offset:
            return runs
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

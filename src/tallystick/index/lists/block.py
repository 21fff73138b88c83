"""A block: up to 65,536 entries of one tenant, ranked by time, with the rows of every term.

Rank is the order by (occurred_ms, index). Lists read ranks from either end, totals count bits, and
time ranges are ranges of ranks; order by index is the same order or a permutation of it. This is
what sealed and open blocks have in common; where the data lies is their own affair.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tallystick.index.lists.row_set import (
    ROWS_MAX,
    RowSet,
    downwards,
    everything,
    size,
    span,
    to_bits,
    upwards,
    without,
)

Key = tuple[int, int]
"""(occurred_ms, index) in the order of time, (index, 0) in the order of recording."""


def reverse(key: Key) -> Key:
    """Return what sorts a key in a descending list; of that, the key."""
    return (-key[0], -key[1])


class BlockReach(NamedTuple):
    """How far a block reaches in a list: its first and its last key, as the list sorts them."""

    first: Key
    last: Key
    id: int
    """Of the block. Not the block itself: the two would keep each other, and a file, from going."""


_FEW = 1 / 32
"""The share of rows up to which looking up the place of each is cheaper than trying all places."""


class Block:
    """Rows by rank; subclasses fill the fields and answer `posting`."""

    id: int
    rows: int
    ms: Sequence[int]
    """When the row of each rank occurred."""
    index: Sequence[int]
    """The index of the entry of each rank."""
    by_index: Sequence[int] | None
    """Ranks in the order of their indexes; None when that is the order of ranks."""
    gone: int = 0
    """Rows that a later block replaced, or that nobody sees any more."""

    def __init__(self) -> None:
        self._places: array[int] | None = None
        self._reaches: dict[tuple[Order, bool], BlockReach] = {}

    def reach(self, order: Order, descending: bool) -> BlockReach:
        """Return how far a block that has rows reaches in a list."""
        found = self._reaches.get((order, descending))
        if found is None:
            low, high = order.key(self, 0), order.key(self, self.rows - 1)
            ends = (reverse(high), reverse(low)) if descending else (low, high)
            found = self._reaches[order, descending] = BlockReach(*ends, self.id)
        return found

    def posting(self, number: int) -> RowSet:
        """Return the rows that have a term."""
        raise NotImplementedError

    @property
    def alive(self) -> int:
        """How many rows are not gone."""
        return self.rows - self.gone.bit_count()

    def everything(self) -> RowSet:
        """Return the rows that are not gone."""
        return everything(self.rows) & ~self.gone

    def kept(self, rows: RowSet) -> RowSet:
        """Return `rows` without those that are gone."""
        return without(rows, self.gone) if self.gone else rows

    def within(self, low_ms: int, high_ms: int) -> tuple[int, int]:
        """Return the first rank and the rank after the last of a range of times, both included."""
        return bisect_left(self.ms, low_ms), bisect_right(self.ms, high_ms)

    def with_index(self, low: int, high: int) -> RowSet:
        """Return the rows whose indexes lie in a range, both ends included."""
        first, last = self.place(low), self.place(high + 1)
        if self.by_index is None or last - first in (0, self.rows):
            return span(first, last)
        rows = self.by_index[first:last]
        return sorted(rows) if len(rows) < ROWS_MAX // 64 else to_bits(rows)

    def place(self, index: int) -> int:
        """Return how many rows have a lower index."""
        if self.by_index is None:
            return bisect_left(self.index, index)
        by_index, indexes = self.by_index, self.index
        return bisect_left(range(self.rows), index, key=lambda at: indexes[by_index[at]])

    def placed(self, rows: RowSet) -> RowSet:
        """Return a set of ranks as places in the order of indexes."""
        if self.by_index is None:
            return rows
        if self._places is None:
            places = array("H", bytes(2 * self.rows))
            for place, row in enumerate(self.by_index):
                places[row] = place
            self._places = places
        if isinstance(rows, int) and self._has_many(rows):
            # A number is written from its highest bit: turned round, a row's flag is at its rank.
            flags = format(rows, f"0{self.rows}b")[::-1]
            return int("".join(map(flags.__getitem__, self.by_index))[::-1], 2)
        return sorted(map(self._places.__getitem__, upwards(rows, 0)))

    def walk(self, rows: RowSet, start: int, *, down: bool) -> Iterator[int]:
        """Yield a set of ranks as places in the order of indexes, from `start` on or below it.

        Cost: of a large set, as much as is asked for.
        """
        by_index = self.by_index
        if by_index is None or not isinstance(rows, int) or not self._has_many(rows):
            places = self.placed(rows)
            yield from downwards(places, start) if down else upwards(places, start)
            return
        flags = rows.to_bytes(ROWS_MAX // 8, "little")
        for place in range(start - 1, -1, -1) if down else range(start, self.rows):
            row = by_index[place]
            if flags[row >> 3] >> (row & 7) & 1:
                yield place

    def _has_many(self, rows: RowSet) -> bool:
        return size(rows) > self.rows * _FEW

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self.rows} rows, {size(self.gone)} gone>"


class TimeOrder:
    """The order of a list by time; places are ranks."""

    @staticmethod
    def rows(block: Block, rows: RowSet) -> RowSet:
        """Return the places of rows."""
        return rows

    @staticmethod
    def walk(block: Block, rows: RowSet, start: int, *, down: bool) -> Iterator[int]:
        """Yield the places of rows from `start` on, or below it and the last first."""
        return downwards(rows, start) if down else upwards(rows, start)

    @staticmethod
    def key(block: Block, place: int) -> Key:
        """Return what sorts the row at a place."""
        return (block.ms[place], block.index[place])

    @staticmethod
    def index(block: Block, place: int) -> int:
        """Return the index of the entry at a place."""
        return block.index[place]

    @staticmethod
    def place(block: Block, key: Key) -> int:
        """Return how many rows sort before `key`."""
        ms, index = key
        low, high = bisect_left(block.ms, ms), bisect_right(block.ms, ms)
        return bisect_left(block.index, index, low, high)

    @staticmethod
    def next_key(key: Key) -> Key:
        """Return the key right behind `key`."""
        return (key[0], key[1] + 1)


class IndexOrder:
    """The order of a list by index; places are those of `Block.by_index`."""

    @staticmethod
    def rows(block: Block, rows: RowSet) -> RowSet:
        """Return the places of rows."""
        return block.placed(rows)

    @staticmethod
    def walk(block: Block, rows: RowSet, start: int, *, down: bool) -> Iterator[int]:
        """Yield the places of rows from `start` on, or below it and the last first."""
        return block.walk(rows, start, down=down)

    @staticmethod
    def key(block: Block, place: int) -> Key:
        """Return what sorts the row at a place."""
        return (IndexOrder.index(block, place), 0)

    @staticmethod
    def index(block: Block, place: int) -> int:
        """Return the index of the entry at a place."""
        return block.index[place if block.by_index is None else block.by_index[place]]

    @staticmethod
    def place(block: Block, key: Key) -> int:
        """Return how many rows sort before `key`."""
        return block.place(key[0])

    @staticmethod
    def next_key(key: Key) -> Key:
        """Return the key right behind `key`."""
        return (key[0] + 1, 0)


Order = type[TimeOrder] | type[IndexOrder]

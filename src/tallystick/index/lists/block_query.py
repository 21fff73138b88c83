"""What a list asks of a block: nodes that answer with the rows they match.

A compiled question is a tree of these. It is exact, and it never looks at entries: terms are looked
up, times and indexes are searched for, and the rest is arithmetic on sets. Rows that are gone are
still in the answers; the caller takes them out once, at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tallystick.index.lists.block import Block
from tallystick.index.lists.row_set import (
    EMPTY,
    RowSet,
    any_of,
    both,
    everything,
    is_empty,
    size,
    span,
    without,
)

_ALWAYS = (-(1 << 64), 1 << 64)
"""A range of times that no event is outside of, in milliseconds."""


class BlockNode(Protocol):
    """Part of a compiled question."""

    def rows(self, block: Block) -> RowSet:
        """Return the rows of the block that match, gone or not."""


class Every(NamedTuple):
    """Every row."""

    def rows(self, block: Block) -> RowSet:
        """Return every row."""
        return everything(block.rows)


class Nowhere(NamedTuple):
    """No row."""

    def rows(self, block: Block) -> RowSet:
        """Return nothing."""
        return EMPTY


class HasTerm(NamedTuple):
    """Rows that have one of some terms."""

    numbers: tuple[int, ...]

    def rows(self, block: Block) -> RowSet:
        """Return the rows of the terms."""
        return any_of(self.sets(block))

    def sets(self, block: Block) -> Sequence[RowSet]:
        """Return the rows of each term."""
        return [block.posting(number) for number in self.numbers]


class HappenedWithin(NamedTuple):
    """Rows that occurred in a range of times, both ends included."""

    low_ms: int
    high_ms: int

    def rows(self, block: Block) -> RowSet:
        """Return a range of ranks."""
        return span(*block.within(self.low_ms, self.high_ms))


class IndexWithin(NamedTuple):
    """Rows whose entries stand in a range of the log, both ends included."""

    low: int
    high: int

    def rows(self, block: Block) -> RowSet:
        """Return the rows of the range."""
        return block.with_index(self.low, self.high)


class AllOf(NamedTuple):
    """Rows that match all of `parts` and none of `but`."""

    parts: tuple[BlockNode, ...]
    but: tuple[BlockNode, ...] = ()

    def rows(self, block: Block) -> RowSet:
        """Return the rows, stopping as soon as none is left."""
        found: list[Sequence[RowSet]] = []
        whole = everything(block.rows)
        for part in self.parts:
            sets = [rows for rows in _sets(part, block) if not is_empty(rows)]
            if not sets:
                return EMPTY
            if whole not in sets:
                found.append(sets)
        # The smallest first: every later step is then as cheap as it is small, and the rows of
        # many terms need not be brought together to see which of a few are among them.
        found.sort(key=_effort)
        kept: RowSet = any_of(found[0]) if found else whole
        for others in found[1:]:
            kept = any_of([both(kept, rows) for rows in others])
        for part in self.but:
            for rows in _sets(part, block):
                if is_empty(kept):
                    return EMPTY
                kept = without(kept, rows)
        return kept


class AnyOf(NamedTuple):
    """Rows that match one of `parts`."""

    parts: tuple[BlockNode, ...]

    def rows(self, block: Block) -> RowSet:
        """Return the rows of all parts together."""
        return any_of(part.rows(block) for part in self.parts)


class NoneOf(NamedTuple):
    """Rows that do not match `part`."""

    part: BlockNode

    def rows(self, block: Block) -> RowSet:
        """Return all other rows."""
        return without(everything(block.rows), self.part.rows(block))


def at_times_of(node: BlockNode, blocks: Sequence[Block]) -> Sequence[Block]:
    """Return the blocks that have rows of the times outside of which nothing matches."""
    times = _times_of(node)
    if times == _ALWAYS:
        return blocks
    low_ms, high_ms = times
    return [block for block in blocks if block.ms[0] <= high_ms and block.ms[-1] >= low_ms]


def _times_of(node: BlockNode) -> tuple[int, int]:
    """Return a range of times, both ends included, outside of which nothing matches."""
    low_ms, high_ms = node if isinstance(node, HappenedWithin) else _ALWAYS
    for part in node.parts if isinstance(node, AllOf) else ():
        low, high = _times_of(part)
        low_ms, high_ms = max(low_ms, low), min(high_ms, high)
    return low_ms, high_ms


def _sets(part: BlockNode, block: Block) -> Sequence[RowSet]:
    return part.sets(block) if isinstance(part, HasTerm) else [part.rows(block)]


def _effort(sets: Sequence[RowSet]) -> int:
    return sum(1 << 16 if isinstance(rows, int) else size(rows) for rows in sets)

"""What a list asks of a block: nodes that answer with the rows they match.

A compiled question is a tree of these. It is exact, and it never looks at entries: terms are looked
up, times and indexes are searched for, and the rest is arithmetic on sets. Rows that are gone are
still in the answers; whoever asks takes them out once, at the top.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tallystick.index.views.block import Block
from tallystick.index.views.rows import (
    EMPTY,
    RowSet,
    any_of,
    both,
    full,
    is_empty,
    size,
    span,
    without,
)


class Node(Protocol):
    """Part of a compiled question."""

    def rows(self, block: Block) -> RowSet:
        """Return the rows of the block that match, gone or not."""


class Every(NamedTuple):
    """Every row."""

    def rows(self, block: Block) -> RowSet:
        """Return every row."""
        return full(block.rows)


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
        if len(self.numbers) == 1:
            return block.posting(self.numbers[0])
        return any_of(map(block.posting, self.numbers))


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

    parts: tuple[Node, ...]
    but: tuple[Node, ...] = ()

    def rows(self, block: Block) -> RowSet:
        """Return the rows, stopping as soon as none is left."""
        found: list[RowSet] = []
        everything = full(block.rows)
        for part in self.parts:
            rows = part.rows(block)
            if is_empty(rows):
                return EMPTY
            if rows != everything:
                found.append(rows)
        # The smallest set first: every later step is then as cheap as it is small.
        found.sort(key=_effort)
        kept: RowSet = found[0] if found else everything
        for rows in found[1:]:
            kept = both(kept, rows)
        for part in self.but:
            if is_empty(kept):
                return EMPTY
            kept = without(kept, part.rows(block))
        return kept


class AnyOf(NamedTuple):
    """Rows that match one of `parts`."""

    parts: tuple[Node, ...]

    def rows(self, block: Block) -> RowSet:
        """Return the rows of all parts together."""
        return any_of(part.rows(block) for part in self.parts)


class NoneOf(NamedTuple):
    """Rows that do not match `part`."""

    part: Node

    def rows(self, block: Block) -> RowSet:
        """Return all other rows."""
        return without(full(block.rows), self.part.rows(block))


def _effort(rows: RowSet) -> int:
    return 1 << 16 if isinstance(rows, int) else size(rows)

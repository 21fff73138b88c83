"""Making one sealed block of several blocks, in small steps.

Rows that are gone stay behind. Steps take a few milliseconds each, so that the merging thread
can do more urgent things in between. Blocks that follow each other in time, as blocks of live
traffic do, are put end to end; others are ranked again.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Sequence
from heapq import merge as merge_sorted
from pathlib import Path
from typing import NamedTuple

from tallystick.index.lists.block import Block
from tallystick.index.lists.open_block import OpenBlock
from tallystick.index.lists.row_set import RowSet, any_of, is_empty, upwards
from tallystick.index.lists.sealed_block import Rows, Segment, SegmentWriter, Written

_GONE = -1
_TERMS_A_STEP = 1_000
_NUMBERS = 1 << 64


class Merged(NamedTuple):
    """What became of the rows: for each source, the new rank of each rank, or -1."""

    rows: int
    file: Written
    ranks: Sequence[Sequence[int]]


def seal(block: OpenBlock, path: Path) -> Merged:
    """Write the rows of an open block as a file."""
    block.rank()
    return finish(merge_steps([block], path))


def finish(steps: Generator[None, None, Merged]) -> Merged:
    """Take all steps that are left."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            merged: Merged = stop.value
            return merged


def merge_steps(blocks: Sequence[OpenBlock | Segment], path: Path) -> Generator[None, None, Merged]:
    """Write the rows of `blocks` as one file; each step yields, the last returns the result.

    What goes after the first step is not noticed: the caller carries it over.
    """
    ranks, rows = _ranked(blocks)
    yield
    writer = SegmentWriter(rows)
    sources = [_source(block, new) for block, new in zip(blocks, ranks, strict=True)]
    terms = sum(source.terms for source in sources)
    parts = max(terms // _TERMS_A_STEP, 1)
    for part in range(parts):
        _add_terms(writer, sources, _NUMBERS * (part + 1) // parts)
        yield
    return Merged(len(rows.ms), writer.write(path), ranks)


def _ranked(blocks: Sequence[Block]) -> tuple[list[Sequence[int]], Rows]:
    """Return the new rank of every row, and times and indexes by new rank."""
    ms, index = array("q"), array("q")
    ranks: list[Sequence[int]] = []
    if _follow_each_other(blocks):
        for block in blocks:
            ranks.append(range(len(ms), len(ms) + block.rows))
            ms.extend(block.ms)
            index.extend(block.index)
        return ranks, Rows(ms, index)
    keys = [
        [(*key, number, rank) for rank, key in _alive(block)] for number, block in enumerate(blocks)
    ]
    arrays = [array("i", [_GONE]) * block.rows for block in blocks]
    for new, (row_ms, row_index, number, rank) in enumerate(merge_sorted(*keys)):
        ms.append(row_ms)
        index.append(row_index)
        arrays[number][rank] = new
    return [*arrays], Rows(ms, index)


def _follow_each_other(blocks: Sequence[Block]) -> bool:
    last: tuple[int, int] | None = None
    for block in blocks:
        if block.gone or (last is not None and (block.ms[0], block.index[0]) <= last):
            return False
        last = (block.ms[-1], block.index[-1])
    return True


def _alive(block: Block) -> Iterator[tuple[int, tuple[int, int]]]:
    ms, index = block.ms, block.index
    for rank in upwards(block.everything(), 0):
        yield rank, (ms[rank], index[rank])


class _Source:
    """Terms of one block, to be read in ascending order of their numbers."""

    def __init__(self, numbers: Sequence[int], ranks: Sequence[int]) -> None:
        self._numbers = numbers
        self._at = 0
        self._ranks = ranks
        self.terms = len(numbers)

    def below(self, limit: int) -> Iterator[tuple[int, RowSet]]:
        """Yield the terms that were not read yet and are below `limit`."""
        while self._at < self.terms and self._numbers[self._at] < limit:
            yield self._numbers[self._at], self.rows_at(self._at)
            self._at += 1

    def rows_at(self, at: int) -> RowSet:
        """Return the rows of a term, by position."""
        raise NotImplementedError

    def moved(self, rows: RowSet) -> RowSet:
        """Return rows by their new ranks."""
        ranks = self._ranks
        if isinstance(ranks, range):
            start = ranks.start
            if isinstance(rows, int):
                return rows << start
            return [row + start for row in rows] if start else rows
        walked = upwards(rows, 0) if isinstance(rows, int) else rows
        return sorted([new for row in walked if (new := ranks[row]) != _GONE])


class _SealedSource(_Source):
    def __init__(self, block: Segment, ranks: Sequence[int]) -> None:
        super().__init__(block.numbers, ranks)
        self._block = block

    def rows_at(self, at: int) -> RowSet:
        return self._block.rows_at(at)


class _OpenSource(_Source):
    def __init__(self, block: OpenBlock, ranks: Sequence[int]) -> None:
        postings = sorted(block.postings())
        super().__init__([number for number, _ in postings], ranks)
        self._rows = [rows for _, rows in postings]

    def rows_at(self, at: int) -> RowSet:
        return self._rows[at]


def _source(block: OpenBlock | Segment, ranks: Sequence[int]) -> _Source:
    return (
        _OpenSource(block, ranks) if isinstance(block, OpenBlock) else _SealedSource(block, ranks)
    )


def _add_terms(writer: SegmentWriter, sources: Sequence[_Source], limit: int) -> None:
    """Add the terms below `limit` that were not added yet, each with the rows of all sources."""
    gathered: dict[int, RowSet] = {}
    for source in sources:
        for number, rows in source.below(limit):
            moved = source.moved(rows)
            known = gathered.get(number)
            gathered[number] = moved if known is None else any_of((known, moved))
    for number in sorted(gathered):
        rows = gathered[number]
        if is_empty(rows):
            continue
        if isinstance(rows, int):
            writer.add_bits(number, rows)
        else:
            writer.add(number, rows)

"""The open block: the newest entries of a tenant, in memory, growing row by row.

Its rows also stand in a table, from which it is read again after a start. Rows arrive in the
order of the log; ranks are the same thing until something dated earlier arrives, and are then
worked out again when somebody asks.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from tallystick.index.lists.block import Block
from tallystick.index.lists.row_set import EMPTY, RowSet, to_bits

_LONG = 64


class OpenBlock(Block):
    """Rows added so far; a row's number is the order of its arrival."""

    def __init__(self, id: int) -> None:
        super().__init__()
        self.id = id
        self.rows = 0
        self._ms = array("q")
        self._index = array("q")
        self._postings: dict[int, list[int]] = {}
        self._row_by_index: dict[int, int] = {}
        self._gone = 0
        # What is below is worked out from the above, and again whenever that has grown.
        self._sorted = True
        self._in_log_order = True
        self._ranked_rows = 0
        self._ranks: list[int] = []
        self._bits: dict[int, tuple[int, int]] = {}

    def add(self, index: int, ms: int, numbers: Sequence[int]) -> int:
        """Add an entry and return its row number."""
        row = self.rows
        if row and (ms, index) < (self._ms[-1], self._index[-1]):
            self._sorted = False
        if row and index < self._index[-1]:
            self._in_log_order = False
        self._ms.append(ms)
        self._index.append(index)
        self._row_by_index[index] = row
        postings = self._postings
        for number in numbers:
            rows = postings.get(number)
            if rows is None:
                postings[number] = [row]
            elif rows[-1] != row:
                rows.append(row)
        self.rows = row + 1
        return row

    def drop(self, row: int) -> None:
        """Hide an arrived row for good."""
        self._gone |= 1 << row

    def arrival_of(self, index: int) -> int | None:
        """Return the row number, in order of arrival, of an entry that is not gone."""
        row = self._row_by_index.get(index)
        return None if row is None or self._gone >> row & 1 else row

    def rank(self) -> None:
        """Work out ranks, if rows were added; to be called before anything is read."""
        if self._sorted:
            self.gone, self.ms, self.index = self._gone, self._ms, self._index
        elif self._ranked_rows != self.rows:
            self._sort()
        if self._ranked_rows != self.rows:
            self._ranked_rows = self.rows
            self._places = None
            self._reaches.clear()
            indexes = self.index
            in_order = self._sorted and self._in_log_order
            self.by_index = None if in_order else sorted(range(self.rows), key=indexes.__getitem__)
        if not self._sorted:
            self.gone = self._ranked_bits(self._gone)

    def _sort(self) -> None:
        """Give every row its rank."""
        ms, index = self._ms, self._index
        order = sorted(range(self.rows), key=lambda row: (ms[row], index[row]))
        self._ranks = [0] * self.rows
        for rank, row in enumerate(order):
            self._ranks[row] = rank
        self.ms = array("q", map(ms.__getitem__, order))
        self.index = array("q", map(index.__getitem__, order))
        self._bits.clear()

    def posting(self, number: int) -> RowSet:
        """Return the ranks of the rows that have a term."""
        rows = self._postings.get(number)
        if rows is None:
            return EMPTY
        if len(rows) <= _LONG:
            return rows if self._sorted else sorted(map(self._ranks.__getitem__, rows))
        bits, known = self._bits.get(number, (0, 0))
        if known < len(rows):
            new = rows[known:]
            bits |= to_bits(new if self._sorted else [self._ranks[row] for row in new])
            self._bits[number] = (bits, len(rows))
        return bits

    def postings(self) -> Iterator[tuple[int, list[int]]]:
        """Yield each term with the ranks of its rows, in no particular order of terms."""
        for number, rows in self._postings.items():
            if self._sorted:
                yield number, rows
            else:
                yield number, sorted(map(self._ranks.__getitem__, rows))

    def _ranked_bits(self, bits: int) -> int:
        ranks = self._ranks
        return to_bits([ranks[row] for row in range(self.rows) if bits >> row & 1]) if bits else 0

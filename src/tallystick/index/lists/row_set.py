"""Sets of rows within one block: either a sorted sequence of row numbers or one big integer.

The integer has bit r set when row r is in the set; sequences are for sets so small that walking
them is cheaper. Both say the same thing and every function takes either. Pure functions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

ROWS_MAX = 1 << 16
"""Rows of one block: row numbers are 16 bits wide on disk, and a full set is 8 KiB."""

RowSet = int | Sequence[int]

EMPTY: tuple[int, ...] = ()

_BYTES = ROWS_MAX // 8
_SPARSE = 512
_FEW = 16
_LOOKED_UP = 32
"""So many times as large, a sequence is searched row by row sooner than it is walked."""

_WINDOW_BITS = 512
_WINDOW = (1 << _WINDOW_BITS) - 1
_WINDOW_STARTS = range(0, _WINDOW_BITS, 8)
_BITS_OF = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


def full(rows: int) -> int:
    """Return the set of the first `rows` rows."""
    return (1 << rows) - 1


@lru_cache(maxsize=256)
def everything(rows: int) -> int:
    """Return the set of all rows of a block; kept, since every question of a block begins so."""
    return full(rows)


def span(low: int, high: int) -> int:
    """Return the set of the rows from `low` up to but not including `high`."""
    return (1 << high) - (1 << low) if low < high else 0


def to_bits(rows: RowSet) -> int:
    """Return the set as one integer."""
    if isinstance(rows, int):
        return rows
    if len(rows) <= _FEW:
        bits = 0
        for row in rows:
            bits |= 1 << row
        return bits
    flags = bytearray(_BYTES)
    for row in rows:
        flags[row >> 3] |= 1 << (row & 7)
    return int.from_bytes(flags, "little")


def size(rows: RowSet) -> int:
    """Return how many rows are in the set."""
    return rows.bit_count() if isinstance(rows, int) else len(rows)


def is_empty(rows: RowSet) -> bool:
    """Tell whether no row is in the set."""
    return rows == 0 if isinstance(rows, int) else len(rows) == 0


def lowest(rows: RowSet) -> int:
    """Return the first row of a set that is not empty."""
    return (rows & -rows).bit_length() - 1 if isinstance(rows, int) else rows[0]


def highest(rows: RowSet) -> int:
    """Return the last row of a set that is not empty."""
    return rows.bit_length() - 1 if isinstance(rows, int) else rows[-1]


def both(one: RowSet, other: RowSet) -> RowSet:
    """Return the rows that are in both sets."""
    if isinstance(one, int):
        if isinstance(other, int):
            return one & other
        return _kept(other, one)
    if isinstance(other, int):
        return _kept(one, other)
    few, many = (one, other) if len(one) < len(other) else (other, one)
    if len(few) * _LOOKED_UP < len(many):
        return [row for row in few if _contains(many, row)]
    return sorted(set(few).intersection(many))


def _contains(rows: Sequence[int], row: int) -> bool:
    at = bisect_left(rows, row)
    return at < len(rows) and rows[at] == row


def without(one: RowSet, other: RowSet) -> RowSet:
    """Return the rows of `one` that are not in `other`."""
    if isinstance(one, int):
        return one & ~to_bits(other)
    dropped = set(_kept(one, other) if isinstance(other, int) else other)
    return [row for row in one if row not in dropped] if dropped else one


def any_of(sets: Iterable[RowSet]) -> RowSet:
    """Return the rows that are in any of the sets."""
    bits = 0
    few: list[Sequence[int]] = []
    for rows in sets:
        if isinstance(rows, int):
            bits |= rows
        elif len(rows):
            few.append(rows)
    if not few:
        return bits
    if len(few) == 1 and not bits:
        return few[0]
    merged = sorted(set().union(*few))
    if not bits and len(merged) <= _SPARSE:
        return merged
    return bits | to_bits(merged)


def count_between(rows: RowSet, low: int, high: int) -> int:
    """Return how many rows of the set are in [low, high)."""
    if low >= high:
        return 0
    if isinstance(rows, int):
        return ((rows >> low) & full(high - low)).bit_count()
    return bisect_left(rows, high) - bisect_left(rows, low)


def upwards(rows: RowSet, low: int) -> Iterator[int]:
    """Yield the rows of the set from `low` on, in order."""
    if not isinstance(rows, int):
        for at in range(bisect_left(rows, low), len(rows)):
            yield rows[at]
        return
    rows >>= low
    while rows:
        # What is empty is skipped in one go: most sets have little in much room.
        skipped = lowest(rows)
        rows >>= skipped
        low += skipped
        for bit in _bits_of(rows & _WINDOW):
            yield low + bit
        rows >>= _WINDOW_BITS
        low += _WINDOW_BITS


def downwards(rows: RowSet, high: int) -> Iterator[int]:
    """Yield the rows of the set below `high`, last first."""
    if not isinstance(rows, int):
        for at in range(bisect_left(rows, high) - 1, -1, -1):
            yield rows[at]
        return
    if rows.bit_length() > high:
        rows &= full(high)
    while rows:
        low = max(rows.bit_length() - _WINDOW_BITS, 0)
        for bit in reversed(_bits_of(rows >> low)):
            yield low + bit
        rows &= full(low)


def _bits_of(window: int) -> list[int]:
    """Return which bits of a window are set."""
    if window.bit_count() <= _FEW:
        bits: list[int] = []
        while window:
            bits.append(lowest(window))
            window &= window - 1
        return bits
    return [
        at + bit
        for at, byte in zip(
            _WINDOW_STARTS, window.to_bytes(_WINDOW_BITS // 8, "little"), strict=True
        )
        if byte
        for bit in _BITS_OF[byte]
    ]


def _bytes_of(bits: int) -> bytes:
    return bits.to_bytes(_BYTES, "little")


def _kept(rows: Sequence[int], bits: int) -> Sequence[int]:
    if len(rows) <= _FEW:
        return [row for row in rows if bits >> row & 1]
    if not bits:
        return EMPTY
    low, high = (bits & -bits).bit_length() - 1, bits.bit_length()
    if bits == span(low, high):  # as a range of time is
        return rows[bisect_left(rows, low) : bisect_left(rows, high)]
    flags = _bytes_of(bits)
    return [row for row in rows if flags[row >> 3] >> (row & 7) & 1]

"""Sets of rows within one block: either a sorted sequence of row numbers or one big integer.

The integer has bit r set when row r is in the set; sequences are for sets so small that walking
them is cheaper. Both say the same thing and every function takes either. Pure functions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

ROWS_MAX = 1 << 16
"""Rows of one block: row numbers are 16 bits wide on disk, and a full set is 8 KiB."""

RowSet = int | Sequence[int]

EMPTY: tuple[int, ...] = ()

_BYTES = ROWS_MAX // 8
_SPARSE = 512
_FEW = 16
_BITS_OF = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


def full(rows: int) -> int:
    """Return the set of the first `rows` rows."""
    return (1 << rows) - 1


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


def both(one: RowSet, other: RowSet) -> RowSet:
    """Return the rows that are in both sets."""
    if isinstance(one, int):
        if isinstance(other, int):
            return one & other
        return _kept(other, one)
    if isinstance(other, int):
        return _kept(one, other)
    return sorted(set(one).intersection(other))


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
    flags = _bytes_of(rows).lstrip(b"\0")
    while flags:
        at = low + 8 * (_BYTES - len(flags))
        for bit in _BITS_OF[flags[0]]:
            yield at + bit
        # Empty bytes are skipped in one go: most sets have little in much room.
        flags = flags[1:].lstrip(b"\0")


def downwards(rows: RowSet, high: int) -> Iterator[int]:
    """Yield the rows of the set below `high`, last first."""
    if not isinstance(rows, int):
        for at in range(bisect_left(rows, high) - 1, -1, -1):
            yield rows[at]
        return
    flags = _bytes_of(rows & full(high)).rstrip(b"\0")
    while flags:
        at = len(flags) - 1
        for bit in reversed(_BITS_OF[flags[at]]):
            yield 8 * at + bit
        flags = flags[:at].rstrip(b"\0")


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

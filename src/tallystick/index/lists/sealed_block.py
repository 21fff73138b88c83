"""A sealed block: one file, written once, mapped into memory and never changed.

    head      magic, rows, terms, words, index form, low index         40 bytes
    ms        8 bytes a row, by rank
    index     nothing when indexes run up by one from the lowest; else 8 bytes a row, by rank
    by_index  nothing when ranks are in the order of indexes; else 2 bytes a row
    terms     8 bytes a term, ascending
    ends      4 bytes a term: where its words end
    words     2 bytes each: row numbers of one term after another, ascending; a term with as many
              words as a bitmap of all rows has is that bitmap

Everything is little-endian, as is every machine this runs on; a file from elsewhere is refused and
the index rebuilt. The digest of the file stands in the table and is compared before the file is
used. Rows that went after the file was written are kept beside it, in a table.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from tallystick import durable
from tallystick.followers.damage import ListsDamaged
from tallystick.index.lists.block import Block
from tallystick.index.lists.row_set import EMPTY, ROWS_MAX, RowSet, to_bits, upwards

_HEAD = struct.Struct("<8sIIIIqq")
_MAGIC = b"TLYSEG1\n"
_DENSE_INDEX, _SPARSE_INDEX, _PERMUTED_INDEX = range(3)
_KEPT_BITMAPS = 24
_MAPPED_BYTES = 1 << 20
_DIGEST_BYTES = 16


class Written(NamedTuple):
    """How large a file is, and its digest."""

    size_bytes: int
    digest: bytes


class Rows(NamedTuple):
    """Times and indexes of the rows of a block to be written, both by rank."""

    ms: Sequence[int]
    indexes: Sequence[int]


class Segment(Block):
    """A sealed block, read from its file."""

    def __init__(self, id: int, path: Path, digest: bytes) -> None:
        super().__init__()
        self.id = id
        data = _contents(path)
        if digest_of(data) != digest:
            raise _damaged(path)
        try:
            magic, rows, terms, words, form, low, _ = _HEAD.unpack_from(data)
        except struct.error as error:
            raise _damaged(path) from error
        sizes = _sizes(rows, terms, words, form)
        if magic != _MAGIC or sys.byteorder != "little" or len(data) != _HEAD.size + sum(sizes):
            raise _damaged(path)
        parts: list[memoryview] = []
        at = _HEAD.size
        for length in sizes:
            parts.append(data[at : at + length])
            at += length
        ms, index, by_index, numbers, ends, postings = parts
        self.rows = rows
        self.ms = ms.cast("q")
        self.index = index.cast("q") if index else range(low, low + rows)
        self.by_index = by_index[: 2 * rows].cast("H") if by_index else None
        self._numbers = numbers.cast("Q")
        self._ends = ends[: 4 * terms].cast("I")
        self._words = postings.cast("H")
        self._bitmap_words = _bitmap_words(rows)
        self._bitmaps: dict[int, int] = {}

    def posting(self, number: int) -> RowSet:
        """Return the rows that have a term."""
        bits = self._bitmaps.get(number)
        if bits is not None:
            return bits
        numbers = self._numbers
        at = bisect_left(numbers, number)
        if at == len(numbers) or numbers[at] != number:
            return EMPTY
        rows = self.rows_at(at)
        if isinstance(rows, int):
            if len(self._bitmaps) >= _KEPT_BITMAPS:
                self._bitmaps.pop(next(iter(self._bitmaps)))
            self._bitmaps[number] = rows
        return rows

    def row_of(self, index: int) -> int | None:
        """Return the row of an entry, gone or not."""
        place = self.place(index)
        if place == self.rows:
            return None
        row = place if self.by_index is None else self.by_index[place]
        return row if self.index[row] == index else None

    @property
    def numbers(self) -> Sequence[int]:
        """The terms of the block, ascending."""
        return self._numbers

    def rows_at(self, at: int) -> RowSet:
        """Return the rows of the term at a position of `numbers`."""
        words = self._words[self._ends[at - 1] if at else 0 : self._ends[at]]
        if len(words) < self._bitmap_words:
            return words
        return int.from_bytes(words, "little")


class SegmentWriter:
    """Gathers the terms of a block, in ascending order, and writes the file."""

    def __init__(self, rows: Rows) -> None:
        if len(rows.ms) > ROWS_MAX:
            raise ValueError("a block holds 65,536 rows")
        self._rows = rows
        self._numbers = array("Q")
        self._ends = array("I")
        self._words = array("H")
        self._bitmap_words = _bitmap_words(len(rows.ms))

    def add(self, number: int, rows: Sequence[int]) -> None:
        """Add the next term with its rows, both ascending."""
        if len(rows) < self._bitmap_words:
            self._words.extend(rows)
            self._numbers.append(number)
            self._ends.append(len(self._words))
        else:
            self.add_bits(number, to_bits(rows))

    def add_bits(self, number: int, bits: int) -> None:
        """Add the next term with its rows as one integer."""
        if bits.bit_count() < self._bitmap_words:
            self._words.extend(upwards(bits, 0))
        else:
            self._words.frombytes(bits.to_bytes(2 * self._bitmap_words, "little"))
        self._numbers.append(number)
        self._ends.append(len(self._words))

    def write(self, path: Path) -> Written:
        """Write the file, so that it is there once its row in the table is."""
        ms, index = self._rows
        form, by_index = _form(index)
        low = min(index) if len(index) else 0
        head = _HEAD.pack(
            _MAGIC, len(ms), len(self._numbers), len(self._words), form, low, 0
        )  # fmt: skip
        parts: Iterable[bytes | array[int]] = (
            head,
            array("q", ms),
            array("q", index) if form != _DENSE_INDEX else b"",
            _padded(array("H", by_index)) if form == _PERMUTED_INDEX else b"",
            self._numbers,
            _padded(self._ends),
            self._words,
        )
        digest = _digest()
        with path.open("wb") as file:
            for part in parts:
                digest.update(part)
                file.write(part)
            durable.flush_file(file)
            return Written(file.tell(), digest.digest())


def digest_of(data: bytes | memoryview) -> bytes:
    """Return what stands in the table for a file's bytes.

    Cost: about 1 ms a megabyte.
    """
    digest = _digest()
    digest.update(data)
    return digest.digest()


def _digest() -> blake2b:
    return blake2b(digest_size=_DIGEST_BYTES)


def _form(index: Sequence[int]) -> tuple[int, Sequence[int]]:
    rows = len(index)
    if not rows or (index[-1] - index[0] == rows - 1 and _ascends(index)):
        return _DENSE_INDEX, ()
    if _ascends(index):
        return _SPARSE_INDEX, ()
    return _PERMUTED_INDEX, sorted(range(rows), key=index.__getitem__)


def _ascends(values: Sequence[int]) -> bool:
    return all(map(int.__lt__, values, _tail(values)))


def _tail(values: Sequence[int]) -> Iterator[int]:
    tail = iter(values)
    next(tail, None)
    return tail


def _bitmap_words(rows: int) -> int:
    return max((rows + 15) // 16, 1)


def _sizes(rows: int, terms: int, words: int, form: int) -> tuple[int, ...]:
    return (
        8 * rows,
        8 * rows if form != _DENSE_INDEX else 0,
        _up(2 * rows) if form == _PERMUTED_INDEX else 0,
        8 * terms,
        _up(4 * terms),
        2 * words,
    )


def _up(size: int) -> int:
    return (size + 7) & ~7


def _padded(values: array[int]) -> bytes:
    data = values.tobytes()
    return data + bytes(_up(len(data)) - len(data))


def _contents(path: Path) -> memoryview:
    """Return the bytes of a file; large ones are mapped, so that only what is used is read."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _MAPPED_BYTES:
            return memoryview(file.read())
        return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))


def _damaged(path: Path) -> ListsDamaged:
    return ListsDamaged(f"the index file {path.name} is damaged", hint="rebuild the index")

"""The growing end of a log: what it takes to add leaves, and what to write where.

No file has to be in memory: the peaks and the last idtimestamp are enough. Source: wire
specification of DataTrails 4.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tallystick.dialects.datatrails.merklelog import massif, mmr
from tallystick.dialects.datatrails.merklelog.leaf import Leaf
from tallystick.errors import StoreCorrupt

_LEAVES_BYTES = 8
_IDTIMESTAMP_BYTES = 9
_FIXED_BYTES = 2 + _LEAVES_BYTES + _IDTIMESTAMP_BYTES
# Version 1 had no mark.
_MARK_BYTES = {1: 0, 2: 32}


class Tail(NamedTuple):
    """The end of a log at some number of leaves."""

    height: int
    """Of its massifs: fixed with the first leaf."""
    leaves: int
    idtimestamp: bytes
    peaks: tuple[bytes, ...]
    """Highest first."""
    mark: bytes = b""
    """Of the entry behind the last leaf; empty where an earlier version wrote the tail."""

    def to_bytes(self) -> bytes:
        """Return the tail as it is stored."""
        version = 2 if self.mark else 1
        fixed = bytes((version, self.height)) + self.leaves.to_bytes(_LEAVES_BYTES, "big")
        return fixed + self.idtimestamp + self.mark + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> Tail:
        """Return the tail that was stored.

        Raises: StoreCorrupt.
        """
        mark_bytes = _MARK_BYTES.get(data[0]) if data else None
        if mark_bytes is None or len(data) < _FIXED_BYTES + mark_bytes:
            raise StoreCorrupt("not the tail of a public log in a known version")
        leaves = int.from_bytes(data[2 : 2 + _LEAVES_BYTES], "big")
        idtimestamp = data[2 + _LEAVES_BYTES : _FIXED_BYTES]
        peaks_at = _FIXED_BYTES + mark_bytes
        starts = range(peaks_at, len(data), mmr.HASH_BYTES)
        peaks = tuple(data[at : at + mmr.HASH_BYTES] for at in starts)
        if len(b"".join(peaks)) % mmr.HASH_BYTES or len(peaks) != leaves.bit_count():
            raise StoreCorrupt("the tail of a public log has another number of peaks")
        return cls(data[1], leaves, idtimestamp, peaks, data[_FIXED_BYTES:peaks_at])

    @property
    def size(self) -> int:
        """How many nodes the log has."""
        return mmr.size_of(self.leaves)

    @property
    def room(self) -> int:
        """How many more leaves the massif takes that the next leaf belongs to."""
        here = massif.massif_of_leaf(self.leaves, self.height)
        return massif.first_leaf(here + 1, self.height) - self.leaves


class Write(NamedTuple):
    """Bytes to write at an offset of a massif's file."""

    massif: int
    offset: int
    data: bytes


def empty(height: int) -> Tail:
    """Return the tail of a log without leaves."""
    return Tail(height, 0, massif.NO_IDTIMESTAMP, ())


def grow(tail: Tail, leaves: Iterable[Leaf]) -> tuple[Tail, list[Write]]:
    """Add leaves that all belong into one massif; return the new tail and what to write.

    The order matters to readers of a file that grows in place: a node or an index entry of which
    the header does not speak yet is harmless, the contrary is not.
    Shape: at least one leaf, at most `tail.room`.
    """
    height, first = tail.height, tail.leaves
    number = massif.massif_of_leaf(first, height)
    peaks = list(tail.peaks)
    nodes: list[bytes] = []
    slots: list[bytes] = []
    idtimestamp = tail.idtimestamp
    for count, leaf in enumerate(leaves):
        nodes += mmr.append(peaks, first + count, leaf.value)
        slots.append(massif.index_entry(leaf))
        idtimestamp = leaf.idtimestamp
    if not 0 < len(slots) <= tail.room:
        raise ValueError(f"{len(slots)} leaves do not fit into massif {number}")
    grown = Tail(height, first + len(slots), idtimestamp, tuple(peaks))
    writes: list[Write] = []
    if first == massif.first_leaf(number, height):
        writes.append(Write(number, massif.stack_start(height), b"".join(tail.peaks)))
    nodes_at = massif.locate(mmr.size_of(first), height)[1]
    writes += [
        Write(number, massif.slot_start(first, height), b"".join(slots)),
        Write(number, nodes_at, b"".join(nodes)),
        Write(number, 0, massif.header(number, height, idtimestamp)),
    ]
    return grown, writes

"""The right edge of a growing tree: the few hashes that suffice to append and to state the root.

A frontier holds one hash for every complete subtree that the size decomposes into, which is one
per set bit of the size. It is kept in the head row of its log and knows nothing of older leaves;
proofs come from tiles. Source: RFC 6962 section 2.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from tallystick.errors import StoreCorrupt
from tallystick.tlog.hashing import EMPTY_ROOT, HASH_BYTES, SIZE_MAX, node_hash

_VERSION: Final = b"\x01"
_HEADER_BYTES: Final = len(_VERSION) + 8


class Frontier:
    """A tree of `size` leaves, known by the roots of its complete subtrees, largest first."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int, peaks: list[bytes]) -> None:
        self.size = size
        self.peaks = peaks

    @classmethod
    def empty(cls) -> Frontier:
        """Return the frontier of the tree without leaves."""
        return cls(0, [])

    def copy(self) -> Frontier:
        """Return an independent frontier of the same tree."""
        return Frontier(self.size, self.peaks.copy())

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash, in place."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order, in place.

        Cost: one hash a leaf, amortised.
        """
        size, peaks = self.size, self.peaks
        push, pop = peaks.append, peaks.pop
        for leaf in leaves:
            node, carry = leaf, size
            # As in binary addition: every trailing one of the size is a subtree to merge with.
            while carry & 1:
                node = sha256(b"\x01" + pop() + node).digest()
                carry >>= 1
            push(node)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """Return the root of the tree.

        Cost: one hash for every peak but one, at most 62.
        """
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def to_bytes(self) -> bytes:
        """Return the stored form: a version byte, the size in eight bytes big-endian, the peaks."""
        return _VERSION + self.size.to_bytes(8, "big") + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> Frontier:
        """Read the stored form back.

        Raises: StoreCorrupt if `data` is not exactly what `to_bytes` writes.
        """
        if len(data) < _HEADER_BYTES or not data.startswith(_VERSION):
            raise StoreCorrupt("the stored frontier is of no known version")
        size = int.from_bytes(data[len(_VERSION) : _HEADER_BYTES], "big")
        if size > SIZE_MAX or len(data) != _HEADER_BYTES + HASH_BYTES * size.bit_count():
            raise StoreCorrupt(f"the stored frontier has the wrong length for size {size}")
        peaks = range(_HEADER_BYTES, len(data), HASH_BYTES)
        return cls(size, [data[start : start + HASH_BYTES] for start in peaks])

"""Massif files, version 0: the mountain range cut into files of a fixed number of leaves.

A file grows by appending nodes; its header and its index, whose space is reserved from the
start, are filled in place. The bytes follow from the leaves alone. Source: wire specification of
DataTrails 4.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.dialects.datatrails.merklelog import leaf as leaves
from tallystick.dialects.datatrails.merklelog import mmr
from tallystick.dialects.datatrails.merklelog.leaf import Leaf
from tallystick.errors import StoreCorrupt

DEFAULT_HEIGHT = 14
HEIGHT_MAX = 24
"""A header byte could name more, but such a file would not fit into memory."""

VERSION = 0
HEADER_BYTES = 256
INDEX_START = HEADER_BYTES + 32
NO_IDTIMESTAMP = bytes(9)
"""Stands in a header before the first leaf."""
SLOT_BYTES = 64
"""One index entry: key, extra bytes, idtimestamp without its epoch."""

_LAST_ID = slice(8, 16)
_VERSION = slice(21, 23)
_EPOCH = slice(23, 27)
_HEIGHT = 27
_NUMBER = slice(28, 32)


def massif_of_leaf(leaf_index: int, height: int) -> int:
    """Return the number of the massif that holds a leaf."""
    return leaf_index >> (height - 1)


def leaves_per_massif(height: int) -> int:
    """Return how many leaves a massif of that height holds."""
    return 1 << (height - 1)


def first_leaf(number: int, height: int) -> int:
    """Return the index of a massif's first leaf."""
    return number << (height - 1)


def first_node(number: int, height: int) -> int:
    """Return the index of a massif's first node."""
    return mmr.size_of(first_leaf(number, height))


def stack_start(height: int) -> int:
    """Return the offset of the peak stack."""
    return INDEX_START + (SLOT_BYTES << height)


def nodes_start(number: int, height: int) -> int:
    """Return the offset of a massif's first node."""
    stack = len(mmr.peaks(first_node(number, height)))
    return stack_start(height) + mmr.HASH_BYTES * stack


def locate(node: int, height: int) -> tuple[int, int]:
    """Return the massif and the offset in its file at which a node's 32 bytes stand."""
    # A node is written together with the last leaf below it.
    number = massif_of_leaf(mmr.leaves_before(node + 1) - 1, height)
    offset = nodes_start(number, height)
    return number, offset + mmr.HASH_BYTES * (node - first_node(number, height))


def path_of(tenant_uuid: str, number: int) -> str:
    """Return the public path of a massif file below the log prefix."""
    return f"v1/mmrs/tenant/{tenant_uuid}/0/massifs/{number:016d}.log"


def seal_path_of(tenant_uuid: str, number: int) -> str:
    """Return the public path of a massif's seal below the log prefix."""
    return f"v1/mmrs/tenant/{tenant_uuid}/0/massifseals/{number:016d}.sth"


def last_idtimestamp(header: bytes) -> bytes:
    """Return the 9 bytes of idtimestamp of a massif's last leaf, from its header."""
    return header[_EPOCH][-1:] + header[_LAST_ID]


def slot_start(leaf_index: int, height: int) -> int:
    """Return the offset of a leaf's index entry in its massif."""
    number = massif_of_leaf(leaf_index, height)
    return INDEX_START + SLOT_BYTES * (leaf_index - first_leaf(number, height))


def index_entry(leaf: Leaf) -> bytes:
    """Return a leaf's entry in the index of its massif."""
    return leaf.key + leaf.extra + leaf.idtimestamp[1:]


def header(number: int, height: int, idtimestamp: bytes) -> bytes:
    """Return the header of a massif whose last leaf has the given 9 bytes of idtimestamp."""
    block = bytearray(HEADER_BYTES)
    block[_VERSION] = VERSION.to_bytes(2, "big")
    block[_EPOCH] = idtimestamp[:1].rjust(4, b"\0")
    block[_LAST_ID] = idtimestamp[1:]
    block[_HEIGHT] = height
    block[_NUMBER] = number.to_bytes(4, "big")
    return bytes(block)


class Massif:
    """One massif file in memory, to be read or built.

    A log that is served grows through `growth`. Not safe for several threads at once.
    """

    __slots__ = ("_data", "_first_node", "_nodes_at", "_peaks", "height", "next_leaf", "number")

    def __init__(self, number: int, height: int, stack: Sequence[bytes]) -> None:
        """Start the empty massif `number`; `stack` are the peaks of all leaves before it."""
        self.number = number
        self.height = height
        self.next_leaf = first_leaf(number, height)
        self._first_node = first_node(number, height)
        self._nodes_at = nodes_start(number, height)
        if len(stack) != len(mmr.peaks(self._first_node)):
            raise StoreCorrupt(f"massif {number} starts from another number of peaks")
        self._peaks = list(stack)
        self._data = bytearray(stack_start(height)) + b"".join(stack)
        self._data[:HEADER_BYTES] = header(number, height, NO_IDTIMESTAMP)

    @classmethod
    def load(cls, data: bytes) -> Massif:
        """Open the massif whose file holds `data`.

        Raises: StoreCorrupt when it is not a whole massif file of version 0.
        """
        if len(data) < INDEX_START or data[_VERSION] != VERSION.to_bytes(2, "big"):
            raise StoreCorrupt("not a massif file of version 0")
        height, number = data[_HEIGHT], int.from_bytes(data[_NUMBER], "big")
        if not 0 < height <= HEIGHT_MAX:
            raise StoreCorrupt(f"a massif of height {height}")
        start = nodes_start(number, height)
        count, rest = divmod(len(data) - start, mmr.HASH_BYTES)
        size = first_node(number, height) + count
        if count < 0 or rest or (count and not mmr.is_complete(size)):
            raise StoreCorrupt(f"massif {number} does not end with a whole leaf")
        massif = cls.__new__(cls)
        massif.number, massif.height = number, height
        massif.next_leaf = mmr.leaves_before(size)
        massif._first_node, massif._nodes_at = first_node(number, height), start
        massif._data = bytearray(data)
        if massif.next_leaf > first_leaf(number + 1, height):
            raise StoreCorrupt(f"massif {number} holds too many leaves")
        massif._peaks = [massif.node(peak) for peak in mmr.peaks(size)]
        return massif

    @property
    def size(self) -> int:
        """How many nodes the range has up to this massif's last leaf."""
        return mmr.size_of(self.next_leaf)

    @property
    def is_full(self) -> bool:
        """Whether the next leaf belongs into the next massif."""
        return self.next_leaf == first_leaf(self.number + 1, self.height)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The peaks at `size`, highest first: also the stack of the next massif."""
        return tuple(self._peaks)

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return bytes(self._data)

    @property
    def idtimestamp(self) -> bytes:
        """The 9 bytes of the last leaf's idtimestamp; zeros before the first."""
        return bytes(self._data[_EPOCH][-1:] + self._data[_LAST_ID])

    def append(self, leaf: Leaf) -> None:
        """Add a leaf, its index entry and the nodes that it completes.

        Cost: two hashes a leaf on average; at most one node a level.
        """
        if self.is_full:
            raise ValueError(f"massif {self.number} is full")
        written = mmr.append(self._peaks, self.next_leaf, leaf.value)
        slot = self._slot(self.next_leaf)
        self._data[slot] = index_entry(leaf)
        self._data += b"".join(written)
        self._data[_EPOCH] = leaf.idtimestamp[:1].rjust(4, b"\0")
        self._data[_LAST_ID] = leaf.idtimestamp[1:]
        self.next_leaf += 1

    def node(self, index: int) -> bytes:
        """Return a node of this massif, or one of the peaks it starts from.

        Raises: KeyError for a node that this file does not hold.
        """
        if index >= self.size:
            raise KeyError(index)
        if index >= self._first_node:
            at = self._nodes_at + mmr.HASH_BYTES * (index - self._first_node)
        else:
            stack = mmr.peaks(self._first_node)
            if index not in stack:
                raise KeyError(index)
            at = stack_start(self.height) + mmr.HASH_BYTES * stack.index(index)
        return bytes(self._data[at : at + mmr.HASH_BYTES])

    def leaf(self, leaf_index: int) -> Leaf:
        """Return a leaf of this massif as it was appended, with the epoch of the last one.

        Raises: KeyError for a leaf that this file does not hold.
        """
        if not first_leaf(self.number, self.height) <= leaf_index < self.next_leaf:
            raise KeyError(leaf_index)
        slot = bytes(self._data[self._slot(leaf_index)])
        extra_end = leaves.KEY_BYTES + leaves.EXTRA_BYTES
        return Leaf(
            self.node(mmr.size_of(leaf_index)),
            slot[: leaves.KEY_BYTES],
            slot[leaves.KEY_BYTES : extra_end],
            self.idtimestamp[:1] + slot[extra_end:],
        )

    def _slot(self, leaf_index: int) -> slice:
        at = slot_start(leaf_index, self.height)
        return slice(at, at + SLOT_BYTES)


def build(number: int, height: int, stack: Sequence[bytes], leaf_list: Sequence[Leaf]) -> Massif:
    """Return the massif that starts from `stack` and holds `leaf_list`."""
    massif = Massif(number, height, stack)
    for leaf in leaf_list:
        massif.append(leaf)
    return massif

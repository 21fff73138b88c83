"""Inclusion and consistency proofs: made from tiles, verified from nothing but their arguments.

Making a proof reads whole tiles through a `HashReader`, at most two on each level: the one on the
way of the leaf (or of the old size) and the one at the right edge. Verifying believes nothing: a
proof that is not of the one possible shape is refused before anything is hashed.
Source: RFC 6962 sections 2.1.1 and 2.1.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tallystick.errors import BadConsistencyProof, BadInclusionProof, NotFound, StoreCorrupt
from tallystick.tlog.hashing import EMPTY_ROOT, complete_root, is_hash, is_size, node_hash
from tallystick.tlog.tile import TILE_HEIGHT, TILE_WIDTH, tile_width


class HashReader(Protocol):
    """Where the hashes of a log come from.

    `hashes(level, start, count)` returns entries start .. start + count - 1 of a level: entry i of
    level L is the root of the complete subtree over leaves i * 256**L to (i + 1) * 256**L - 1.
    Proofs ask for the visible part of one tile at a time: `start` is a multiple of 256, `count` is
    at most 256, and 256 unless the tile is the last of its level.
    Raises: NotFound if the log is smaller than that.
    """

    def hashes(self, level: int, start: int, count: int) -> list[bytes]:
        """Return `count` hashes of `level` from `start` on."""
        ...


class _Tree:
    """The tree at one size, as subtree roots computed from tiles that are each read once."""

    def __init__(self, size: int, reader: HashReader) -> None:
        self._size = size
        self._reader = reader
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def range_root(self, start: int, end: int) -> bytes:
        """Return the tree hash of leaves `start` to `end`.

        Shape: start < end <= size, and `start` is a multiple of the power of two not below the
        length of the range, as in every split that RFC 6962 makes.
        """
        root = b""
        while end > start:
            # The rightmost complete subtree is as wide as the lowest set bit of the length.
            height = _lowest_bit(end - start)
            end -= 1 << height
            node = self._node(height, end >> height)
            root = node_hash(node, root) if root else node
        return root

    def _node(self, height: int, position: int) -> bytes:
        level, steps = divmod(height, TILE_HEIGHT)
        first = position << steps
        tile, offset = divmod(first, TILE_WIDTH)
        return complete_root(self._tile(level, tile)[offset : offset + (1 << steps)])

    def _tile(self, level: int, tile: int) -> list[bytes]:
        hashes = self._tiles.get((level, tile))
        if hashes is None:
            count = tile_width(level, tile, self._size)
            hashes = self._reader.hashes(level, tile * TILE_WIDTH, count)
            if len(hashes) != count or not all(map(is_hash, hashes)):
                raise StoreCorrupt(f"tile {tile} of level {level} is not {count} hashes")
            self._tiles[level, tile] = hashes
        return hashes


def root_from_reader(size: int, reader: HashReader) -> bytes:
    """Return the root of the log at `size`.

    Raises: NotFound if `size` is larger than the log.
    Cost: reads one tile on each level.
    """
    return _Tree(size, reader).range_root(0, size) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, reader: HashReader) -> list[bytes]:
    """Return the sibling hashes that tie leaf `index` to the root at `size`.

    Shape: at most 63 hashes, lowest level first.
    Raises: NotFound if there is no such leaf, or `size` is larger than the log.
    Cost: reads at most two tiles on each level.
    """
    if not (is_size(index) and is_size(size) and index < size):
        raise NotFound(f"a log of size {size} has no leaf {index}")
    tree = _Tree(size, reader)
    proof = []
    height = 0
    while 1 << height < size:
        sibling = (index >> height) ^ 1
        start = sibling << height
        if start < size:
            proof.append(tree.range_root(start, min(start + (1 << height), size)))
        height += 1
    return proof


def consistency_proof(old_size: int, new_size: int, reader: HashReader) -> list[bytes]:
    """Return the hashes that show that the log at `old_size` is a prefix of that at `new_size`.

    Shape: empty if the sizes are equal or the old one is 0; at most 64 hashes.
    Raises: NotFound if `new_size` is smaller than `old_size` or larger than the log.
    Cost: reads at most two tiles on each level.
    """
    if not (is_size(old_size) and is_size(new_size) and old_size <= new_size):
        raise NotFound(f"size {old_size} is not a prefix of size {new_size}")
    if old_size in (0, new_size):
        return []
    tree = _Tree(new_size, reader)
    start, siblings = _way_up(old_size, new_size)
    ranges = [(start, old_size), *siblings] if start else siblings
    return [tree.range_root(*ends) for ends in ranges]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the tree of `size` leaves under `root` has the leaf hash `leaf` at `index`.

    Raises: BadInclusionProof if not, or if any argument is not of the one possible shape.
    """
    if not is_hash(root):
        raise BadInclusionProof("every hash must have 32 bytes")
    if root_of_inclusion(leaf, index, size, proof) != root:
        raise BadInclusionProof("the proof leads to another root")


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root of the tree of `size` leaves that has `leaf` at `index`, by a proof.

    Raises: BadInclusionProof if any argument is not of the one possible shape.
    """
    if not (is_size(index) and is_size(size) and index < size):
        raise BadInclusionProof("the index is not below the size")
    if not (is_hash(leaf) and all(map(is_hash, proof))):
        raise BadInclusionProof("every hash must have 32 bytes")
    # Up to `inner`, the leaf and the last leaf have different ancestors, so there is always a
    # sibling; above, only where the way turns left, since on the right there is nothing.
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    if len(proof) != inner + border:
        raise BadInclusionProof(f"a proof of {inner + border} hashes is needed here")
    node = leaf
    for height, sibling in enumerate(proof):
        is_left = height < inner and not index >> height & 1
        node = node_hash(node, sibling) if is_left else node_hash(sibling, node)
    return node


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree under `old_root` is a prefix of the tree under `new_root`.

    The empty tree is a prefix of every tree: nothing is learnt about `new_root` then.
    Raises: BadConsistencyProof if not, or if any argument is not of the one possible shape.
    """
    if not (is_size(old_size) and is_size(new_size) and old_size <= new_size):
        raise BadConsistencyProof("the old size is larger than the new one")
    if not (is_hash(old_root) and is_hash(new_root) and all(map(is_hash, proof))):
        raise BadConsistencyProof("every hash must have 32 bytes")
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise BadConsistencyProof("this is not the root of the empty log")
    if old_size == new_size and old_root != new_root:
        raise BadConsistencyProof("two roots for one size")
    if old_size in (0, new_size):
        if proof:
            raise BadConsistencyProof("no proof is needed here")
        return
    _verify_growth(old_size, old_root, new_size, new_root, proof)


def _verify_growth(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    start, siblings = _way_up(old_size, new_size)
    # Where the old tree is itself a subtree of the new one, its root is known and not sent.
    hashes = list(proof) if start else [old_root, *proof]
    if len(hashes) != len(siblings) + 1:
        raise BadConsistencyProof("the proof has the wrong number of hashes")
    old = new = hashes[0]
    for (_, end), sibling in zip(siblings, hashes[1:], strict=True):
        if end <= old_size:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    if old != old_root:
        raise BadConsistencyProof("the proof leads to another old root")
    if new != new_root:
        raise BadConsistencyProof("the proof leads to another new root")


def _way_up(old_size: int, new_size: int) -> tuple[int, list[tuple[int, int]]]:
    """Return where the way up to the root starts, and the ranges of its siblings, lowest first.

    Shape: 0 < old_size < new_size. The way begins at the largest subtree of the new tree that
    ends where the old tree ends; it starts at 0 if and only if it is the whole old tree.
    """
    siblings = []
    start, end = 0, new_size
    while end != old_size:
        split = start + (1 << (end - start - 1).bit_length() - 1)
        if old_size <= split:
            siblings.append((split, end))
            end = split
        else:
            siblings.append((start, split))
            start = split
    siblings.reverse()
    return start, siblings


def _lowest_bit(number: int) -> int:
    return (number & -number).bit_length() - 1

"""Trees for tests: RFC 6962 section 2.1 written down as it stands, recursion and all.

Slow, and sharing nothing with the product but the two hashes' definitions.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent.parent / "vectors"


def vectors(name: str) -> Any:
    """Return one file of test vectors."""
    return json.loads((VECTORS / name).read_text("utf-8"))


def made_up_leaves(count: int) -> list[bytes]:
    """Return distinct leaf hashes."""
    return [sha256(b"leaf %d" % number).digest() for number in range(count)]


def hash_of_nodes(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def split(count: int) -> int:
    """Return the largest power of two smaller than `count`."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def tree_hash(leaves: list[bytes]) -> bytes:
    """Return MTH over leaf hashes."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return hash_of_nodes(tree_hash(leaves[:k]), tree_hash(leaves[k:]))


def audit_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """Return PATH(index, leaves)."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*audit_path(index, leaves[:k]), tree_hash(leaves[k:])]
    return [*audit_path(index - k, leaves[k:]), tree_hash(leaves[:k])]


def consistency_path(old_size: int, leaves: list[bytes], *, is_whole: bool = True) -> list[bytes]:
    """Return SUBPROOF(old_size, leaves, is_whole), which begins as PROOF(old_size, leaves)."""
    if old_size == len(leaves):
        return [] if is_whole else [tree_hash(leaves)]
    k = split(len(leaves))
    if old_size <= k:
        rest = tree_hash(leaves[k:])
        return [*consistency_path(old_size, leaves[:k], is_whole=is_whole), rest]
    first = tree_hash(leaves[:k])
    return [*consistency_path(old_size - k, leaves[k:], is_whole=False), first]


class ListReader:
    """Tile hashes made from a list of leaf hashes; remembers which tiles were read."""

    def __init__(self, leaves: list[bytes]) -> None:
        self._levels = [leaves]
        while len(self._levels[-1]) >= 256:
            below = self._levels[-1]
            ends = range(256, len(below) + 1, 256)
            self._levels.append([tree_hash(below[end - 256 : end]) for end in ends])
        self.tiles_read: list[tuple[int, int]] = []

    def hashes(self, level: int, start: int, count: int) -> list[bytes]:
        """Return `count` hashes of `level`, all of one tile."""
        assert start % 256 == 0
        assert 1 <= count <= 256
        self.tiles_read.append((level, start // 256))
        return self._levels[level][start : start + count]

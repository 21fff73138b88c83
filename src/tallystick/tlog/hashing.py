"""The hashes everything else is made of; RFC 6962 section 2.1, with SHA-256.

Leaves and inner nodes are hashed under different prefixes, so that neither can be passed off as
the other. This is arithmetic on 32-byte values: it knows no tree and no tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
# Proof arithmetic and stored sizes stay inside a signed 64-bit integer.
SIZE_MAX: Final = 2**63 - 1


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash under which `entry` becomes a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the inner node over two children."""
    return sha256(b"\x01" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the complete tree over `hashes`.

    Shape: the number of hashes is a power of two, at least one.
    """
    level = list(hashes)
    assert len(level).bit_count() == 1, "a complete tree has a power of two leaves"
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return level[0]


def section_commitment(salt: bytes, content: bytes) -> bytes:
    """Return what an entry holds in place of a section: SHA-256 over its salt and stored bytes."""
    return sha256(salt + content).digest()


def is_hash(value: object) -> bool:
    """Tell whether `value` is 32 bytes."""
    return isinstance(value, bytes) and len(value) == HASH_BYTES


def is_size(value: object) -> bool:
    """Tell whether `value` is an integer that a tree's size can have."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= SIZE_MAX

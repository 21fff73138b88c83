"""Hashes against the published tree and against RFC 6962 as it stands."""

from __future__ import annotations

import pytest

from tallystick.tlog.hashing import (
    EMPTY_ROOT,
    SIZE_MAX,
    complete_root,
    is_hash,
    is_size,
    leaf_hash,
    node_hash,
    section_commitment,
)
from tests.tlog.trees import made_up_leaves, tree_hash, vectors


def test_empty_tree_has_the_published_root() -> None:
    assert EMPTY_ROOT.hex() == vectors("rfc6962.json")["roots"]["0"]


def test_leaves_and_nodes_give_the_published_roots() -> None:
    published = vectors("rfc6962.json")
    first, second = (leaf_hash(bytes.fromhex(entry)) for entry in published["entries"][:2])
    assert first.hex() == published["roots"]["1"]
    assert node_hash(first, second).hex() == published["roots"]["2"]


def test_a_node_is_not_the_leaf_over_the_same_bytes() -> None:
    left, right = made_up_leaves(2)
    assert node_hash(left, right) != leaf_hash(left + right)


@pytest.mark.parametrize("height", range(9))
def test_complete_root_is_the_tree_hash(height: int) -> None:
    leaves = made_up_leaves(1 << height)
    assert complete_root(leaves) == tree_hash(leaves)


def test_commitment_is_salt_then_content() -> None:
    assert section_commitment(b"ab", b"c") == section_commitment(b"a", b"bc")
    assert section_commitment(b"a" * 16, b"x") != section_commitment(b"b" * 16, b"x")


@pytest.mark.parametrize("value", [b"", b"x" * 31, b"x" * 33, bytearray(32), "x" * 32, None, 7])
def test_only_32_bytes_are_a_hash(value: object) -> None:
    assert not is_hash(value)
    assert is_hash(bytes(32))


@pytest.mark.parametrize("value", [-1, SIZE_MAX + 1, True, 1.0, "1", None])
def test_only_integers_of_63_bits_are_a_size(value: object) -> None:
    assert not is_size(value)
    assert is_size(0)
    assert is_size(SIZE_MAX)

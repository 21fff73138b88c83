"""Proofs against published ones, RFC 6962 as it stands, and pymerkle; then against liars."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import pymerkle  # type: ignore[import-untyped]  # it has no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import BadConsistencyProof, BadInclusionProof, NotFound, StoreCorrupt
from tallystick.tlog.frontier import Frontier
from tallystick.tlog.hashing import EMPTY_ROOT, SIZE_MAX, leaf_hash
from tallystick.tlog.proof import (
    consistency_proof,
    inclusion_proof,
    root_from_reader,
    verify_consistency,
    verify_inclusion,
)
from tests.tlog.trees import (
    ListReader,
    audit_path,
    consistency_path,
    hash_of_nodes,
    made_up_leaves,
    tree_hash,
    vectors,
)

LEAVES = made_up_leaves(600)
READER = ListReader(LEAVES)
LARGE = 70_000
INDEX_AND_SIZE = st.integers(1, 600).flatmap(
    lambda size: st.tuples(st.integers(0, size - 1), st.just(size))
)
TWO_SIZES = st.tuples(st.integers(1, 600), st.integers(1, 600)).map(lambda sizes: sorted(sizes))


@cache
def root_at(size: int) -> bytes:
    return tree_hash(LEAVES[:size])


@pytest.fixture(scope="module")
def large() -> list[bytes]:
    return made_up_leaves(LARGE)


# Known answers


def published_reader() -> ListReader:
    entries = vectors("rfc6962.json")["entries"]
    return ListReader([leaf_hash(bytes.fromhex(entry)) for entry in entries])


@pytest.mark.parametrize("case", vectors("rfc6962.json")["inclusion"])
def test_published_inclusion_proof_is_made_and_verified(case: dict[str, Any]) -> None:
    reader = published_reader()
    proof = inclusion_proof(case["index"], case["size"], reader)
    assert [sibling.hex() for sibling in proof] == case["path"]
    leaf = reader.hashes(0, 0, 8)[case["index"]]
    verify_inclusion(leaf, case["index"], case["size"], proof, bytes.fromhex(case["root"]))


@pytest.mark.parametrize("case", vectors("rfc6962.json")["consistency"])
def test_published_consistency_proof_is_made_and_verified(case: dict[str, Any]) -> None:
    old_root, new_root = bytes.fromhex(case["root1"]), bytes.fromhex(case["root2"])
    proof = consistency_proof(case["size1"], case["size2"], published_reader())
    assert [sibling.hex() for sibling in proof] == case["path"]
    verify_consistency(case["size1"], old_root, case["size2"], new_root, proof)


def test_the_example_tree_of_the_rfc() -> None:
    """RFC 6962 section 2.1.3 names the nodes of a tree of 7 leaves, and the proofs within it."""
    a, b, c, d, e, f, j = leaves = LEAVES[:7]
    g, h, i = (hash_of_nodes(*pair) for pair in ((a, b), (c, d), (e, f)))
    k, l = hash_of_nodes(g, h), hash_of_nodes(i, j)  # noqa: E741  the RFC's own letters
    reader = ListReader(leaves)
    assert root_from_reader(7, reader) == hash_of_nodes(k, l)
    assert inclusion_proof(0, 7, reader) == [b, h, l]
    assert inclusion_proof(3, 7, reader) == [c, g, l]
    assert inclusion_proof(4, 7, reader) == [f, j, k]
    assert inclusion_proof(6, 7, reader) == [i, k]
    assert consistency_proof(3, 7, reader) == [c, d, g, l]
    assert consistency_proof(4, 7, reader) == [l]
    assert consistency_proof(6, 7, reader) == [i, j, k]


# Against the definition


@given(st.integers(0, 600))
def test_root_is_the_tree_hash(size: int) -> None:
    assert root_from_reader(size, READER) == root_at(size)


@given(INDEX_AND_SIZE)
def test_inclusion_proof_is_the_audit_path(index_and_size: tuple[int, int]) -> None:
    index, size = index_and_size
    proof = inclusion_proof(index, size, READER)
    assert proof == audit_path(index, LEAVES[:size])
    verify_inclusion(LEAVES[index], index, size, proof, root_at(size))


@given(TWO_SIZES)
def test_consistency_proof_is_the_defined_one(sizes: list[int]) -> None:
    old_size, new_size = sizes
    proof = consistency_proof(old_size, new_size, READER)
    assert proof == consistency_path(old_size, LEAVES[:new_size])
    verify_consistency(old_size, root_at(old_size), new_size, root_at(new_size), proof)


def test_every_proof_of_every_small_tree_verifies() -> None:
    for size in range(1, 35):
        for index in range(size):
            proof = inclusion_proof(index, size, READER)
            verify_inclusion(LEAVES[index], index, size, proof, root_at(size))
        for old_size in range(size + 1):
            proof = consistency_proof(old_size, size, READER)
            verify_consistency(old_size, root_at(old_size), size, root_at(size), proof)


@pytest.fixture(scope="module")
def pymerkle_tree() -> Any:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for number in range(40):
        tree.append_entry(b"entry %d" % number)
    return tree


@pytest.fixture(scope="module")
def same_leaves() -> ListReader:
    return ListReader([leaf_hash(b"entry %d" % number) for number in range(40)])


def test_pymerkle_makes_the_same_inclusion_proofs(
    pymerkle_tree: Any, same_leaves: ListReader
) -> None:
    leaves = same_leaves.hashes(0, 0, 40)
    for size in range(1, 41):
        assert pymerkle_tree.get_root(size) == root_from_reader(size, same_leaves)
        for index in range(size):
            # It counts leaves from 1 and puts the leaf's own hash before the siblings.
            path = pymerkle_tree.prove_inclusion(index + 1, size).serialize()["path"]
            ours = [leaves[index], *inclusion_proof(index, size, same_leaves)]
            assert [sibling.hex() for sibling in ours] == path


def test_pymerkle_and_we_agree_on_growth(pymerkle_tree: Any, same_leaves: ListReader) -> None:
    """Its proofs name other nodes, so each side's proof is verified over the other's roots."""
    for new_size in range(1, 41):
        for old_size in range(1, new_size + 1):
            ours = [root_from_reader(size, same_leaves) for size in (old_size, new_size)]
            theirs = [pymerkle_tree.get_root(size) for size in (old_size, new_size)]
            pymerkle.verify_consistency(*ours, pymerkle_tree.prove_consistency(old_size, new_size))
            proof = consistency_proof(old_size, new_size, same_leaves)
            verify_consistency(old_size, theirs[0], new_size, theirs[1], proof)


# Tiles of more than two levels


@pytest.mark.parametrize("index", [0, 255, 256, 65_535, 65_536, 69_887, 69_888, LARGE - 1])
def test_inclusion_in_a_large_log_reads_two_tiles_a_level(large: list[bytes], index: int) -> None:
    frontier = Frontier.empty()
    frontier.extend(large)
    reader = ListReader(large)
    proof = inclusion_proof(index, LARGE, reader)
    verify_inclusion(large[index], index, LARGE, proof, frontier.root())
    reads = Counter(level for level, _ in reader.tiles_read)
    assert max(reads.values()) <= 2
    assert len(set(reader.tiles_read)) == len(reader.tiles_read)


@pytest.mark.parametrize("old_size", [1, 255, 256, 257, 65_535, 65_536, 65_537, 69_999, LARGE])
def test_growth_of_a_large_log_reads_two_tiles_a_level(large: list[bytes], old_size: int) -> None:
    old, new = Frontier.empty(), Frontier.empty()
    old.extend(large[:old_size])
    new.extend(large)
    reader = ListReader(large)
    proof = consistency_proof(old_size, LARGE, reader)
    verify_consistency(old_size, old.root(), LARGE, new.root(), proof)
    reads = Counter(level for level, _ in reader.tiles_read)
    assert max(reads.values(), default=0) <= 2


# What cannot be proven


@pytest.mark.parametrize(
    ("index", "size"), [(0, 0), (1, 1), (-1, 5), (5, 5), (6, 5), (0, -1), (0, SIZE_MAX + 1)]
)
def test_a_leaf_outside_the_log_is_not_found(index: int, size: int) -> None:
    with pytest.raises(NotFound):
        inclusion_proof(index, size, READER)


@pytest.mark.parametrize(("old_size", "new_size"), [(2, 1), (-1, 5), (1, SIZE_MAX + 1)])
def test_sizes_out_of_order_are_not_found(old_size: int, new_size: int) -> None:
    with pytest.raises(NotFound):
        consistency_proof(old_size, new_size, READER)


def test_a_store_that_lacks_hashes_is_corrupt() -> None:
    with pytest.raises(StoreCorrupt):
        inclusion_proof(3, 20, ListReader(LEAVES[:10]))
    with pytest.raises(StoreCorrupt):
        root_from_reader(2, ListReader([LEAVES[0], b"short"]))


# Liars


@given(INDEX_AND_SIZE, st.data())
def test_a_changed_inclusion_proof_is_refused(
    index_and_size: tuple[int, int], data: st.DataObject
) -> None:
    index, size = index_and_size
    proof = inclusion_proof(index, size, READER)
    forged = data.draw(forgeries(proof))
    with pytest.raises(BadInclusionProof):
        verify_inclusion(LEAVES[index], index, size, forged, root_at(size))


@given(TWO_SIZES, st.data())
def test_a_changed_consistency_proof_is_refused(sizes: list[int], data: st.DataObject) -> None:
    old_size, new_size = sizes
    proof = consistency_proof(old_size, new_size, READER)
    forged = data.draw(forgeries(proof))
    with pytest.raises(BadConsistencyProof):
        verify_consistency(old_size, root_at(old_size), new_size, root_at(new_size), forged)


@st.composite
def forgeries(draw: st.DrawFn, proof: list[bytes]) -> list[bytes]:
    """Return the proof with something wrong about it."""
    forged = proof.copy()
    ways = ["longer"] + ["shorter", "flipped", "cut"] * bool(proof) + ["swapped"] * (len(proof) > 1)
    way = draw(st.sampled_from(ways))
    at = draw(st.integers(0, max(len(proof) - 1, 0)))
    if way == "longer":
        forged.insert(at, draw(st.sampled_from([LEAVES[0], bytes(32), b""])))
    elif way == "shorter":
        del forged[at]
    elif way == "flipped":
        forged[at] = bytes([forged[at][0] ^ 1]) + forged[at][1:]
    elif way == "cut":
        forged[at] = forged[at][:-1]
    else:
        forged[at], forged[at - 1] = forged[at - 1], forged[at]
    return forged


@given(INDEX_AND_SIZE, st.integers(0, 599), st.integers(1, 600))
def test_a_proof_holds_for_its_own_place_only(
    place: tuple[int, int], other_index: int, other_size: int
) -> None:
    index, size = place
    leaf, proof = LEAVES[index], inclusion_proof(index, size, READER)
    if other_index != index:
        with pytest.raises(BadInclusionProof):
            verify_inclusion(leaf, other_index, size, proof, root_at(size))
    if other_size != size:
        with pytest.raises(BadInclusionProof):
            verify_inclusion(leaf, index, other_size, proof, root_at(other_size))


def test_neighbours_cannot_stand_for_each_other() -> None:
    proof = inclusion_proof(4, 9, READER)
    with pytest.raises(BadInclusionProof):
        verify_inclusion(LEAVES[5], 4, 9, proof, root_at(9))
    with pytest.raises(BadInclusionProof):
        verify_inclusion(LEAVES[4], 5, 9, proof, root_at(9))


@pytest.mark.parametrize(
    ("index", "size"),
    [(0, 0), (1, 1), (2, 1), (-1, 1), (0, 2**63), (0, 2**64), (2**70, 2**71), (True, 2), ("0", 1)],
)
def test_impossible_places_are_refused(index: Any, size: Any) -> None:
    with pytest.raises(BadInclusionProof):
        verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])


@pytest.mark.parametrize("forged", [b"", b"short", "text", None, bytearray(32)])
def test_values_that_are_no_hashes_are_refused(forged: Any) -> None:
    good = LEAVES[0]
    for leaf, proof, root in [(forged, [good], good), (good, [forged], good), (good, [], forged)]:
        with pytest.raises(BadInclusionProof):
            verify_inclusion(leaf, 0, 2, proof, root)
    for old, proof, new in [(forged, [good], good), (good, [forged], good), (good, [], forged)]:
        with pytest.raises(BadConsistencyProof):
            verify_consistency(1, old, 2, new, proof)


@pytest.mark.parametrize(
    ("index", "size"), [(0, SIZE_MAX), (SIZE_MAX - 1, SIZE_MAX), (2**62, SIZE_MAX)]
)
def test_a_huge_log_costs_no_more_than_its_height(index: int, size: int) -> None:
    with pytest.raises(BadInclusionProof, match="hashes is needed"):
        verify_inclusion(LEAVES[0], index, size, [LEAVES[0]] * 100_000, LEAVES[1])
    with pytest.raises(BadConsistencyProof, match="wrong number"):
        verify_consistency(index or 1, LEAVES[0], size, LEAVES[1], [LEAVES[0]] * 100_000)


@pytest.mark.parametrize(
    ("old_size", "old_root", "new_size", "new_root", "proof"),
    [
        (2, root_at(2), 1, root_at(1), []),
        (-1, root_at(1), 1, root_at(1), []),
        (1, root_at(1), 2**63, root_at(1), []),
        (0, root_at(1), 5, root_at(5), []),
        (0, EMPTY_ROOT, 5, root_at(5), [LEAVES[0]]),
        (0, EMPTY_ROOT, 0, root_at(1), []),
        (5, root_at(5), 5, root_at(4), []),
        (5, root_at(5), 5, root_at(5), [LEAVES[0]]),
        (4, root_at(4), 5, root_at(5), []),
        (3, root_at(2), 5, root_at(5), consistency_proof(3, 5, READER)),
        (3, root_at(3), 5, root_at(6), consistency_proof(3, 5, READER)),
        (4, root_at(3), 5, root_at(5), consistency_proof(4, 5, READER)),
        (3, root_at(3), 6, root_at(6), consistency_proof(3, 5, READER)),
    ],
)
def test_a_false_claim_of_growth_is_refused(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: list[bytes]
) -> None:
    with pytest.raises(BadConsistencyProof):
        verify_consistency(old_size, old_root, new_size, new_root, proof)


def test_every_log_continues_the_empty_one() -> None:
    verify_consistency(0, EMPTY_ROOT, 5, root_at(5), [])
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    assert consistency_proof(0, 5, READER) == []


def test_a_rewritten_log_has_no_proof() -> None:
    """No proof made from the rewritten tree connects it to a root seen before."""
    rewritten = [*LEAVES[:10], bytes(32), *LEAVES[11:300]]
    reader = ListReader(rewritten)
    for old_size, new_size in pairwise([11, 12, 64, 255, 256, 300]):
        proof = consistency_proof(old_size, new_size, reader)
        with pytest.raises(BadConsistencyProof):
            verify_consistency(
                old_size, root_at(old_size), new_size, root_from_reader(new_size, reader), proof
            )

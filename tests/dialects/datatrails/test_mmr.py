"""The mountain range agrees with the published tables of 39 nodes."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.datatrails.merklelog import mmr
from tallystick.errors import BadConsistencyProof, BadInclusionProof
from tallystick.events import ids
from tests.dialects.datatrails import vectors

_TABLES = vectors.load("mmr39.json")
_NODES = vectors.hashes(_TABLES["nodes"])
_LEAVES = vectors.hashes(_TABLES["leaves"])

pytestmark = pytest.mark.row("D-71")


def _peak_values(size: int) -> list[bytes]:
    return [_NODES[peak] for peak in mmr.peaks(size)]


def _many_nodes(leaves: int) -> list[bytes]:
    nodes: list[bytes] = []
    peaks: list[bytes] = []
    for number in range(leaves):
        nodes += mmr.append(peaks, number, sha256(number.to_bytes(8, "big")).digest())
    return nodes


def test_appending_the_published_leaves_writes_the_published_nodes() -> None:
    nodes: list[bytes] = []
    peaks: list[bytes] = []
    for number, value in enumerate(_LEAVES):
        assert mmr.size_of(number) == len(nodes) == _TABLES["leaf_mmr_indices"][number]
        nodes += mmr.append(peaks, number, value)
        assert peaks == vectors.hashes(_TABLES["accumulators"][str(len(nodes))]["hashes"])
    assert nodes == _NODES


def test_heights_and_leaf_counts_are_the_published_ones() -> None:
    assert [mmr.height(i) for i in range(39)] == _TABLES["index_heights"]
    # The table counts the leaves of the largest complete range that ends at or before a node.
    assert [mmr.leaves_before(i + 2) - 1 for i in range(39)] == _TABLES["leaf_counts"]


def test_complete_sizes_and_their_peaks_are_the_published_ones() -> None:
    assert [size for size in range(40) if mmr.is_complete(size)] == _TABLES["complete_sizes"]
    for size, table in _TABLES["accumulators"].items():
        assert mmr.peaks(int(size)) == table["indices"]


def test_all_published_inclusion_paths_are_made_and_verify() -> None:
    for row in _TABLES["inclusion"]:
        node, size = row["index"], row["size"]
        path = mmr.inclusion_path(node, size)
        assert path == row["path_indices"]
        values = [_NODES[i] for i in path]
        mmr.verify_inclusion(node, _NODES[node], values, size=size, peak_values=_peak_values(size))
        top, _ = mmr.fold(node, _NODES[node], values)
        assert mmr.peaks(size).index(top) == row["accumulator_position"]


def test_all_published_consistency_proofs_are_made_and_fold() -> None:
    for row in _TABLES["consistency"]:
        size1, size2 = row["size1"], row["size2"]
        paths, right = mmr.consistency_paths(size1, size2), mmr.right_peaks(size1, size2)
        assert (paths, right) == (row["path_indices"], row["right_peak_indices"])
        folded = mmr.consistent_peaks(
            size1,
            _peak_values(size1),
            size2=size2,
            paths=[[_NODES[i] for i in path] for path in paths],
            right=[_NODES[i] for i in right],
        )
        assert folded == _peak_values(size2)


def _fold_row(row: dict[str, Any]) -> list[bytes]:
    return mmr.consistent_peaks(
        row["size1"],
        vectors.hashes(row["peaks1"]),
        size2=row["size2"],
        paths=[vectors.hashes(path) for path in row["paths"]],
        right=vectors.hashes(row["right_peaks"]),
    )


@pytest.mark.parametrize("row", _TABLES["consistency_rejects"], ids=lambda row: row["name"])
def test_published_bad_consistency_proof_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(BadConsistencyProof):
        _fold_row(row)


@pytest.mark.parametrize("row", _TABLES["consistency_ambiguous"], ids=lambda row: row["name"])
def test_substituted_size_folds_so_sizes_must_be_signed(row: dict[str, Any]) -> None:
    assert _fold_row(row) != _peak_values(row["size2"])


@given(st.integers(0, 1 << 50))
def test_leaf_and_node_numbers_are_inverse(leaf: int) -> None:
    node = mmr.size_of(leaf)
    assert node == ids.mmr_index(leaf)
    assert mmr.height(node) == 0
    assert mmr.leaves_before(node) == leaf
    assert mmr.leaves_before(node + 1) == leaf + 1


def test_numbers_below_a_node_are_counted_for_every_node() -> None:
    leaves = {mmr.size_of(number) for number in range(300)}
    for node in range(mmr.size_of(300)):
        assert mmr.leaves_before(node) == sum(leaf < node for leaf in leaves)


@given(st.integers(1, 64), st.integers(0, 63), st.data())
def test_changed_path_or_value_is_refused(leaves: int, number: int, data: st.DataObject) -> None:
    nodes = _many_nodes(leaves)
    size, node = len(nodes), mmr.size_of(number % leaves)
    path = [nodes[i] for i in mmr.inclusion_path(node, size)]
    peaks = [nodes[i] for i in mmr.peaks(size)]
    mmr.verify_inclusion(node, nodes[node], path, size=size, peak_values=peaks)
    bad = data.draw(
        st.sampled_from(
            [
                (node, bytes(32), path, size, peaks),
                (node, nodes[node], [*path, bytes(32)], size, peaks),
                (node, nodes[node], [bytes(31)], size, peaks),
                (node, nodes[node][:31], path, size, peaks),
                (node, nodes[node], path, size, peaks[1:]),
                (node, nodes[node], path, size, [bytes(32)] * len(peaks)),
                (size, nodes[node], path, size, peaks),
                (-1, nodes[node], path, size, peaks),
                (node, nodes[node], path, 0, []),
                (node, nodes[node], path, 1 << 64, peaks),
            ]
            + [(node, nodes[node], path[:-1], size, peaks)] * bool(path)
            + [(node, nodes[node], path[::-1], size, peaks)] * (len(path) > 1)
        )
    )
    with pytest.raises(BadInclusionProof):
        mmr.verify_inclusion(bad[0], bad[1], bad[2], size=bad[3], peak_values=bad[4])


def test_path_beyond_any_range_is_refused() -> None:
    with pytest.raises(BadInclusionProof):
        mmr.fold((1 << 63) - 2, bytes(32), [bytes(32)] * 64)


def test_old_peaks_that_disagree_about_a_new_one_are_refused() -> None:
    paths = [[_NODES[i] for i in path] for path in mmr.consistency_paths(4, 7)]
    with pytest.raises(BadConsistencyProof):
        mmr.consistent_peaks(4, [bytes(32), _NODES[3]], size2=7, paths=paths, right=[])

"""The frontier against the published roots and the naive tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import StoreCorrupt
from tallystick.tlog.frontier import Frontier
from tallystick.tlog.hashing import EMPTY_ROOT, leaf_hash
from tests.tlog.trees import made_up_leaves, tree_hash, vectors

LEAVES = made_up_leaves(600)


def frontier_of(size: int) -> Frontier:
    frontier = Frontier.empty()
    frontier.extend(LEAVES[:size])
    return frontier


def test_appending_gives_the_published_root_at_every_size() -> None:
    published = vectors("rfc6962.json")
    frontier = Frontier.empty()
    assert frontier.root() == EMPTY_ROOT
    for entry in published["entries"]:
        frontier.append(leaf_hash(bytes.fromhex(entry)))
        assert frontier.root().hex() == published["roots"][str(frontier.size)]


@given(st.integers(0, 600))
def test_root_is_the_tree_hash(size: int) -> None:
    frontier = frontier_of(size)
    assert frontier.size == size
    assert frontier.root() == tree_hash(LEAVES[:size])


@given(st.integers(0, 600))
def test_peaks_are_the_complete_subtrees_largest_first(size: int) -> None:
    expected, start = [], 0
    for height in reversed(range(10)):
        if size & 1 << height:
            expected.append(tree_hash(LEAVES[start : start + (1 << height)]))
            start += 1 << height
    assert frontier_of(size).peaks == expected


@given(st.lists(st.integers(0, 600), max_size=5))
def test_batches_make_no_difference(cuts: list[int]) -> None:
    frontier = Frontier.empty()
    for end in [*sorted(cuts), 600]:
        frontier.extend(iter(LEAVES[frontier.size : end]))
    assert frontier.peaks == frontier_of(600).peaks


def test_a_copy_grows_alone() -> None:
    frontier = frontier_of(7)
    copy = frontier.copy()
    copy.append(LEAVES[7])
    assert (frontier.size, frontier.root()) == (7, tree_hash(LEAVES[:7]))
    assert (copy.size, copy.root()) == (8, tree_hash(LEAVES[:8]))


@given(st.integers(0, 600), st.integers(0, 20))
def test_the_stored_form_goes_on_where_it_stopped(size: int, more: int) -> None:
    read = Frontier.from_bytes(frontier_of(size).to_bytes())
    read.extend(LEAVES[size : size + more])
    assert read.to_bytes() == frontier_of(min(size + more, 600)).to_bytes()


def test_the_stored_form_is_version_size_and_peaks() -> None:
    assert Frontier.empty().to_bytes() == bytes.fromhex("01 0000000000000000")
    frontier = frontier_of(5)
    four, last = frontier.peaks
    assert frontier.to_bytes() == bytes.fromhex("01 0000000000000005") + four + last


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x02" + bytes(8),
        b"\x01" + bytes(9),
        frontier_of(5).to_bytes()[:-1],
        frontier_of(5).to_bytes() + b"\x00",
        frontier_of(5).to_bytes()[:-32],
        b"\x01" + (2**63).to_bytes(8, "big") + bytes(32),
    ],
)
def test_a_damaged_form_is_refused(data: bytes) -> None:
    with pytest.raises(StoreCorrupt):
        Frontier.from_bytes(data)


@given(st.binary(max_size=200))
def test_bytes_are_read_exactly_or_refused(data: bytes) -> None:
    try:
        frontier = Frontier.from_bytes(data)
    except StoreCorrupt:
        return
    assert frontier.to_bytes() == data

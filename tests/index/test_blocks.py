"""Sets of rows, sealed blocks and merges, against plain sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import StoreCorrupt
from tallystick.index.lists import row_set as sets
from tallystick.index.lists.merge import finish, merge_steps, seal
from tallystick.index.lists.open_block import OpenBlock
from tallystick.index.lists.row_set import ROWS_MAX, RowSet
from tallystick.index.lists.sealed_block import Segment, digest_of

_NUMBERS = st.frozensets(st.integers(0, ROWS_MAX - 1) | st.integers(0, 40), max_size=60)
_RUNS = st.builds(
    lambda low, length: frozenset(range(low, min(low + length, ROWS_MAX))),
    st.integers(0, 40) | st.integers(0, ROWS_MAX - 1),
    st.integers(0, 70),
)
_SETS = st.tuples(_NUMBERS | _RUNS, st.booleans())


def row_set(given: tuple[frozenset[int], bool]) -> RowSet:
    """Return a set in one of its two forms."""
    rows, as_bits = given
    return sum(1 << row for row in rows) if as_bits else sorted(rows)


def plain(rows: RowSet) -> set[int]:
    """Return the rows of a set, checking that they come in order."""
    found = list(sets.upwards(rows, 0))
    assert found == sorted(set(found))
    assert found == list(reversed(list(sets.downwards(rows, ROWS_MAX))))
    assert sets.size(rows) == len(found)
    assert sets.is_empty(rows) == (not found)
    return set(found)


@given(_SETS, _SETS, st.lists(_SETS, max_size=4))
def test_sets_of_rows_are_sets(
    one: tuple[frozenset[int], bool],
    other: tuple[frozenset[int], bool],
    more: list[tuple[frozenset[int], bool]],
) -> None:
    first, second = row_set(one), row_set(other)
    assert plain(first) == one[0]
    assert plain(sets.to_bits(first)) == one[0]
    assert plain(sets.both(first, second)) == one[0] & other[0]
    assert plain(sets.without(first, second)) == one[0] - other[0]
    assert plain(sets.any_of(map(row_set, more))) == frozenset().union(*(rows for rows, _ in more))


@given(_SETS, st.integers(0, ROWS_MAX), st.integers(0, ROWS_MAX))
def test_parts_of_a_set_are_slices(one: tuple[frozenset[int], bool], low: int, high: int) -> None:
    rows = row_set(one)
    assert list(sets.upwards(rows, low)) == sorted(row for row in one[0] if row >= low)
    assert list(sets.downwards(rows, high)) == sorted(
        (row for row in one[0] if row < high), reverse=True
    )
    assert sets.count_between(rows, low, high) == sum(low <= row < high for row in one[0])
    assert plain(sets.span(low, high)) == set(range(low, high))


_TERMS = st.frozensets(st.sampled_from((1, 2, 3, 2**64 - 1, 2**63, 77_777)), max_size=4)
_LISTS = st.lists(
    st.lists(st.tuples(st.integers(0, 5), _TERMS), min_size=1, max_size=25), min_size=1, max_size=4
)
_INDEXES = st.frozensets(st.integers(0, 80), max_size=30)


@given(_LISTS, _INDEXES, _INDEXES)
def test_merged_blocks_hold_what_was_not_gone(
    tmp_path_factory: pytest.TempPathFactory,
    lists: list[list[tuple[int, frozenset[int]]]],
    dropped: frozenset[int],
    gone: frozenset[int],
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    kept: dict[int, tuple[int, frozenset[int]]] = {}
    sealed: list[Segment] = []
    index = 0
    for number, entries in enumerate(lists):
        block = OpenBlock(number)
        for ms, terms in entries:
            row = block.add(index, ms, sorted(terms))
            if index in dropped:
                block.drop(row)
            else:
                kept[index] = (ms, terms)
            index += 1
        if seal(block, folder / f"{number}").rows:
            path = folder / f"{number}"
            sealed.append(Segment(number, path, digest_of(path.read_bytes())))
    for segment in sealed:
        for row in range(segment.rows):
            if segment.index[row] in gone:
                segment.gone |= 1 << row
                del kept[segment.index[row]]
    merged = finish(merge_steps(sealed, folder / "all"))
    assert merged.rows == len(kept)
    whole = Segment(99, folder / "all", digest_of((folder / "all").read_bytes()))
    order = sorted(kept, key=lambda index: (kept[index][0], index))
    assert list(whole.index) == order
    assert list(whole.ms) == [kept[index][0] for index in order]
    for number in {term for _, terms in kept.values() for term in terms} | {77}:
        found = {whole.index[row] for row in sets.upwards(whole.posting(number), 0)}
        assert found == {index for index, (_, terms) in kept.items() if number in terms}
    assert list(whole.numbers) == sorted({term for _, terms in kept.values() for term in terms})
    for source, ranks in zip(sealed, merged.ranks, strict=True):
        for row, rank in enumerate(ranks):
            assert rank == -1 if source.gone >> row & 1 else whole.index[rank] == source.index[row]
    for index in range(-1, len(order) + 60):
        found_row = whole.row_of(index)
        assert (found_row is not None) == (index in kept)
        assert found_row is None or whole.index[found_row] == index


def test_a_full_block_is_written_and_read(tmp_path: Path) -> None:
    block = OpenBlock(1)
    for index in range(ROWS_MAX):
        block.add(index, index, (1, 2 + index % 2, 1_000_000 + index))
    seal(block, tmp_path / "full")
    segment = Segment(1, tmp_path / "full", digest_of((tmp_path / "full").read_bytes()))
    assert sets.size(segment.posting(1)) == ROWS_MAX
    assert sets.size(segment.posting(2)) == sets.size(segment.posting(3)) == ROWS_MAX // 2
    assert list(sets.upwards(segment.posting(1_000_000 + 777), 0)) == [777]
    assert segment.index == range(ROWS_MAX)
    # Times and indexes, a number for each of the single terms, and three bitmaps.
    assert (tmp_path / "full").stat().st_size < ROWS_MAX * (8 + 14) + 3 * 8192 + 1000


@pytest.mark.parametrize("damage", [b"", b"TLYSEG1\n", b"x" * 40, b"TLYSEG1\n" + b"\xff" * 60])
def test_a_damaged_file_is_told(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "bad").write_bytes(damage)
    with pytest.raises(StoreCorrupt):
        Segment(1, tmp_path / "bad", digest_of((tmp_path / "bad").read_bytes()))

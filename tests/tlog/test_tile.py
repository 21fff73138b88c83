"""Tile coordinates and entry bundles against C2SP tlog-tiles."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.errors import Malformed, NotFound, TooLarge
from tallystick.tlog.tile import (
    ENTRY_BYTES_MAX,
    Level,
    LevelTiles,
    entry_bundle,
    full_tiles_completed,
    parse_entry_bundle,
    parse_path,
    path,
    split_hashes,
    tile_end,
    tile_root,
    tile_width,
    tiles_at,
)
from tests.tlog.trees import made_up_leaves, tree_hash

LEVELS: st.SearchStrategy[Level] = st.one_of(st.integers(0, 5), st.just("entries"))


@pytest.mark.parametrize(
    ("level", "index", "width", "text"),
    [
        (0, 0, 256, "0/000"),
        (0, 999, 1, "0/999.p/1"),
        (1, 1000, 255, "1/x001/000.p/255"),
        (0, 1234067, 256, "0/x001/x234/067"),
        ("entries", 1234, 17, "entries/x001/234.p/17"),
        (7, 0, 127, "7/000.p/127"),
    ],
)
def test_a_tile_has_one_path(level: Level, index: int, width: int, text: str) -> None:
    assert path(level, index, width) == text
    assert parse_path(text) == (level, index, width)


@given(LEVELS, st.integers(0, 2**12), st.integers(1, 256))
def test_paths_are_read_back(level: Level, index: int, width: int) -> None:
    assert parse_path(path(level, index, width)) == (level, index, width)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0/",
        "/000",
        "0/0",
        "0/0000",
        "0/x000/001",
        "0/001/002",
        "0/x001",
        "0/X001/002",
        "00/000",
        "64/000",
        "-1/000",
        "data/000",
        "0/000.p/0",
        "0/000.p/01",
        "0/000.p/256",
        "0/000.p/",
        "0/000.p",
        "0/-01",
        "0/000/",
        "0/000\n",
        "0/\u0661\u0662\u0663",
        "0/" + "x000/" * 7 + "001",
        "0/" + "x999/" * 8 + "999",
    ],
)
def test_anything_else_is_no_path(text: str) -> None:
    with pytest.raises(Malformed):
        parse_path(text)


@pytest.mark.parametrize(
    "text", ["63/000", "8/000.p/1", "7/000.p/128", "0/" + "x999/" * 7 + "999", "6/x001/000"]
)
def test_tiles_beyond_any_log_are_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        parse_path(text)


@given(st.text(alphabet="0123456789x/.pentris\n \u0661", max_size=30))
@example("0/x001/002.p/3")
def test_a_text_is_a_path_or_refused(text: str) -> None:
    try:
        level, index, width = parse_path(text)
    except (Malformed, NotFound):
        return
    assert path(level, index, width) == text


def test_tiles_of_the_published_example() -> None:
    assert tiles_at(70_000) == [
        LevelTiles(0, full=273, partial=112),
        LevelTiles(1, full=1, partial=17),
        LevelTiles(2, full=0, partial=1),
    ]
    assert tiles_at(256) == [LevelTiles(0, 1, 0), LevelTiles(1, 0, 1)]
    assert tiles_at(0) == []


@given(st.integers(0, 2**40))
def test_widths_agree_with_the_list_of_tiles(size: int) -> None:
    for level, full, partial in tiles_at(size):
        assert partial == size // 256**level % 256
        assert tile_width(level, full, size) == partial
        assert tile_width(level, full + 1, size) == 0
        if full:
            assert tile_width(level, full - 1, size) == 256
            assert tile_end(level, full - 1) <= size
        if partial:
            assert tile_end(level, full, partial) <= size < tile_end(level, full, partial + 1)
    assert tile_width("entries", size // 256, size) == size % 256
    assert tile_end("entries", size // 256, size % 256) == size


@given(st.integers(0, 200_000), st.integers(0, 70_000))
@example(0, 65_536)
@example(65_535, 1)
@example(255, 1)
@example(256, 255)
def test_completed_tiles_are_those_that_were_not_full_before(size: int, more: int) -> None:
    expected = []
    for level in range(3):
        before, after = (n // 256 ** (level + 1) for n in (size, size + more))
        expected += [(level, index) for index in range(before, after)]
    assert list(full_tiles_completed(size, size + more)) == expected


def test_the_root_of_a_tile_is_its_tree_hash() -> None:
    hashes = made_up_leaves(256)
    assert tile_root(hashes) == tree_hash(hashes)
    with pytest.raises(AssertionError):
        tile_root(hashes[:128])


@pytest.mark.parametrize("count", [1, 17, 256])
def test_hashes_of_a_tile_come_back(count: int) -> None:
    hashes = made_up_leaves(count)
    assert split_hashes(b"".join(hashes)) == hashes


@pytest.mark.parametrize("length", [0, 1, 31, 33, 32 * 257])
def test_other_lengths_are_no_tile(length: int) -> None:
    with pytest.raises(Malformed):
        split_hashes(bytes(length))


def test_a_bundle_is_lengths_and_entries() -> None:
    assert entry_bundle([b"ab", b"", b"c"]) == b"\x00\x02ab\x00\x00\x00\x01c"
    assert entry_bundle([]) == b""
    longest = bytes(ENTRY_BYTES_MAX)
    assert parse_entry_bundle(entry_bundle([longest])) == [longest]
    with pytest.raises(TooLarge) as caught:
        entry_bundle([b"", longest + b"x"])
    assert (caught.value.limit, caught.value.actual) == (65_535, 65_536)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles_are_read_back(entries: list[bytes]) -> None:
    assert parse_entry_bundle(entry_bundle(entries)) == entries


@pytest.mark.parametrize(
    "data", [b"\x00", b"\x00\x01", b"\x00\x02a", b"\x00\x00\x00", b"\x00\x00" * 257]
)
def test_a_damaged_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_entry_bundle(data)


@given(st.binary(max_size=100))
def test_bytes_are_a_bundle_or_refused(data: bytes) -> None:
    try:
        entries = parse_entry_bundle(data)
    except Malformed:
        return
    assert entry_bundle(entries) == data

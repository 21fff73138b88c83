"""Pages over many blocks: every offset and cursor leads where a sorted list does."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tallystick.index.lists import paging
from tallystick.index.lists.block import Block, IndexOrder, Key, Order, TimeOrder
from tallystick.index.lists.block_query import (
    AllOf,
    AnyOf,
    BlockNode,
    HappenedWithin,
    HasTerm,
    NoneOf,
)
from tallystick.index.lists.merge import seal
from tallystick.index.lists.open_block import OpenBlock
from tallystick.index.lists.paging import count, extent, page
from tallystick.index.lists.sealed_block import Segment, digest_of

ROWS = 3_000
BLOCKS = 6
EVERY, HALF, TENTH, FEW = range(4)

Entry = tuple[int, int, frozenset[int]]
"""When it occurred, its index, its terms."""


def in_order(number: int) -> int:
    """Return times as live traffic has them, some of them equal."""
    return number // 3


def nearly_in_order(number: int) -> int:
    """Return times of which some come late."""
    return number - (number % 7) * 40


def backwards(number: int) -> int:
    """Return times as an import from the newest to the oldest has them."""
    return -number


def scattered(number: int) -> int:
    """Return times in no order."""
    return random.Random(number).randrange(ROWS)  # noqa: S311  # no secret


def all_the_same(number: int) -> int:
    """Return one time for all."""
    return 7


TIMES = (in_order, nearly_in_order, backwards, scattered, all_the_same)


def made(times: Callable[[int], int], folder: Path) -> tuple[list[Block], list[Entry]]:
    """Return blocks and the same entries as a list; some rows of every block are gone."""
    chosen = random.Random(1)  # noqa: S311  # no secret
    blocks: list[Block] = []
    entries: list[Entry] = []
    for number in range(BLOCKS):
        block = OpenBlock(number)
        size = ROWS // BLOCKS
        for index in range(number * size, (number + 1) * size):
            terms = {EVERY} | {
                term
                for term, one_in in ((HALF, 2), (TENTH, 10), (FEW, 200))
                if chosen.randrange(one_in) == 0
            }
            row = block.add(index, times(index), sorted(terms))
            if chosen.randrange(9) == 0:
                block.drop(row)
            else:
                entries.append((times(index), index, frozenset(terms)))
        if number == BLOCKS - 1:
            block.rank()
            blocks.append(block)
            continue
        path = folder / f"{number}.block"
        seal(block, path)
        blocks.append(Segment(number, path, digest_of((path).read_bytes())))
    # Rows may go after a block was sealed, too.
    for sealed in blocks[:-1]:
        for row in range(0, sealed.rows, 11):
            sealed.gone |= 1 << row
            gone = sealed.index[row]
            entries = [entry for entry in entries if entry[1] != gone]
    return blocks, entries


NODES: tuple[tuple[str, BlockNode, Callable[[Entry], bool]], ...] = (
    ("every", HasTerm((EVERY,)), lambda entry: True),
    ("half", HasTerm((HALF,)), lambda entry: HALF in entry[2]),
    ("few", HasTerm((FEW,)), lambda entry: FEW in entry[2]),
    (
        "half and tenth, not few",
        AllOf((HasTerm((HALF,)), HasTerm((TENTH,))), (HasTerm((FEW,)),)),
        lambda entry: {HALF, TENTH} <= entry[2] and FEW not in entry[2],
    ),
    (
        "few or not half, within a time",
        AllOf((AnyOf((HasTerm((FEW,)), NoneOf(HasTerm((HALF,))))), HappenedWithin(-900, 900))),
        lambda entry: (FEW in entry[2] or HALF not in entry[2]) and -900 <= entry[0] <= 900,
    ),
    ("nothing", HasTerm((99,)), lambda entry: False),
)


def expected_keys(
    entries: Sequence[Entry], wanted: Callable[[Entry], bool], order: Order, descending: bool
) -> list[Key]:
    keys = [
        (ms, index) if order is TimeOrder else (index, 0)
        for ms, index, terms in entries
        if wanted((ms, index, terms))
    ]
    return sorted(keys, reverse=descending)


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("order", [TimeOrder, IndexOrder])
@pytest.mark.parametrize("descending", [True, False])
def test_every_page_is_where_a_sorted_list_has_it(
    tmp_path: Path,
    times: Callable[[int], int],
    order: Order,
    descending: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging, "_FRONT", 1)
    blocks, entries = made(times, tmp_path)
    chosen = random.Random(2)  # noqa: S311  # no secret
    for name, node, wanted in NODES:
        expected = expected_keys(entries, wanted, order, descending)
        assert count(blocks, node) == len(expected), name
        for offset in (0, 1, 64, 65, len(expected) // 2, len(expected) - 1, len(expected) + 9):
            offset = max(offset, 0)
            rows = page(blocks, node, order, descending=descending, offset=offset, limit=20)
            assert [row.key for row in rows] == expected[offset : offset + 20], (name, offset)
        for _ in range(12):
            at, offset = chosen.randrange(len(expected) + 1), chosen.randrange(ROWS)
            after = expected[at - 1] if at else None
            rows = page(
                blocks, node, order, descending=descending, after=after, offset=offset, limit=7
            )
            assert [row.key for row in rows] == expected[at:][offset : offset + 7], (name, at)


@pytest.mark.parametrize("times", TIMES)
def test_an_extent_has_the_ends_of_both_orders(tmp_path: Path, times: Callable[[int], int]) -> None:
    blocks, entries = made(times, tmp_path)
    for name, node, wanted in NODES:
        found = [entry for entry in entries if wanted(entry)]
        assert extent(blocks, node) == (
            len(found),
            min((ms for ms, _, _ in found), default=0),
            max((ms for ms, _, _ in found), default=0),
            max((index for _, index, _ in found), default=0),
        ), name


def test_a_cursor_between_rows_goes_on_behind_it(tmp_path: Path) -> None:
    """The row that a cursor remembers may be gone, or the cursor made up."""
    blocks, entries = made(scattered, tmp_path)
    keys = expected_keys(entries, lambda entry: True, TimeOrder, False)
    for key in ((-(2**62), 0), (ROWS // 2, -1), (ROWS // 2, 2**40), (2**62, 0)):
        rows = page(blocks, HasTerm((EVERY,)), TimeOrder, descending=False, after=key, limit=5)
        assert [row.key for row in rows] == [each for each in keys if each > key][:5]
        rows = page(blocks, HasTerm((EVERY,)), TimeOrder, descending=True, after=key, limit=5)
        assert [row.key for row in rows] == [each for each in reversed(keys) if each < key][:5]


def test_blocks_that_were_read_from_go_with_the_last_who_has_them(tmp_path: Path) -> None:
    blocks, _ = made(in_order, tmp_path)
    known = [weakref.ref(block) for block in blocks]
    gc.disable()  # what the collector never finds again, once it was frozen, would stay for good
    try:
        for descending in (True, False):
            page(blocks, HasTerm((EVERY,)), TimeOrder, descending=descending, limit=ROWS)
        blocks.clear()
        assert [block() for block in known] == [None] * BLOCKS
    finally:
        gc.enable()

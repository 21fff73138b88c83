"""Massif files have the published layout and follow from their leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.datatrails.merklelog import massif, mmr
from tallystick.dialects.datatrails.merklelog.leaf import Leaf
from tallystick.dialects.datatrails.merklelog.massif import Massif
from tallystick.errors import StoreCorrupt
from tests.dialects.datatrails import independent_verifier, logs, vectors

_VECTORS = vectors.load("massif_v0.json")
_ROWS = [(table["height"], row) for table in _VECTORS["tables"] for row in table["rows"]]

pytestmark = pytest.mark.row("D-72")


@pytest.mark.parametrize(("height", "row"), _ROWS)
def test_offsets_are_the_published_ones(height: int, row: dict[str, Any]) -> None:
    number = row["massif"]
    assert massif.stack_start(height) == row["stack_start"]
    assert massif.nodes_start(number, height) == row["mmr_start"]
    assert massif.first_leaf(number, height) == row["first_leaf"]
    assert massif.first_leaf(number + 1, height) - 1 == row["last_leaf"]
    assert massif.first_node(number, height) == row["first_node"]
    assert massif.first_node(number + 1, height) - 1 == row["last_node"]
    assert mmr.peaks(row["first_node"]) == row["peak_stack"]
    assert massif.locate(row["first_node"], height) == (number, row["mmr_start"])
    last_offset = row["mmr_start"] + 32 * (row["last_node"] - row["first_node"])
    assert massif.locate(row["last_node"], height) == (number, last_offset)


def test_header_is_the_published_one() -> None:
    vector = _VECTORS["header"]
    one = Massif(vector["massif"], vector["height"], [])
    idtimestamp = bytes([vector["epoch"]]) + bytes.fromhex(vector["last_id"])
    one.append(Leaf(bytes(32), bytes(32), bytes(24), idtimestamp))
    assert one.data[:32].hex() == vector["hex"]
    assert not any(one.data[32:288])
    assert one.idtimestamp == idtimestamp


def test_default_height_gives_the_production_layout() -> None:
    assert massif.leaves_per_massif(massif.DEFAULT_HEIGHT) == 8192
    assert massif.nodes_start(0, massif.DEFAULT_HEIGHT) == 1_048_864


def test_files_have_the_names_that_archives_use() -> None:
    tenant = "112758ce-a8cb-4924-8df8-fcba1e31f8b0"
    assert massif.path_of(tenant, 12) == (f"v1/mmrs/tenant/{tenant}/0/massifs/0000000000000012.log")
    assert massif.seal_path_of(tenant, 12) == (
        f"v1/mmrs/tenant/{tenant}/0/massifseals/0000000000000012.sth"
    )


@given(st.integers(1, 40), st.integers(1, 5))
def test_independent_verifier_accepts_any_number_of_leaves(count: int, height: int) -> None:
    log = logs.public_log([logs.event(i) for i in range(count)], height)
    read = independent_verifier.read_log(log.files, height=height)
    assert len(read.leaves) == count
    assert [log.node(i) for i in range(log.size)] == read.nodes
    for number, answer in enumerate(log.answers()):
        assert independent_verifier.check_event(read, answer, log_id=str(logs.TENANT)) == number


@pytest.mark.row("D-73")
@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 3))
def test_file_written_in_steps_equals_the_file_written_at_once(
    first: int, second: int, number: int
) -> None:
    height = 4
    start = massif.first_leaf(number, height)
    first, second = min(first, second), max(first, second)
    before = logs.public_log([logs.event(i) for i in range(start)], height)
    stack = before.peaks if number else ()
    leaves = [logs.leaf(logs.event(i)) for i in range(start, start + second)]
    older = massif.build(number, height, stack, leaves[:first])
    reopened = Massif.load(older.data)
    assert (reopened.next_leaf, reopened.peaks) == (older.next_leaf, older.peaks)
    for leaf in leaves[first:]:
        reopened.append(leaf)
    assert reopened.data == massif.build(number, height, stack, leaves).data
    independent_verifier.check_growth(older.data, reopened.data, height=height)


def test_leaf_reads_back_as_it_was_appended() -> None:
    log = logs.public_log([logs.event(i) for i in range(11)], 4)
    for number in range(8, 11):
        assert log.massifs[1].leaf(number) == logs.leaf(logs.event(number))
    for number in (7, 11):
        with pytest.raises(KeyError):
            log.massifs[1].leaf(number)


def test_node_is_found_in_the_file_or_in_its_stack() -> None:
    log = logs.public_log([logs.event(i) for i in range(11)], 3)
    last = log.massifs[-1]
    assert [last.node(peak) for peak in mmr.peaks(log.size)] == list(log.peaks)
    for absent in (0, log.size):
        with pytest.raises(KeyError):
            last.node(absent)


def test_full_massif_takes_no_more_leaves() -> None:
    log = logs.public_log([logs.event(i) for i in range(4)], 3)
    assert log.massifs[0].is_full
    with pytest.raises(ValueError, match="full"):
        log.massifs[0].append(logs.leaf(logs.event(4)))


def test_wrong_stack_is_refused() -> None:
    with pytest.raises(StoreCorrupt):
        Massif(1, 3, [])


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "header only": lambda data: data[:100],
    "a byte short": lambda data: data[:-1],
    "last leaf without its parents": lambda data: data[:-32],
    "half a leaf more": lambda data: data + bytes(64),
    "too many leaves": lambda data: data + bytes(32),
    "version 1": lambda data: data[:21] + b"\x01" + data[22:],
    "height 0": lambda data: data[:27] + b"\x00" + data[28:],
    "height 255": lambda data: data[:27] + b"\xff" + data[28:],
    "another number": lambda data: data[:28] + b"\xff\xff\xff\xff" + data[32:],
}


@pytest.mark.parametrize("damage", _DAMAGES)
def test_damaged_file_does_not_load(damage: str) -> None:
    data = logs.public_log([logs.event(i) for i in range(4)], 3).files[0]
    assert Massif.load(data).next_leaf == 4
    with pytest.raises(StoreCorrupt):
        Massif.load(_DAMAGES[damage](data))


@given(st.binary(max_size=600))
def test_loading_garbage_raises_only_our_error(data: bytes) -> None:
    with pytest.raises(StoreCorrupt):
        Massif.load(data)

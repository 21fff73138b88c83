"""A log grown a few leaves at a time has the files that its leaves alone would give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.datatrails.merklelog import append
from tallystick.dialects.datatrails.merklelog.append import Tail, Write
from tallystick.errors import StoreCorrupt
from tests.dialects.datatrails import independent_verifier, logs

pytestmark = pytest.mark.row("D-72", "D-73")


def written(files: dict[int, bytearray], writes: list[Write]) -> None:
    """Carry out writes on files that grow as they are written to."""
    for number, offset, data in writes:
        file = files.setdefault(number, bytearray())
        file.extend(bytes(max(offset + len(data) - len(file), 0)))
        file[offset : offset + len(data)] = data


@given(st.integers(1, 5), st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_files_grown_in_steps_equal_files_built_at_once(height: int, steps: list[int]) -> None:
    tail = append.empty(height)
    files: dict[int, bytearray] = {}
    for step in steps:
        count = min(step, tail.room)
        leaves = [logs.leaf(logs.event(tail.leaves + n)) for n in range(count)]
        before = {number: bytes(file) for number, file in files.items()}
        tail, writes = append.grow(tail, leaves)
        written(files, writes)
        for number, older in before.items():
            independent_verifier.check_growth(older, bytes(files[number]), height=height)
    log = logs.public_log([logs.event(i) for i in range(tail.leaves)], height)
    assert [bytes(files[number]) for number in sorted(files)] == log.files
    assert (tail.peaks, tail.size) == (log.peaks, log.size)
    assert tail.idtimestamp == log.massifs[-1].idtimestamp
    assert Tail.from_bytes(tail.to_bytes()) == tail


def test_leaves_do_not_cross_into_the_next_massif() -> None:
    leaves = [logs.leaf(logs.event(i)) for i in range(5)]
    tail, _ = append.grow(append.empty(3), leaves[:4])
    assert tail.room == 4
    with pytest.raises(ValueError, match="do not fit"):
        append.grow(append.empty(3), leaves)
    with pytest.raises(ValueError, match="do not fit"):
        append.grow(tail, [])


@given(st.binary(max_size=120))
def test_garbage_is_no_tail(data: bytes) -> None:
    try:
        tail = Tail.from_bytes(data)
    except StoreCorrupt:
        return
    assert tail.to_bytes() == data

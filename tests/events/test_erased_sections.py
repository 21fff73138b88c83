"""What `erase` entries record is read back as it was written."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick import json_text
from tallystick.events import erased_sections
from tallystick.events.event import Event, Op


def entry(data: Any) -> Event:
    return Event(
        tenant="t", index=3, id="3", kind="erase", op=Op.ERASE, occurred_ms=1, recorded_ms=1,
        dialect="native", data=data,
    )  # fmt: skip


def test_what_is_written_is_read_back() -> None:
    pairs = [(1, ("data", "previous")), (0, ())]
    stored = json_text.decode(json_text.encode(erased_sections.encode(pairs)))
    assert erased_sections.decode(entry(stored)) == pairs
    assert erased_sections.records_entries(entry(stored))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({}, []),
        ({"entries": 7}, []),
        ({"entries": [7, {"index": "1"}, {"sections": ["data"]}]}, []),
        ({"entries": [{"index": 1}, {"index": 2, "sections": "data"}]}, [(1, ()), (2, ())]),
    ],
)
def test_other_shapes_are_passed_over(data: object, found: list[object]) -> None:
    assert erased_sections.decode(entry(data)) == found

"""What changed between two states: folding the differences back gives the state before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tallystick.events.diff import changed_members
from tests.support.strategies import payloads


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 1}),
        ({}, {"a": 1}, {"a": None}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": None}, {}, {"a": None}),
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": 1}, {"a": True}, {"a": 1}),
        ({"a": [1, {"b": True}]}, {"a": [1, {"b": 1}]}, {"a": [1, {"b": True}]}),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1]}),
    ],
)
def test_changed_members_have_their_old_values(
    before: dict[str, Any], after: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert changed_members(before, after) == changed


def test_bookkeeping_members_do_not_count() -> None:
    assert (
        changed_members({"modified": 1, "a": 1}, {"modified": 2, "a": 1}, frozenset({"modified"}))
        == {}
    )


@given(payloads(), payloads())
def test_nothing_but_the_difference_is_told(before: dict[str, Any], after: dict[str, Any]) -> None:
    changed = changed_members(before, after)
    assert set(changed) <= set(before) | set(after)
    restored = {**after, **changed}
    for name, value in before.items():
        assert restored[name] == value
    assert changed_members(before, before) == {}

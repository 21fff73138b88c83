"""The order of events, and cursors that remember a position in it."""

from __future__ import annotations

import itertools
import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import Malformed
from tallystick.events.event import Draft, Json, View
from tallystick.query import cursor
from tallystick.query.expr import NEWEST_FIRST, Eq, Near, Scalar, Sort
from tallystick.query.order import (
    SORTED_CHARS,
    Scene,
    distance_to,
    first_of,
    order_key,
    position_of,
    sort_views,
)
from tallystick.query.values import Values
from tests.support import strategies


def _views(*payloads: Json) -> list[View]:
    return [
        strategies.view_of(strategies.event_of(Draft(kind="k", data=data), index, 0))
        for index, data in enumerate(payloads)
    ]


def _sorted(views: Sequence[View], *sorts: Sort, scene: Scene | None = None) -> list[int]:
    found = sort_views(views, sorts, scene=scene or Scene())
    return [view.index for view in found]


MIXED = _views(
    {"x": "b"}, {"x": 2}, {}, {"x": True}, {"x": "a"}, {"x": None}, {"x": -1.5}, {"x": False}
)


def test_values_of_many_types_have_one_order_and_missing_ones_come_last() -> None:
    assert _sorted(MIXED, Sort("data.x")) == [7, 3, 6, 1, 4, 0, 2, 5]
    assert _sorted(MIXED, Sort("data.x", descending=True)) == [0, 4, 1, 6, 3, 7, 5, 2]


def test_the_index_breaks_ties_in_the_direction_of_the_last_key() -> None:
    views = _views({"x": 1, "y": 1}, {"x": 1.0, "y": 1}, {"x": 1, "y": 2})
    assert _sorted(views) == [0, 1, 2]
    assert _sorted(views, Sort("data.x")) == [0, 1, 2]
    assert _sorted(views, Sort("data.x", descending=True)) == [2, 1, 0]
    assert _sorted(views, Sort("data.x"), Sort("data.y", descending=True)) == [2, 1, 0]
    assert _sorted(views, Sort("data.y", descending=True), Sort("data.x")) == [2, 0, 1]


def test_of_many_values_the_first_in_the_direction_counts() -> None:
    views = _views({"x": [5, 1]}, {"x": [2, 3]}, {"x": [None]})
    assert _sorted(views, Sort("data.x")) == [0, 1, 2]
    assert _sorted(views, Sort("data.x", descending=True)) == [0, 1, 2]
    assert first_of([3, "a", True, None], descending=False) is True
    assert first_of([3, "a", True, None], descending=True) == "a"
    assert first_of([None], descending=True) is None


def test_numbers_order_by_exact_value() -> None:
    views = _views({"x": 2**53 + 1}, {"x": float(2**53)}, {"x": 2**64}, {"x": -(2**64)})
    assert _sorted(views, Sort("data.x")) == [3, 1, 0, 2]


def test_only_the_beginning_of_a_string_counts() -> None:
    views = _views({"x": "a" * SORTED_CHARS + "z"}, {"x": "a" * SORTED_CHARS + "b"})
    assert _sorted(views, Sort("data.x")) == [0, 1]
    assert first_of(["a" * 1000], descending=False) == "a" * SORTED_CHARS


def test_derived_terms_sort() -> None:
    views = _views({}, {}, {})
    found = sort_views(views, [Sort("d.n")], terms=lambda view: {"d.n": -view.index})
    assert [view.index for view in found] == [2, 1, 0]


def test_relevance_and_distance_sort_by_what_the_scene_holds() -> None:
    views = _views(
        {"p": {"lat": 0, "lon": 3}}, {"p": [{"lat": 0, "lon": 1}, {"lat": 50, "lon": 50}]}, {}
    )
    near = Near("data.p", 0, 0, 1e9)
    assert _sorted(views, Sort("distance"), scene=Scene(near=near)) == [1, 0, 2]
    assert _sorted(views, Sort("distance", descending=True), scene=Scene(near=near)) == [0, 1, 2]
    assert _sorted(views, Sort("distance")) == [0, 1, 2]
    scores = Scene(scores={0: 0.5, 1: 2.0})
    assert _sorted(views, Sort("relevance", descending=True), scene=scores) == [1, 0, 2]
    assert distance_to(near, Values(views[2])) is None


@given(strategies.views(max_size=5), strategies.sorts())
def test_positions_order_as_events_do(views: list[View], sorts: tuple[Sort, ...]) -> None:
    ordered = sort_views(views, sorts)
    keys = [order_key(position_of(view, Values(view), sorts), sorts) for view in ordered]
    assert keys == sorted(keys)
    assert sorted(view.index for view in ordered) == [view.index for view in views]
    assert all(a < b for a, b in itertools.pairwise(keys))


@given(strategies.views(max_size=5), strategies.sorts())
def test_pages_by_cursor_are_the_whole_list(views: list[View], sorts: tuple[Sort, ...]) -> None:
    question = cursor.fingerprint((sorts, "q"))
    ordered = sort_views(views, sorts)
    seen: list[View] = []
    text = None
    for _ in range(len(views) + 1):
        page = [view for view in ordered if _follows(view, sorts, question, text)][:2]
        if not page:
            break
        seen += page
        text = cursor.encode(position_of(page[-1], Values(page[-1]), sorts), question)
    assert seen == ordered


def _follows(view: View, sorts: tuple[Sort, ...], question: str, text: str | None) -> bool:
    if text is None:
        return True
    after = order_key(cursor.decode(text, question), sorts)
    return order_key(position_of(view, Values(view), sorts), sorts) > after


@given(st.lists(strategies.scalars(), max_size=3), st.integers(0, 2**40))
def test_cursors_keep_positions_exactly(values: list[Scalar], index: int) -> None:
    position = (*values, index)
    decoded = cursor.decode(cursor.encode(position, "q"), "q")
    assert list(map(repr, decoded)) == list(map(repr, position))


def test_a_cursor_is_made_for_urls() -> None:
    text = cursor.encode(("ü?" * 100, None, 5), cursor.fingerprint("q"))
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


def test_a_cursor_of_another_question_is_refused() -> None:
    questions = [
        (Eq("kind", "a"), NEWEST_FIRST),
        (Eq("kind", "b"), NEWEST_FIRST),
        (Eq("kind", "a"), (Sort("index"),)),
        (Eq("kind", 1), NEWEST_FIRST),
        (Eq("kind", "1"), NEWEST_FIRST),
    ]
    prints = [cursor.fingerprint(question) for question in questions]
    assert len(set(prints)) == len(prints)
    assert prints == [cursor.fingerprint(question) for question in questions]
    with pytest.raises(Malformed, match="another query") as caught:
        cursor.decode(cursor.encode((1, 2), prints[0]), prints[1])
    assert caught.value.path == "cursor"


def _packed(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "%%%",
        "ü",
        "AAAA",
        "A" * 20_000,
        _packed([2, "q", [1]]),
        _packed([1, "q"]),
        _packed({"v": 1}),
        _packed([1, "q", []]),
        _packed([1, "q", 5]),
        _packed([1, "q", ["no index"]]),
        _packed([1, "q", [True]]),
        _packed([1, "q", [[], 1]]),
        _packed([1, "q", [float("nan"), 1]]),
        _packed([1, "q", ["\ud800", 1]]),
        _packed(json.loads("[" * 500 + "]" * 500)),
        urlsafe_b64encode(b"[" * 9_000).decode(),
        urlsafe_b64encode(b'[1,"q",[' + b"9" * 5_000 + b"]]").decode(),
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        cursor.decode(text, "q")
    assert caught.value.path == "cursor"
    assert caught.value.hint


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: urlsafe_b64encode(b).decode()))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        cursor.decode(text, "q")

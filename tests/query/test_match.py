"""The meaning of every node, by table."""

from __future__ import annotations

import math
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.events.event import Draft, Resource
from tallystick.query.expr import (
    And,
    Boost,
    Box,
    Eq,
    Everything,
    Exists,
    Expr,
    Fuzzy,
    In,
    Near,
    Not,
    Nothing,
    Or,
    Phrase,
    Prefix,
    Range,
    Term,
    Wildcard,
)
from tallystick.query.match import COMPARED_CHARS, matches, to_predicate
from tallystick.query.values import Values
from tests.support import strategies

LONG = "x" * COMPARED_CHARS
DRAFT = Draft(
    kind="order.created",
    occurred_ms=1_000,
    actor=Resource("user", "alice", "Alice Smith"),
    data={
        "n": 5,
        "f": 1.0,
        "big": 2**53 + 1,
        "yes": True,
        "none": None,
        "text": "The quick brown fox",
        "case": "Foo",
        "tags": ["red wine", "blue", 7],
        "apple": "big-apple",
        "long": LONG + "tail",
        "price": -3.5,
        "place": {"lat": 52.52, "lon": 13.405},
        "places": [{"lat": 0, "lon": 0}, {"lat": 10, "lon": 10}],
    },
)
VIEW = strategies.view_of(strategies.event_of(DRAFT, 3, 2_000))


def _matches(expr: Expr) -> bool:
    return matches(expr, VIEW, {"x.id": "0A", "x.ids": (1, 2)})


@pytest.mark.parametrize(
    "expr",
    [
        Everything(),
        And(()),
        And((Everything(), Eq("kind", "order.created"))),
        Or((Nothing(), Everything())),
        Not(Nothing()),
        Not(Eq("data.missing", 1)),
        Boost(Everything(), 2.0),
        Eq("data.n", 5),
        Eq("data.n", 5.0),
        Eq("data.f", 1),
        Eq("data.big", 2**53 + 1),
        Eq("data.yes", True),
        Eq("data.none", None),
        Eq("data.tags", "blue"),
        Eq("data.tags", 7),
        Eq("data.long", LONG + "tail"),
        Eq("actor", "user:alice"),
        Eq("x.id", "0A"),
        Eq("x.ids", 2),
        In("data.n", (1, 5)),
        In("data.none", (None,)),
        In("data.yes", (True,)),
        Range("data.n", 5, 5),
        Range("data.n", 4, 5, low_inclusive=False),
        Range("data.n", None, 6),
        Range("data.n", 4.5, None),
        Range("data.n"),
        Range("data.big", 2**53 + 1, None),
        Range("data.big", float(2**53), None, low_inclusive=False),
        Range("data.price", -4, -3),
        Range("data.case", "Foo", "Foo"),
        Range("data.case", "F", "G"),
        Range("data.case"),
        Range("occurred_ms", 1_000, 1_001, high_inclusive=False),
        Range("data.long", LONG, LONG),
        Exists("data.n"),
        Exists("data.place"),
        Prefix("kind", "order."),
        Prefix("kind", ""),
        Prefix("data.tags", "re"),
        Prefix("data.long", LONG),
        Wildcard("kind", "order.*", whole=True),
        Wildcard("kind", "*.cr?ated", whole=True),
        Wildcard("data.case", "F*", whole=True),
        Wildcard("data.text", "qu*"),
        Wildcard("data.text", "QU?CK"),
        Wildcard("data.text", "*own"),
        Wildcard("data.text", "*"),
        Wildcard("data.text", "brown_f*"),
        Wildcard(None, "smi*"),
        Wildcard(None, "order-cre*"),
        Fuzzy("data.text", "quikc", 1),
        Fuzzy("data.text", "fux"),
        Fuzzy(None, "alcie", 1),
        Term("data.text", "QUICK"),
        Term("data.text", "brown fox"),
        Term("data.apple", "big_apple"),
        Term("data.tags", "wine"),
        Term(None, "alice"),
        Term(None, "5"),
        Term(None, "true"),
        Term("data", "5"),
        Term("data", "fox"),
        Term(None, "-3.5"),
        Phrase("data.text", "quick brown"),
        Phrase("data.text", "quick fox", 1),
        Phrase("data.text", "fox brown", 2),
        Phrase(None, "Alice Smith"),
        Near("data.place", 52.5, 13.4, 5_000),
        Near("data.places", 10, 10, 0),
        Box("data.places", north=1, south=-1, east=1, west=-1),
    ],
    ids=repr,
)
def test_it_matches(expr: Expr) -> None:
    assert _matches(expr)
    assert not _matches(Not(expr))
    assert _matches(Boost(expr, 3.0))


@pytest.mark.parametrize(
    "expr",
    [
        Nothing(),
        Or(()),
        And((Everything(), Nothing())),
        Eq("data.n", "5"),
        Eq("data.n", True),
        Eq("data.f", True),
        Eq("data.big", float(2**53)),
        Eq("data.yes", 1),
        Eq("data.yes", "true"),
        Eq("data.none", "null"),
        Eq("data.missing", None),
        Eq("data.case", "foo"),
        Eq("data.text", "quick"),
        Eq("data.long", LONG),
        Eq("data.n", math.nan),
        In("data.n", ()),
        In("data.n", ("5", True)),
        In("data.n", (math.nan,)),
        Range("data.n", "1", "9"),
        Range("data.case", 0, 9),
        Range("data.n", 5, None, low_inclusive=False),
        Range("data.n", None, 5, high_inclusive=False),
        Range("data.n", 9, 1),
        Range("data.n", 1, "9"),
        Range("data.n", math.nan, None),
        Range("data.n", None, math.nan),
        Range("data.yes", 0, 1),
        Range("data.yes"),
        Range("data.n", cast(int, True), 9),
        Range("data.none"),
        Range("data.long", LONG + "a", None),
        Exists("data.none"),
        Exists("data.missing"),
        Prefix("data.n", "5"),
        Prefix("kind", "Order"),
        Prefix("data.long", LONG + "t"),
        Wildcard("kind", "order", whole=True),
        Wildcard("kind", "ORDER*", whole=True),
        Wildcard("data.n", "*", whole=True),
        Wildcard("data.n", "5*"),
        Wildcard("data.text", "quick*fox"),
        Wildcard("data.text", "brown_q*"),
        Wildcard("data.text", "fox-*"),
        Wildcard("data.text", "-"),
        Wildcard(None, "smi*z"),
        Fuzzy("data.text", "qiukc", 1),
        Fuzzy("data.text", "quick brown"),
        Fuzzy("data.text", ""),
        Term("data.n", "5"),
        Term("data.text", "quic"),
        Term("data.text", ""),
        Term("data.text", "!!"),
        Term("data.tags", "wine blue"),
        Term("data", "alice"),
        Phrase("data.text", "quick fox"),
        Phrase("data.text", "fox brown", 1),
        Phrase("data.tags", "wine blue", 100),
        Phrase(None, ""),
        Near("data.place", 52.5, 13.4, 10),
        Near("data.n", 0, 0, 1e9),
        Near("data.place", math.nan, 0, 1e9),
        Box("data.places", north=9, south=1, east=9, west=1),
    ],
    ids=repr,
)
def test_it_does_not_match(expr: Expr) -> None:
    assert not _matches(expr)
    assert _matches(Not(expr))


@given(st.data())
def test_queries_combine_as_sets_do(data: st.DataObject) -> None:
    views = data.draw(strategies.views(max_size=4))
    a = data.draw(strategies.exprs(views))
    b = data.draw(strategies.exprs(views))
    for view in views:
        values = Values(view)
        has_a, has_b = to_predicate(a)(values), to_predicate(b)(values)
        assert matches(And((a, b)), view) == (has_a and has_b)
        assert matches(Or((a, b)), view) == (has_a or has_b)
        assert matches(Not(a), view) == (not has_a)
        assert matches(a, view) == has_a


@given(st.data())
def test_every_value_of_an_event_finds_it(data: st.DataObject) -> None:
    for view in data.draw(strategies.views(max_size=2)):
        values = Values(view)
        for field in strategies.FIELDS:
            for value in values.of(field):
                assert matches(Eq(field, value), view)
                assert matches(In(field, ("nowhere", value)), view)
                assert matches(Exists(field), view) or value is None
                if isinstance(value, str) and len(value) <= COMPARED_CHARS:
                    assert matches(Range(field, value, value), view)
                    assert matches(Prefix(field, value), view)
            for words in values.words(field):
                assert not words or matches(Phrase(field, " ".join(words)), view)
                assert all(matches(Term(field, word), view) for word in words)


def test_what_is_no_query_is_refused() -> None:
    with pytest.raises(AssertionError):
        to_predicate(cast(Expr, "kind"))


def test_a_whole_pattern_needs_a_field() -> None:
    with pytest.raises(AssertionError):
        to_predicate(Wildcard(None, "x", whole=True))


def test_one_reading_of_an_event_serves_many_queries() -> None:
    values = Values(VIEW)
    assert to_predicate(Term(None, "fox"))(values)
    assert to_predicate(Term(None, "quick"))(values)

"""Hostile and malformed questions: a clear refusal, and bounded work before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tallystick import limits
from tallystick.errors import InvalidQuery
from tallystick.index.search import queries
from tallystick.query.aggregate import Distances, Ranges, Stats, TopValues
from tallystick.query.expr import (
    And,
    Boost,
    Box,
    Eq,
    Everything,
    Expr,
    Fuzzy,
    In,
    Near,
    Not,
    Or,
    Phrase,
    Prefix,
    Range,
    Sort,
    Term,
    Wildcard,
)
from tests.index.search_world import Searched, event

EVENTS = 300


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    views = [
        event(
            n,
            {
                "text": f"word{n} common abc{n % 7} {'long ' * (n % 9)}",
                "id": f"id-{n}",
                "n": n,
                "at": {"lat": n / 10, "lon": n / 10},
                f"path{n}": "common",
            },
        )
        for n in range(EVENTS)
    ]
    with Searched(tmp_path_factory.mktemp("search"), views) as searched:
        yield searched


class Counter:
    """Counts what the library is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.terms = self.patterns = 0
        for name in ("term_query", "phrase_query"):
            self._count(monkeypatch, name, "terms")
        for name in ("regex_query", "fuzzy_term_query", "regex_phrase_query"):
            self._count(monkeypatch, name, "patterns")

    def _count(self, monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
        original = getattr(queries.Query, name)

        def counted(*arguments: object, **options: object) -> object:
            setattr(self, kind, getattr(self, kind) + 1)
            return original(*arguments, **options)

        monkeypatch.setattr(_Recorded, name, staticmethod(counted), raising=False)


class _Recorded:
    """Stands in for the library's class of queries: all it has, some of it counted."""

    def __getattr__(self, name: str) -> object:
        return getattr(_QUERY, name)


_QUERY = queries.Query


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter(monkeypatch)
    monkeypatch.setattr(queries, "Query", _Recorded())
    return counter


def nested(depth: int) -> Expr:
    """Return a query that is nested deeply."""
    expr: Expr = Term(None, "common")
    for _ in range(depth):
        expr = Not(Not(expr))
    return expr


MANY = range(100)
HOSTILE: dict[str, Expr] = {
    "terms": Or(tuple(Term(None, f"word{n}") for n in range(limits.QUERY_TERMS + 1))),
    "branches": And(tuple(Or(tuple(Eq("data.n", n) for n in range(200))) for _ in range(60))),
    "values": In("data.id", tuple(f"id-{n}" for n in range(limits.QUERY_TERMS + 1))),
    "paths": Or(tuple(Term("data", "common") for _ in MANY)),
    "wildcards": Or(tuple(Wildcard(None, f"*a{n}*") for n in MANY)),
    "misspelt": Or(tuple(Fuzzy(None, f"word{n}", 2) for n in MANY)),
    "prefixes": Or(tuple(Prefix("data.id", f"id-{n}") for n in MANY)),
    "ranges": Or(tuple(Range("data.id", f"id-{n}", None) for n in MANY)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_very_many_clauses_are_refused_before_much_is_done(
    searched: Searched, name: str, counter: Counter
) -> None:
    with pytest.raises(InvalidQuery) as caught:
        searched.find(HOSTILE[name])
    assert caught.value.hint is not None
    assert counter.terms <= 2 * limits.QUERY_TERMS
    assert counter.patterns <= 2 * limits.QUERY_PATTERNS


def test_deep_nesting_is_refused(searched: Searched) -> None:
    with pytest.raises(InvalidQuery, match="nested too deeply"):
        searched.find(nested(5_000))


PATTERNS = [
    "*a*b*c*d*e*f*g*h*",
    "*" * 500 + "x",
    "?" * 300,
    "a?" * 100,
    "*?" * 100,
    "*a?????????????????????????b",
    "(a+)+$",
    "[a-z]{1,1000}",
    ".*" * 50,
    "\\",
    "",
    "*",
    "日?" * 60,
]


@pytest.mark.parametrize("pattern", PATTERNS, ids=range(len(PATTERNS)))
@pytest.mark.parametrize("field", [None, "data", "data.text", "data.id", "kind", "actor", "class"])
def test_any_pattern_is_answered_rightly_or_refused(
    searched: Searched, pattern: str, field: str | None
) -> None:
    where = Wildcard(field, pattern)
    with suppress(InvalidQuery):  # for a pattern of many words, likewise
        assert searched.indexes(where) == [view.index for view in searched.matching(where)]
    if field is not None and field != "data":
        whole = Wildcard(field, pattern, whole=True)
        assert searched.indexes(whole) == [view.index for view in searched.matching(whole)]


ODD_NUMBERS: dict[str, int | float] = {
    "not a number": math.nan,
    "infinite": math.inf,
    "infinitely low": -math.inf,
    "huge": 10**400,
    "hugely low": -(10**400),
    "nearly too large": 1e308,
    "negative zero": -0.0,
    "true": True,
    "beyond 64 bits": 2**63,
    "far beyond": 2**64,
}


@pytest.mark.parametrize("number", ODD_NUMBERS.values(), ids=ODD_NUMBERS)
def test_any_number_is_answered_rightly(searched: Searched, number: float) -> None:
    for field in ("data.n", "occurred_ms", "index", "data.id", "id", "kind"):
        for where in (
            Eq(field, number),
            In(field, (number, 3)),
            Range(field, number, None),
            Range(field, None, number),
            Range(field, number, number),
            Range(field, "a", number),  # a bound of another type
        ):
            wanted = [view.index for view in searched.matching(where)]
            assert searched.indexes(where) == wanted, where


@pytest.mark.parametrize(
    "name", [name for name, number in ODD_NUMBERS.items() if type(number) is float]
)
def test_odd_numbers_harm_no_place_and_no_aggregate(searched: Searched, name: str) -> None:
    number = ODD_NUMBERS[name]
    for where in (
        Near("data.at", number, 0, 1),
        Near("data.at", 0, number, 1e6),
        Near("data.at", 1, 1, number),
        Box("data.at", number, 0, 10, 0),
        Box("data.at", 10, 0, number, number),
    ):
        try:
            wanted = [view.index for view in searched.matching(where)]
        except ValueError:
            # Infinity has no sine: what plain values cannot say, the index need not.
            continue
        assert searched.indexes(where) == wanted, where
    bounds = ((number, None), (None, number), (number, number), (0, 10))
    for request in (Ranges("data.n", bounds), Ranges("occurred_ms", bounds)):
        assert searched.aggregate(request) == searched.worked_out(request)


BAD = "\ud800"


@pytest.mark.parametrize(
    "where",
    [
        Term(None, BAD),
        Eq("data.id", BAD),
        Eq(f"data.{BAD}", 1),
        In("data.id", ("x", BAD)),
        Prefix("data.id", BAD),
        Range("data.id", BAD, None),
        Phrase("data.text", f"a {BAD}", 1),
        Wildcard(None, f"*{BAD}*"),
        Fuzzy(None, BAD, 1),
        Not(Or((Everything(), Eq("kind", BAD)))),
    ],
    ids=repr,
)
def test_lone_surrogates_are_refused(searched: Searched, where: Expr) -> None:
    with pytest.raises(InvalidQuery, match="surrogates"):
        searched.find(where)


@pytest.mark.parametrize("factor", [math.nan, math.inf, -1.0, 1e300])
def test_boosts_out_of_range_are_refused(searched: Searched, factor: float) -> None:
    with pytest.raises(InvalidQuery, match="boost"):
        searched.find(Boost(Term(None, "common"), factor))


def test_more_edits_than_two_are_refused(searched: Searched) -> None:
    with pytest.raises(InvalidQuery, match="2 edits"):
        searched.find(Fuzzy(None, "common", 3))


def test_reading_is_bounded_in_every_kind_of_question(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_CANDIDATES", 50)
    read = 0
    recall = searched.recall

    def counted(tenant: str, indexes: list[int]) -> object:
        nonlocal read
        read += len(indexes)
        return recall(tenant, indexes)

    monkeypatch.setattr(searched.reader, "_recall", counted)
    with pytest.raises(InvalidQuery, match="50 events"):
        searched.find(Near("data.at", 15, 15, 5e6))
    with pytest.raises(InvalidQuery, match="50 events"):
        searched.find(Everything(), sort=(Sort("data.n"), Sort("kind")))
    for request in (TopValues("id"), Stats("index"), Distances("data.at", 0, 0, ())):
        with pytest.raises(InvalidQuery, match="50 events"):
            searched.aggregate(request)
    assert read == 0


def test_texts_that_are_kept_are_bounded_together(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_KEPT_CHARS", 1_000)
    with pytest.raises(InvalidQuery, match=r"order of data\.text and id works for values of 1,000"):
        searched.find(Everything(), sort=(Sort("data.text"), Sort("id")))
    with pytest.raises(InvalidQuery, match="the values of id works for"):
        searched.aggregate(TopValues("id"))
    # Numbers take little.
    assert searched.find(Everything(), sort=(Sort("data.n"), Sort("recorded_ms"))).total == EVENTS


def test_too_many_different_values_are_refused(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_VALUES", 100)
    for field in ("data.n", "data.id", "occurred_ms"):
        with pytest.raises(InvalidQuery, match="different values"):
            searched.aggregate(TopValues(field))
    few = Range("data.n", 10, 20)
    assert searched.aggregate(TopValues("data.n"), few).value_count == 11


def test_a_question_ends_when_its_time_is_used_up(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUERY_SECONDS", -1.0)
    for where in (Near("data.at", 1.0, 1.0, 5e6), Wildcard(None, "w*d1"), Term(None, "common")):
        with pytest.raises(InvalidQuery, match="processor time"):
            searched.find(where)

"""From the query tree to the engine's query language: what surely matches, and what may.

A condition becomes two queries, a lower and an upper bound of what matches. Where the two are the
same the engine decides; what lies between is read from the log and decided by `query.match`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from tallystick.errors import InvalidQuery
from tallystick.index.opensearch import facts
from tallystick.index.opensearch.documents import COLUMNS, path_of
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
    Regex,
    Scalar,
    Term,
    Wildcard,
)
from tallystick.query.match import COMPARED_CHARS, to_predicate
from tallystick.query.text import tokens_of
from tallystick.query.word_match import ANY, ONE, Pattern, parse_pattern, word_patterns

Query = dict[str, Any]

ALL: Query = {"match_all": {}}
NONE: Query = {"match_none": {}}
_BOOST_MAX = 1e6
_EDITS_MAX = 2
_INT64 = 1 << 63

Rarity = Callable[[Query], float]
"""Returns how much the relevance of what matches counts."""


class QueryBounds(NamedTuple):
    """What surely matches and what may; where they are the same, the engine decides."""

    lower: Query
    upper: Query

    @property
    def exact(self) -> bool:
        """Whether nothing is left to decide."""
        return self.lower == self.upper


def bounds_of(expr: Expr) -> QueryBounds:
    """Return between what a condition lies.

    Raises: InvalidQuery.
    """
    match expr:
        case Everything():
            return _exactly(ALL)
        case Nothing():
            return _exactly(NONE)
        case And(parts):
            each = [bounds_of(part) for part in parts]
            return QueryBounds(all_of(b.lower for b in each), all_of(b.upper for b in each))
        case Or(parts):
            each = [bounds_of(part) for part in parts]
            return QueryBounds(any_of(b.lower for b in each), any_of(b.upper for b in each))
        case Not(part):
            inner = bounds_of(part)
            return QueryBounds(none_of(inner.upper), none_of(inner.lower))
        case Boost(part, factor):
            if not 0 <= factor <= _BOOST_MAX:
                raise InvalidQuery(f"a boost lies between 0 and {_BOOST_MAX:,.0f}")
            return bounds_of(part)
        case Eq() | In() | Range() | Exists() | Prefix():
            return _value_bounds(expr)
        case Wildcard(whole=True) | Regex(whole=True):
            return _whole_bounds(expr)
        case Term() | Phrase() | Fuzzy() | Wildcard() | Regex():
            return _word_bounds(expr)
        case Near() | Box():
            return QueryBounds(NONE, _term("f", facts.place(expr.field)))
    raise AssertionError(f"not a node of the query tree: {expr!r}")


def scored(expr: Expr, rarity: Rarity) -> Query:
    """Return a query that gives what matches its relevance; it need not be one that filters.

    A word or a phrase counts by how rare it is, everything else counts 1.
    """
    match expr:
        case And(parts) | Or(parts):
            return {"bool": {"should": [scored(part, rarity) for part in parts]}}
        case Boost(part, factor):
            return {"function_score": {"query": scored(part, rarity), "boost": factor}}
        case Not() | Nothing():
            return NONE
    query = bounds_of(expr).upper
    weight = rarity(query) if isinstance(expr, Term | Phrase) else 1.0
    return {"constant_score": {"filter": query, "boost": weight}}


def all_of(parts: Iterable[Query]) -> Query:
    """Match what all parts match."""
    kept = [part for part in parts if part != ALL]
    if NONE in kept:
        return NONE
    if len(kept) < 2:
        return kept[0] if kept else ALL
    return {"bool": {"filter": kept}}


def any_of(parts: Iterable[Query]) -> Query:
    """Match what some part matches."""
    kept = [part for part in parts if part != NONE]
    if ALL in kept:
        return ALL
    if len(kept) < 2:
        return kept[0] if kept else NONE
    return {"bool": {"should": kept, "minimum_should_match": 1}}


def none_of(part: Query) -> Query:
    """Match what a part does not match."""
    if part == ALL:
        return NONE
    return ALL if part == NONE else {"bool": {"must_not": [part]}}


def terms(field: str, values: Sequence[object]) -> Query:
    """Match documents with one of some terms."""
    return {"terms": {field: list(values)}} if values else NONE


def _exactly(query: Query) -> QueryBounds:
    return QueryBounds(query, query)


def _term(field: str, value: str) -> Query:
    return {"term": {field: {"value": value}}}


def _value_bounds(expr: Eq | In | Range | Exists | Prefix) -> QueryBounds:
    match expr:
        case Exists(field):
            return _exactly(ALL if field in COLUMNS else _term("p", path_of(field)))
        case Eq(field, value):
            return _equals(field, (value,))
        case In(field, values):
            return _equals(field, values)
        case Prefix(field, text):
            if not facts.is_text(text) or len(text) > COMPARED_CHARS:
                return _undecided(field)
            low, _ = facts.text_bounds(field)
            return _or_odd(field, {"prefix": {"f": {"value": low + text}}})
        case Range():
            return _range_bounds(expr)


def _equals(field: str, values: Sequence[Scalar]) -> QueryBounds:
    column = COLUMNS.get(field)
    if column is None:
        return _exactly(terms("f", [facts.equal(field, value) for value in values]))
    numbers = [
        int(value)
        for value in values
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < _INT64
        and value == int(value)
    ]
    return _exactly(terms(column, numbers))


def _range_bounds(expr: Range) -> QueryBounds:
    ends = [end for end in (expr.low, expr.high) if end is not None]
    are_texts = all(isinstance(end, str) for end in ends)
    are_numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
    if expr.field in COLUMNS:
        return _column_range(expr) if are_numbers else _exactly(NONE)
    parts: list[QueryBounds] = []
    if are_numbers:
        parts.append(_number_range(expr))
    if are_texts:
        parts.append(_text_range(expr))
    return QueryBounds(any_of(b.lower for b in parts), any_of(b.upper for b in parts))


def _column_range(expr: Range) -> QueryBounds:
    limits: dict[str, int] = {}
    low, high = expr.low, expr.high
    if isinstance(low, int | float):
        if low >= _INT64:
            return _exactly(NONE)
        if low > -_INT64:
            whole = math.ceil(low)
            limits["gte"] = whole + (whole == low and not expr.low_inclusive)
    if isinstance(high, int | float):
        if high < -_INT64:
            return _exactly(NONE)
        if high < _INT64:
            whole = math.floor(high)
            limits["lte"] = whole - (whole == high and not expr.high_inclusive)
    return _exactly({"range": {COLUMNS[expr.field]: limits}} if limits else ALL)


def _number_range(expr: Range) -> QueryBounds:
    field = expr.field
    low, beyond = facts.number_bounds(field)
    limits: dict[str, str] = {"gte": low, "lt": beyond}
    if isinstance(expr.low, int | float):
        double, is_inside = _double_above(expr.low, expr.low_inclusive)
        limits.pop("gte")
        limits["gte" if is_inside else "gt"] = facts.ordered_number(field, double)
    if isinstance(expr.high, int | float):
        double, is_inside = _double_above(-expr.high, expr.high_inclusive)
        limits.pop("lt")
        limits["lte" if is_inside else "lt"] = facts.ordered_number(field, -double)
    query: Query = {"range": {"f": limits}}
    return QueryBounds(query, any_of((query, _term("f", facts.odd_number(field)))))


def _double_above(value: int | float, inclusive: bool) -> tuple[float, bool]:
    """Return the double from which on numbers are above another one, and whether it is so too."""
    try:
        double = float(value)
    except OverflowError:
        return (math.inf, True) if value > 0 else (-math.inf, True)
    if double == value:
        return double, inclusive
    return (double if double > value else math.nextafter(double, math.inf)), True


def _text_range(expr: Range) -> QueryBounds:
    field, low, high = expr.field, expr.low, expr.high
    for end in (low, high):
        if isinstance(end, str) and (not facts.is_text(end) or len(end) >= COMPARED_CHARS):
            return _undecided(field)
    first, beyond = facts.text_bounds(field)
    limits: dict[str, str] = {"gte": first, "lt": beyond}
    if isinstance(low, str):
        limits.pop("gte")
        limits["gte" if expr.low_inclusive else "gt"] = first + low
    if isinstance(high, str):
        limits.pop("lt")
        limits["lte" if expr.high_inclusive else "lt"] = first + high
    return _or_odd(field, {"range": {"f": limits}})


def _or_odd(field: str, query: Query) -> QueryBounds:
    return QueryBounds(query, any_of((query, _term("f", facts.odd_text(field)))))


def _undecided(field: str) -> QueryBounds:
    """Leave every event with a string in a field to be read."""
    low, _ = facts.text_bounds(field)
    query: Query = {"prefix": {"f": {"value": low}}}
    return QueryBounds(NONE, any_of((query, _term("f", facts.odd_text(field)))))


def _whole_bounds(expr: Wildcard | Regex) -> QueryBounds:
    assert expr.field is not None, "whole text has no whole value"
    if isinstance(expr, Regex) or not facts.is_text(expr.pattern):
        _check(expr)
        return _undecided(expr.field)
    low, _ = facts.text_bounds(expr.field)
    return _or_odd(expr.field, _wildcard("f", low, parse_pattern(expr.pattern)))


def _check(expr: Regex | Wildcard) -> None:
    """Refuse a pattern that is none, whether or not an event is looked at."""
    to_predicate(expr)


def _wildcard(field: str, begin: str, pattern: Pattern) -> Query:
    spelt = "".join(each if each in (ANY, ONE) else _literal(each[1]) for each in pattern)
    return {"wildcard": {field: {"value": _literal(begin) + spelt}}}


def _literal(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\*?" else char for char in text)


def _word_bounds(expr: Term | Phrase | Fuzzy | Wildcard | Regex) -> QueryBounds:
    field = expr.field
    match expr:
        case Term(text=text):
            return _phrase(field, tokens_of(text), 0)
        case Phrase(text=text, slop=slop):
            return _phrase(field, tokens_of(text), slop)
        case Fuzzy(text=text, distance=distance):
            return _nearly(field, tokens_of(text), distance)
        case Wildcard(pattern=pattern):
            each = [_wildcard("w", facts.word(field, ""), one) for one in word_patterns(pattern)]
            if not each:
                return _exactly(NONE)
            upper = all_of(each)
            return _exactly(upper) if len(each) == 1 else QueryBounds(NONE, upper)
    _check(expr)
    return QueryBounds(NONE, {"prefix": {"w": {"value": facts.word(field, "")}}})


def _phrase(field: str | None, words: Sequence[str], slop: int) -> QueryBounds:
    if not words:
        return _exactly(NONE)
    having = [_term("w", facts.word(field, word)) for word in dict.fromkeys(words)]
    if len(words) == 1:
        return _exactly(having[0])
    if slop:
        return QueryBounds(NONE, all_of(having))
    in_a_row: Query = {"match_phrase": {"x": {"query": " ".join(words), "slop": 0}}}
    if field is None:
        return _exactly(in_a_row)
    return QueryBounds(NONE, all_of(having))


def _nearly(field: str | None, words: Sequence[str], distance: int) -> QueryBounds:
    if len(words) != 1:
        return _exactly(NONE)
    if distance > _EDITS_MAX:
        return QueryBounds(NONE, {"prefix": {"w": {"value": facts.word(field, "")}}})
    begin = facts.word(field, "")
    query: Query = {
        "fuzzy": {
            "w": {
                "value": begin + words[0],
                "fuzziness": str(distance),
                "prefix_length": len(begin),
                "rewrite": "constant_score",
            }
        }
    }
    return QueryBounds(NONE, query)

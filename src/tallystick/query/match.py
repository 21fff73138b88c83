"""What a query means: does this event match?

Every index has to agree with this module, and live filters use it as it is. The nodes of `expr`
say in a sentence what they match; what a sentence cannot hold is said here:

- A comparison holds when any value of the field satisfies it, so `Not` of it holds when none does.
- Numbers compare by their exact value whatever their type. True and False are no numbers. Null
  equals only null, and only a null that is there: a field without a value equals nothing.
- `Prefix`, `Range`, whole `Wildcard` and whole `Regex` see the first `COMPARED_CHARS` characters
  of a string. A `Range` without bounds holds for any number and any string; one whose bounds are
  of different types, or not numbers or strings, for nothing.
- `Regex` compares each word of a text by itself. `regex_parser` says what an expression matches.
- `Term`, `Phrase`, `Fuzzy` and `Wildcard` analyse their text as stored text is analysed (`text`).
  They look at the strings of a field, each value by itself: a phrase never runs on from one value
  into the next. What analyses to nothing matches nothing; a `Term` of several words is a phrase;
  a `Fuzzy` of several words matches nothing. A `Wildcard` with separators inside, such as
  `big-ap*`, is a pattern for each word, and the words follow each other.
- With the field None these four look at the whole text of the event, with the field `data` at that
  of the payload; numbers and booleans have words there (`values`).
- Relevance is no part of the meaning: `Boost` matches what its part matches.
"""

from __future__ import annotations

from collections.abc import Callable

from tallystick.events.event import View
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
from tallystick.query.geo import Point, distance_m, in_box
from tallystick.query.regex import regex_test
from tallystick.query.regex_parser import parse_regex
from tallystick.query.text import tokens_of
from tallystick.query.values import NO_TERMS, Terms, Values
from tallystick.query.word_match import (
    parse_pattern,
    stands_in,
    to_test,
    within_edits,
    word_patterns,
)

COMPARED_CHARS = 1024
"""Characters of a string that order, prefixes and whole patterns see."""

Predicate = Callable[[Values], bool]


def matches(expr: Expr, view: View, derived: Terms = NO_TERMS) -> bool:
    """Tell whether the event matches `expr`."""
    return to_predicate(expr)(Values(view, derived))


def to_predicate(expr: Expr) -> Predicate:
    """Return the function that tells whether the event with these values matches `expr`.

    For one query and many events; many queries on one event share its `Values`.
    """
    match expr:
        case Everything():
            return lambda values: True
        case Nothing():
            return lambda values: False
        case And(parts):
            return _all(tuple(to_predicate(part) for part in parts))
        case Or(parts):
            return _any(tuple(to_predicate(part) for part in parts))
        case Not(part):
            inner = to_predicate(part)
            return lambda values: not inner(values)
        case Boost(part):
            return to_predicate(part)
        case Exists(field):
            return lambda values: values.exists(field)
        case Eq() | In() | Range() | Prefix() | Wildcard(whole=True) | Regex(whole=True):
            return _of_value(expr)
        case Term() | Phrase() | Fuzzy() | Wildcard() | Regex():
            return _of_words(expr)
        case Near() | Box():
            return _of_places(expr)
    raise AssertionError(f"not a node of the query tree: {expr!r}")


def _all(parts: tuple[Predicate, ...]) -> Predicate:
    def test(values: Values) -> bool:
        return all(part(values) for part in parts)

    return test


def _any(parts: tuple[Predicate, ...]) -> Predicate:
    def test(values: Values) -> bool:
        return any(part(values) for part in parts)

    return test


def _of_value(expr: Eq | In | Range | Prefix | Wildcard | Regex) -> Predicate:
    field, test = expr.field, _value_test(expr)
    assert field is not None, "whole text has no whole value"

    def any_value(values: Values) -> bool:
        return any(test(value) for value in values.of(field))

    return any_value


def _value_test(expr: Eq | In | Range | Prefix | Wildcard | Regex) -> Callable[[Scalar], bool]:
    match expr:
        case Eq(value=wanted):
            return lambda value: _typed(value) == _typed(wanted)
        case In(values=wanted_values):
            wanted_set = frozenset(_typed(value) for value in wanted_values)
            return lambda value: _typed(value) in wanted_set
        case Range():
            return _range_test(expr)
        case Prefix(text=text):
            return lambda value: isinstance(value, str) and value[:COMPARED_CHARS].startswith(text)
        case Regex(pattern=pattern):
            test = regex_test(parse_regex(pattern))
        case Wildcard(pattern=pattern):
            test = to_test(parse_pattern(pattern))
    return lambda value: isinstance(value, str) and test(value[:COMPARED_CHARS])


def _typed(value: Scalar) -> tuple[bool, Scalar]:
    # Python holds True equal to 1; a query does not.
    return (isinstance(value, bool), value)


def _range_test(expr: Range) -> Callable[[Scalar], bool]:
    low, high = expr.low, expr.high
    types = {_order_type(bound) for bound in (low, high) if bound is not None}
    if None in types or len(types) > 1:
        return lambda value: False
    wanted = types.pop() if types else None

    def test(value: Scalar) -> bool:
        found = _order_type(value)
        if found is None or (wanted is not None and found is not wanted):
            return False
        if isinstance(value, str):
            value = value[:COMPARED_CHARS]
        return _above(value, low, expr.low_inclusive) and _below(value, high, expr.high_inclusive)

    return test


def _order_type(value: Scalar) -> type | None:
    if isinstance(value, str):
        return str
    return float if isinstance(value, int | float) and not isinstance(value, bool) else None


def _above(value: Scalar, low: Scalar, inclusive: bool) -> bool:
    if low is None:
        return True
    return value > low or (inclusive and value == low)  # type: ignore[operator]  # same type


def _below(value: Scalar, high: Scalar, inclusive: bool) -> bool:
    if high is None:
        return True
    return value < high or (inclusive and value == high)  # type: ignore[operator]  # same type


def _of_words(expr: Term | Phrase | Fuzzy | Wildcard | Regex) -> Predicate:
    field, test = expr.field, _words_test(expr)

    def any_text(values: Values) -> bool:
        return any(test(words) for words in values.words(field))

    return any_text


def _words_test(
    expr: Term | Phrase | Fuzzy | Wildcard | Regex,
) -> Callable[[list[str]], bool]:
    match expr:
        case Regex(pattern=pattern):
            test = regex_test(parse_regex(pattern, folded=True))
            return lambda words: any(map(test, words))
        case Term(text=text):
            return _phrase_test(tokens_of(text), 0)
        case Phrase(text=text, slop=slop):
            return _phrase_test(tokens_of(text), slop)
        case Fuzzy(text=text, distance=distance):
            return _fuzzy_test(tokens_of(text), distance)
    return _pattern_test(expr.pattern)


def _phrase_test(phrase: list[str], slop: int) -> Callable[[list[str]], bool]:
    if len(phrase) == 1:
        (only,) = phrase
        return lambda words: only in words
    return lambda words: stands_in(phrase, words, slop)


def _fuzzy_test(text: list[str], distance: int) -> Callable[[list[str]], bool]:
    if len(text) != 1:
        return lambda words: False
    (only,) = text
    return lambda words: any(within_edits(only, word, distance) for word in words)


def _pattern_test(pattern: str) -> Callable[[list[str]], bool]:
    tests = [to_test(one) for one in word_patterns(pattern)]
    if len(tests) == 1:
        (only,) = tests
        return lambda words: any(map(only, words))

    def test(words: list[str]) -> bool:
        starts = range(len(words) - len(tests) + 1) if tests else ()
        return any(
            all(test(words[start + at]) for at, test in enumerate(tests)) for start in starts
        )

    return test


def _of_places(expr: Near | Box) -> Predicate:
    field, test = expr.field, _place_test(expr)

    def any_place(values: Values) -> bool:
        return any(test(place) for place in values.places(field))

    return any_place


def _place_test(expr: Near | Box) -> Callable[[Point], bool]:
    if isinstance(expr, Near):
        centre = Point(expr.latitude, expr.longitude)
        return lambda place: distance_m(centre, place) <= expr.distance_m
    return lambda place: in_box(
        place, north=expr.north, south=expr.south, east=expr.east, west=expr.west
    )

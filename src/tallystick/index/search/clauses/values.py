"""How comparisons of whole values are asked of the index.

Strings up to `terms.EXACT_CHARS` characters are spelt out in terms and so decided by them; of
longer ones the index knows the beginning and a digest, of some identifiers the words alone. Numbers
are columns of doubles; an integer that no double holds is decided by its own term or, near the
bounds of a range, by reading it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

from tallystick import limits
from tallystick.events.ids import index_of_event_id
from tallystick.index.search import queries, regex_terms, terms
from tallystick.index.search.clauses import words as word_clauses
from tallystick.index.search.clauses.tenant_snapshot import (
    EVERYTHING,
    INDEX_MAX,
    NOTHING,
    Bounds,
    Corpus,
    any_of,
    at_most,
    exactly,
)
from tallystick.index.search.documents.encoder import NUMBER
from tallystick.index.search.documents.paths import ALWAYS, has_words, witness_of
from tallystick.index.search.queries import Match
from tallystick.query.expr import Eq, Exists, In, Prefix, Range, Regex, Scalar, Wildcard
from tallystick.query.regex import head_of
from tallystick.query.regex_parser import parse_regex
from tallystick.query.text import settled, tokens_of
from tallystick.query.word_match import ANY, ONE, Pattern, parse_pattern

_INTEGERS = {"index": queries.KEY, "occurred_ms": queries.OCCURRED, "recorded_ms": queries.RECORDED}
_INT64 = 1 << 63

_BOUND_CHARS = (terms.EXACT_CHARS + 1, 16, 8, 4)
"""How much of a bound is tried: a pattern of all of it may be more than the library takes."""

Number = int | float


def value_bounds(
    corpus: Corpus, expr: Eq | In | Range | Exists | Prefix | Wildcard | Regex
) -> Bounds:
    """Return what a comparison of whole values matches."""
    field = expr.field
    assert field is not None, "whole text has no whole value"
    if field in _INTEGERS:
        return _of_integers(corpus, _INTEGERS[field], expr)
    if isinstance(expr, Exists):
        return _exists(corpus, field)
    if field == "id":
        return _of_id(corpus, expr)
    path = corpus.path(field)
    if path is None:
        return corpus.unknown(field)
    match expr:
        case Eq(value=value):
            return _one_of(corpus, path, field, (value,))
        case In(values=values):
            return _one_of(corpus, path, field, values)
        case Range():
            return _between(corpus, path, expr)
        case Prefix(text=text):
            pattern = (*(f"\\{character}" for character in text), ANY)
            return _like(corpus, path, field, pattern)
        case Wildcard(pattern=text):
            return _like(corpus, path, field, parse_pattern(text))
        case Regex(pattern=text):
            return _regular(corpus, path, field, text)


# Integers of the document itself


def _of_integers(
    corpus: Corpus, column: str, expr: Eq | In | Range | Exists | Prefix | Wildcard | Regex
) -> Bounds:
    match expr:
        case Exists():
            return EVERYTHING
        case Eq(value=value):
            return _integers(corpus, column, (value,))
        case In(values=values):
            return _integers(corpus, column, values)
        case Range():
            bounds = _number_bounds(expr)
            return NOTHING if bounds is None else exactly(_integers_between(corpus, column, expr))
    return NOTHING


def _integers(corpus: Corpus, column: str, values: Sequence[Scalar]) -> Bounds:
    wanted = {int(v) for v in values if is_number(v) and _is_finite(v) and v == int(v)}
    corpus.count_terms(len(wanted))
    if column == queries.KEY:
        return exactly(queries.keys_in([corpus.above | v for v in wanted if 0 <= v <= INDEX_MAX]))
    held = (value for value in wanted if -_INT64 <= value < _INT64)
    return exactly(queries.any_of(queries.between(column, value, value) for value in held))


def _integers_between(corpus: Corpus, column: str, expr: Range) -> Match:
    low, high = _lowest(expr.low, expr.low_inclusive), _highest(expr.high, expr.high_inclusive)
    if column == queries.KEY:
        low, high = max(low, 0), min(high, INDEX_MAX)
        if low > high:
            return False
        return queries.between(column, corpus.above | low, corpus.above | high)
    low, high = max(low, -_INT64), min(high, _INT64 - 1)
    return queries.between(column, low, high)


def _lowest(bound: object, inclusive: bool) -> int:
    """Return the lowest integer within a bound."""
    if bound is None or bound == -math.inf:
        return -_INT64
    if bound == math.inf:
        return _INT64
    assert is_number(bound), "strings were sorted out"
    lowest = math.ceil(bound)
    return lowest if inclusive or lowest != bound else lowest + 1


def _highest(bound: object, inclusive: bool) -> int:
    return -_lowest(-bound if is_number(bound) else None, inclusive)


# Existence and ids


def _exists(corpus: Corpus, field: str) -> Bounds:
    if field in ALWAYS:
        return EVERYTHING
    path = corpus.path(witness_of(field))
    if path is None:
        return corpus.unknown(field)
    return exactly(corpus.marked(terms.EXISTS, path))


def _of_id(corpus: Corpus, expr: Eq | In | Range | Prefix | Wildcard | Regex) -> Bounds:
    """Ids of ours hold their index and are not indexed; for a pattern all have to be read."""
    if not isinstance(expr, Eq | In):
        return at_most(True)
    values = (expr.value,) if isinstance(expr, Eq) else expr.values
    corpus.count_terms(len(values))
    texts = [value for value in values if isinstance(value, str)]
    indexes = {index_of_event_id(text) for text in texts} - {None}
    own = queries.keys_in([corpus.above | index for index in indexes if index is not None])
    path = corpus.path("id")
    foreign = NOTHING if path is None else _one_of(corpus, path, "id", texts)
    return any_of((at_most(own), foreign))


# Equality


def _one_of(corpus: Corpus, path: int, field: str, values: Sequence[Scalar]) -> Bounds:
    corpus.count_terms(len(values))
    facts: list[str] = []
    others: list[Bounds] = []
    for value in dict.fromkeys((isinstance(value, bool), value) for value in values):
        match value[1]:
            case None:
                facts.append(terms.marked(corpus.prefix, terms.NULL, path))
            case bool(flag):
                facts.append(terms.flag(corpus.prefix, path, flag))
            case str(text):
                facts.append(terms.string(corpus.prefix, path, text, corpus.names.secret))
                others.append(_joined(corpus, path, field, text))
            case int(number) | float(number):
                others.append(_number(corpus, path, number))
    return any_of((exactly(queries.any_fact(facts)), *others))


def _joined(corpus: Corpus, path: int, field: str, text: str) -> Bounds:
    """Match documents that know a value by its words and their number only."""
    words = tokens_of(text)
    joint = terms.joint_of(text, words)
    term = terms.joined(corpus.prefix, path, joint, len(words))
    if not joint or not corpus.snapshot.has_fact(term):
        return NOTHING
    said = word_clauses.phrase_at(corpus, field, path, words)
    return _unless_several(corpus, path, queries.all_of((queries.fact(term), said)))


def _unless_several(corpus: Corpus, path: int, match: Match) -> Bounds:
    """Say that documents with several values at a path, or an inexact one, have to be read."""
    several = corpus.marked(terms.SEVERAL, path)
    if several is False:
        return exactly(match)
    return Bounds(queries.all_of((match, queries.none_of(several))), match)


def _number(corpus: Corpus, path: int, value: Number) -> Bounds:
    if not _is_finite(value):
        return NOTHING
    double = to_double(value)
    if double != value:
        return exactly(queries.fact(terms.inexact(corpus.prefix, path, int(value))))
    unlisted = at_most(corpus.marked(terms.UNLISTED_NUMBER, path))
    if path >= limits.SEARCH_COLUMNS:
        return unlisted
    column = f"{NUMBER}{path}"
    return any_of((_unless_several(corpus, path, queries.is_number(column, double)), unlisted))


# Ranges


def _between(corpus: Corpus, path: int, expr: Range) -> Bounds:
    low, high = expr.low, expr.high
    if low is None and high is None:
        return any_of((_any_number(corpus, path), _any_string(corpus, path)))
    if isinstance(low, str | None) and isinstance(high, str | None):
        return _strings_between(corpus, path, expr)
    return _numbers_between(corpus, path, expr)


def _any_number(corpus: Corpus, path: int) -> Bounds:
    unlisted = exactly(corpus.marked(terms.UNLISTED_NUMBER, path))
    if path >= limits.SEARCH_COLUMNS:
        return unlisted
    return any_of((exactly(queries.has_number(f"{NUMBER}{path}")), unlisted))


def _any_string(corpus: Corpus, path: int) -> Bounds:
    others = (corpus.marked(terms.HAS_LONG, path), corpus.joined(path))
    return any_of((corpus.some(terms.EXACT, path), exactly(queries.any_of(others))))


def _strings_between(corpus: Corpus, path: int, expr: Range) -> Bounds:
    low, high = _text_bound(expr.low), _text_bound(expr.high)
    parts = [at_most(corpus.joined(path))]
    for size in _BOUND_CHARS:
        short = _cut_between(corpus, path, expr, size)
        if short is not None:
            parts.append(short)
            break
    if corpus.marked(terms.HAS_LONG, path) is not False:
        sure = _leads_between(corpus, path, low, high, False)
        may = _leads_between(corpus, path, low, high, True)
        parts.append(Bounds(sure.lower, may.upper))
    return any_of(parts)


def _cut_between(corpus: Corpus, path: int, expr: Range, size: int) -> Bounds | None:
    """Match spelt out strings within bounds of `size` characters; None if that is too complex.

    Strings that begin as a longer bound does have to be read.
    """
    low, high = _text_bound(expr.low), _text_bound(expr.high)
    low_inclusive, high_inclusive = expr.low_inclusive, expr.high_inclusive
    ties: list[Bounds] = []
    if low is not None and len(low) > size:
        ties.append(_beginning(corpus, path, low[:size]))
        low, low_inclusive = terms.after_all_that_begin(low[:size]), True
    if high is not None and len(high) > size:
        ties.append(_beginning(corpus, path, high[:size]))
        high, high_inclusive = high[:size], False
    pattern = terms.strings_between(
        low, high, low_inclusive=low_inclusive, high_inclusive=high_inclusive
    )
    sure = NOTHING if pattern is None else corpus.some(terms.EXACT, path, pattern)
    if not sure.exact:
        return None
    return any_of((sure, *ties))


def _beginning(corpus: Corpus, path: int, text: str) -> Bounds:
    pattern = terms.literal(terms.escaped(text)) + ".*"
    return at_most(corpus.some(terms.EXACT, path, pattern).upper)


def _leads_between(
    corpus: Corpus, path: int, low: str | None, high: str | None, ties: bool
) -> Bounds:
    """Match long strings that begin above and below bounds; `ties` those that begin as one does."""
    pattern = terms.strings_between(
        None if low is None else low[: terms.LEAD_CHARS],
        None if high is None else high[: terms.LEAD_CHARS],
        low_inclusive=ties,
        high_inclusive=ties,
    )
    return NOTHING if pattern is None else corpus.some(terms.LONG, path, f"{pattern}\\x{{2}}.*")


def _text_bound(bound: object) -> str | None:
    assert isinstance(bound, str | None), "numbers were sorted out"
    # The strings that are spelt out are shorter than this, and longer ones are compared elsewhere.
    return None if bound is None else bound[: terms.EXACT_CHARS + 1]


def _numbers_between(corpus: Corpus, path: int, expr: Range) -> Bounds:
    bounds = _number_bounds(expr)
    if bounds is None:
        return NOTHING
    low, high = bounds
    unlisted = at_most(corpus.marked(terms.UNLISTED_NUMBER, path))
    if path >= limits.SEARCH_COLUMNS:
        return unlisted
    column = f"{NUMBER}{path}"
    if low is None and high is None:
        return any_of((exactly(queries.has_number(column)), unlisted))
    low_double, low_inclusive = _double_above(low, expr.low_inclusive)
    high_double, high_inclusive = _double_below(high, expr.high_inclusive)
    inside = exactly(
        corpus.snapshot.number_between(
            column,
            low_double,
            high_double,
            low_inclusive=low_inclusive,
            high_inclusive=high_inclusive,
        )
    )
    edges = [
        queries.is_number(column, edge) for edge in (low_double, high_double) if edge is not None
    ]
    return any_of((_doubt(corpus, path, inside.upper, edges), unlisted))


def _doubt(corpus: Corpus, path: int, inside: Match, edges: Sequence[Match]) -> Bounds:
    """Say that an integer rounded to the double at an edge may lie on either side of it."""
    several = corpus.marked(terms.SEVERAL, path)
    doubtful = queries.all_of((several, queries.any_of(edges)))
    if doubtful is False:
        return exactly(inside)
    lower = queries.all_of((inside, queries.none_of(doubtful)))
    return Bounds(lower, queries.any_of((inside, doubtful)))


def _number_bounds(expr: Range) -> tuple[Number | None, Number | None] | None:
    """Return the bounds of a range of numbers, infinite ones as open ends; None if it is empty."""
    low, high = expr.low, expr.high
    for bound in (low, high):
        if bound is not None and (not is_number(bound) or bound != bound):
            return None
    if low == math.inf or high == -math.inf:
        return None
    assert not isinstance(low, str), "checked above"
    assert not isinstance(high, str), "checked above"
    return (None if low == -math.inf else low, None if high == math.inf else high)


def _double_above(bound: Number | None, inclusive: bool) -> tuple[float | None, bool]:
    """Return the bound in doubles: what is above it, among doubles, is above `bound`."""
    if bound is None:
        return None, True
    double = to_double(bound)
    if double is None:
        return (math.nextafter(math.inf, 0), False) if bound > 0 else (None, True)
    if double == bound:
        return double, inclusive
    return double, double > bound


def _double_below(bound: Number | None, inclusive: bool) -> tuple[float | None, bool]:
    double, inclusive = _double_above(None if bound is None else -bound, inclusive)
    return (None if double is None else -double), inclusive


# Patterns over whole values


def _like(corpus: Corpus, path: int, field: str, pattern: Pattern) -> Bounds:
    if not any(symbol in (ANY, ONE) for symbol in pattern):
        text = "".join(symbol[1] for symbol in pattern)
        return _one_of(corpus, path, field, (text,))
    head = _head_of(pattern)
    simple = pattern == (*(f"\\{character}" for character in head), ANY)
    if simple and not head:
        return _any_string(corpus, path)
    begin = terms.literal(terms.escaped(head)) + ".*"
    short = corpus.some(terms.EXACT, path, terms.value_pattern(pattern), begin)
    if simple and len(head) <= terms.LEAD_CHARS:
        joined = queries.all_of((corpus.joined(path), _said(corpus, field, path, head)))
        return any_of((short, _long(corpus, path, head), at_most(joined)))
    return any_of((short, _read(corpus, path, field, head)))


def _regular(corpus: Corpus, path: int, field: str, text: str) -> Bounds:
    node = parse_regex(text)
    head = head_of(node)
    pattern = regex_terms.value_pattern(node)
    begin = terms.literal(terms.escaped(head)) + ".*"
    short = NOTHING if pattern is None else corpus.some(terms.EXACT, path, pattern, begin)
    return any_of((short, _read(corpus, path, field, head)))


def _long(corpus: Corpus, path: int, head: str) -> Bounds:
    """Match long strings that begin as `head` does, as far as their beginning is spelt out."""
    if corpus.marked(terms.HAS_LONG, path) is False:
        return NOTHING
    lead = terms.literal(terms.escaped(head[: terms.LEAD_CHARS])) + ".*"
    return corpus.some(terms.LONG, path, lead)


def _read(corpus: Corpus, path: int, field: str, head: str) -> Bounds:
    """Match what has to be read: strings that begin with `head` and are not spelt out."""
    found = queries.any_of((_long(corpus, path, head).upper, corpus.joined(path)))
    if found is False:
        return NOTHING
    return at_most(queries.all_of((found, _said(corpus, field, path, head))))


def _said(corpus: Corpus, field: str, path: int, head: str) -> Match:
    """Match documents with the words that a text beginning with `head` surely has."""
    words = tokens_of(settled(head)) if has_words(field) else []
    if not words:
        return True
    *whole, begun = words
    row = word_clauses.phrase_at(corpus, field, path, whole) if whole else True
    # A character that follows may change the last word of other scripts.
    if not head.isascii() or not head[-1].isalnum():
        return row
    return queries.all_of((row, word_clauses.begun_at(corpus, field, path, begun).upper))


def _head_of(pattern: Pattern) -> str:
    """Return the text before the first wildcard."""
    head = ""
    for symbol in pattern:
        if symbol in (ANY, ONE):
            break
        head += symbol[1]
    return head


def is_number(value: object) -> TypeGuard[Number]:
    """Tell whether a value takes part in comparisons of numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: Number) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def to_double(value: Number) -> float | None:
    """Return the double nearest to a number; None beyond them all."""
    try:
        return float(value)
    except OverflowError:
        return None

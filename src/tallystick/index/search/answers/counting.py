"""Which values a field has among some documents, and how often each: what most aggregates count.

Values of documents that have several at the field, and few others, are read; all others are
counted by the index: strings in its dictionary, numbers in their column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tallystick import limits
from tallystick.errors import InvalidQuery
from tallystick.index.search import queries, terms
from tallystick.index.search.answers.columns import within
from tallystick.index.search.clauses.corpus import INDEX_MAX, Corpus
from tallystick.index.search.documents.spelling import NUMBER
from tallystick.index.search.queries import KEY, OCCURRED, RECORDED, Match, Query
from tallystick.index.search.selecting import Selector
from tallystick.query.aggregate import TopValues, TopValuesResult, ValueCount, aggregate
from tallystick.query.expr import Scalar
from tallystick.query.values import Values, values_of

TIMES = {"occurred_ms": OCCURRED, "recorded_ms": RECORDED}
UNINDEXED = ("index", "id")
"""Fields of which every event has another value."""

_RESOLVED = 1_000
_EVERY_VALUE = 1 << 62


class Long(NamedTuple):
    """A string of which the index only knows how it begins; `term` stands for it."""

    lead: str
    term: str


class Counted(NamedTuple):
    """Values with their numbers; long strings stand apart."""

    values: list[ValueCount]
    longs: list[tuple[Long, int]]


def counted(selector: Selector, query: Query, field: str) -> Counted:
    """Return every value of a field among what matches, null included.

    Raises: InvalidQuery when there are too many different ones.
    """
    corpus = selector.corpus
    path = corpus.path(field)
    if field in TIMES:
        return Counted(list(_numbers(corpus, query, TIMES[field], field)), [])
    if field in UNINDEXED or (path is None and corpus.unknown(field).upper is not False):
        return Counted(_read(selector, query, field), [])
    if path is None:
        return Counted([], [])
    odd = _odd(corpus, path)
    values = _read(selector, within(query, odd), field) if odd is not False else []
    rest = within(query, queries.none_of(odd))
    values += _strings(corpus, rest, field, path)
    values += _simple(corpus, rest, path)
    if path < limits.SEARCH_COLUMNS:
        values += _numbers(corpus, rest, f"{NUMBER}{path}", field)
    return Counted(_merged(values), _longs(corpus, rest, field, path))


def resolved(
    selector: Selector, query: Query, field: str, longs: Sequence[tuple[Long, int]]
) -> list[ValueCount]:
    """Return long strings in full, each read from one event that has it.

    Raises: InvalidQuery for more than can be read.
    """
    if len(longs) > _RESOLVED:
        raise _too_many(field)
    snapshot = selector.corpus.snapshot
    keys = [
        snapshot.rows(within(query, queries.fact(long.term)), KEY, 1)[0].value for long, _ in longs
    ]
    read = {view.index: values_of(field, view, derived) for view, derived in selector.recall(keys)}
    found: list[ValueCount] = []
    for (_, count), key in zip(longs, keys, strict=True):
        # An event that is gone by now has no value to show, and soon no document.
        found += [ValueCount(value, count) for value in read.get(key & INDEX_MAX, ())]
    return found


def _odd(corpus: Corpus, path: int) -> Match:
    """Match documents whose values at a path the index does not count."""
    return queries.any_of(
        (
            corpus.marked(terms.SEVERAL, path),
            corpus.marked(terms.UNLISTED_NUMBER, path),
            corpus.joined(path),
        )
    )


def _read(selector: Selector, query: Query, field: str) -> list[ValueCount]:
    read = selector.read(query, f"the values of {field}")
    values = (Values(view, derived) for view, derived in read)
    found = aggregate(values, TopValues(field, 0, _EVERY_VALUE))
    assert isinstance(found, TopValuesResult), "top values were asked for"
    return list(found.entries)


def _strings(corpus: Corpus, query: Query, field: str, path: int) -> Iterator[ValueCount]:
    begin = terms.values_at(corpus.prefix, terms.EXACT, path)
    for term, count in _facts(corpus, query, field, begin):
        yield ValueCount(terms.unescaped(term[len(begin) :]), count)


def _longs(corpus: Corpus, query: Query, field: str, path: int) -> list[tuple[Long, int]]:
    if corpus.marked(terms.HAS_LONG, path) is False:
        return []
    begin = terms.values_at(corpus.prefix, terms.LONG, path)
    return [
        (Long(terms.lead_of(term[len(begin) :]), term), count)
        for term, count in _facts(corpus, query, field, begin)
    ]


def _facts(corpus: Corpus, query: Query, field: str, begin: str) -> list[tuple[str, int]]:
    if corpus.names.values(corpus.tenant, field) > 2 * limits.SEARCH_VALUES:
        raise _too_many(field)
    found = corpus.snapshot.facts(begin, limits.SEARCH_VALUES + 1, within=query)
    if len(found) > limits.SEARCH_VALUES:
        raise _too_many(field)
    return found


def _simple(corpus: Corpus, query: Query, path: int) -> Iterator[ValueCount]:
    found: dict[Scalar, str] = {
        True: terms.flag(corpus.prefix, path, True),
        False: terms.flag(corpus.prefix, path, False),
        None: terms.marked(corpus.prefix, terms.NULL, path),
    }
    for value, term in found.items():
        if corpus.snapshot.has_fact(term):
            count = corpus.snapshot.count(within(query, queries.fact(term)))
            if count:
                yield ValueCount(value, count)


def _numbers(corpus: Corpus, query: Query, column: str, field: str) -> Iterator[ValueCount]:
    found = corpus.snapshot.number_counts(query, column, limits.SEARCH_VALUES)
    if found is None:
        raise _too_many(field)
    for number, count in found:
        plain = int(number) if number == int(number) and abs(number) <= 1 << 53 else number
        yield ValueCount(plain, count)


def _merged(values: Sequence[ValueCount]) -> list[ValueCount]:
    counts: dict[tuple[bool, Scalar], ValueCount] = {}
    for value, count in values:
        key = (isinstance(value, bool), value)
        known = counts.get(key)
        counts[key] = ValueCount(value, count if known is None else known.count + count)
    return list(counts.values())


def _too_many(field: str) -> InvalidQuery:
    return InvalidQuery(
        f"{field} has more than {limits.SEARCH_VALUES:,} different values",
        hint="narrow the query, or ask for ranges instead",
    )

"""Which values a field has among some documents, and how often each: what most aggregates count.

Values of documents that have several at the field, and few others, are read; all others are
counted by the index: strings in its dictionary, numbers in their column.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from tallystick import limits
from tallystick.errors import InvalidQuery
from tallystick.index.search import queries, terms
from tallystick.index.search.answers.columns import within
from tallystick.index.search.clauses.tenant_snapshot import INDEX_MAX, Corpus
from tallystick.index.search.documents.encoder import NUMBER
from tallystick.index.search.queries import KEY, OCCURRED, RECORDED, Match, Query
from tallystick.index.search.selection import KeptTexts, Selector
from tallystick.query.aggregate import TopValues, TopValuesResult, aggregate
from tallystick.query.expr import Scalar
from tallystick.query.values import Values, values_of

TIMES = {"occurred_ms": OCCURRED, "recorded_ms": RECORDED}
UNINDEXED = ("index", "id")
"""Fields of which every event has another value."""

_RESOLVED = 1_000
_EVERY_VALUE = 1 << 62


Counts = list[tuple[Scalar, int]]
"""Values, each with how often it occurs."""

T = TypeVar("T")


class Long(NamedTuple):
    """A string of which the index only knows how it begins; `term` stands for it."""

    lead: str
    term: str


class CountedHits(NamedTuple):
    """Values with their numbers; long strings stand apart. `total` counts what was left out too."""

    values: Counts
    longs: list[tuple[Long, int]]
    total: int


def counted(selector: Selector, query: Query, field: str, wanted: int | None = None) -> CountedHits:
    """Return the values of a field among what matches, null included.

    Shape: with `wanted`, at least the most frequent so many, and all others that are as frequent
    as the last of them.
    Raises: InvalidQuery when there are too many different ones.
    """
    corpus = selector.corpus
    path = corpus.path(field)
    if field in TIMES:
        numbers = _numbers(corpus, query, TIMES[field], field)
        return CountedHits(_first(numbers, wanted), [], _sum(numbers))
    if field in UNINDEXED or (path is None and corpus.unknown(field).upper is not False):
        read = _read(selector, query, field)
        return CountedHits(read, [], _sum(read))
    if path is None:
        return CountedHits([], [], 0)
    odd = _odd(corpus, path)
    read = [] if odd is False else _read(selector, within(query, odd), field)
    rest = within(query, queries.none_of(odd))
    if read:
        # What was read and what is counted may be the same values.
        wanted = None
    begins = [terms.values_at(corpus.prefix, kind, path) for kind in (terms.EXACT, terms.LONG)]
    strings, longs = (_facts(corpus, rest, field, begin) for begin in begins)
    numbers = []
    if path < limits.SEARCH_COLUMNS:
        numbers = _numbers(corpus, rest, f"{NUMBER}{path}", field)
    others = _simple(corpus, rest, path)
    total = _sum(strings) + _sum(longs) + _sum(numbers) + _sum(others) + _sum(read)
    cut = len(begins[0])
    spelt = [(terms.unescaped(term[cut:]), count) for term, count in _first(strings, wanted)]
    leads = [
        (Long(terms.lead_of(term[cut:]), term), count) for term, count in _first(longs, wanted)
    ]
    values: Counts = [*spelt, *_first(numbers, wanted), *others]
    if read:
        values, leads = _added(corpus, path, read, values, leads)
    return CountedHits(values, leads, total)


def with_others(
    corpus: Corpus, found: CountedHits, field: str, others: Iterable[Values]
) -> CountedHits:
    """Return all values of a field with those of documents that are not in the index."""
    counts = _counts_of(others, field)
    values, longs = _added(corpus, corpus.path(field), counts, found.values, found.longs)
    return CountedHits(values, longs, found.total + _sum(counts))


def resolved(
    selector: Selector, query: Query, field: str, longs: Sequence[tuple[Long, int]]
) -> Counts:
    """Return long strings in full, each read from one event that has it.

    Raises: InvalidQuery for more than can be read.
    """
    if len(longs) > _RESOLVED:
        raise _too_many(field)
    corpus = selector.corpus
    path = corpus.path(field)
    keys = [
        corpus.snapshot.rows(within(query, queries.fact(long.term)), KEY, 1)[0].value
        for long, _ in longs
    ]
    kept = KeptTexts(f"the values of {field}")
    read: dict[int, Sequence[Scalar]] = {}
    for view, derived in selector.recall(keys):
        read[view.index] = values_of(field, view, derived)
        kept.add(read[view.index])
    found: Counts = []
    for (long, count), key in zip(longs, keys, strict=True):
        # The event may have other values too; one that is gone by now has none to show.
        values = dict.fromkeys(read.get(key & INDEX_MAX, ()))
        found += [(value, count) for value in values if _term_of(corpus, path, value) == long.term]
    return found


def _term_of(corpus: Corpus, path: int | None, value: Scalar) -> str:
    if path is None or not isinstance(value, str):
        return ""
    return terms.string(corpus.prefix, path, value, corpus.names.secret)


def _odd(corpus: Corpus, path: int) -> Match:
    """Match documents whose values at a path the index does not count."""
    return queries.any_of(
        (
            corpus.marked(terms.SEVERAL, path),
            corpus.marked(terms.UNLISTED_NUMBER, path),
            corpus.joined(path),
        )
    )


def _read(selector: Selector, query: Query, field: str) -> Counts:
    return _counts_of(read_values(selector, query, field, "the values of"), field)


def read_values(selector: Selector, query: Query, field: str, why: str) -> Iterator[Values]:
    """Yield what matches, read event by event, to be counted by its values at a field.

    Raises: InvalidQuery for more than may be read, or kept.
    """
    why = f"{why} {field}"
    kept = KeptTexts(why)
    for view, derived in selector.read(query, why):
        values = Values(view, derived)
        kept.add(values.of(field))
        yield values


def _counts_of(values: Iterable[Values], field: str) -> Counts:
    found = aggregate(values, TopValues(field, 0, _EVERY_VALUE))
    assert isinstance(found, TopValuesResult), "top values were asked for"
    return [(entry.value, entry.count) for entry in found.entries]


def _facts(corpus: Corpus, query: Query, field: str, begin: str) -> list[tuple[str, int]]:
    if corpus.names.values(corpus.tenant, field) > 2 * limits.SEARCH_VALUES:
        raise _too_many(field)
    found = corpus.snapshot.facts(begin, limits.SEARCH_VALUES + 1, within=query)
    if len(found) > limits.SEARCH_VALUES:
        raise _too_many(field)
    return found


def _simple(corpus: Corpus, query: Query, path: int) -> Counts:
    found: tuple[tuple[Scalar, str], ...] = (
        (True, terms.flag(corpus.prefix, path, True)),
        (False, terms.flag(corpus.prefix, path, False)),
        (None, terms.marked(corpus.prefix, terms.NULL, path)),
    )
    counts = [
        (value, corpus.snapshot.count(within(query, queries.fact(term))))
        for value, term in found
        if corpus.snapshot.has_fact(term)
    ]
    return [(value, count) for value, count in counts if count]


def _numbers(corpus: Corpus, query: Query, column: str, field: str) -> Counts:
    found = corpus.snapshot.number_counts(query, column, limits.SEARCH_VALUES)
    if found is None:
        raise _too_many(field)
    return [
        (int(number) if number == int(number) and abs(number) <= 1 << 53 else number, count)
        for number, count in found
    ]


def _added(
    corpus: Corpus, path: int | None, read: Counts, values: Counts, longs: list[tuple[Long, int]]
) -> tuple[Counts, list[tuple[Long, int]]]:
    """Add values that were read to those that were counted."""
    counts: dict[tuple[bool, Scalar], int] = Counter()
    known = {long.term: (long, count) for long, count in longs}
    for value, count in read:
        term = _term_of(corpus, path, value)
        if term in known:
            long, earlier = known[term]
            known[term] = (long, earlier + count)
        else:
            counts[isinstance(value, bool), value] += count
    for value, count in values:
        counts[isinstance(value, bool), value] += count
    return [(value, count) for (_, value), count in counts.items()], list(known.values())


def _first(found: list[tuple[T, int]], wanted: int | None) -> list[tuple[T, int]]:
    """Return the most frequent of values that come most frequent first, and their equals."""
    if wanted is None or len(found) <= wanted:
        return found
    least = found[max(wanted, 1) - 1][1]
    return found[: bisect_right(found, -least, key=lambda entry: -entry[1])]


def _sum(found: Iterable[tuple[object, int]]) -> int:
    return sum(count for _, count in found)


def _too_many(field: str) -> InvalidQuery:
    return InvalidQuery(
        f"{field} has more than {limits.SEARCH_VALUES:,} different values",
        hint="narrow the query, or ask for ranges instead",
    )

"""Pages in the order of a payload field.

The index sorts a field by itself where no event has more than one value there, and all of them are
numbers or all of them short strings. Numbers are a column. Strings are walked value by value, which
is bounded by how many different ones there are. Everything else is sorted by reading, see `pages`.
"""

from __future__ import annotations

from typing import Protocol

from tallystick import limits
from tallystick.errors import InvalidQuery, Malformed
from tallystick.index.search import queries, terms
from tallystick.index.search.answers.columns import ColumnPart, beyond_index, by_index, within
from tallystick.index.search.clauses.tenant_snapshot import INDEX_MAX, Corpus
from tallystick.index.search.clauses.values import is_number, to_double
from tallystick.index.search.documents.encoder import NUMBER
from tallystick.index.search.documents.paths import ALWAYS, witness_of
from tallystick.index.search.queries import Match, Query
from tallystick.query.expr import Scalar, Sort

Rows = list[tuple[Scalar, int]]
"""Value and index."""


class _Order(Protocol):
    """The order of the values of one path, as far as the index knows it."""

    def rows(self, query: Query, offset: int, wanted: int) -> Rows:
        """Return some of what matches, all of which has a value."""

    def equal(self, value: Scalar) -> Match:
        """Match what has this value."""

    def behind(self, value: Scalar) -> Match:
        """Match what has a value behind this one."""


def by_field(corpus: Corpus, query: Query, sort: Sort, part: ColumnPart) -> Rows | None:
    """Return a part of what matches in the order of a field; None if the index cannot.

    Shape: events without a value come last, with None.
    """
    path = corpus.path(sort.field)
    if path is None:
        if corpus.unknown(sort.field).upper is not False:
            return None
        present, absent, order = queries.to_query(False), query, None
    else:
        there = _there(corpus, sort.field, path)
        present, absent = within(query, there), within(query, queries.none_of(there))
        order = _order(corpus, present, sort, path)
        if order is None:
            return None
    if part.after is not None:
        present, absent = _behind(corpus, present, absent, sort, order, part)
    rows = [] if order is None else order.rows(present, part.offset, part.wanted)
    if len(rows) >= part.wanted:
        return rows
    skipped = max(part.offset - corpus.snapshot.count(present), 0)
    rest = by_index(corpus, absent, sort.descending, ColumnPart(part.wanted - len(rows), skipped))
    return [*rows, *((None, index) for index in rest)]


def _there(corpus: Corpus, field: str, path: int) -> Match:
    if field in ALWAYS:
        return True
    witness = corpus.path(witness_of(field))
    return False if witness is None else corpus.marked(terms.EXISTS, witness)


def _order(corpus: Corpus, present: Query, sort: Sort, path: int) -> _Order | None:
    """Return the order of the values that some documents have; None if there is none."""
    odd = queries.any_of(
        (
            corpus.marked(terms.SEVERAL, path),
            corpus.marked(terms.HAS_LONG, path),
            corpus.marked(terms.UNLISTED_NUMBER, path),
            corpus.joined(path),
            queries.any_fact([terms.flag(corpus.prefix, path, flag) for flag in (True, False)]),
        )
    )
    if corpus.snapshot.count(within(present, odd)):
        return None
    if path < limits.SEARCH_COLUMNS:
        has_number = queries.has_number(f"{NUMBER}{path}")
        numbers = corpus.snapshot.count(within(present, has_number))
        if numbers == corpus.snapshot.count(present):
            return _Numbers(corpus, sort, path)
        if numbers:
            return None
    strings = _Strings(corpus, sort, path)
    return strings if strings.covers(present) else None


def _behind(
    corpus: Corpus,
    present: Query,
    absent: Query,
    sort: Sort,
    order: _Order | None,
    part: ColumnPart,
) -> tuple[Query, Query]:
    """Return what comes behind a position, with a value and without."""
    assert part.after is not None, "asked for a position only"
    value, *_ = part.after
    index = beyond_index(corpus, part.after, sort.descending)
    if value is None:
        return queries.to_query(False), within(absent, index)
    if order is None:
        return present, absent
    equal = queries.all_of((order.equal(value), index))
    return within(present, queries.any_of((order.behind(value), equal))), absent


class _Numbers:
    """Values that are all numbers."""

    def __init__(self, corpus: Corpus, sort: Sort, path: int) -> None:
        self._corpus = corpus
        self._sort = sort
        self._column = f"{NUMBER}{path}"

    def rows(self, query: Query, offset: int, wanted: int) -> Rows:
        if offset + wanted > limits.SEARCH_RANKED:
            raise InvalidQuery(
                f"pages by {self._sort.field} reach {limits.SEARCH_RANKED:,} rows deep",
                hint="go on with a cursor",
            )
        if offset >= self._corpus.snapshot.count(query):
            return []
        rows = self._corpus.snapshot.rows_by_number(
            query, self._column, wanted, offset=offset, descending=self._sort.descending
        )
        return [(number, key & INDEX_MAX) for number, key in rows]

    def equal(self, value: Scalar) -> Match:
        return queries.is_number(self._column, _number(value))

    def behind(self, value: Scalar) -> Match:
        number = _number(value)
        low, high = (None, number) if self._sort.descending else (number, None)
        return self._corpus.snapshot.number_between(
            self._column, low, high, low_inclusive=False, high_inclusive=False
        )


class _Strings:
    """Values that are all strings, short enough to be spelt out."""

    def __init__(self, corpus: Corpus, sort: Sort, path: int) -> None:
        self._corpus = corpus
        self._sort = sort
        self._path = path
        self._begin = terms.values_at(corpus.prefix, terms.EXACT, path)

    def covers(self, query: Query) -> bool:
        """Tell whether all that matches has a value here, and the values are not too many."""
        corpus = self._corpus
        if corpus.names.values(corpus.tenant, self._sort.field) > 2 * limits.SEARCH_VALUES:
            return False
        counts = self._counts(query)
        return len(counts) <= limits.SEARCH_VALUES and (
            sum(count for _, count in counts) == corpus.snapshot.count(query)
        )

    def rows(self, query: Query, offset: int, wanted: int) -> Rows:
        corpus, descending = self._corpus, self._sort.descending
        rows: Rows = []
        for term, count in sorted(self._counts(query), reverse=descending):
            if offset >= count:
                offset -= count
                continue
            value = terms.unescaped(term[len(self._begin) :])
            part = ColumnPart(wanted - len(rows), offset)
            group = by_index(corpus, within(query, queries.fact(term)), descending, part)
            rows += [(value, index) for index in group]
            offset = 0
            if len(rows) == wanted:
                break
        return rows

    def _counts(self, query: Query) -> list[tuple[str, int]]:
        return self._corpus.snapshot.facts(self._begin, limits.SEARCH_VALUES + 1, within=query)

    def equal(self, value: Scalar) -> Match:
        return queries.fact(self._begin + terms.escaped(_string(value)))

    def behind(self, value: Scalar) -> Match:
        text = _string(value)
        low, high = (None, text) if self._sort.descending else (text, None)
        pattern = terms.strings_between(low, high, low_inclusive=False, high_inclusive=False)
        return pattern is not None and self._corpus.some(terms.EXACT, self._path, pattern).lower


def _number(value: Scalar) -> float:
    double = to_double(value) if is_number(value) else None
    if double is None:
        raise Malformed("the cursor belongs to another query", path="cursor")
    return double


def _string(value: Scalar) -> str:
    if not isinstance(value, str):
        raise Malformed("the cursor belongs to another query", path="cursor")
    return value

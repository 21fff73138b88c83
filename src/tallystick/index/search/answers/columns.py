"""Pages in the order of an index or a time: columns that the library sorts by itself.

Rows of equal times come in no certain order, so a group of them that a page cuts is asked for once
more, by key. Behind a position, a page costs the same however deep it lies.

To find the newest of many the library looks at all of them. So the newest are looked for among
what happened since a while ago first, and further back only if that was too little.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from tallystick.errors import Malformed
from tallystick.index.search import queries, terms
from tallystick.index.search.clauses.tenant_snapshot import INDEX_MAX, Corpus
from tallystick.index.search.engine import EngineRow
from tallystick.index.search.queries import KEY, OCCURRED, RECORDED, Match, Query
from tallystick.query.order import Position

_LOOK = 2_000
"""How many entries back the newest matches are looked for first."""

_LOOK_FURTHER = 8
_LOOKED_FOR = 1_000
_NEIGHBOURS = 64


class ColumnPart(NamedTuple):
    """Which rows of an order are wanted: some behind a position, and behind some rows more."""

    wanted: int
    offset: int = 0
    after: Position | None = None


def by_index(corpus: Corpus, query: Query, descending: bool, part: ColumnPart) -> list[int]:
    """Return the indexes of a part of what matches, in their order."""
    if part.after is not None:
        query = within(query, beyond_index(corpus, part.after, descending))
    if part.wanted < 1:
        return []
    rows = corpus.snapshot.rows(query, KEY, part.wanted, offset=part.offset, descending=descending)
    return [row.value & INDEX_MAX for row in rows]


def by_recording(
    corpus: Corpus, query: Query, descending: bool, part: ColumnPart
) -> list[tuple[int, int]]:
    """Return time of recording and index, in that order: along a log it is the index's own."""
    if part.after is not None:
        query = within(query, beyond_index(corpus, part.after, descending))
    if part.wanted < 1:
        return []
    rows = corpus.snapshot.rows(query, KEY, part.wanted, offset=part.offset, descending=descending)
    times = corpus.snapshot.values(RECORDED, [row.address for row in rows])
    return [(ms, row.value & INDEX_MAX) for ms, row in zip(times, rows, strict=True)]


def by_time(
    corpus: Corpus, query: Query, descending: bool, part: ColumnPart
) -> list[tuple[int, int]]:
    """Return time and index of a part of what matches, in the order of time."""
    if part.after is not None:
        query = within(query, _beyond_row(corpus, part.after, descending))
    if part.wanted < 1:
        return []
    # One row more on either side tells whether the page cuts a group of equal times.
    before = min(part.offset, 1)
    wanted = part._replace(wanted=part.wanted + before + 1, offset=part.offset - before)
    rows, query = _rows(corpus, query, descending, wanted)
    keys = corpus.snapshot.values(KEY, [row.address for row in rows])
    page = [(row.value, key) for row, key in zip(rows, keys, strict=True)]
    ahead, page, rest = page[:before], page[before:][: part.wanted], page[before + part.wanted :]
    if page:
        skipped: dict[int, int] = {}
        if ahead and ahead[0][0] == page[0][0]:
            earlier = within(query, _beyond(page[0][0], not descending))
            skipped[page[0][0]] = part.offset - corpus.snapshot.count(earlier)
        if rest and rest[0][0] == page[-1][0]:
            skipped.setdefault(page[-1][0], 0)
        page = _without_ties(corpus, query, descending, page, skipped)
    page.sort(reverse=descending)
    return [(ms, key & INDEX_MAX) for ms, key in page]


def _rows(
    corpus: Corpus, query: Query, descending: bool, part: ColumnPart
) -> tuple[list[EngineRow], Query]:
    """Return rows in the order of time, and the query that was enough to find them."""
    search = corpus.snapshot.rows
    if descending and part.offset + part.wanted <= _LOOKED_FOR:
        recent = _Recent(corpus, part.after)
        look = _LOOK
        while (condition := recent.since(look)) is not None:
            found = within(query, condition)
            rows = search(found, OCCURRED, part.wanted, offset=part.offset)
            if len(rows) == part.wanted:
                return rows, found
            # As far as should do, going by what was found; the rarer matches are, the sooner all
            # of them are looked at.
            look *= max(_LOOK_FURTHER, 2 * (part.offset + part.wanted) // (len(rows) + 1))
    rows = search(query, OCCURRED, part.wanted, offset=part.offset, descending=descending)
    return rows, query


class _Recent:
    """What happened in the time before a position, or before the end."""

    def __init__(self, corpus: Corpus, after: Position | None) -> None:
        self._corpus = corpus
        size, latest_ms = corpus.names.extent(corpus.tenant)
        self._last = min(size if after is None else integer_of(after[-1]), INDEX_MAX)
        self._high_ms = latest_ms if after is None else min(integer_of(after[0]), latest_ms)

    def since(self, look: int) -> Match | None:
        """Return what holds for everything since an entry so far back; None if that is too far."""
        low_ms = self._latest_near(self._last - look) if self._last > 2 * look else None
        if low_ms is None:
            return None
        low_ms = min(low_ms, self._high_ms)
        since = queries.between(OCCURRED, low_ms, None)
        spans = terms.moments_between(self._corpus.prefix, low_ms, self._high_ms)
        # Spans lead to what is near in time; without, the library tries all times there are.
        return since if spans is None else queries.all_of((queries.any_fact(spans), since))

    def _latest_near(self, index: int) -> int | None:
        """Return the latest time of some neighbours: an entry that came in late says little."""
        above = self._corpus.above
        keys = [above | near for near in range(max(index - _NEIGHBOURS, 0), index + 1)]
        rows = self._corpus.snapshot.rows(queries.to_query(queries.keys_in(keys)), OCCURRED, 1)
        return rows[0].value if rows else None


def within(query: Query, condition: Match) -> Query:
    """Return a query that also has to meet a condition, which does not count in relevance."""
    if isinstance(condition, Query):
        condition = queries.unscored(condition)
    return queries.to_query(queries.all_of((query, condition)))


def beyond_index(corpus: Corpus, after: Position, descending: bool) -> Match:
    """Match what comes behind the index of a position."""
    index = min(max(integer_of(after[-1]), 0), INDEX_MAX)
    if descending:
        return index > 0 and queries.between(KEY, corpus.above, corpus.above | (index - 1))
    return index < INDEX_MAX and queries.between(
        KEY, corpus.above | (index + 1), corpus.above | INDEX_MAX
    )


def integer_of(value: object) -> int:
    """Return a part of a position that has to be an integer.

    Raises: Malformed.
    """
    if not isinstance(value, int) or abs(value) > 1 << 62:
        raise Malformed("the cursor belongs to another query", path="cursor")
    return value


def _without_ties(
    corpus: Corpus,
    query: Query,
    descending: bool,
    page: list[tuple[int, int]],
    skipped: dict[int, int],
) -> list[tuple[int, int]]:
    """Return a page whose cut groups hold the rows that belong there by index."""
    found = [row for row in page if row[0] not in skipped]
    wanted = Counter(value for value, _ in page if value in skipped)
    for value, count in wanted.items():
        group = within(query, queries.between(OCCURRED, value, value))
        rows = corpus.snapshot.rows(group, KEY, count, offset=skipped[value], descending=descending)
        found += [(value, row.value) for row in rows]
    return found


def _beyond_row(corpus: Corpus, after: Position, descending: bool) -> Match:
    if len(after) != 2:
        raise Malformed("the cursor belongs to another query", path="cursor")
    value = integer_of(after[0])
    same = queries.between(OCCURRED, value, value)
    behind = queries.all_of((same, beyond_index(corpus, after, descending)))
    return queries.any_of((_beyond(value, descending), behind))


def _beyond(value: int, descending: bool) -> Match:
    """Match what comes behind a value; `descending` says which way."""
    if descending:
        return queries.between(OCCURRED, None, value - 1)
    return queries.between(OCCURRED, value + 1, None)

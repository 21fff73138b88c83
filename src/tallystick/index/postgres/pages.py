"""Pages and counts: a compiled question becomes one statement, driven by the index that suits it.

Of the terms that every match must have, one part drives: rows are read in its index in the order
of the page, so that a page costs as much as it is long. Several values of it are several such
reads, merged. Every read is bound to one tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import sql

from tallystick.events.entry import SECTIONS
from tallystick.index.lists.block_query import (
    AllOf,
    AnyOf,
    BlockNode,
    Every,
    HappenedWithin,
    HasTerm,
    IndexWithin,
)
from tallystick.index.lists.term_hash import SEEN
from tallystick.index.postgres.conditions import Conditions, SqlCondition, Terms, every, joined
from tallystick.index.postgres.counts import WORTH, as_single, count_of, counts_of
from tallystick.index.postgres.sql import fetch_composed
from tallystick.index.postgres.totals import Span, as_totals
from tallystick.store.base import LogRow
from tallystick.store.postgres.connection import Connection

_LEGS = 32
_COLUMNS = ("target", "target.id", "actor", "actor.id")
_SHORT = 300
"""Entries of a part that is good enough to drive, whatever the others have, and those from which
it is estimated how many it has."""
_DEEP = 1_000
"""Rows to skip from which on it is worth asking the totals where to begin."""


class PageOrder(NamedTuple):
    """The order of a page: by time or by index, and which way."""

    by_time: bool
    descending: bool


class PageRow(NamedTuple):
    """One entry of a page, and what the log holds of it if that was wanted."""

    entry: int
    ms: int
    stored: LogRow | None = None


class _Leg(NamedTuple):
    """One read: from which table, and what holds of its rows."""

    table: str
    source: sql.Composable
    where: SqlCondition


class PageQuestion:
    """A compiled question about the first `size` entries of one tenant.

    `placed` are the fields whose terms have rows of their own. From `worth` entries on it is better
    to keep the count of a term than to count them again: such terms are in `long` afterwards.
    """

    def __init__(
        self,
        tenant: bytes,
        size: int,
        node: BlockNode,
        terms: Terms,
        placed: frozenset[str],
        *,
        worth: int = WORTH,
    ) -> None:
        self._tenant = tenant
        self._size = size
        self._terms = terms
        self._placed_fields = placed
        self._node = node
        self._parts = node.parts if isinstance(node, AllOf) else (node,)
        self._but = node.but if isinstance(node, AllOf) else ()
        self._drivers = [part for part in self._parts if self._heads(part)]
        self._driver = min(self._drivers, key=self._turn, default=None)
        self._worth = worth
        self._totals = as_totals(tenant, node, terms)
        self._single = as_single(node, terms)
        self.long: list[HasTerm] = []

    def page(
        self,
        connection: Connection,
        order: PageOrder,
        *,
        after: tuple[int, ...] | None,
        offset: int,
        limit: int,
        entry_bytes: int = 0,
    ) -> list[PageRow]:
        """Return a page of entries, with what the log holds of the first `entry_bytes`."""
        self._choose(connection)
        begin: Span | None = None
        if offset > _DEEP and after is None and self._totals is not None:
            found = self._totals.begin(
                connection,
                offset,
                lambda span: self._walk(connection, span),
                by_time=order.by_time,
                descending=order.descending,
            )
            if found is None and (order.by_time or self._totals.within is None):
                return []
            if found is not None:
                skipped, begin = found
                offset -= skipped
        statement = self._statement(order, after, begin, offset, limit)
        if not entry_bytes:
            return [PageRow(*row) for row in fetch_composed(connection, *statement)]
        statement = self._with_entries(statement, order, entry_bytes)
        return [
            PageRow(idx, ms, None if leaf is None else LogRow(idx, entry, leaf, tuple(sections)))
            for idx, ms, entry, leaf, *sections in fetch_composed(connection, *statement)
        ]

    def count(self, connection: Connection) -> int:
        """Return how many entries match, exactly."""
        if self._node == Every():
            return self._size
        if self._totals is not None:
            return self._totals.count(connection, lambda span: self._walk(connection, span))
        if self._single is not None:
            [number] = self._single.term.numbers
            kept = count_of(connection, self._tenant, number, self._single.seen)
            if kept is not None:
                return kept
        found = self._count(connection)
        if self._single is not None and found >= self._worth:
            self.long.append(self._single.term)
        return found

    def by_sight(self, connection: Connection, term: HasTerm) -> dict[int, int]:
        """Return how many entries have a term, by who sees them."""
        leg = self._leg(term, AllOf(()))
        text = sql.SQL("SELECT {0}, count(*) FROM {1} WHERE {2} GROUP BY {0}").format(
            sql.Identifier(leg.table, "seen"), leg.source, leg.where.text
        )
        return dict(fetch_composed(connection, text, leg.where.values))

    def _choose(self, connection: Connection) -> None:
        """Let that part drive which fewest entries have, where there is a choice.

        Cost: a read of the counts that are kept, and one of some index entries for each other.
        """
        single = [
            part
            for part in self._drivers
            if isinstance(part, HasTerm)
            and len(part.numbers) == 1
            and self._terms.field(part) != "kind"
        ]
        if len(single) < 2:
            return
        kept = counts_of(connection, self._tenant, [part.numbers[0] for part in single])
        counts: dict[HasTerm, int] = {}
        for part in sorted(single, key=self._turn):
            count = kept.get(part.numbers[0])
            counts[part] = self._estimate(connection, part) if count is None else count
            if counts[part] < _SHORT:
                break
        self._driver = min(counts, key=lambda part: (counts[part], self._turn(part)))

    def _estimate(self, connection: Connection, term: HasTerm) -> int:
        """Return about how many entries have a term, from how close together its latest are."""
        column = self._terms.column(term)
        if column is None:
            leg = self._leg(term, AllOf(()))
        else:
            # Without the type of the resource: the index alone tells.
            ids = Conditions(self._terms, "l").equals(column, self._terms.ids(term))
            leg = _Leg("l", _LISTS, every(self._bound("l"), ids))
        text = sql.SQL(
            "SELECT count(*), min(idx) FROM"
            " (SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT %b) AS few"
        ).format(
            sql.Identifier(leg.table, "idx"),
            leg.source,
            leg.where.text,
            _ordered(PageOrder(by_time=True, descending=True), leg.table),
        )
        [(count, first)] = fetch_composed(connection, text, (*leg.where.values, _SHORT))
        return int(count if count < _SHORT else count * self._size // max(self._size - first, 1))

    def _count(self, connection: Connection) -> int:
        legs = self._legs()
        if len(legs) == 1 or all(leg.table == "l" for leg in legs):
            where = every(self._bound("l"), Conditions(self._terms, "l").of(self._node))
            [leg] = legs if len(legs) == 1 else [_Leg("l", _LISTS, where)]
            text = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(leg.source, leg.where.text)
            values = leg.where.values
        else:
            each = [
                SqlCondition(
                    sql.SQL("SELECT {} FROM {} WHERE {}").format(
                        sql.Identifier(leg.table, "idx"), leg.source, leg.where.text
                    ),
                    leg.where.values,
                )
                for leg in legs
            ]
            found, values = joined(" UNION ", each, each[0])
            text = sql.SQL("SELECT count(*) FROM ({}) AS found").format(found)
        [(count,)] = fetch_composed(connection, text, values)
        return int(count)

    def _walk(self, connection: Connection, span: Span) -> int:
        """Count matches that occurred within a span of less than an hour."""
        parts = [part for part in self._parts if not isinstance(part, HappenedWithin)]
        node = AllOf((*parts, HappenedWithin(*span)), self._but)
        where = every(self._bound("l"), Conditions(self._terms, "l").of(node))
        text = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(_LISTS, where.text)
        [(count,)] = fetch_composed(connection, text, where.values)
        return int(count)

    def _statement(
        self,
        order: PageOrder,
        after: tuple[int, ...] | None,
        begin: Span | None,
        offset: int,
        limit: int,
    ) -> SqlCondition:
        legs: list[SqlCondition] = []
        for leg in self._legs():
            where = leg.where
            if after is not None:
                where = every(where, _beyond(leg.table, order, after))
            if begin is not None:
                where = every(where, _from(leg.table, order, begin))
            legs.append(
                SqlCondition(
                    sql.SQL("SELECT {}, {} FROM {} WHERE {} ORDER BY {} LIMIT %b").format(
                        sql.Identifier(leg.table, "idx"),
                        sql.Identifier(leg.table, "ms"),
                        leg.source,
                        where.text,
                        _ordered(order, leg.table),
                    ),
                    (*where.values, offset + limit),
                )
            )
        found, values = joined(" UNION ", legs, legs[0])
        text = sql.SQL("SELECT idx, ms FROM ({}) AS found ORDER BY {} LIMIT %b OFFSET %b").format(
            found, _ordered(order, "found")
        )
        return SqlCondition(text, (*values, limit, offset))

    def _with_entries(self, page: SqlCondition, order: PageOrder, max_bytes: int) -> SqlCondition:
        text = _ENTRIES.format(
            page=page.text, ordered=_ordered(order, "found"), again=_ordered(order, "sized")
        )
        return SqlCondition(text, (max_bytes, *page.values, self._tenant, self._size))

    # What drives

    def _heads(self, part: BlockNode) -> list[HasTerm]:
        """Return the single terms whose lists together are all that the part matches, if any."""
        if isinstance(part, AnyOf):
            each = [self._heads(one) for one in part.parts]
            heads = [head for one in each for head in one] if all(each) else []
        elif isinstance(part, HasTerm) and self._rank(part) is not None:
            heads = [HasTerm((number,)) for number in part.numbers]
        else:
            heads = []
        return heads if len(heads) <= _LEGS else []

    def _rank(self, part: HasTerm) -> int | None:
        field = self._terms.field(part)
        if field in _COLUMNS:
            return _COLUMNS.index(field)
        if self._terms.column(part) is not None:
            return 0
        if field in self._placed_fields:
            return len(_COLUMNS) + (field == "scope")
        return len(_COLUMNS) + 2 if field == "kind" else None

    def _turn(self, part: BlockNode) -> int:
        return max(self._rank(head) or 0 for head in self._heads(part))

    def _legs(self) -> list[_Leg]:
        """Return one read for each value of what drives, or one of everything."""
        if self._driver is None:
            where = every(self._bound("l"), Conditions(self._terms, "l").of(self._node))
            return [_Leg("l", _LISTS, where)]
        rest = [part for part in self._parts if part is not self._driver]
        heads = self._heads(self._driver)
        return [self._leg(head, AllOf(tuple(rest), self._but)) for head in heads]

    def _leg(self, head: HasTerm, rest: AllOf) -> _Leg:
        if self._terms.field(head) not in self._placed_fields:
            one = AllOf((head, *rest.parts), rest.but)
            return _Leg("l", _LISTS, every(self._bound("l"), Conditions(self._terms, "l").of(one)))
        found = every(self._bound("p"), SqlCondition(sql.SQL("p.term = %b"), head.numbers))
        if all(self._stands_in_places(part) for part in (*rest.parts, *rest.but)):
            return _Leg("p", _PLACES, every(found, Conditions(self._terms, "p").of(rest)))
        where = every(found, self._bound("l"), Conditions(self._terms, "l").of(rest))
        return _Leg("p", _PLACES_IN_LISTS, where)

    def _stands_in_places(self, part: BlockNode) -> bool:
        if isinstance(part, HasTerm):
            return self._terms.field(part) == SEEN
        return isinstance(part, HappenedWithin | IndexWithin)

    def _bound(self, table: str) -> SqlCondition:
        # The size keeps out the partitions that the log has not reached.
        name = sql.Identifier(table)
        text = sql.SQL("{0}.tenant = %b AND {0}.idx < %b").format(name)
        return SqlCondition(text, (self._tenant, self._size))


_LENGTH = " + ".join(f"coalesce(octet_length({name}), 0)" for name in SECTIONS)
_FITTING = ", ".join(f"CASE WHEN fits THEN {name} END" for name in ("entry", "leaf", *SECTIONS))
# Lengths are known without reading what is stored out of line, which is read only where it fits.
_ENTRIES = sql.SQL(
    f"SELECT idx, ms, {_FITTING}"
    f" FROM (SELECT found.idx, found.ms, entry, leaf, {', '.join(SECTIONS)},"
    f" sum({_LENGTH}) OVER following <= %b OR row_number() OVER following = 1 AS fits"
    " FROM ({page}) AS found CROSS JOIN LATERAL ("
    f"SELECT entry, leaf, {', '.join(SECTIONS)} FROM log"
    " WHERE log.tenant = %b AND log.idx < %b AND log.idx = found.idx OFFSET 0) AS whole"
    " WINDOW following AS (ORDER BY {ordered} ROWS UNBOUNDED PRECEDING)) AS sized"
    " ORDER BY {again}"
)
_LISTS = sql.SQL("lists AS l")
_PLACES = sql.SQL("places AS p")
# Each entry is looked up where a join would be planned by how many the tables are believed to have:
# OFFSET keeps the planner from making one of it.
_PLACES_IN_LISTS = sql.SQL(
    "places AS p CROSS JOIN LATERAL (SELECT * FROM lists AS r"
    " WHERE r.tenant = p.tenant AND r.idx = p.idx OFFSET 0) AS l"
)


def _ordered(order: PageOrder, table: str) -> sql.Composable:
    columns = ("ms", "idx") if order.by_time else ("idx",)
    way = sql.SQL("{} DESC" if order.descending else "{}")
    return sql.SQL(", ").join(way.format(sql.Identifier(table, column)) for column in columns)


def _beyond(table: str, order: PageOrder, after: Sequence[int]) -> SqlCondition:
    """Return what holds of rows that come after a position."""
    name, beyond = sql.Identifier(table), sql.SQL("<" if order.descending else ">")
    if order.by_time:
        text = sql.SQL("({0}.ms, {0}.idx) {1} (%b, %b)").format(name, beyond)
        return SqlCondition(text, tuple(after))
    return SqlCondition(sql.SQL("{}.idx {} %b").format(name, beyond), tuple(after[-1:]))


def _from(table: str, order: PageOrder, begin: Span) -> SqlCondition:
    """Return what holds of rows in the span that a page begins in, and of those after it."""
    column = sql.Identifier(table, "ms" if order.by_time else "idx")
    if order.descending:
        return SqlCondition(sql.SQL("{} <= %b").format(column), (begin[1],))
    return SqlCondition(sql.SQL("{} >= %b").format(column), (begin[0],))

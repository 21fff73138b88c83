"""The reader on PostgreSQL: lists come from the database, everything else from the search index.

The lists are as far as the log, since both are written together; where they are not, they are
brought up first. The search index is this server's own, and follows. It implements
`reading.Reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec.structs import replace

from tallystick import limits
from tallystick.errors import Malformed, StoreBusy
from tallystick.events.event import View
from tallystick.followers.consistency import indexed_extent
from tallystick.index.document import still_shown
from tallystick.index.followers import SEARCH
from tallystick.index.lists.block import TimeOrder
from tallystick.index.lists.block_query import BlockNode
from tallystick.index.postgres.conditions import Terms
from tallystick.index.postgres.counts import Subject
from tallystick.index.postgres.pages import PageOrder, PageQuestion, PageRow
from tallystick.index.postgres.resource_pages import resource_page
from tallystick.index.postgres.sql import select
from tallystick.index.postgres.summaries import Summaries
from tallystick.index.postgres.tenant_lists import documents
from tallystick.index.postgres.terms import Numbering, Sight
from tallystick.index.postgres.writer import WAIT_S, Lists
from tallystick.index.query_plan import (
    Facts,
    Unlisted,
    plan_order,
    plan_page,
    plan_rows,
    seen_names,
)
from tallystick.index.reader_common import (
    AGGREGATED,
    LISTED,
    Searching,
    committed,
    known_path,
    recorded_before,
    recorded_ms,
    searched,
    seen_by_search,
)
from tallystick.log.views import find_index, views_of
from tallystick.query.aggregate import Aggregate, AggregateResult
from tallystick.query.expr import Expr
from tallystick.query.question import Find, Found, Hit, Plan, ResourceQuery, ResourceSummary
from tallystick.store.postgres.connection import Connection
from tallystick.store.postgres.rows import ListState, from_bytes, to_bytes
from tallystick.store.postgres.store import PostgresStore

if TYPE_CHECKING:
    from tallystick.index.search import SearchMoment

Result = TypeVar("Result")

_INT64 = 1 << 63
_PLACED = frozenset(("scope", "trail"))


class _Current(NamedTuple):
    """A tenant's lists once they have all of its log as of now."""

    tenant: bytes
    size: int
    changes: int
    number_of: Numbering
    sight: Sight
    worth: int

    def asked(self, node: BlockNode, terms: Terms) -> PageQuestion:
        """Return a compiled question about them."""
        placed = (self.sight.listed - self.sight.targets.keys()) | _PLACED
        return PageQuestion(self.tenant, self.size, node, terms, placed, worth=self.worth)

    def summaries(self) -> Summaries:
        """Return what summarises resources from them."""
        return Summaries(self.tenant, self.size, self.number_of, self.worth)


class PostgresReader:
    """Answers questions; safe to share between threads."""

    def __init__(self, store: PostgresStore, lists: Lists, searching: Searching) -> None:
        self._store = store
        self._lists = lists
        self._searching = searching

    def find(self, tenant: str, question: Find, *, entry_bytes: int = 0) -> Found:
        """Return a page of entries; views come along from lists until they have `entry_bytes`.

        Raises: InvalidQuery for what no index can answer, FollowerBehind.
        """
        current = self._caught_up(tenant)
        if current is None:
            return Found((), False, 0 if question.total else None, LISTED)
        terms = Terms(current.number_of, self._lists.sight)
        plan = plan_page(question, self._facts(tenant, current, terms))
        if isinstance(plan, Unlisted):
            return self._search(tenant, question).find(question, seen_by_search(question, plan))
        asked = current.asked(plan.node, terms)
        order = PageOrder(plan.order is TimeOrder, plan.descending)
        after = None if question.after is None else _position(question.after, order)

        def read(connection: Connection) -> tuple[list[PageRow], int | None]:
            rows = asked.page(
                connection,
                order,
                after=after,
                offset=question.offset,
                limit=question.limit + 1,
                entry_bytes=entry_bytes,
            )
            return rows, asked.count(connection) if question.total else None

        rows, total = self._store.read(read)
        self._keep_count(tenant, current, asked)
        more = len(rows) > question.limit
        rows = rows[: question.limit]
        stored = [row.stored for row in rows if row.stored is not None]
        views = {view.index: view for view in views_of(self._store, tenant, stored, entry_bytes)}
        return Found(self._hits(tenant, rows, question), more, total, LISTED, views)

    def shows(self, question: Find, view: View) -> bool:
        """Tell whether a row found for a question may still be shown."""
        return still_shown(self._lists.rules, question, view)

    def count(self, tenant: str, where: Expr, *, dialect: str = "native") -> int:
        """Return how many events match, exactly."""
        question = Find(where=where, dialect=dialect)
        current = self._caught_up(tenant)
        if current is None:
            return 0
        terms = Terms(current.number_of, self._lists.sight)
        node = plan_rows(where, seen_names(question), self._facts(tenant, current, terms))
        if isinstance(node, Unlisted):
            return self._search(tenant, question).count(where, seen_by_search(question, node))
        asked = current.asked(node, terms)
        total = self._store.read(asked.count)
        self._keep_count(tenant, current, asked)
        return total

    def _keep_count(self, tenant: str, current: _Current, asked: PageQuestion) -> None:
        """Count once and for all what took long to count; writers go first."""
        for term in asked.long:
            before = self._store.read(partial(asked.by_sight, term=term))
            self._keep(tenant, current, Subject(term.numbers[0], term.numbers), before)

    def _keep_counts(self, tenant: str, current: _Current, summaries: Summaries) -> None:
        """Do the same for resources."""
        for key in summaries.long[:1]:
            before = self._store.read(partial(summaries.by_sight, key=key))
            self._keep(tenant, current, summaries.subject(key), before)

    def _keep(
        self, tenant: str, current: _Current, subject: Subject, before: Mapping[int, int]
    ) -> None:
        with suppress(StoreBusy):
            self._lists.keep_count(
                self._store, tenant, subject, before, size=current.size, changes=current.changes
            )

    def aggregate(
        self, tenant: str, question: Find, requests: Sequence[Aggregate]
    ) -> Sequence[AggregateResult]:
        """Return one result a request over everything that the question matches."""
        seen = seen_by_search(question, AGGREGATED)
        return self._search(tenant, replace(question, sort=())).aggregate(question, seen, requests)

    def resource(self, tenant: str, type: str, id: str) -> ResourceSummary | None:
        """Return what is known of one resource."""
        current = self._caught_up(tenant)
        if current is None:
            return None

        summaries = current.summaries()

        def read(connection: Connection) -> ResourceSummary | None:
            found = select(
                connection,
                "resource",
                tenant=current.tenant,
                type=current.number_of("type", type),
                id=to_bytes(id),
            )
            return summaries.of(connection, type, found[0]) if found else None

        summary = self._store.read(read)
        self._keep_counts(tenant, current, summaries)
        return summary

    def resources(self, tenant: str, question: ResourceQuery) -> list[ResourceSummary]:
        """Return a page of resources by id."""
        current = self._caught_up(tenant)
        if current is None:
            return []

        summaries = current.summaries()

        def read(connection: Connection) -> list[ResourceSummary]:
            rows = resource_page(connection, current.tenant, current.number_of, question)
            return [summaries.of(connection, question.type, row) for row in rows]

        found = self._store.read(read)
        self._keep_counts(tenant, current, summaries)
        return found

    def history(self, tenant: str, type: str, id: str, *, limit: int, offset: int) -> list[int]:
        """Return the indexes of a resource's document entries, newest first."""
        current = self._caught_up(tenant)
        if current is None:
            return []
        return self._store.read(
            lambda connection: documents(
                connection,
                current.tenant,
                current.number_of,
                (type, id),
                before=current.size,
                limit=limit,
                offset=offset,
            )
        )

    def known_path(self, tenant: str, path: str) -> bool:
        """Tell whether any event ever had a value at the payload path."""
        return known_path(self._searching, tenant, path)

    def suggest_path(self, tenant: str, path: str) -> Sequence[str]:
        """Return the known paths nearest to one that is not."""
        return committed(self._searching, tenant).suggest_path(tenant, path)

    def explain(self, tenant: str, question: Find) -> Plan:
        """Return which index would answer, and why."""
        order = plan_order(question.sort)
        current = self._caught_up(tenant)
        if isinstance(order, Unlisted):
            return Plan(SEARCH, order.reason)
        if current is None:
            return LISTED
        terms = Terms(current.number_of, self._lists.sight)
        plan = plan_page(question, self._facts(tenant, current, terms))
        return Plan(SEARCH, plan.reason) if isinstance(plan, Unlisted) else LISTED

    def _caught_up(self, tenant: str) -> _Current | None:
        """Return a tenant's lists with all of its log as of now; None while it has no log."""
        name, wanted = to_bytes(tenant), 0
        while True:
            found = self._store.read(lambda connection: select(connection, "state", tenant=name))
            if not found or not found[0][-1]:
                return None
            state, size = ListState(*found[0][:-1]), found[0][-1]
            wanted = wanted or size
            if state.key is not None and self._lists.is_current(state, wanted):
                size = min(size, state.next)
                extent = indexed_extent()
                if extent is not None:
                    extent.note(size)
                numbering = self._lists.numbering(state.key)
                return _Current(
                    name,
                    size,
                    state.changes,
                    numbering,
                    self._lists.sight,
                    self._lists.counts_worth,
                )
            self._lists.catch_up(self._store, tenant, wait_s=WAIT_S)

    def _search(self, tenant: str, question: Find) -> SearchMoment:
        return searched(self._searching, tenant, question)

    def _facts(self, tenant: str, current: _Current, terms: Terms) -> Facts:
        def kinds() -> Sequence[str] | None:
            known = self._store.read(
                lambda connection: select(connection, "kinds", tenant=current.tenant)
            )
            names = [from_bytes(kind) for (kind,) in known]
            return names if len(names) < limits.QUERY_TERMS else None

        return Facts(
            number_of=terms,
            is_listed=self._lists.sight.listed.__contains__,
            kinds=kinds,
            index_of=lambda id: find_index(self._store, tenant, id),
            recorded_before=lambda ms: recorded_before(self._store, tenant, current.size, ms),
        )

    def _hits(self, tenant: str, rows: Sequence[PageRow], question: Find) -> list[Hit]:
        """Return rows with their positions: the value of the sort's field, then the index."""
        position = _positions(question, lambda index: recorded_ms(self._store, tenant, index))
        return [Hit(row.entry, position(row)) for row in rows]


def _positions(
    question: Find, recorded_ms: Callable[[int], int]
) -> Callable[[PageRow], tuple[int, ...]]:
    if not question.sort:
        return lambda row: (row.entry,)
    match question.sort[0].field:
        case "recorded_ms":
            return lambda row: (recorded_ms(row.entry), row.entry)
        case "occurred_ms":
            return lambda row: (row.ms, row.entry)
    return lambda row: (row.entry, row.entry)


def _position(position: Sequence[Any], order: PageOrder) -> tuple[int, ...]:
    """Return a position as what rows are compared with.

    Raises: Malformed.
    """
    wanted = position[-2:] if order.by_time else position[-1:]
    fits = len(position) == 2 or not order.by_time
    if not fits or not all(isinstance(value, int) and abs(value) < _INT64 for value in wanted):
        raise Malformed("the cursor belongs to another query", path="cursor")
    return tuple(wanted)

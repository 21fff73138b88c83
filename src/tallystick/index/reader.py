"""The reader: answers every question about a tenant's entries from the index that suits it.

Each method first waits until the index has taken in what the log held when it was called, then
asks lists or search as the planner says. It implements `reading.Reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from tallystick import limits
from tallystick.errors import Malformed
from tallystick.events.dialect_rules import Rules
from tallystick.events.event import Op, View
from tallystick.events.references import to_text
from tallystick.index.document import still_shown
from tallystick.index.followers import SEARCH, VIEWS, views_of
from tallystick.index.lists import paging, time_series
from tallystick.index.lists.block import IndexOrder, Key
from tallystick.index.lists.block_query import AllOf, HasTerm
from tallystick.index.lists.reader import ResourceRow, ViewsReader
from tallystick.index.lists.tenant_blocks import Shelf
from tallystick.index.lists.term_hash import SEEN, SIGHTED
from tallystick.index.query_plan import Facts, Listing, Unlisted, plan_page, plan_rows, seen_names
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
from tallystick.log.views import find_index
from tallystick.query.aggregate import Aggregate, AggregateResult, TimeSeries
from tallystick.query.expr import Expr
from tallystick.query.question import Find, Found, Hit, Plan, ResourceQuery, ResourceSummary
from tallystick.store.base import Store

if TYPE_CHECKING:
    from tallystick.index.search import SearchMoment


T = TypeVar("T")


class IndexReader:
    """Answers questions; safe to share between threads."""

    def __init__(self, store: Store, rules: Rules, followers: Searching) -> None:
        self._store = store
        self._rules = rules
        self._dialects = frozenset(rules)
        self._searched = {f"{name}.{term}" for name in rules for term in rules[name].searched.names}
        self._followers = followers

    def find(self, tenant: str, question: Find, *, entry_bytes: int = 0) -> Found:
        """Return a page of entries; views never come along.

        Raises: InvalidQuery for what no index can answer, FollowerBehind.
        """
        plan, size, views = self._planned(
            tenant, question.dialect, lambda facts: plan_page(question, facts)
        )
        if isinstance(plan, Unlisted):
            return self._search(tenant, question).find(question, seen_by_search(question, plan))
        with views.shelf(tenant, size) as shelf:
            rows, total = _page(shelf, plan, question)
        more = len(rows) > question.limit
        hits = self._hits(tenant, rows[: question.limit], question)
        return Found(hits, more, total if question.total else None, LISTED)

    def shows(self, question: Find, view: View) -> bool:
        """Tell whether a row found for a question may still be shown."""
        return still_shown(self._rules, question, view)

    def count(self, tenant: str, where: Expr, *, dialect: str = "native") -> int:
        """Return how many events match, exactly."""
        question = Find(where=where, dialect=dialect)
        node, size, views = self._planned(
            tenant, dialect, lambda facts: plan_rows(where, seen_names(question), facts)
        )
        if isinstance(node, Unlisted):
            return self._search(tenant, question).count(where, seen_by_search(question, node))
        with views.shelf(tenant, size) as shelf:
            return 0 if shelf is None else paging.count(shelf.blocks, node)

    def aggregate(
        self, tenant: str, question: Find, requests: Sequence[Aggregate]
    ) -> Sequence[AggregateResult]:
        """Return one result a request over everything that the question matches."""
        seen = seen_by_search(question, AGGREGATED)
        if all(isinstance(one, TimeSeries) and one.field == "occurred_ms" for one in requests):
            listed = self._series(tenant, question, requests)
            if listed is not None:
                return listed
        return self._search(tenant, replace(question, sort=())).aggregate(question, seen, requests)

    def resource(self, tenant: str, type: str, id: str) -> ResourceSummary | None:
        """Return what is known of one resource."""
        size, views = self._caught_up(tenant)
        with views.shelf(tenant, size) as shelf:
            row = None if shelf is None else views.resource(tenant, (type, id))
            return None if shelf is None or row is None else _summary(views, shelf, row)

    def resources(self, tenant: str, question: ResourceQuery) -> list[ResourceSummary]:
        """Return a page of resources."""
        size, views = self._caught_up(tenant)
        with views.shelf(tenant, size) as shelf:
            if shelf is None:
                return []
            return [_summary(views, shelf, row) for row in views.resources(tenant, question)]

    def history(self, tenant: str, type: str, id: str, *, limit: int, offset: int) -> list[int]:
        """Return the indexes of a resource's document entries, newest first."""
        size, views = self._caught_up(tenant)
        target = HasTerm((views.number_of("target", to_text(type, id)),))
        node = AllOf((target, HasTerm((views.number_of("op", Op.DOCUMENT.value),))))
        with views.shelf(tenant, size) as shelf:
            blocks = () if shelf is None else shelf.blocks
            rows = paging.page(
                blocks, node, IndexOrder, descending=True, offset=offset, limit=limit
            )
        return [row.entry for row in rows]

    def known_path(self, tenant: str, path: str) -> bool:
        """Tell whether any event ever had a value at the payload path."""
        return known_path(self._followers, tenant, path)

    def suggest_path(self, tenant: str, path: str) -> Sequence[str]:
        """Return the known paths nearest to one that is not."""
        return committed(self._followers, tenant).suggest_path(tenant, path)

    def explain(self, tenant: str, question: Find) -> Plan:
        """Return which index would answer, and why."""
        size, views = self._caught_up(tenant)
        plan = plan_page(question, self._facts(tenant, size, views))
        return Plan(SEARCH, plan.reason) if isinstance(plan, Unlisted) else LISTED

    def _caught_up(self, tenant: str, dialect: str | None = None) -> tuple[int, ViewsReader]:
        """Return the lists, once they have all of the log as of now."""
        while True:
            views = views_of(self._followers)
            size = self._followers.wait(VIEWS, tenant, dialect)
            # A generation that was swapped in meanwhile may not have come so far.
            if views is views_of(self._followers):
                return size, views

    def _planned(
        self, tenant: str, dialect: str, plan: Callable[[Facts], T | Unlisted]
    ) -> tuple[T | Unlisted, int, ViewsReader]:
        """Return how lists answer, once they have all of the log as of now, or why they do not.

        The search answers whatever is asked, so a question that lists as they are do not answer
        needs no wait for them.
        """
        views = views_of(self._followers)
        planned = plan(self._facts(tenant, 0, views))
        if isinstance(planned, Unlisted):
            return planned, 0, views
        size, views = self._caught_up(tenant, dialect)
        return plan(self._facts(tenant, size, views)), size, views

    def _series(
        self, tenant: str, question: Find, requests: Sequence[Aggregate]
    ) -> Sequence[AggregateResult] | None:
        """Return what lists can count by time; None if that is a matter for the search."""
        size, views = self._caught_up(tenant, question.dialect)
        facts = self._facts(tenant, size, views)
        node = plan_rows(question.where, seen_names(question), facts)
        if isinstance(node, Unlisted):
            return None
        found: list[AggregateResult] = []
        with views.shelf(tenant, size) as shelf:
            for request in requests:
                assert isinstance(request, TimeSeries), "all of them are"
                counted = time_series.series(() if shelf is None else shelf.blocks, node, request)
                if counted is None:
                    return None
                found.append(counted)
        return found

    def _search(self, tenant: str, question: Find) -> SearchMoment:
        return searched(self._followers, tenant, question)

    def _facts(self, tenant: str, size: int, views: ViewsReader) -> Facts:
        def kinds() -> Sequence[str] | None:
            known = views.kinds(tenant)
            return known if len(known) < limits.QUERY_TERMS else None

        return Facts(
            number_of=views.number_of,
            is_listed=self._is_listed,
            kinds=kinds,
            index_of=lambda id: find_index(self._store, tenant, id),
            recorded_before=lambda ms: recorded_before(self._store, tenant, size, ms),
        )

    def _is_listed(self, field: str) -> bool:
        return field.partition(".")[0] in self._dialects and field not in self._searched

    def _hits(self, tenant: str, rows: Sequence[paging.ListRow], question: Find) -> list[Hit]:
        """Return rows with their positions: the value of the sort's field, then the index."""
        if not question.sort:
            return [Hit(row.entry, (row.entry,)) for row in rows]
        if question.sort[0].field == "recorded_ms":
            return [
                Hit(row.entry, (recorded_ms(self._store, tenant, row.entry), row.entry))
                for row in rows
            ]
        return [Hit(row.entry, (row.key[0], row.entry)) for row in rows]


def _page(
    shelf: Shelf | None, plan: Listing, question: Find
) -> tuple[Sequence[paging.ListRow], int]:
    """Return a page with one row more than asked for, and the total if asked for."""
    if shelf is None:
        return (), 0
    rows = paging.page(
        shelf.blocks,
        plan.node,
        plan.order,
        descending=plan.descending,
        after=None if question.after is None else _key(question.after, plan),
        offset=question.offset,
        limit=question.limit + 1,
    )
    return rows, paging.count(shelf.blocks, plan.node) if question.total else 0


def _key(position: Sequence[Any], plan: Listing) -> Key:
    """Return a position as the key of the order it is in.

    Raises: Malformed.
    """
    if not all(isinstance(value, int) and abs(value) < 1 << 63 for value in position[-2:]):
        raise Malformed("the cursor belongs to another query", path="cursor")
    if plan.order is IndexOrder:
        return (position[-1], 0)
    if len(position) != 2:
        raise Malformed("the cursor belongs to another query", path="cursor")
    return (position[0], position[1])


def _summary(views: ViewsReader, shelf: Shelf, row: ResourceRow) -> ResourceSummary:
    """Return what a row and the lists know of a resource."""
    value = to_text(row.type, row.id)
    named = HasTerm(tuple(views.number_of(role, value) for role in ("actor", "target", "scope")))
    node = AllOf((HasTerm((views.number_of(SEEN, SIGHTED),)), named))
    extent = paging.extent(shelf.blocks, node)
    return ResourceSummary(
        type=row.type,
        id=row.id,
        name=row.name,
        document=row.document,
        parents=row.parents,
        first_ms=extent.first_ms,
        last_ms=extent.last_ms,
        last_index=extent.last_index,
        count=extent.rows,
    )

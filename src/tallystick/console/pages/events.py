"""The page of events: search, list, chart, facets, completion and saved searches.

List, chart and facets are requests of their own, so that the list never waits for the others.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text
from tallystick.console.budget import Budget
from tallystick.console.charts import HEIGHT, WIDTH, Charts
from tallystick.console.completion import Completion
from tallystick.console.gate import Gate, Visit, is_fragment
from tallystick.console.questions import RANGES, Asked, Questions, asked_of, clause, refined
from tallystick.console.session import PATH
from tallystick.dialects.services import Services
from tallystick.errors import InvalidQuery, Malformed, NotFound, RequestError
from tallystick.events.event import View
from tallystick.events.references import parse as parse_reference
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.acts import Act
from tallystick.identity.records import SavedSearch
from tallystick.query import cursor
from tallystick.query.aggregate import TopValues, TopValuesResult
from tallystick.query.expr import Everything, Range, Scalar, Sort
from tallystick.query.question import Find
from tallystick.query.values import Values

FACETS = ("kind", "actor", "target.type", "dialect")
_FACET_TOP = 8
_AROUND = 20
_NEWS = 100
_SUGGESTED_COLUMNS = (
    "kind", "actor", "target", "scope", "trail", "dialect", "index", "recorded_at"
)  # fmt: skip
_GROUPINGS = ("kind", "actor", "target", "target.type", "scope", "dialect")
_SEARCHES_MAX = 100
_WORD = re.compile(r"[\w.-]+")


class Facet(NamedTuple):
    """The most frequent values of a field."""

    field: str
    values: Sequence[FacetValue]
    rest: int


class FacetValue(NamedTuple):
    """A value with how often it occurs, and the searches with and without it."""

    text: str
    count: int  # type: ignore[assignment]  # a tuple has a method of that name
    share: int
    only: str
    without: str
    active: bool


class EventRow(NamedTuple):
    """An event in the list."""

    view: View
    cells: Sequence[Sequence[tuple[str, str]]]
    """For each chosen column its values, each with the piece of a search that asks for it."""


class EventsPages:
    """Handlers of the page of events and its parts."""

    def __init__(self, services: Services, gate: Gate, questions: Questions) -> None:
        self._services = services
        self._ledger = services.ledger
        self._gate = gate
        self._questions = questions
        self._charts = Charts(services.ledger, questions)
        self._completion = Completion(services.ledger, questions)
        self._budget = Budget(services.door)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes; they go before the one of a single event."""
        reading, events = self._gate.reading, f"{PATH}/events"
        return [
            Route(PATH, reading(self._page), methods=["GET"]),
            Route(events, reading(self._page), methods=["GET"]),
            Route(f"{events}/chart", self._beside(self._chart), methods=["GET"]),
            Route(f"{events}/facets", self._beside(self._facets), methods=["GET"]),
            Route(f"{events}/overview", self._beside(self._overview), methods=["GET"]),
            Route(f"{events}/complete", self._beside(self._complete), methods=["GET"]),
            Route(f"{events}/news", reading(self._news), methods=["GET"]),
            Route(f"{events}/around", reading(self._around), methods=["GET"]),
            Route(f"{PATH}/searches", reading(self._save), methods=["POST"]),
            Route(f"{PATH}/searches/{{id}}/delete", reading(self._forget), methods=["POST"]),
        ]

    def _beside(
        self, part: Callable[[Visit], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of something that must not hold up the list."""

        async def endpoint(request: Request) -> Response:
            visit = await self._gate.visit(request, Scope.READ)
            return await self._budget.run(lambda: part(visit))

        return endpoint

    def _asked(self, visit: Visit) -> Asked:
        return asked_of(visit.params, visit.zone, self._services.clock.now_ms())

    def _page(self, visit: Visit) -> Response:
        # Read first: what is recorded meanwhile comes with live mode.
        last = self._last(visit)
        try:
            asked, error = self._asked(visit), None
        except Malformed as malformed:
            asked = asked_of(type(visit.params)({"q": visit.params.get("q", "")}), visit.zone, 0)
            error = malformed
        try:
            if error is not None:
                raise error
            rows, more = self._rows(visit, asked)
        except RequestError as wrong:
            if is_fragment(visit.request):
                raise
            return self._shown(visit, asked, ([], None), last, wrong)
        if is_fragment(visit.request):
            return visit.show("_more.html", asked=asked, rows=rows, more=more, refine=refined)
        return self._shown(visit, asked, (rows, more), last, None)

    def _shown(
        self,
        visit: Visit,
        asked: Asked,
        listed: tuple[Sequence[EventRow], str | None],
        last: int,
        error: RequestError | None,
    ) -> Response:
        rows, more = listed
        owner = visit.visitor.owner
        found = self._services.identity.list(SavedSearch, visit.tenant)
        searches = [search for search in found if search.owner == owner]
        is_empty = not rows and not asked.is_narrowed and error is None
        return visit.show(
            "events.html",
            200 if error is None else 400,
            asked=asked, rows=rows, more=more, error=error, refine=refined, ranges=RANGES,
            searches=searches, position=_place(error, asked.q), is_empty=is_empty,
            all_columns=_SUGGESTED_COLUMNS, query=urlencode(asked.params),
            is_later="cursor" in visit.params, last_index=last,
        )  # fmt: skip

    def _rows(self, visit: Visit, asked: Asked) -> tuple[list[EventRow], str | None]:
        """Return a page of the list, and the address of the next."""
        question = self._questions.page(visit.visitor.principal, asked, visit.params.get("cursor"))
        limit_bytes = self._services.settings.page_bytes
        page = self._ledger.find(visit.tenant, question, visit.visible, max_bytes=limit_bytes)
        more = None
        if page.more and page.hits:
            place = cursor.encode(page.hits[-1].position, asked.fingerprint)
            more = f"{PATH}?" + urlencode(asked.changed(cursor=place))
        return [row_of(view, asked.columns) for view in page.views], more

    def _chart(self, visit: Visit) -> Response:
        asked, now_ms = self._asked(visit), self._services.clock.now_ms()
        chart = self._charts.chart(visit.visitor.principal, asked, visit.zone, now_ms)
        return visit.show(
            "_chart.html",
            chart=chart,
            asked=asked,
            width=WIDTH,
            height=HEIGHT,
            groupings=_GROUPINGS,
        )

    def _facets(self, visit: Visit) -> Response:
        asked = self._asked(visit)
        return visit.show("_facets.html", facets=self._facets_of(visit, asked), asked=asked)

    def _overview(self, visit: Visit) -> Response:
        asked, now_ms = self._asked(visit), self._services.clock.now_ms()
        chart = self._charts.chart(visit.visitor.principal, asked, visit.zone, now_ms)
        facets = self._facets_of(visit, asked)
        return visit.show(
            "overview.html", chart=chart, facets=facets, asked=asked, width=WIDTH, height=HEIGHT,
            groupings=_GROUPINGS,
            query=urlencode(asked.params),
        )  # fmt: skip

    def _facets_of(self, visit: Visit, asked: Asked) -> list[Facet]:
        principal = visit.visitor.principal
        where = self._questions.where(principal, asked)
        requests = [TopValues(field, limit=_FACET_TOP) for field in FACETS]
        question = Find(where=where, over=asked.over, limit=0)
        results = self._ledger.aggregate(visit.tenant, question, requests, visit.visible)
        return [
            self._facet(visit, field, result, asked.q)
            for field, result in zip(FACETS, results, strict=True)
            if isinstance(result, TopValuesResult) and result.entries
        ]

    def _facet(self, visit: Visit, field: str, result: TopValuesResult, q: str) -> Facet:
        highest = max(count for _, count in result.entries)
        values = []
        for value, count in result.entries:
            piece = clause(field, value)
            only = refined(q, piece)
            text = self._name(visit, field, value)
            share = max(1, round(20 * count / highest))
            is_active = len(only) < len(q)
            values.append(
                FacetValue(text, count, share, only, refined(q, piece, exclude=True), is_active)
            )
        rest = result.value_count - sum(count for _, count in result.entries)
        return Facet(field, values, rest)

    def _name(self, visit: Visit, field: str, value: Scalar) -> str:
        """Return what a person calls a value: an actor by name, if the reader may see them all."""
        text = "(none)" if value is None else str(value)
        known = parse_reference(text) if field == "actor" else None
        if known is None or not isinstance(visit.visible, Everything):
            return text
        summary = self._ledger.resource(visit.tenant, *known)
        return text if summary is None or not summary.name else summary.name

    def _complete(self, visit: Visit) -> Response:
        found = self._completion.of(
            visit.visitor.principal, visit.params.get("q", ""), visit.params.get("at", "")
        )
        return Response(json_text.encode(found), media_type="application/json")

    def _news(self, visit: Visit) -> Response:
        """Show the events that were recorded behind a position, the latest ones first."""
        after = visit.params.get("after", "")
        if not (after.isascii() and after.isdigit() and len(after) < 16):
            raise Malformed("after is the position of an event in the log.", path="after")
        asked, last = self._asked(visit), self._last(visit)
        where = self._questions.where(
            visit.visitor.principal, asked, Range("index", int(after) + 1, last)
        )
        # The oldest of them first, so that what is left over comes with the next question.
        sort = (Sort("index", descending=False),)
        question = Find(where=where, over=asked.over, sort=sort, limit=_NEWS)
        page = self._ledger.find(visit.tenant, question, visit.visible)
        rows = [row_of(view, asked.columns) for view in reversed(page.views)]
        read = page.hits[-1].index if page.more else last
        return visit.show(
            "_news.html", asked=asked, rows=rows, read=read, rest=page.more, refine=refined
        )

    def _last(self, visit: Visit) -> int:
        """Return the position of the latest entry of the log; -1 for an empty one."""
        return self._ledger.proofs.head(visit.tenant).size - 1

    def _around(self, visit: Visit) -> Response:
        """Show the events that were recorded right before and after one."""
        index = visit.params.get("index", "")
        if not (index.isascii() and index.isdigit() and len(index) < 16):
            raise Malformed("index is the position of an event in the log.", path="index")
        at = int(index)
        near = Range("index", at - _AROUND, at + _AROUND)
        sort = (Sort("index", descending=True),)
        question = Find(where=near, sort=sort, limit=2 * _AROUND + 1)
        page = self._ledger.find(visit.tenant, question, visit.visible)
        if all(view.index != at for view in page.views):
            raise NotFound("No event that you may see has this position.")
        asked = asked_of(type(visit.params)({}), visit.zone, 0)
        rows = [row_of(view, ()) for view in page.views]
        return visit.show("around.html", rows=rows, at=at, asked=asked, refine=refined)

    def _save(self, visit: Visit) -> Response:
        owner = visit.visitor.owner
        query = visit.form.get("query", "")
        found = self._services.identity.list(SavedSearch, visit.tenant)
        if sum(search.owner == owner for search in found) >= _SEARCHES_MAX:
            raise Malformed(f"You may keep {_SEARCHES_MAX} searches. Delete one first.")
        search = SavedSearch(
            id=secrets.token_hex(8),
            tenant=visit.tenant,
            created_ms=self._services.clock.now_ms(),
            name=visit.form.get("name", "").strip(),
            query=query,
            owner=owner,
        )
        act = acts.save_search(search)
        act.draft.actor = visit.visitor.actor
        self._ledger.administer(visit.tenant, act)
        return RedirectResponse(f"{PATH}?{query}" if query else PATH, 303)

    def _forget(self, visit: Visit) -> Response:
        owner = visit.visitor.owner

        def forget(search: SavedSearch | None) -> Act:
            if search is None or search.owner != owner:
                raise NotFound("You keep no such search.")
            act = acts.delete(search)
            act.draft.actor = visit.visitor.actor
            return act

        id = visit.request.path_params["id"]
        self._ledger.changes.carry_out(SavedSearch, visit.tenant, id, forget)
        return RedirectResponse(PATH, 303)


def row_of(view: View, columns: Sequence[str]) -> EventRow:
    """Return an event as a row of a list."""
    values = Values(view)
    return EventRow(view, [_cell(values, column) for column in columns])


def _cell(values: Values, column: str) -> list[tuple[str, str]]:
    field = {"occurred_at": "occurred_ms", "recorded_at": "recorded_ms"}.get(column, column)
    found = values.of(field)[:4]
    return [("null" if v is None else str(v), clause(column, v)) for v in found]


def _place(error: RequestError | None, q: str) -> tuple[int, int] | None:
    """Return which part of a search is wrong: a word, or the character that stands there."""
    if not isinstance(error, InvalidQuery) or error.position is None:
        return None
    word = _WORD.match(q, error.position)
    return error.position, word.end() if word else error.position + 1

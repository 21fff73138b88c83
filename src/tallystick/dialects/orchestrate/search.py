"""Searching a collection, or all of them. Source: seed; wire specification, section 10."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import msgspec
from starlette.responses import Response

from tallystick.dialects.orchestrate import aggregates, paging, query, wire
from tallystick.dialects.orchestrate.aggregates import AggregateClause
from tallystick.dialects.orchestrate.errors import Refusal
from tallystick.dialects.orchestrate.query import SearchOrder, SearchQuestion
from tallystick.dialects.orchestrate.request import OrchestrateExchange
from tallystick.errors import InvalidQuery, TooLarge
from tallystick.events.event import Json, Op, View
from tallystick.identity.access import Scope
from tallystick.ledger.selections import Selection
from tallystick.query.aggregate import (
    AggregateResult,
    TopValues,
    TopValuesResult,
    ValueCount,
    top_values,
)
from tallystick.query.expr import Near, Sort
from tallystick.query.geo import Point, distance_m
from tallystick.query.lucene.geo import METRES
from tallystick.query.question import Find, Hit
from tallystick.query.values import places_of

RANDOM_MAX = 10_000
"""Rows that can be put in random order: all of them have to be fetched for that."""

_PARAMETER = "search_param_invalid"
_NO_SCORE = 0.0
"""The score of a row in an order that asks for none, as clients know it."""


class _Asked(NamedTuple):
    """A search, all its parameters understood."""

    question: SearchQuestion
    order: SearchOrder
    clauses: list[AggregateClause]
    limit: int
    offset: int


class _Answer(NamedTuple):
    """What a search found."""

    page: Selection
    total: int
    results: list[AggregateResult]


async def search_everywhere(exchange: OrchestrateExchange) -> Response:
    """Answer with what a query finds in all collections."""
    return await _search(exchange, None)


async def search_collection(exchange: OrchestrateExchange, collection: str) -> Response:
    """Answer with what a query finds in a collection."""
    return await _search(exchange, collection)


async def _search(exchange: OrchestrateExchange, collection: str | None) -> Response:
    exchange.require(Scope.READ)
    values = exchange.flag("values", default=True, code=_PARAMETER)
    asked = _asked(exchange, collection)
    return await exchange.door.run(_page, exchange, asked, values=values)


def _page(exchange: OrchestrateExchange, asked: _Asked, *, values: bool) -> Response:
    answer = _answer(exchange, asked)
    more: Json = {"total_count": answer.total}
    if asked.clauses:
        more["aggregates"] = aggregates.tell(asked.clauses, answer.results)
    links = _links(exchange, asked, answer.total)
    if not asked.limit:
        return exchange.page([], links, more)
    near = asked.question.near
    return exchange.rows_page(
        answer.page, lambda row: _row(exchange, *row, near, values=values), links, more
    )


def _asked(exchange: OrchestrateExchange, collection: str | None) -> _Asked:
    text = exchange.parameter("query")
    if not text:
        raise Refusal(_PARAMETER, {"query": "", "info": "a query is not empty"})
    question = _question(text, collection)
    return _Asked(
        question,
        query.parse_order(exchange.parameter("sort"), question.near),
        aggregates.parse_aggregates(exchange.parameter("aggregate"), question.near),
        paging.limit_of(exchange.parameters, _PARAMETER, least=0),
        paging.offset_of(exchange.parameters, _PARAMETER),
    )


def _question(text: str, collection: str | None) -> SearchQuestion:
    try:
        return query.parse_question(text, collection)
    except InvalidQuery as error:
        details: Json = {"query": text[:256], "info": error.message}
        if error.position is not None:
            details["position"] = error.position
        if error.hint is not None:
            details["hint"] = error.hint
    except TooLarge as error:
        details = {"query": text[:256], "info": error.message, "limit": error.limit}
    raise Refusal("search_query_malformed", details)


def _answer(exchange: OrchestrateExchange, asked: _Asked) -> _Answer:
    ledger, tenant, visible = exchange.ledger, exchange.tenant, exchange.visible
    find = Find(
        where=asked.question.where,
        over=asked.question.over,
        dialect=wire.DIALECT,
        sort=asked.order.sorts,
        # Indexes count what they find; a page of none is not shown.
        limit=max(1, asked.limit),
        offset=asked.offset,
        total=True,
    )
    results = _aggregated(exchange, find, asked)
    if asked.order.seed is not None:
        return _shuffled(exchange, asked, results)
    page = ledger.select(tenant, find, visible)
    return _Answer(page, page.total or 0, results)


def _aggregated(exchange: OrchestrateExchange, find: Find, asked: _Asked) -> list[AggregateResult]:
    """Answer aggregates, each about the rows that show its field."""
    ledger, tenant, visible = exchange.ledger, exchange.tenant, exchange.visible
    requests = [clause.request for clause in asked.clauses]
    results: dict[int, AggregateResult] = {}
    alike: dict[tuple[str, ...], list[int]] = {}
    for number, request in enumerate(requests):
        if isinstance(request, TopValues) and request.field == query.KIND:
            results[number] = _top_kinds(exchange, find, asked.question, request)
        else:
            kinds = asked.question.kinds_showing(request.field)
            alike.setdefault(kinds, []).append(number)
    for kinds, numbers in alike.items():
        about = _about(find, asked.question.of(kinds))
        found = ledger.aggregate(tenant, about, [requests[n] for n in numbers], visible)
        results |= zip(numbers, found, strict=True)
    return [results[number] for number in range(len(requests))]


def _top_kinds(
    exchange: OrchestrateExchange, find: Find, question: SearchQuestion, request: TopValues
) -> TopValuesResult:
    """Count the rows of each kind, which no index has as a value."""
    counts: list[ValueCount] = []
    for kind in question.parts:
        about = msgspec.structs.replace(_about(find, question.of((kind,))), limit=1, offset=0)
        total = exchange.ledger.find(exchange.tenant, about, exchange.visible).total
        if total:
            counts.append(ValueCount(kind, total))
    return top_values(counts, request)


def _about(find: Find, question: SearchQuestion) -> Find:
    return msgspec.structs.replace(find, where=question.where, over=question.over)


def _shuffled(
    exchange: OrchestrateExchange, asked: _Asked, results: list[AggregateResult]
) -> _Answer:
    """Order rows by chance: the same seed gives the same order as long as nothing is added."""
    find = Find(
        where=asked.question.where,
        over=asked.question.over,
        dialect=wire.DIALECT,
        sort=(Sort("index"),),
        limit=RANDOM_MAX,
        total=True,
    )
    found = exchange.ledger.find_rows(exchange.tenant, find, exchange.visible)
    if found.more:
        raise Refusal(_PARAMETER, {"sort": "_random", "info": f"for {RANDOM_MAX:,} rows at most"})
    seed = (asked.order.seed or "").encode("utf-8", "surrogatepass")
    hits = sorted(
        (Hit(hit.index, hit.position) for hit in found.hits),
        key=lambda hit: blake2b(b"%d:%b" % (hit.index, seed), digest_size=8).digest(),
    )[asked.offset : asked.offset + asked.limit]
    page = exchange.ledger.select_of(exchange.tenant, find, found._replace(hits=hits))
    return _Answer(page, found.total or 0, results)


def _row(
    exchange: OrchestrateExchange, view: View, hit: Hit, near: Near | None, *, values: bool
) -> Json:
    is_document = view.first.op is Op.DOCUMENT
    path = wire.document_path(view.first) if is_document else wire.event_path(view)
    row: Json = {"path": path}
    if values:
        row["value"] = exchange.filter.apply(view.event.data)
    distance = None if near is None else _distance(view, near)
    if distance is not None:
        row["distance"] = distance
    else:
        row["score"] = _NO_SCORE if hit.score is None else hit.score
    row["reftime"] = path["reftime"]
    return row


def _distance(view: View, near: Near) -> float | None:
    """Return how far the nearest of an event's places is, in the unit of the query."""
    centre = Point(near.latitude, near.longitude)
    metres = [distance_m(centre, place) for place in places_of(near.field, view)]
    return min(metres) / METRES[near.unit] if metres else None


def _links(exchange: OrchestrateExchange, asked: _Asked, total: int) -> dict[str, str]:
    limit, offset = asked.limit, asked.offset
    links: dict[str, str] = {}
    if limit and offset + limit < total:
        links["next"] = _link(exchange, offset + limit)
    if offset:
        links["prev"] = _link(exchange, max(0, offset - limit))
    return links


def _link(exchange: OrchestrateExchange, offset: int) -> str:
    return paging.link(exchange.path, [("offset", str(offset))], exchange.parameters)

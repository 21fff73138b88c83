"""Whole collections: listing their items by key, and deleting all that is in them.

Source: wire specification, sections 4 and 5.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import msgspec
from starlette.responses import Response

from tallystick import limits
from tallystick.dialects.orchestrate import paging, wire
from tallystick.dialects.orchestrate.items import item_row
from tallystick.dialects.orchestrate.paging import Parameter
from tallystick.dialects.orchestrate.request import OrchestrateExchange
from tallystick.errors import Malformed, PreconditionFailed, TallystickError
from tallystick.events.event import Draft, Event, Resource, View
from tallystick.identity.access import Scope
from tallystick.query.expr import Eq, Expr, all_of
from tallystick.query.question import Find, Over, ResourceQuery

DELETE_CHUNK = 500
"""Items or events that one step of deleting a collection takes away."""

_CHUNK_BYTES = 16 * 1024 * 1024
_PARAMETER = "search_param_invalid"
_BOUNDS = ("startKey", "afterKey", "beforeKey", "endKey")


class KeyRange(NamedTuple):
    """Which keys a list is about; None is an open end."""

    low: str | None = None
    low_inclusive: bool = True
    high: str | None = None
    high_inclusive: bool = True


async def list_items(exchange: OrchestrateExchange, collection: str) -> Response:
    """Answer with a page of a collection's items in the order of their keys."""
    exchange.require(Scope.READ)
    limit = paging.limit_of(exchange.parameters, _PARAMETER)
    values = exchange.flag("values", default=True, code=_PARAMETER)
    keys = key_range_of(exchange.parameters)
    found, more = await exchange.door.run(_page, exchange, collection, keys, limit)
    rows = [item_row(exchange, document, values=values) for document in found]
    links = {}
    if more:
        front = [("afterKey", rows[-1]["path"]["key"]), ("limit", str(limit))]
        links["next"] = paging.link(
            exchange.path, front, exchange.parameters, without=("startKey", "query")
        )
    return exchange.page(rows, links)


async def delete_collection(exchange: OrchestrateExchange, collection: str) -> Response:
    """Delete every item of a collection with its relations, and retract its events.

    What other APIs wrote about the same resources stays. Nothing goes if a legal hold covers any of
    it; a hold that is placed meanwhile keeps what is left.
    """
    if not exchange.flag("force"):
        raise Malformed("a collection is deleted with force=true or not at all", path="force")
    exchange.require(Scope.WRITE, Scope.PURGE)
    events = all_of((Eq("target.type", collection), _OURS))
    documents = [
        all_of((Eq(field, collection), _OURS))
        for field in ("target.type", f"{wire.DIALECT}.source.collection",
                      f"{wire.DIALECT}.destination.collection")
    ]  # fmt: skip
    if await exchange.door.run(exchange.ledger.holds.active, exchange.tenant):
        for where in documents:
            await exchange.door.run(_check_holds, exchange, where, Over.ITEMS)
        await exchange.door.run(_check_holds, exchange, events, Over.EVENTS)
    for where in documents:
        await _delete_documents(exchange, where)
    await _retract_events(exchange, events)
    return exchange.reply(204)


def key_range_of(parameters: list[Parameter]) -> KeyRange:
    """Return the keys that the bounds among the parameters leave; the tightest ones count."""
    keys = KeyRange()
    for parameter in parameters:
        name, key = parameter.name, parameter.value
        if name not in _BOUNDS:
            continue
        inclusive = name in ("startKey", "endKey")
        if name in ("startKey", "afterKey"):
            # Of two equal bounds the exclusive one is the tighter.
            if keys.low is None or (key, not inclusive) > (keys.low, not keys.low_inclusive):
                keys = keys._replace(low=key, low_inclusive=inclusive)
        elif keys.high is None or (key, inclusive) < (keys.high, keys.high_inclusive):
            keys = keys._replace(high=key, high_inclusive=inclusive)
    return keys


def _page(
    exchange: OrchestrateExchange, collection: str, keys: KeyRange, limit: int
) -> tuple[list[Event], bool]:
    """Return the first items of a range that the caller may see, and whether more follow."""
    found: list[Event] = []
    size, max_bytes = 0, exchange.services.settings.page_bytes
    for views in _slices(exchange, collection, keys, limit + 1):
        found += [
            view.first
            for view in views
            if wire.is_document(view.first) and exchange.ledger.may_see(view, exchange.visible)
        ]
        size += limits.SLICE_BYTES
        if len(found) > limit or (found and size >= max_bytes):
            # Of what ends a page early, nobody knows whether it is the last.
            return found[:limit], True
    return found, False


def _slices(
    exchange: OrchestrateExchange, collection: str, keys: KeyRange, count: int
) -> Iterator[Collection[View]]:
    """Yield the items of a range in the order of their keys, some at a time."""
    while True:
        question = ResourceQuery(
            type=collection,
            low=keys.low,
            low_inclusive=keys.low_inclusive,
            high=keys.high,
            high_inclusive=keys.high_inclusive,
            live=True,
            limit=count,
        )
        summaries = exchange.ledger.resources(exchange.tenant, question)
        indexes = [summary.document for summary in summaries if summary.document is not None]
        for views in exchange.ledger.views_in_slices(exchange.tenant, indexes):
            yield views.values()
        if len(summaries) < count:
            return
        keys = keys._replace(low=summaries[-1].id, low_inclusive=False)


def _check_holds(exchange: OrchestrateExchange, where: Expr, over: Over) -> None:
    """Look at everything there is to delete before any of it goes.

    Raises: UnderHold.
    """
    question: Find | None = _first(where, over)
    while question is not None:
        page = exchange.ledger.find(
            exchange.tenant, question, exchange.visible, max_bytes=_CHUNK_BYTES
        )
        exchange.ledger.holds.check(exchange.tenant, page.views)
        after = page.hits[-1].position if page.more and page.hits else None
        question = None if after is None else msgspec.structs.replace(question, after=after)


async def _delete_documents(exchange: OrchestrateExchange, where: Expr) -> None:
    while views := await _chunk(exchange, where, Over.ITEMS):
        await exchange.take_away(*(_tombstone(exchange, view) for view in views))


async def _retract_events(exchange: OrchestrateExchange, where: Expr) -> None:
    while views := await _chunk(exchange, where, Over.EVENTS):
        outcomes = await exchange.door.run(
            exchange.ledger.retract_each,
            exchange.tenant,
            views,
            dialect=wire.DIALECT,
            actor=exchange.actor,
        )
        for outcome in outcomes:
            # An event that was changed meanwhile is judged again; nothing else will pass.
            if isinstance(outcome, TallystickError) and not isinstance(outcome, PreconditionFailed):
                raise outcome


async def _chunk(exchange: OrchestrateExchange, where: Expr, over: Over) -> list[View]:
    page = await exchange.door.run(
        exchange.ledger.find,
        exchange.tenant,
        _first(where, over),
        exchange.visible,
        max_bytes=_CHUNK_BYTES,
    )
    return list(page.views)


def _first(where: Expr, over: Over) -> Find:
    return Find(where=where, over=over, dialect=wire.DIALECT, limit=DELETE_CHUNK)


def _tombstone(exchange: OrchestrateExchange, view: View) -> Draft:
    target = view.first.target
    assert target is not None, "a document is of a resource"
    return wire.delete_draft(Resource(target.type, target.id), actor=exchange.actor)


_OURS = Eq("dialect", wire.DIALECT)

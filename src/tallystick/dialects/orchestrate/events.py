"""Events: creating, reading, changing and listing them. Source: seed; wire specification 7 to 9."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.responses import Response

from tallystick.dialects.orchestrate import paging, timestamps, wire
from tallystick.dialects.orchestrate.documents import ATTEMPTS
from tallystick.dialects.orchestrate.errors import Refusal, items_not_found
from tallystick.dialects.orchestrate.items import patcher
from tallystick.dialects.orchestrate.preconditions import Precondition, entity_tag
from tallystick.dialects.orchestrate.request import OrchestrateExchange
from tallystick.dialects.orchestrate.time_span import LOWER_BOUNDS, UPPER_BOUNDS, TimeSpan, span_of
from tallystick.dialects.orchestrate.wire import Address
from tallystick.errors import Malformed, NotFound, PreconditionFailed
from tallystick.events import ids
from tallystick.events.event import Json, Op, View
from tallystick.events.references import to_text
from tallystick.identity.access import Scope
from tallystick.log.sequencer import Accepted
from tallystick.query.expr import Eq, Expr, Range, all_of
from tallystick.query.question import Find

_PARAMETER = "event_param_invalid"


class Name(NamedTuple):
    """What names one event."""

    address: Address
    type: str
    occurred_ms: int
    ordinal: int


# Creating


async def put_on_type(
    exchange: OrchestrateExchange, collection: str, key: str, type: str
) -> Response:
    """Create an event the old way, now or at the `timestamp` given, and say no more of it."""
    text = exchange.parameter("timestamp")
    await _create(exchange, Address(collection, key), type, text)
    return exchange.reply(204)


async def post_now(exchange: OrchestrateExchange, collection: str, key: str, type: str) -> Response:
    """Create an event that happens now."""
    return await _post(exchange, Address(collection, key), type, None)


async def post_at(
    exchange: OrchestrateExchange, collection: str, key: str, type: str, timestamp: str
) -> Response:
    """Create an event that happened at a time."""
    return await _post(exchange, Address(collection, key), type, timestamp)


async def _post(
    exchange: OrchestrateExchange, address: Address, type: str, timestamp: str | None
) -> Response:
    accepted, value = await _create(exchange, address, type, timestamp)
    name = Name(address, type, accepted.occurred_ms, ids.ordinal(accepted.index))
    return _written(exchange, 201, name, value)


async def _create(
    exchange: OrchestrateExchange, address: Address, type: str, timestamp: str | None
) -> tuple[Accepted, Json]:
    exchange.require(Scope.WRITE)
    occurred_ms = None if timestamp is None else timestamps.parse(timestamp)
    value = await exchange.value()
    draft = wire.event_draft(address, type, value, occurred_ms=occurred_ms, actor=exchange.actor)
    return await exchange.append(draft), value


# One event


async def get_event(
    exchange: OrchestrateExchange,
    collection: str,
    key: str,
    type: str,
    timestamp: str,
    ordinal: str,
) -> Response:
    """Answer with one event."""
    exchange.require(Scope.READ)
    name = _name(collection, key, type, timestamp, ordinal)
    view = await _read(exchange, name)
    row = _row(exchange, view)
    return exchange.reply(200, row, {"ETag": entity_tag(row["path"]["ref"])})


async def put_event(
    exchange: OrchestrateExchange,
    collection: str,
    key: str,
    type: str,
    timestamp: str,
    ordinal: str,
) -> Response:
    """Replace an event's value; it keeps its time and its ordinal."""
    exchange.require(Scope.WRITE)
    name, condition = _name(collection, key, type, timestamp, ordinal), exchange.condition()
    value = await exchange.value()
    await _revise(exchange, name, condition, lambda _: value)
    return _written(exchange, 204, name, value)


async def patch_event(
    exchange: OrchestrateExchange,
    collection: str,
    key: str,
    type: str,
    timestamp: str,
    ordinal: str,
) -> Response:
    """Change an event's value by operations or a merge."""
    exchange.require(Scope.READ, Scope.WRITE)
    name, condition = _name(collection, key, type, timestamp, ordinal), exchange.condition()
    apply = patcher(exchange, await exchange.body())
    value = await _revise(exchange, name, condition, apply)
    return _written(exchange, 201, name, value)


async def delete_event(
    exchange: OrchestrateExchange,
    collection: str,
    key: str,
    type: str,
    timestamp: str,
    ordinal: str,
) -> Response:
    """Take an event away for good: retract it and destroy its content."""
    name, condition = _name(collection, key, type, timestamp, ordinal), exchange.condition()
    if not exchange.flag("purge"):
        raise Malformed("an event has no history: it can only be purged", path="purge")
    exchange.require(Scope.WRITE, Scope.PURGE)
    await exchange.door.run(_purge, exchange, name, condition)
    return exchange.reply(204)


async def _read(exchange: OrchestrateExchange, name: Name) -> View:
    view: View | None = await exchange.door.run(find_event, exchange, name)
    if view is None:
        raise items_not_found(*name.address)
    return view


def find_event(exchange: OrchestrateExchange, name: Name) -> View | None:
    """Return the event with a name; None when there is none, or none that the caller may see."""
    index = _index_of(exchange, name)
    if index is None:
        return None
    try:
        view = exchange.ledger.view_at(exchange.tenant, index, exchange.visible)
    except NotFound:
        return None
    event = view.event
    if event.op is not Op.RECORD or not wire.shows(view) or event.target is None:
        return None
    is_named = (
        event.target.key == name.address
        and event.kind == name.type
        and view.first.occurred_ms == name.occurred_ms
        and wire.ordinal_of(view) == name.ordinal
    )
    return view if is_named else None


def _index_of(exchange: OrchestrateExchange, name: Name) -> int | None:
    """Return where the event with a name would be; None when there can be none."""
    if name.ordinal <= wire.OWN_ORDINAL_MAX:
        return name.ordinal - 1 if name.ordinal else None
    question = Find(
        where=all_of(
            (_series(name.address, name.type), Eq(wire.ORDINAL_FIELD, name.ordinal),
             Eq("occurred_ms", name.occurred_ms))
        ),
        dialect=wire.DIALECT,
        limit=1,
    )  # fmt: skip
    page = exchange.ledger.find(exchange.tenant, question, exchange.visible)
    return page.views[0].index if page.views else None


async def _revise(
    exchange: OrchestrateExchange,
    name: Name,
    condition: Precondition,
    change: Callable[[Json], Json],
) -> Json:
    for _ in range(ATTEMPTS):
        view = await _read(exchange, name)
        condition.check(wire.ref_of(view.event.data))
        value = change(view.event.data)
        try:
            await exchange.door.run(
                exchange.ledger.revise,
                exchange.tenant,
                view.first.id,
                value,
                visible=exchange.visible,
                dialect=wire.DIALECT,
                actor=exchange.actor,
                expected=frozenset((view.revision,)),
            )
        except PreconditionFailed:
            continue
        except NotFound:
            raise items_not_found(*name.address) from None
        return value
    raise Refusal("item_version_mismatch")


def _purge(exchange: OrchestrateExchange, name: Name, condition: Precondition) -> None:
    for _ in range(ATTEMPTS):
        view = find_event(exchange, name)
        condition.check(None if view is None else wire.ref_of(view.event.data))
        if view is None:
            return
        try:
            exchange.ledger.retract(
                exchange.tenant,
                view.first.id,
                visible=exchange.visible,
                dialect=wire.DIALECT,
                actor=exchange.actor,
                expected=frozenset((view.revision,)),
                erase=True,
            )
        except PreconditionFailed:
            continue
        except NotFound:
            return
        return
    raise Refusal("item_version_mismatch")


# Lists


async def list_events(
    exchange: OrchestrateExchange, collection: str, key: str, type: str
) -> Response:
    """Answer with a page of a series, newest first."""
    exchange.require(Scope.READ)
    limit = paging.limit_of(exchange.parameters, _PARAMETER)
    views, more = await exchange.door.run(_page, exchange, Address(collection, key), type, limit)
    links = {"next": _next(exchange, limit, views[-1])} if more else {}
    return exchange.page([_row(exchange, view) for view in views], links)


def find_series(address: Address, type: str, span: TimeSpan, limit: int) -> Find:
    """Return the question for a page of a series, as indexes answer it."""
    high = span.high
    return Find(
        where=all_of((_series(address, type), _times(span))),
        dialect=wire.DIALECT,
        limit=limit,
        after=high if high.index else None,
    )


def _page(
    exchange: OrchestrateExchange, address: Address, type: str, limit: int
) -> tuple[list[View], bool]:
    def index_of(occurred_ms: int, ordinal: int) -> int:
        index = _index_of(exchange, Name(address, type, occurred_ms, ordinal))
        # Nobody has such an ordinal: all that have one at this time come before it.
        return max(ordinal - 1, 0) if index is None else index

    span = span_of(exchange.parameters, index_of)
    if span.is_empty:
        return [], False
    # One row ahead: indexes know bounds by time only, so they cannot tell whether what follows
    # is still within the span.
    question = find_series(address, type, span, limit + 1)
    page = exchange.ledger.find(
        exchange.tenant, question, exchange.visible, max_bytes=exchange.services.settings.page_bytes
    )
    # Rows come newest first, so what lies before an ordinal is a tail of the page.
    views = [view for view in page.views if (view.first.occurred_ms, view.index) >= span.low]
    # Fewer than asked for, yet more to come: these are large, or some were deleted meanwhile.
    cut_short = page.more and 0 < len(views) == len(page.views)
    return views[:limit], cut_short or len(views) > limit


def _series(address: Address, type: str) -> Expr:
    # The first names the resource in one word, which a colon could make ambiguous.
    return all_of(
        (
            Eq("target", to_text(address.collection, address.key)),
            Eq("target.type", address.collection),
            Eq("kind", type),
        )
    )


def _times(span: TimeSpan) -> Expr:
    low, high = span
    return Range("occurred_ms", low.occurred_ms, high.occurred_ms, high_inclusive=high.index > 0)


def _next(exchange: OrchestrateExchange, limit: int, last: View) -> str:
    before = f"{last.first.occurred_ms}/{wire.ordinal_of(last)}"
    kept = [p for p in exchange.parameters if p.name in LOWER_BOUNDS or p.name in _FILTERS]
    return paging.link(
        exchange.path,
        [("limit", str(limit)), ("beforeEvent", before)],
        kept,
        without=UPPER_BOUNDS,
    )


_FILTERS = frozenset({"with_fields", "without_fields"})


# Rendering


def _row(exchange: OrchestrateExchange, view: View) -> Json:
    row = wire.from_event(view)
    row["value"] = exchange.filter.apply(row["value"])
    return row


def _written(exchange: OrchestrateExchange, status: int, name: Name, value: Json) -> Response:
    names: tuple[Any, ...] = (*name.address, "events", name.type)
    path = "/".join(map(paging.to_segment, names))
    location = f"/v0/{path}/{name.occurred_ms}/{name.ordinal}"
    return exchange.reply(
        status, headers={"Location": location, "ETag": entity_tag(wire.ref_of(value))}
    )


def _name(collection: str, key: str, type: str, timestamp: str, ordinal: str) -> Name:
    return Name(
        Address(collection, key),
        type,
        timestamps.parse(timestamp),
        wire.parse_ordinal(ordinal),
    )

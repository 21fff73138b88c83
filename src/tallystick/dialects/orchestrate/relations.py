"""Relations between items: putting, reading, deleting, and walking along them.

Source: wire specification, section 14.
"""

from __future__ import annotations

from starlette.responses import Response

from tallystick import json_text
from tallystick.dialects.orchestrate import documents, paging, wire
from tallystick.dialects.orchestrate.errors import Refusal, items_not_found
from tallystick.dialects.orchestrate.items import item_row, offset_links
from tallystick.dialects.orchestrate.preconditions import entity_tag
from tallystick.dialects.orchestrate.request import OrchestrateExchange
from tallystick.dialects.orchestrate.wire import Address, Relation
from tallystick.errors import Malformed
from tallystick.events.event import Event, Json, Resource
from tallystick.identity.access import Scope
from tallystick.query.question import ResourceQuery

NODES_MAX = 10_000
"""Items that one hop of a walk may reach: bounds its work and memory."""

HOPS_MAX = 10
"""Hops of one walk."""

_CHUNK = 1_000
_PARAMETER = "graph_param_invalid"


async def get_relation(
    exchange: OrchestrateExchange,
    collection: str,
    key: str,
    kind: str,
    to_collection: str,
    to_key: str,
) -> Response:
    """Answer with the properties of a relation."""
    exchange.require(Scope.READ)
    relation = Relation(Address(collection, key), kind, Address(to_collection, to_key))
    current = await documents.read_current(exchange, wire.relation_resource(relation))
    if current.document is None:
        raise Refusal("relation_not_found")
    value = exchange.filter.apply(current.document.data)
    return exchange.reply(200, value, {"ETag": entity_tag(wire.ref_of(current.document.data))})


async def put_relation(
    exchange: OrchestrateExchange,
    collection: str,
    key: str,
    kind: str,
    to_collection: str,
    to_key: str,
) -> Response:
    """Create or replace a relation; an empty body stands for no properties."""
    exchange.require(Scope.WRITE)
    relation = Relation(Address(collection, key), kind, Address(to_collection, to_key))
    condition = exchange.condition(absence=True)
    value = _properties(await exchange.body())
    await _require_ends(exchange, relation)
    draft = wire.relation_draft(relation, value, actor=exchange.actor)
    ref = await documents.put(exchange, draft, condition)
    headers = {"Location": _location(relation), "ETag": entity_tag(ref)}
    return exchange.reply(201, headers=headers)


async def delete_relation(
    exchange: OrchestrateExchange,
    collection: str,
    key: str,
    kind: str,
    to_collection: str,
    to_key: str,
) -> Response:
    """Take a relation away, and with `purge=true` destroy its properties."""
    purge = exchange.flag("purge", code=_PARAMETER)
    exchange.require(Scope.WRITE, *([Scope.PURGE] if purge else []))
    relation = Relation(Address(collection, key), kind, Address(to_collection, to_key))
    condition = exchange.condition()
    await _require_ends(exchange, relation)
    target = wire.relation_resource(relation)
    await documents.delete(exchange, target, condition, purge=purge)
    return exchange.reply(204)


async def walk(exchange: OrchestrateExchange, collection: str, key: str, *kinds: str) -> Response:
    """Answer with a page of the items at the end of a walk along relations of `kinds`."""
    exchange.require(Scope.READ)
    limit = paging.limit_of(exchange.parameters, _PARAMETER)
    offset = paging.offset_of(exchange.parameters, _PARAMETER)
    if len(kinds) > HOPS_MAX:
        raise Refusal(_PARAMETER, {"info": f"a walk has {HOPS_MAX} hops at most"})
    start = Address(collection, key)
    span = (offset, offset + limit)
    response: Response | None = await exchange.door.run(_walk, exchange, start, kinds, span)
    if response is None:
        raise items_not_found(*start)
    return response


async def missing_end(exchange: OrchestrateExchange, relation: Relation) -> Address | None:
    """Return the first end of a relation that is no item; None when both are."""
    for end in (relation.source, relation.destination):
        current = await documents.read_current(exchange, Resource(*end))
        if current.document is None:
            return end
    return None


async def _require_ends(exchange: OrchestrateExchange, relation: Relation) -> None:
    end = await missing_end(exchange, relation)
    if end is not None:
        raise items_not_found(*end)


def _walk(
    exchange: OrchestrateExchange, start: Address, kinds: tuple[str, ...], span: tuple[int, int]
) -> Response | None:
    """Answer with a span of the items at the end of a walk, each once; None without a start."""
    if _item(exchange, start) is None:
        return None
    reached = [start]
    for kind in kinds:
        # A dictionary keeps the order in which items are first reached.
        ahead: dict[Address, None] = {}
        for source in reached:
            ahead |= dict.fromkeys(_neighbours(exchange, source, kind))
            if len(ahead) > NODES_MAX:
                raise Refusal(_PARAMETER, {"info": f"a walk may reach {NODES_MAX:,} items a hop"})
        reached = list(ahead)
    offset, end = span
    indexes: list[int] = []
    seen = 0
    for item in (item for address in reached if (item := _item(exchange, address)) is not None):
        seen += 1
        if seen > end:
            break
        if seen > offset:
            indexes.append(item.index)
    links = offset_links(exchange, end - offset, offset, more=seen > end)
    # The values of all items together may be large: they are read again as they are sent.
    return exchange.documents_page(indexes, lambda item: item_row(exchange, item), links)


def _neighbours(exchange: OrchestrateExchange, source: Address, kind: str) -> list[Address]:
    low, high = wire.relation_bounds(source)
    found: list[Address] = []
    while True:
        question = ResourceQuery(
            type=wire.RELATION_TYPE + kind,
            low=low,
            low_inclusive=False,
            high=high,
            high_inclusive=False,
            live=True,
            limit=_CHUNK,
        )
        summaries = exchange.ledger.resources(exchange.tenant, question)
        for summary in summaries:
            relation = wire.relation_of(Resource(summary.type, summary.id))
            if relation is not None and _may_see(exchange, summary.document):
                found.append(relation.destination)
        if len(summaries) < _CHUNK or len(found) > NODES_MAX:
            return found
        low = summaries[-1].id


def _may_see(exchange: OrchestrateExchange, index: int | None) -> bool:
    if index is None:
        return False
    view = exchange.ledger.views_at(exchange.tenant, [index])[index]
    return exchange.ledger.may_see(view, exchange.visible)


def _item(exchange: OrchestrateExchange, address: Address) -> Event | None:
    current = documents.current_of(
        exchange.ledger, exchange.tenant, Resource(*address), exchange.visible
    )
    return current.document


def _properties(body: bytes) -> Json:
    if not body.strip():
        return {}
    value = json_text.decode(body)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed("the properties of a relation are a JSON object", path="")
    return value


def _location(relation: Relation) -> str:
    names = (*relation.source, "relation", relation.kind, *relation.destination)
    return "/v0/" + "/".join(map(paging.to_segment, names))

"""Key/value items and their refs. Source: wire specification, sections 4 and 6."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from tallystick import json_text
from tallystick.dialects.orchestrate import documents, paging, patch, wire
from tallystick.dialects.orchestrate.documents import Current
from tallystick.dialects.orchestrate.errors import Refusal, items_not_found
from tallystick.dialects.orchestrate.preconditions import Precondition, entity_tag, parse_ref
from tallystick.dialects.orchestrate.request import OrchestrateExchange
from tallystick.dialects.orchestrate.wire import Address
from tallystick.errors import Malformed
from tallystick.events.event import Draft, Event, Json, Resource
from tallystick.identity.access import Scope

_KEY_RANDOM_BITS = 22
_MERGE_TYPE = "application/merge-patch+json"
_OPERATIONS_TYPE = "application/json-patch+json"
_PARAMETER = "api_bad_request"


async def get_item(exchange: OrchestrateExchange, collection: str, key: str) -> Response:
    """Answer with an item's latest value."""
    exchange.require(Scope.READ)
    address = Address(collection, key)
    current = await documents.read_current(exchange, _target(address))
    return _bare(exchange, address, current.document)


async def get_version(
    exchange: OrchestrateExchange, collection: str, key: str, ref: str
) -> Response:
    """Answer with the value an item had at a ref, deleted since or not."""
    exchange.require(Scope.READ)
    address, wanted = Address(collection, key), parse_ref(ref)
    document = await exchange.door.run(
        documents.version_of,
        exchange.ledger,
        exchange.tenant,
        _target(address),
        wanted,
        exchange.visible,
    )
    return _bare(exchange, address, document, ref=wanted)


async def put_item(exchange: OrchestrateExchange, collection: str, key: str) -> Response:
    """Create or replace an item."""
    exchange.require(Scope.WRITE)
    condition = exchange.condition(absence=True)
    address = Address(collection, key)
    draft = wire.item_draft(address, await exchange.value(), actor=exchange.actor)
    return _written(exchange, address, await documents.put(exchange, draft, condition))


async def post_item(exchange: OrchestrateExchange, collection: str) -> Response:
    """Create an item under a key of our making."""
    exchange.require(Scope.WRITE)
    value = await exchange.value()
    while True:
        address = Address(collection, _new_key(exchange.services.clock.now_ms()))
        draft = wire.item_draft(address, value, actor=exchange.actor)
        try:
            ref = await documents.put(exchange, draft, Precondition(absent=True))
        except Refusal as refusal:
            if refusal.answer != "item_already_present":
                raise
            continue
        return _written(exchange, address, ref)


async def patch_item(exchange: OrchestrateExchange, collection: str, key: str) -> Response:
    """Change an item by operations or a merge; with `upsert=true` create it if need be."""
    exchange.require(Scope.READ, Scope.WRITE)
    address, condition = Address(collection, key), exchange.condition()
    upsert = exchange.flag("upsert", code=_PARAMETER)
    apply = patcher(exchange, await exchange.body())

    def change(current: Current) -> Draft:
        if current.document is None and not upsert:
            raise items_not_found(*address)
        condition.check(current.ref)
        value = apply(documents.value_of(current))
        return wire.item_draft(address, value, actor=exchange.actor)

    # A missing item is reported even when an If-Match cannot hold.
    draft = await documents.write(exchange, _target(address), Precondition(), change)
    assert draft is not None, "a patch always writes"
    return _written(exchange, address, wire.ref_of(draft.data))


async def delete_item(exchange: OrchestrateExchange, collection: str, key: str) -> Response:
    """Delete an item, or with `purge=true` it and all it ever was."""
    purge = exchange.flag("purge", code=_PARAMETER)
    exchange.require(Scope.WRITE, *([Scope.PURGE] if purge else []))
    target = _target(Address(collection, key))
    await documents.delete(exchange, target, exchange.condition(), purge=purge)
    return exchange.reply(204)


async def list_versions(exchange: OrchestrateExchange, collection: str, key: str) -> Response:
    """Answer with a page of an item's history, newest first."""
    exchange.require(Scope.READ)
    limit = paging.limit_of(exchange.parameters, _PARAMETER)
    offset = paging.offset_of(exchange.parameters, _PARAMETER)
    values = exchange.flag("values", code=_PARAMETER)
    address = Address(collection, key)
    span = (offset, offset + limit)
    response: Response | None = await exchange.door.run(
        _versions, exchange, _target(address), span, values=values
    )
    if response is None:
        raise items_not_found(*address)
    return response


def patcher(exchange: OrchestrateExchange, body: bytes) -> Callable[[Json], Json]:
    """Return the function that applies a patch; the content type says which kind it is.

    A plain type leaves it to the body: a list is operations, an object is merged.
    Raises: Malformed.
    """
    content = json_text.decode(body)
    content_type = exchange.request.headers.get("content-type", "").partition(";")[0].strip()
    if content_type == _OPERATIONS_TYPE or (
        content_type != _MERGE_TYPE and isinstance(content, list)
    ):
        return lambda value: patch.apply_operations(value, content)
    if not isinstance(content, dict):
        raise Malformed("a patch is a list of operations, or an object to be merged")
    return lambda value: patch.merged(value, content)


def offset_links(
    exchange: OrchestrateExchange, limit: int, offset: int, *, more: bool
) -> dict[str, str]:
    """Return the links of a page that is found by its offset."""
    links: dict[str, str] = {}
    if more:
        links["next"] = _offset_link(exchange, limit, offset + limit)
    if offset:
        links["prev"] = _offset_link(exchange, limit, max(0, offset - limit))
    return links


def item_row(exchange: OrchestrateExchange, document: Event, *, values: bool = True) -> Json:
    """Return an item as a row, with the members of its value that were asked for."""
    row = wire.from_document(document)
    if not values:
        row.pop("value", None)
    elif "value" in row:
        row["value"] = exchange.filter.apply(row["value"])
    return row


def _versions(
    exchange: OrchestrateExchange, target: Resource, span: tuple[int, int], *, values: bool
) -> Response | None:
    """Answer with a span of the versions; None when the caller sees none at all."""
    offset, end = span
    indexes: list[int] = []
    seen = 0
    for document in documents.history(exchange.ledger, exchange.tenant, target, exchange.visible):
        seen += 1
        if seen > end:
            break
        if seen > offset:
            indexes.append(document.index)
    if not seen:
        return None
    links = offset_links(exchange, end - offset, offset, more=seen > end)
    # The contents of all versions together may be large: they are read again as they are sent.
    return exchange.documents_page(
        indexes, lambda document: _version_row(exchange, document, values), links
    )


def _version_row(exchange: OrchestrateExchange, document: Event, values: bool) -> Json:
    row = item_row(exchange, document, values=values)
    return {name: row[name] for name in ("path", "reftime", "value") if name in row}


def _offset_link(exchange: OrchestrateExchange, limit: int, offset: int) -> str:
    front = [("offset", str(offset)), ("limit", str(limit))]
    return paging.link(exchange.path, front, exchange.parameters)


def _bare(
    exchange: OrchestrateExchange, address: Address, document: Event | None, **more: Any
) -> Response:
    if document is None:
        raise items_not_found(*address, **more)
    ref = wire.document_ref(document)
    headers = {"ETag": entity_tag(ref), "Content-Location": _location(address, ref)}
    return exchange.reply(200, exchange.filter.apply(document.data), headers)


def _written(exchange: OrchestrateExchange, address: Address, ref: str) -> Response:
    headers = {"Location": _location(address, ref), "ETag": entity_tag(ref)}
    return exchange.reply(201, headers=headers)


def _location(address: Address, ref: str) -> str:
    return (
        f"/v0/{paging.to_segment(address.collection)}/{paging.to_segment(address.key)}/refs/{ref}"
    )


def _target(address: Address) -> Resource:
    return Resource(address.collection, address.key)


def _new_key(now_ms: int) -> str:
    """Return a key of 16 hexadecimal digits that sorts roughly by time."""
    return f"{now_ms << _KEY_RANDOM_BITS | secrets.randbits(_KEY_RANDOM_BITS):016x}"

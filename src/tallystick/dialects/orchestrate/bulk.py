"""Bulk import: JSON objects one after another, each stored or refused on its own.

Source: wire specification, section 15.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from starlette.responses import Response

from tallystick import json_text, limits
from tallystick.dialects.orchestrate import errors, relations, wire
from tallystick.dialects.orchestrate.errors import Refusal, items_not_found
from tallystick.dialects.orchestrate.events import Name, find_event
from tallystick.dialects.orchestrate.request import OrchestrateExchange
from tallystick.dialects.orchestrate.wire import Address
from tallystick.errors import IdempotencyMismatch, Malformed, TallystickError, TooLarge
from tallystick.events import entry
from tallystick.events.entry import Prepared
from tallystick.events.event import Draft, Json, Op, View, as_recorded, stored_event
from tallystick.identity.access import Scope
from tallystick.log.sequencer import Accepted, Item, Outcome

_BLANKS = " \t\r\n"
_scanner = json.JSONDecoder()


class _Operation(NamedTuple):
    """One object of the stream: a draft, or why it is none."""

    prepared: Prepared | None
    error: TallystickError | None


async def import_stream(exchange: OrchestrateExchange) -> Response:
    """Store a stream of items, events and relations, and tell the outcome of each."""
    exchange.require(Scope.WRITE)
    body = await exchange.body(limits.BATCH_BYTES)
    operations: list[_Operation] = await exchange.door.run(_operations, exchange, body)
    outcomes: list[Outcome | None] = [operation.error for operation in operations]
    edges: list[int] = []
    rest: list[int] = []
    for number, operation in enumerate(operations):
        if operation.prepared is not None:
            (edges if _is_relation(operation.prepared.draft) else rest).append(number)
    # Relations come last: their ends may be items of the same stream.
    await _store(exchange, operations, outcomes, rest)
    known = await _store_deleted(exchange, operations, outcomes, rest)
    for number in edges:
        outcomes[number] = await _check_ends(exchange, operations[number])
    await _store(exchange, operations, outcomes, [n for n in edges if outcomes[n] is None])
    results = await exchange.door.run(_results, operations, outcomes, known)
    succeeded = sum(result["status"] == "success" for result in results)
    return exchange.reply(
        200,
        {
            "status": _status(succeeded, len(results)),
            "success_count": succeeded,
            "results": results,
        },
    )


async def _store(
    exchange: OrchestrateExchange,
    operations: list[_Operation],
    outcomes: list[Outcome | None],
    numbers: list[int],
) -> None:
    items = [Item(prepared) for n in numbers if (prepared := operations[n].prepared) is not None]
    if items:
        stored = await exchange.door.append(exchange.tenant, items, atomic=False)
        for number, outcome in zip(numbers, stored, strict=True):
            outcomes[number] = outcome


async def _store_deleted(
    exchange: OrchestrateExchange,
    operations: list[_Operation],
    outcomes: list[Outcome | None],
    numbers: list[int],
) -> Mapping[int, View]:
    """Store again what was moved in before and deleted since; return what stands, by operation."""
    deletions = 0
    while True:
        known, deleted = await exchange.door.run(_known, exchange, operations, outcomes, numbers)
        if not deleted:
            return known
        deletions += 1
        for number in deleted:
            operations[number] = _claiming_again(operations[number], deletions)
        await _store(exchange, operations, outcomes, deleted)


def _known(
    exchange: OrchestrateExchange,
    operations: list[_Operation],
    outcomes: list[Outcome | None],
    numbers: list[int],
) -> tuple[dict[int, View], list[int]]:
    """Return the events that were moved in before, and the operations whose event was deleted."""
    places = {
        n: outcome.index
        for n in numbers
        if isinstance(outcome := outcomes[n], Accepted) and outcome.replayed
    }
    views = exchange.ledger.views_at(exchange.tenant, places.values())
    known = {n: views[index] for n, index in places.items() if wire.shows(views[index])}
    changed = [n for n in numbers if isinstance(outcomes[n], IdempotencyMismatch)]
    gone = [n for n in changed if not _is_there(exchange, operations[n])]
    return known, sorted(gone + [n for n in places if n not in known])


def _is_there(exchange: OrchestrateExchange, operation: _Operation) -> bool:
    """Tell whether there is an event with the name of one that is to be moved in."""
    assert operation.prepared is not None, "it was to be stored"
    draft = operation.prepared.draft
    assert draft.target is not None, "it has a name from elsewhere"
    assert draft.original is not None, "it has a name from elsewhere"
    assert draft.occurred_ms is not None, "its time is part of that"
    address = Address(draft.target.type, draft.target.id)
    name = Name(address, draft.kind, draft.occurred_ms, draft.original["ordinal"])
    return find_event(exchange, name) is not None


def _claiming_again(operation: _Operation, deletions: int) -> _Operation:
    assert operation.prepared is not None, "it was to be stored"
    draft = wire.claiming(operation.prepared.draft, deletions)
    return _Operation(operation.prepared._replace(draft=draft), None)


async def _check_ends(
    exchange: OrchestrateExchange, operation: _Operation
) -> TallystickError | None:
    assert operation.prepared is not None
    target = operation.prepared.draft.target
    relation = None if target is None else wire.relation_of(target)
    assert relation is not None, "a relation's draft names both ends"
    end = await relations.missing_end(exchange, relation)
    return None if end is None else items_not_found(*end)


def _operations(exchange: OrchestrateExchange, body: bytes) -> list[_Operation]:
    operations: list[_Operation] = []
    for text in _objects(body):
        if len(operations) == limits.BATCH_EVENTS:
            raise TooLarge(
                f"a stream may have {limits.BATCH_EVENTS:,} operations", limit=limits.BATCH_EVENTS
            )
        operations.append(_operation(exchange, text))
    return operations


def _operation(exchange: OrchestrateExchange, text: str | None) -> _Operation:
    try:
        if text is None:
            raise Malformed
        draft = wire.to_draft(json_text.decode_object(text.encode()), actor=exchange.actor)
        return _Operation(entry.prepare(draft), None)
    except TooLarge as error:
        return _Operation(None, error)
    except Malformed as error:
        details: Json = {"info": "Can't read bulk operation from malformed JSON"}
        if text is not None and error.path:
            details |= {"path": error.path, "reason": error.message}
        return _Operation(None, Refusal("api_bad_request", details))


def _objects(body: bytes) -> Iterator[str | None]:
    """Yield the text of each object of a stream; None for a rest that cannot be told apart."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        yield None
        return
    at = 0
    while True:
        while at < len(text) and text[at] in _BLANKS:
            at += 1
        if at == len(text):
            return
        try:
            # Only the end of the object is taken from here; its value is decoded like any other.
            _, end = _scanner.raw_decode(text, at)
        except (ValueError, RecursionError):
            yield None
            return
        yield text[at:end]
        at = end


def _is_relation(draft: Draft) -> bool:
    return draft.op is Op.DOCUMENT and draft.kind == wire.RELATION_PUT


def _status(succeeded: int, count: int) -> str:
    if succeeded == count:
        return "success"
    return "partial" if succeeded else "failure"


def _results(
    operations: list[_Operation], outcomes: list[Outcome | None], known: Mapping[int, View]
) -> list[Json]:
    results: list[Json] = []
    for number, (operation, outcome) in enumerate(zip(operations, outcomes, strict=True)):
        result: Json = {"operation_index": number}
        if isinstance(outcome, Accepted) and operation.prepared is not None:
            result["status"] = "success"
            # The vendor's Java client takes no path of a relation for one of an item.
            if not _is_relation(operation.prepared.draft):
                # What was moved in before is told as it is now.
                path = (
                    wire.event_path(known[number])
                    if number in known
                    else _path(operation.prepared.draft, outcome)
                )
                result["item"] = {"path": path}
        else:
            assert isinstance(outcome, TallystickError), "what was not stored has a reason"
            result |= {"status": "failure", "error": errors.tell(outcome).body}
        results.append(result)
    return results


def _path(draft: Draft, accepted: Accepted) -> Json:
    """Return what names what was just stored: what any answer says of it from here on."""
    event = stored_event("", draft, accepted)
    if draft.op is Op.DOCUMENT:
        return wire.document_path(event)
    return wire.event_path(as_recorded(event))

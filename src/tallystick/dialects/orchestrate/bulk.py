"""Bulk import: JSON objects one after another, each stored or refused on its own.

Source: wire specification, section 15.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from starlette.responses import Response

from tallystick import entry, ids, jsontext, limits
from tallystick.access import Scope
from tallystick.dialects.orchestrate import errors, relations, wire
from tallystick.dialects.orchestrate.errors import Refusal, items_not_found
from tallystick.dialects.orchestrate.exchange import Exchange
from tallystick.entry import Prepared
from tallystick.errors import Malformed, TallystickError, TooLarge
from tallystick.event import Draft, Json, Op
from tallystick.sequencer import Accepted, Item, Outcome

_BLANKS = " \t\r\n"
_scanner = json.JSONDecoder()


class _Operation(NamedTuple):
    """One object of the stream: a draft, or why it is none."""

    prepared: Prepared | None
    error: TallystickError | None


async def import_stream(exchange: Exchange) -> Response:
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
    for number in edges:
        outcomes[number] = await _check_ends(exchange, operations[number])
    await _store(exchange, operations, outcomes, [n for n in edges if outcomes[n] is None])
    results = [
        _result(number, operation, outcome)
        for number, (operation, outcome) in enumerate(zip(operations, outcomes, strict=True))
    ]
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
    exchange: Exchange,
    operations: list[_Operation],
    outcomes: list[Outcome | None],
    numbers: list[int],
) -> None:
    items = [Item(prepared) for n in numbers if (prepared := operations[n].prepared) is not None]
    if items:
        stored = await exchange.door.append(exchange.tenant, items, atomic=False)
        for number, outcome in zip(numbers, stored, strict=True):
            outcomes[number] = outcome


async def _check_ends(exchange: Exchange, operation: _Operation) -> TallystickError | None:
    assert operation.prepared is not None
    target = operation.prepared.draft.target
    relation = None if target is None else wire.relation_of(target)
    assert relation is not None, "a relation's draft names both ends"
    end = await relations.missing_end(exchange, relation)
    return None if end is None else items_not_found(*end)


def _operations(exchange: Exchange, body: bytes) -> list[_Operation]:
    operations: list[_Operation] = []
    for text in _objects(body):
        if len(operations) == limits.BATCH_EVENTS:
            raise TooLarge(
                f"a stream may have {limits.BATCH_EVENTS:,} operations", limit=limits.BATCH_EVENTS
            )
        operations.append(_operation(exchange, text))
    return operations


def _operation(exchange: Exchange, text: str | None) -> _Operation:
    try:
        if text is None:
            raise Malformed
        draft = wire.to_draft(jsontext.decode_object(text.encode()), actor=exchange.actor)
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


def _result(number: int, operation: _Operation, outcome: Outcome | None) -> Json:
    if isinstance(outcome, Accepted) and operation.prepared is not None:
        path = _path(operation.prepared.draft, outcome)
        return {"status": "success", "operation_index": number, "item": {"path": path}}
    assert isinstance(outcome, TallystickError), "what was not stored has a reason"
    told = errors.tell(outcome)
    return {"status": "failure", "operation_index": number, "error": told.body}


def _path(draft: Draft, accepted: Accepted) -> dict[str, Any]:
    assert draft.target is not None, "nothing here is without a target"
    version: Json = {"ref": wire.ref_of(draft.data), "reftime": accepted.recorded_ms}
    relation = wire.relation_of(draft.target) if _is_relation(draft) else None
    if relation is not None:
        return {
            "kind": "relationship",
            "source": relation.source._asdict(),
            "destination": relation.destination._asdict(),
            "relation": relation.kind,
            **version,
        }
    path: Json = {"collection": draft.target.type, "key": draft.target.id}
    if draft.op is Op.DOCUMENT:
        return {**path, "kind": "item", **version}
    return {
        **path,
        "kind": "event",
        "type": draft.kind,
        "timestamp": accepted.occurred_ms,
        "ordinal": ids.ordinal(accepted.index),
        "ordinal_str": wire.ordinal_text(accepted.index),
        **version,
    }

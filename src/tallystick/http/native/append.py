"""`POST /v1/events`: the hot path, straight on ASGI.

One object, an array (stored whole or not at all), or lines of JSON (each with an outcome of its
own). Everything costly here is measured by `bench/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from tallystick import json_text, limits
from tallystick.dialects.services import Door, Services
from tallystick.errors import (
    Forbidden,
    Malformed,
    RequestError,
    TallystickError,
    TooLarge,
    UnsupportedMediaType,
)
from tallystick.events import rendering
from tallystick.events.entry import prepare
from tallystick.events.event import Draft, Json
from tallystick.http.auth import Authenticator, look_again
from tallystick.http.body import header, read_body, text_header
from tallystick.http.cosigning import count_cosigned, wanted_wait_s
from tallystick.http.native import wire
from tallystick.http.native.parameters import check_names, flag
from tallystick.http.problem import point_at, problem
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.log.idempotency import check_key, claim_event, claim_list
from tallystick.log.sequencer import Accepted, Item, Outcome
from tallystick.query.expr import Everything
from tallystick.witness.submit import Submitter

_NDJSON = b"application/x-ndjson"
_LINE_TYPES = frozenset((_NDJSON, b"application/ndjson", b"application/jsonl"))
# What is sent as JSON without saying so; curl calls every body a form.
_JSON_TYPES = frozenset(
    (
        b"", b"application/json", b"text/json", b"text/plain", b"application/octet-stream",
        b"application/x-www-form-urlencoded",
    )
)  # fmt: skip
_PARAMETERS = frozenset(("diff",))
_LINES_AT_ONCE = 500
# A body may be nothing but line ends: whatever looks at each would keep all others waiting.
_written_lines = re.compile(rb"\S[^\n]*").finditer
_JSON_HEADER = (b"content-type", b"application/json")


class Appender:
    """Answers `POST /v1/events`."""

    def __init__(
        self,
        services: Services,
        authenticator: Authenticator,
        witnesses: Callable[[], Submitter | None],
    ) -> None:
        self._services = services
        self._authenticator = authenticator
        self._witnesses = witnesses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store what the request brings and answer once it is durable."""
        principal = self._authenticator.of_scope(scope)
        access.require(principal, Right.WRITE)
        key = text_header(scope, b"idempotency-key")
        if key is not None:
            check_key(key)
        is_lines = _is_lines(header(scope, b"content-type") or b"")
        body = await read_body(scope, receive, limits.BATCH_BYTES)
        if is_lines:
            await self._append_lines(scope, send, principal, body, key)
            return
        if body.removeprefix(json_text.BYTE_ORDER_MARK).lstrip(b" \t\r\n")[:1] == b"[":
            drafts = await self._services.door().run(_array, body, key)
            events = await self._append(scope, principal, drafts, in_array=True)
            waited = await self._cosigned(scope, principal.tenant, events)
            await _answer(send, 201, wire.to_json(events), waited)
            return
        stored = await self._append(scope, principal, [_single(body, key)], in_array=False)
        location = f"/v1/events/{stored[0].id}".encode()
        etag = wire.etag(stored[0].revision).encode()
        waited = await self._cosigned(scope, principal.tenant, stored)
        headers = ((b"location", location), (b"etag", etag), *waited)
        await _answer(send, 201, wire.to_json(stored[0]), headers)

    async def _cosigned(
        self, scope: Scope, tenant: str, stored: Sequence[rendering.EventOut]
    ) -> Sequence[tuple[bytes, bytes]]:
        """Wait for witnesses, where the request prefers that; return the headers that say so."""
        prefer = header(scope, b"prefer")
        if prefer is None or not stored:
            return ()
        wait_s = wanted_wait_s(prefer)
        if wait_s is None:
            return ()
        size = max(event.index for event in stored) + 1
        count = await count_cosigned(self._witnesses(), tenant, size, wait_s)
        return (
            (b"preference-applied", b"wait=%d" % wait_s),
            (b"tally-cosignatures", b"%d" % count),
        )

    async def _append(
        self, scope: Scope, principal: Principal, drafts: Sequence[Draft], *, in_array: bool
    ) -> list[rendering.EventOut]:
        services = self._services
        if not drafts:
            return []
        items = _items(drafts, in_array)
        if _wants_diff(scope["query_string"]):
            _require_sight(principal)
            accepted = await services.door().run(
                services.ledger.differences.append, principal.tenant, drafts
            )
            return await services.door().run(self._reread, principal.tenant, accepted)
        outcomes = await services.door().append(principal.tenant, items, atomic=True)
        if any(type(outcome) is not Accepted or outcome.replayed for outcome in outcomes):
            return await services.door().run(self._reread, principal.tenant, outcomes)
        return [
            wire.stored(draft, outcome)  # type: ignore[arg-type]  # all are Accepted here
            for draft, outcome in zip(drafts, outcomes, strict=True)
        ]

    def _reread(self, tenant: str, outcomes: Sequence[Outcome]) -> list[rendering.EventOut]:
        indexes: list[int] = []
        for outcome in outcomes:
            if isinstance(outcome, TallystickError):
                raise outcome
            indexes.append(outcome.index)
        views = self._services.ledger.views_at(tenant, indexes)
        return [wire.stored_before(views[index].first) for index in indexes]

    async def _append_lines(
        self, scope: Scope, send: Send, principal: Principal, body: bytes, key: str | None
    ) -> None:
        """Answer with one line a line, in order, as the chunks become durable."""
        request_id = str(scope["state"]["request_id"])
        diff = _wants_diff(scope["query_string"])
        if diff:
            _require_sight(principal)
        headers = [(b"content-type", _NDJSON)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        refused_bytes, last = 0, b""
        for chunk in _chunks(body):
            reason = await self._reason_to_stop(scope, refused_bytes)
            if reason is not None:
                last = _refusal_line(chunk[0][0], reason, request_id) + b"\n"
                break
            lines = await self._append_chunk(principal.tenant, chunk, key, request_id, diff)
            refused_bytes += lines.refused_bytes
            await send({"type": "http.response.body", "body": lines.answers, "more_body": True})
        await send({"type": "http.response.body", "body": last})

    async def _reason_to_stop(self, scope: Scope, refused_bytes: int) -> TallystickError | None:
        """Return why the lines that are left are not stored; None if they are."""
        try:
            await look_again(scope["state"], self._services.door())
        except TallystickError as error:
            return error
        if refused_bytes <= limits.REFUSED_LINES_BYTES:
            return None
        return TooLarge(
            f"the errors for this body already take {refused_bytes:,} bytes; no more are reported",
            limit=limits.REFUSED_LINES_BYTES,
            actual=refused_bytes,
            hint="fix the rejected lines, then send the rest again",
        )

    async def _append_chunk(
        self,
        tenant: str,
        chunk: Sequence[tuple[int, bytes]],
        key: str | None,
        request_id: str,
        diff: bool,
    ) -> _Lines:
        door: Door = self._services.door()
        prepared: list[Item | TallystickError] = await door.run(_prepare_lines, chunk, key)
        items = [item for item in prepared if isinstance(item, Item)]
        try:
            outcomes = iter(await self._store(door, tenant, items, diff) if items else ())
        except TallystickError as error:
            outcomes = iter([error] * len(items))
        merged = [next(outcomes) if isinstance(item, Item) else item for item in prepared]
        lines: _Lines = await door.run(self._line_answers, tenant, chunk, merged, request_id)
        return lines

    async def _store(
        self, door: Door, tenant: str, items: Sequence[Item], diff: bool
    ) -> Sequence[Outcome]:
        if diff:
            drafts = [item.prepared.draft for item in items]
            outcomes: Sequence[Outcome] = await door.run(self._store_diffs, tenant, drafts)
            return outcomes
        return await door.append(tenant, items, atomic=False)

    def _store_diffs(self, tenant: str, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        """Store drafts with what they changed: in one commit, or each by itself if one is bad."""
        append = self._services.ledger.differences.append
        with suppress(RequestError):
            return append(tenant, drafts)
        outcomes: list[Outcome] = []
        for draft in drafts:
            try:
                outcomes += append(tenant, [draft])
            except TallystickError as error:
                outcomes.append(error)
        return outcomes

    def _line_answers(
        self,
        tenant: str,
        chunk: Sequence[tuple[int, bytes]],
        outcomes: Sequence[Outcome],
        request_id: str,
    ) -> _Lines:
        replayed = [o.index for o in outcomes if isinstance(o, Accepted) and o.replayed]
        views = self._services.ledger.views_at(tenant, replayed) if replayed else {}
        lines: list[bytes] = []
        refused_bytes = 0
        for (number, _), outcome in zip(chunk, outcomes, strict=True):
            if isinstance(outcome, TallystickError):
                lines.append(_refusal_line(number, outcome, request_id))
                refused_bytes += len(lines[-1]) + 1
            else:
                replay = views[outcome.index].first.id if outcome.replayed else outcome.id
                status = 200 if outcome.replayed else 201
                stored: Json = {"line": number, "status": status, "id": replay}
                lines.append(json_text.encode({**stored, "index": outcome.index}))
        return _Lines(b"\n".join(lines) + b"\n", refused_bytes)


class _Lines(NamedTuple):
    """Answers to some lines, and how much of them tells why lines were refused."""

    answers: bytes
    refused_bytes: int


def _refusal_line(number: int, error: TallystickError, request_id: str) -> bytes:
    told = problem(error, request_id)
    return json_text.encode({"line": number, "status": told["status"], "error": told})


def prepare_events(events: Sequence[Json]) -> list[Item]:
    """Return events in the native API's shape, ready to be stored.

    Raises: Malformed, TooLarge.
    """
    return _items(_array(json_text.encode(events), None), in_array=True)


def _is_lines(content_type: bytes) -> bool:
    """Tell whether a media type, in any letter case and with any parameters, is that of lines.

    Raises: UnsupportedMediaType for one that is neither lines nor JSON.
    """
    if content_type == _JSON_HEADER[1]:
        return False
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type in _LINE_TYPES:
        return True
    if media_type in _JSON_TYPES or media_type.endswith(b"+json"):
        return False
    raise UnsupportedMediaType(
        f"events do not come as {media_type[:64].decode('latin-1')!r}",
        path="Content-Type",
        hint=f"application/json, or one of {b', '.join(sorted(_LINE_TYPES)).decode()}",
    )


def _single(body: bytes, key: str | None) -> Draft:
    if len(body) > limits.EVENT_BYTES * 2:
        raise TooLarge(f"one event may have {limits.EVENT_BYTES:,} bytes", limit=limits.EVENT_BYTES)
    event = json_text.decode_as(wire.EVENT, body)
    draft = wire.to_draft(event)
    claim_event(draft, key, event)
    return draft


def _array(body: bytes, key: str | None) -> list[Draft]:
    events = json_text.decode_as(wire.EVENTS, body)
    if len(events) > limits.BATCH_EVENTS:
        raise TooLarge(
            f"a batch may have {limits.BATCH_EVENTS:,} events; this one has {len(events):,}",
            limit=limits.BATCH_EVENTS,
            actual=len(events),
        )
    drafts: list[Draft] = []
    for n, event in enumerate(events):
        try:
            drafts.append(wire.to_draft(event))
        except Malformed as error:
            point_at(error, f"/{n}")
            raise
    claim_list(drafts, key, events)
    return drafts


def _items(drafts: Sequence[Draft], in_array: bool) -> list[Item]:
    items: list[Item] = []
    for n, draft in enumerate(drafts):
        try:
            items.append(Item(prepare(draft)))
        except (Malformed, TooLarge) as error:
            point_at(error, f"/{n}" if in_array else "")
            raise
    return items


def _chunks(body: bytes) -> Iterator[list[tuple[int, bytes]]]:
    """Cut a body into numbered lines, a few hundred at a time; blank lines are skipped."""
    chunk: list[tuple[int, bytes]] = []
    number, at = 1, 0
    for line in _written_lines(body):
        number += body.count(b"\n", at, line.start())
        at = line.start()
        chunk.append((number, line[0]))
        if len(chunk) == _LINES_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _prepare_lines(
    chunk: Sequence[tuple[int, bytes]], key: str | None
) -> list[Item | TallystickError]:
    prepared: list[Item | TallystickError] = []
    for number, line in chunk:
        try:
            event = json_text.decode_as(wire.EVENT, line)
            draft = wire.to_draft(event)
            claim_event(draft, key, event, number)
            prepared.append(Item(prepare(draft)))
        except TallystickError as error:
            if isinstance(error, Malformed | TooLarge):
                point_at(error)
            prepared.append(error)
    return prepared


def _wants_diff(query: bytes) -> bool:
    if not query:
        return False
    params = QueryParams(query)
    check_names(params, _PARAMETERS)
    return flag(params, "diff")


def _require_sight(principal: Principal) -> None:
    if not isinstance(access.visible(principal), Everything):
        raise Forbidden(
            "diff shows earlier content and needs a credential that sees the whole log",
            role_needed=Right.READ,
        )


async def _answer(
    send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [_JSON_HEADER, length, *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})

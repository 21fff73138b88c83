"""The DataTrails codec: request bytes to drafts and searches, views to answers.

Pure: it sees no store and no clock. Source: seed "Events API (preview)"; wire specification of
DataTrails, section 2.
"""

from __future__ import annotations

import enum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from tallystick import json_text, limits
from tallystick.dialects.datatrails import rendering
from tallystick.dialects.datatrails.merklelog import gojson, leaf
from tallystick.errors import Malformed, TooLarge
from tallystick.events import ids
from tallystick.events.event import Draft, Json, Resource, View, as_recorded, stored_event
from tallystick.log.sequencer import Accepted

_TENANTS_KEPT = 1024
_SKIP_MAX = (1 << 63) - 1


class Status(enum.StrEnum):
    """How far an event has come on its way into the public log."""

    STORED = "STORED"
    """Durable and in the tenant's own log."""
    COMMITTED = "COMMITTED"
    """Its leaf is in the public log."""
    CONFIRMED = "CONFIRMED"
    """A seal covers its leaf."""


class EventSearch(NamedTuple):
    """A decoded search document; `filter` is still text."""

    filter: str
    top: int
    skip: int


def decode_event(body: bytes, *, actor: Resource | None) -> Draft:
    """Return the draft that a create request asks for, written by `actor`.

    Raises: Malformed with the path of the offending member; TooLarge.
    """
    if len(body) > limits.DATATRAILS_EVENT_BYTES:
        raise TooLarge(
            f"an event may have {limits.DATATRAILS_EVENT_BYTES:,} bytes; this request has"
            f" {len(body):,}",
            limit=limits.DATATRAILS_EVENT_BYTES,
            actual=len(body),
        )
    members = _document(body, ("attributes", "trails", "event_type"))
    event_type = members.get("event_type")
    return Draft(
        kind="" if event_type is None else _name(event_type, "event_type"),
        data=_attributes(members.get("attributes")),
        trails=_trails(members.get("trails")),
        actor=actor,
        dialect=rendering.DIALECT,
    )


def decode_search(body: bytes) -> EventSearch:
    """Return the search that a request asks for, whatever its content type says.

    Raises: Malformed with the path of the offending member.
    """
    members = _document(body, ("filter", "top", "skip"))
    text = members.get("filter")
    if text is not None and not isinstance(text, str):
        raise Malformed("filter is a string", path="filter")
    top_max = limits.DATATRAILS_SEARCH_TOP_MAX
    return EventSearch(
        text or "",
        _bounded(members, "top", default=limits.DATATRAILS_SEARCH_TOP, maximum=top_max),
        _bounded(members, "skip", default=0, maximum=_SKIP_MAX),
    )


def shows(view: View) -> bool:
    """Tell whether DataTrails shows an ordinary event: it has no notion of change, so always."""
    return True


def derived(view: View, tenant_uuid: str) -> dict[str, str]:
    """Return the terms by which DataTrails must find an event, besides what every event has."""
    created_by = rendering.created_by(view.first, _uuid(tenant_uuid))
    return {"created_by": created_by, **listed(view, tenant_uuid)}


def listed(view: View, tenant_uuid: str) -> dict[str, str]:
    """Return the term by which lists go."""
    target_trail = rendering.target_trail(view.first)
    return {} if target_trail is None else {"target_trail": target_trail}


def searched(view: View, tenant_uuid: str) -> dict[str, str]:
    """Return the term that costs a hash, and is for searches only."""
    return {"content_hash": _content_hash(view)}


def from_event(view: View, *, tenant_uuid: UUID, status: Status = Status.STORED) -> Json:
    """Return an event as create, read and search show it, members in the seed's order.

    Before it is committed an event has the empty `merklelog_commit` of the seed's create
    answer, afterwards both spellings of its place in the public log.
    """
    event = view.first
    attributes, trails, event_type = rendering.shown(event, view.salt_hash)
    answer: Json = {
        "identity": identity(event.id),
        "attributes": attributes,
        "trails": trails,
        "event_type": event_type,
        "origin_tenant": f"tenant/{tenant_uuid}",
        "created_by": rendering.created_by(event, tenant_uuid),
        "created_at": rendering.created_at(event),
        "confirmation_status": status.value,
    }
    if status is Status.STORED:
        answer["merklelog_commit"] = {"index": "0", "idtimestamp": ""}
        return answer
    place = {
        "index": str(ids.mmr_index(event.index)),
        "idtimestamp": ids.idtimestamp(event.recorded_ms, event.index),
    }
    answer["merklelog_commit"] = place
    answer["ledger_entry"] = {
        **place,
        "content_hash": _content_hash(view),
        "hash_schema": leaf.HASH_SCHEMA,
        "log_id": str(tenant_uuid),
    }
    return answer


def created(draft: Draft, accepted: Accepted, tenant: str, tenant_uuid: UUID) -> Json:
    """Return an event of this dialect that was just stored, as create answers it."""
    view = as_recorded(stored_event(tenant, draft, accepted))
    return from_event(view, tenant_uuid=tenant_uuid)


def status_of(index: int, *, committed: int, confirmed: int) -> Status:
    """Return the status of the event at `index`, given the sizes of the public log in leaves."""
    if index < confirmed:
        return Status.CONFIRMED
    return Status.COMMITTED if index < committed else Status.STORED


def identity(event_id: str) -> str:
    """Return the identity by which DataTrails names an event."""
    return f"events/{event_id}"


@lru_cache(_TENANTS_KEPT)
def _uuid(text: str) -> UUID:
    return UUID(text)


def _content_hash(view: View) -> str:
    return leaf.content_hash(leaf.serialized(*rendering.shown(view.first, view.salt_hash)))


def _document(body: bytes, known: tuple[str, ...]) -> dict[str, Any]:
    document = json_text.decode_object(body)
    json_text.check_members(document, known)
    return document


def _attributes(value: Any) -> Json:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed("attributes is an object", path="attributes")
    for name, member in value.items():
        gojson.check_text(name, "attributes")
        _check_attribute(member, f"attributes.{name}")
    return value


def _check_attribute(value: Any, path: str) -> None:
    if isinstance(value, str):
        gojson.check_text(value, path)
    elif isinstance(value, dict):
        _check_dict(value, path)
    elif isinstance(value, list):
        for n, part in enumerate(value):
            if not isinstance(part, dict):
                raise Malformed("a list attribute holds objects of strings", path=f"{path}[{n}]")
            _check_dict(part, f"{path}[{n}]")
    else:
        raise Malformed(
            "an attribute is a string, an object of strings or a list of such objects", path=path
        )


def _check_dict(members: Json, path: str) -> None:
    for name, member in members.items():
        gojson.check_text(name, path)
        if not isinstance(member, str):
            raise Malformed("a member of an attribute is a string", path=f"{path}.{name}")
        gojson.check_text(member, f"{path}.{name}")


def _trails(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Malformed("trails is an array of strings", path="trails")
    return tuple(_name(trail, f"trails[{n}]") for n, trail in enumerate(value))


def _name(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{path} is a string", path=path)
    gojson.check_text(value, path)
    size = len(value.encode())
    if size > limits.NAME_BYTES:
        raise TooLarge(
            f"{path} may have {limits.NAME_BYTES:,} bytes; this one has {size:,}",
            limit=limits.NAME_BYTES,
            actual=size,
            path=path,
        )
    return value


def _bounded(members: dict[str, Any], name: str, *, default: int, maximum: int) -> int:
    value = members.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
        raise Malformed(f"{name} is an integer from 0 to {maximum}", path=name)
    return value

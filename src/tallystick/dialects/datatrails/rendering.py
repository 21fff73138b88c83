"""What DataTrails shows of an event: attributes, trails, event type and creator.

Events that DataTrails wrote are shown as they were sent. All others are flattened to what its
attributes can hold: strings, objects of strings and lists of such objects. The flattening is
pure and total, and `README.md` beside this file describes it: a leaf of the public log is the
hash of what this module returns, so nothing here may change for an event already in a log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from tallystick.dialects.datatrails.merklelog.gojson import Value
from tallystick.events import ids
from tallystick.events.event import Event, Resource
from tallystick.events.references import to_text

DIALECT = "datatrails"
RESERVED = "tallystick_"
"""Begins the names of attributes that stand for what is not payload."""

# Python's own encoder: its spelling of floats has not changed in a decade and will not.
_json_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_TAKEN = re.compile(rf"(data\.)*{RESERVED}")
_ACTORS_KEPT = 4096


class Shown(NamedTuple):
    """The members of a rendered event that its leaf is a hash of."""

    attributes: dict[str, Value]
    trails: list[str]
    event_type: str


def shown(event: Event, salt_hash: bytes | None) -> Shown:
    """Return what DataTrails shows of an event as it was first recorded.

    `salt_hash` is the view's; it ties a foreign event's rendering to bytes that erasure destroys.
    """
    attributes = event.data if event.dialect == DIALECT else _flattened(event, salt_hash)
    return Shown(attributes, trails(event), event.kind)


def trails(event: Event) -> list[str]:
    """Return an event's trails; of a foreign event without any, the one of its target."""
    if event.trails:
        return list(event.trails)
    made = target_trail(event)
    return [] if made is None else [made]


def target_trail(event: Event) -> str | None:
    """Return the trail that a foreign event without trails shows instead, if it has a target.

    An event whose place was erased shows no trails, whatever they were.
    """
    if event.trails or event.dialect == DIALECT or event.target is None or "place" in event.erased:
        return None
    return f"{event.target.type}/{event.target.id}"


def ids_of_target_trail(trail: str) -> list[str]:
    """Return the ids of the targets whose events may show such a trail: a type may have slashes."""
    return [trail[at + 1 :] for at, char in enumerate(trail) if char == "/"]


def created_by(event: Event, tenant_uuid: UUID) -> str:
    """Return the UUID of an event's actor: its id if that is one, else made from type and id."""
    actor = event.actor
    if actor is None:
        return ""
    return actor.id if ids.is_uuid(actor.id) else _made_of(tenant_uuid, actor.type, actor.id)


def created_at(event: Event) -> int:
    """Return when an event was created: events that came from another service keep their time."""
    return event.occurred_ms if event.dialect == DIALECT else event.recorded_ms


@lru_cache(_ACTORS_KEPT)
def _made_of(tenant_uuid: UUID, type: str, id: str) -> str:
    return str(ids.derived_uuid(tenant_uuid, to_text(type, id)))


def _flattened(event: Event, salt_hash: bytes | None) -> dict[str, Value]:
    attributes = {
        name if RESERVED not in name else _free_name(name): (
            member if type(member) is str else _value(member)
        )
        for name, member in event.data.items()
    }
    if event.actor is not None:
        attributes[RESERVED + "actor"] = _resource(event.actor)
    if event.target is not None:
        attributes[RESERVED + "target"] = _resource(event.target)
    if event.scopes:
        attributes[RESERVED + "scopes"] = [_resource(scope) for scope in event.scopes]
    if event.previous is not None:
        attributes[RESERVED + "previous"] = _object(event.previous)
    if event.original is not None:
        attributes[RESERVED + "original"] = _object(event.original)
    attributes[RESERVED + "dialect"] = event.dialect
    attributes[RESERVED + "occurred_ms"] = str(event.occurred_ms)
    if salt_hash is not None:
        attributes[RESERVED + "salt_hash"] = salt_hash.hex()
    return attributes


def _free_name(name: str) -> str:
    return f"data.{name}" if _TAKEN.match(name) else name


def _value(value: Any) -> Value:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        return [_object(part) for part in value]
    return _text(value)


def _object(members: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else _text(value) for name, value in members.items()
    }


def _text(value: Any) -> str:
    # An integer is by far the most frequent, and the encoder takes its time to start.
    return str(value) if type(value) is int else _json_text(value)


def _resource(resource: Resource) -> dict[str, str]:
    members = {"type": resource.type, "id": resource.id}
    if resource.name is not None:
        members["name"] = resource.name
    if resource.attributes is not None:
        members["attributes"] = _json_text(resource.attributes)
    return members

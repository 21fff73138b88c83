"""Events as version 2 shows them, and how what comes in becomes a draft. A codec, no I/O.

A resource is `metadata` (guid, url, two times) and `entity` (who did what to what, inside which
space and organization). Source: seed, "Fields" and sample body; wire specification of Cloud
Foundry 3.1.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from tallystick import json_text, limits, times
from tallystick.dialects.cloudfoundry import timestamps
from tallystick.errors import Malformed, TooLarge
from tallystick.events import ids
from tallystick.events.event import Draft, Event, Json, Resource, View
from tallystick.log.idempotency import claim, claim_of_id

DIALECT = "cloudfoundry"
SPACE = "space"
ORGANIZATION = "organization"
RELATIONS = (SPACE, ORGANIZATION)

# Names the ids of events whose guid elsewhere was no UUID.
_NAMESPACE = uuid.UUID("d2bb4c55-93a1-5d3f-8f25-6a0e0a7f3c86")
_GUID = re.compile(r"[A-Za-z0-9_.-]{1,255}\Z")


class Style(NamedTuple):
    """How the server was told to show events."""

    zone: tzinfo = UTC
    actor_username: bool = False


class Relations(NamedTuple):
    """Which relations of an event are shown beside its own members."""

    urls: bool = False
    inlined: frozenset[str] = frozenset()


PLAIN = Style()
NO_RELATIONS = Relations()


class _Input(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A part of what comes in; unknown members are refused."""


class MetadataIn(_Input, frozen=True):
    """What an event had where it comes from; `url` and `updated_at` follow from the rest."""

    guid: str | None = None
    url: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class NameIn(_Input, frozen=True):
    """The part of an inlined space or organization that events keep."""

    name: str | None = None
    organization_guid: str | None = None


class RelationIn(_Input, frozen=True):
    """An inlined space or organization."""

    metadata: MetadataIn = MetadataIn()
    entity: NameIn = NameIn()


class EntityIn(_Input, frozen=True, kw_only=True):
    """What happened."""

    type: str
    actor: str
    actor_type: str
    actor_name: str
    actor_username: str | None = None
    actee: str
    actee_type: str
    actee_name: str
    timestamp: str | None = None
    metadata: Json | None = None
    space_guid: str = ""
    organization_guid: str = ""
    space_url: str | None = None
    organization_url: str | None = None
    space: RelationIn | None = None
    organization: RelationIn | None = None


class ResourceIn(_Input, frozen=True):
    """An event as it comes in, in the shape in which lists show it."""

    entity: EntityIn
    metadata: MetadataIn = MetadataIn()


_one = msgspec.json.Decoder(ResourceIn)
_many = msgspec.json.Decoder(list[ResourceIn])


def decode(body: bytes) -> tuple[list[ResourceIn], bool]:
    """Return the resources of a request body, and whether it holds a list of them.

    Raises: Malformed with the path of the offending member, TooLarge.
    """
    if body.lstrip(b" \t\r\n")[:1] != b"[":
        return [json_text.decode_as(_one, body)], False
    resources = json_text.decode_as(_many, body)
    if len(resources) > limits.BATCH_EVENTS:
        raise TooLarge(
            f"a list may have {limits.BATCH_EVENTS:,} events; this one has {len(resources):,}",
            limit=limits.BATCH_EVENTS,
            actual=len(resources),
        )
    return resources, True


def to_draft(resource: ResourceIn, *, source: str | None = None) -> Draft:
    """Return the draft of an event that came in.

    With a guid it keeps that guid, and the same event again is stored once. `source` names the
    deployment it was copied from.
    Raises: Malformed.
    """
    entity, metadata = resource.entity, resource.metadata
    for name in ("type", "actor", "actor_type", "actor_name", "actee", "actee_type"):
        if not getattr(entity, name):
            raise Malformed(f"{name} must not be empty", path=f"/entity/{name}")
    attributes = None if entity.actor_username is None else {"username": entity.actor_username}
    occurred_ms = None
    if entity.timestamp is not None:
        occurred_ms = timestamps.from_text(entity.timestamp, "/entity/timestamp")
        occurred_ms = times.checked_ms(occurred_ms, "/entity/timestamp")
    draft = Draft(
        kind=entity.type,
        occurred_ms=occurred_ms,
        actor=Resource(entity.actor_type, entity.actor, entity.actor_name, attributes),
        target=Resource(entity.actee_type, entity.actee, entity.actee_name),
        scopes=tuple(_scopes(entity)),
        data=entity.metadata or {},
        dialect=DIALECT,
        original=_original(metadata, source),
    )
    if metadata.guid is not None:
        draft.id = id_of(metadata.guid)
        claim(draft, claim_of_id(draft.id), _common_facts(draft))
    return draft


def shows(view: View) -> bool:
    """Tell whether Cloud Foundry shows an ordinary event: who, what and on what must be known.

    Of what was erased only the dialect's own events are still shown, with empty members: nothing
    is left of others that would tell.
    """
    event = view.first
    if event.dialect == DIALECT:
        return True
    actor, target = event.actor, event.target
    return bool(
        event.kind
        and actor is not None
        and actor.type
        and actor.id
        and actor.name
        and target is not None
        and target.type
        and target.id
        and target.name is not None
    )


def derived(view: View) -> Mapping[str, str | int]:
    """Return the terms by which Cloud Foundry must find an event, besides what every event has."""
    event = view.first
    terms = {
        "space_guid": scope_id(event, SPACE),
        "organization_guid": scope_id(event, ORGANIZATION),
    }
    source = _kept(event).get("source")
    if isinstance(source, str):
        terms["source"] = source
    return terms


def from_event(view: View, style: Style = PLAIN, relations: Relations = NO_RELATIONS) -> Json:
    """Return an event as version 2 shows it, members in the seed's order."""
    event = view.first
    guid = guid_of(event)
    created_ms = _kept(event).get("created_ms", event.recorded_ms)
    return {
        "metadata": {
            "guid": guid,
            "url": f"/v2/events/{guid}",
            "created_at": timestamps.to_text(created_ms, style.zone),
            "updated_at": None,
        },
        "entity": _entity(event, style) | _relations(event, relations),
    }


def guid_of(event: Event) -> str:
    """Return the guid by which Cloud Foundry's clients know an event."""
    guid = _kept(event).get("guid")
    return guid if isinstance(guid, str) else event.id


def id_of(guid: str) -> str:
    """Return the id under which the event with a guid is kept.

    Raises: Malformed for what cannot be a guid.
    """
    if not is_guid(guid):
        raise Malformed(
            "a guid has 1 to 255 letters, digits, dots, underscores or hyphens",
            path="/metadata/guid",
        )
    return guid.lower() if ids.is_uuid(guid) else str(ids.derived_uuid(_NAMESPACE, guid))


def is_guid(text: str) -> bool:
    """Tell whether a text can be the guid of an event."""
    return _GUID.match(text) is not None


def scope_of(event: Event, type: str) -> Resource | None:
    """Return the first scope of a type."""
    return next((scope for scope in event.scopes if scope.type == type), None)


def scope_id(event: Event, type: str) -> str:
    """Return the id of the first scope of a type; empty when there is none."""
    scope = scope_of(event, type)
    return "" if scope is None else scope.id


def related(type: str, guid: str, entity: Json) -> Json:
    """Return a space or organization in the shape of a resource.

    Its times are null: they are not the event's to tell.
    """
    url = relation_url(type, guid)
    metadata = {"guid": guid, "url": url, "created_at": None, "updated_at": None}
    return {"metadata": metadata, "entity": entity}


def relation_url(type: str, guid: str, version: str = "v2") -> str:
    """Return the path of a space, an organization or an app."""
    return f"/{version}/{type}s/{quote(guid, safe='')}"


def _entity(event: Event, style: Style) -> Json:
    # What was erased reads as empty.
    actor, target = event.actor or _NOBODY, event.target or _NOBODY
    entity: Json = {
        "type": event.kind,
        "actor": actor.id,
        "actor_type": actor.type,
        "actor_name": actor.name or "",
    }
    if style.actor_username:
        username = (actor.attributes or {}).get("username")
        entity["actor_username"] = username if isinstance(username, str) else ""
    return entity | {
        "actee": target.id,
        "actee_type": target.type,
        "actee_name": target.name or "",
        "timestamp": timestamps.to_text(event.occurred_ms, style.zone),
        "metadata": event.data,
        "space_guid": scope_id(event, SPACE),
        "organization_guid": scope_id(event, ORGANIZATION),
    }


def _relations(event: Event, relations: Relations) -> Json:
    shown: Json = {}
    for name in RELATIONS:
        scope = scope_of(event, name)
        if scope is None:
            continue
        if relations.urls:
            shown[f"{name}_url"] = relation_url(name, scope.id)
        if name in relations.inlined:
            entity: Json = {"name": scope.name}
            if name == SPACE:
                entity["organization_guid"] = scope_id(event, ORGANIZATION)
            shown[name] = related(name, scope.id, entity)
    return shown


def _scopes(entity: EntityIn) -> list[Resource]:
    given = (
        (SPACE, entity.space_guid, entity.space),
        (ORGANIZATION, entity.organization_guid, entity.organization),
    )
    for type, guid, relation in given:
        if relation is not None and (relation.metadata.guid or guid) != guid:
            raise Malformed(f"{type} and {type}_guid name different ones", path=f"/entity/{type}")
    return [
        Resource(type, guid, None if relation is None else relation.entity.name)
        for type, guid, relation in given
        if guid
    ]


def _original(metadata: MetadataIn, source: str | None) -> Json | None:
    original: Json = {}
    if metadata.guid is not None and id_of(metadata.guid) != metadata.guid:
        original["guid"] = metadata.guid
    if metadata.created_at is not None:
        created_ms = timestamps.from_text(metadata.created_at, "/metadata/created_at")
        original["created_ms"] = times.checked_ms(created_ms, "/metadata/created_at")
    if source is not None:
        original["source"] = source
    return original or None


def _kept(event: Event) -> Json:
    """Return what an event had elsewhere; other dialects' events keep that for themselves."""
    return (event.original or {}) if event.dialect == DIALECT else {}


def _common_facts(draft: Draft) -> tuple[object, ...]:
    """Return what versions 2 and 3 of the API both tell of an event.

    So an event that was copied through one of them is not taken for another when it comes again
    through the other.
    """
    actor, target = draft.actor or _NOBODY, draft.target or _NOBODY
    return (
        draft.kind,
        draft.occurred_ms,
        (actor.type, actor.id, actor.name),
        (target.type, target.id, target.name),
        [(scope.type, scope.id) for scope in draft.scopes],
        draft.data,
    )


_NOBODY = Resource("", "", "")

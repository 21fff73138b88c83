"""The native API's JSON: events in, events out. A codec, no I/O."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tallystick import json_text, times
from tallystick.errors import Malformed
from tallystick.events import ids
from tallystick.events.event import Draft, Event, Json, Op, Resource, stored_event
from tallystick.events.rendering import EventOut, rendered
from tallystick.log.sequencer import Accepted


class EventIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """An event as it comes in; only `kind` is required.

    An answer of ours may be sent back: what the server assigned is taken with the index alone.
    """

    kind: str
    id: str | None = None
    occurred_at: str | int | None = None
    actor: Resource | None = None
    target: Resource | None = None
    scopes: tuple[Resource, ...] | None = ()
    trails: tuple[str, ...] | None = ()
    data: Json | None = {}
    previous: Json | None = None
    original: Json | None = None
    index: int | None = None
    op: Op | None = None
    recorded_at: str | None = None
    dialect: str | None = None
    subject: str | None = None
    erased: tuple[str, ...] | None = None
    revision: int | None = None
    receipt: str | None = None
    summary: Json | None = None
    proof: Json | None = None


_ASSIGNED = (
    "op",
    "recorded_at",
    "dialect",
    "subject",
    "erased",
    "revision",
    "receipt",
    "summary",
    "proof",
)


class RevisionIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a revision may bring."""

    data: Json
    previous: Json | None = None
    actor: Resource | None = None


class RetractionIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a retraction may bring."""

    actor: Resource | None = None
    erase: bool = False


EVENT = msgspec.json.Decoder(EventIn)
EVENTS = msgspec.json.Decoder(list[EventIn])
REVISION = msgspec.json.Decoder(RevisionIn)
RETRACTION = msgspec.json.Decoder(RetractionIn)


def to_draft(event: EventIn) -> Draft:
    """Return the draft of an event that came in, without its claims.

    Raises: Malformed.
    """
    if not event.kind:
        raise Malformed("kind must not be empty", path="/kind")
    event_id = event.id
    if event_id is not None:
        if not ids.is_uuid(event_id):
            raise Malformed("an event id is a UUID", path="/id")
        event_id = event_id.lower()
    occurred_at, original = event.occurred_at, event.original
    if isinstance(occurred_at, str):
        original = _with_finer_digits(occurred_at, original)
        occurred_at = times.from_rfc3339(occurred_at, "/occurred_at")
    draft = Draft(
        kind=event.kind,
        id=event_id,
        occurred_ms=occurred_at,
        actor=event.actor,
        target=event.target,
        scopes=event.scopes or (),
        trails=event.trails or (),
        data=event.data or {},
        previous=event.previous,
        original=original,
    )
    if event.index is None:
        _check_nothing_is_assigned(event)
    else:
        _expect_replay(draft, event)
    return draft


def _with_finer_digits(occurred_at: str, original: Json | None) -> Json | None:
    """Return `original` with the time as it was written, if it is finer than what events keep."""
    # Most times have no digits below the millisecond, and most are too short to have them.
    if len(occurred_at) <= _MILLISECOND_CHARS or not times.finer_than_ms(occurred_at):
        return original
    return {"occurred_at": occurred_at, **(original or {})}


_MILLISECOND_CHARS = len("2026-11-21T09:30:00.000Z")


def _check_nothing_is_assigned(event: EventIn) -> None:
    for name in _ASSIGNED:
        if getattr(event, name) is not None:
            raise Malformed(
                f"{name!r} is assigned by the server",
                path=f"/{name}",
                hint="omit it, or send the server's whole answer back",
            )


def _expect_replay(draft: Draft, event: EventIn) -> None:
    """Let a draft, which says where it is stored, only be answered with what is stored there."""
    if draft.id is None:
        raise Malformed("an event with an index needs an id", path="/id")
    draft.replay_of = event.index
    draft.op = draft.op if event.op is None else event.op
    draft.dialect = event.dialect or draft.dialect
    draft.subject = event.subject


def stored(draft: Draft, accepted: Accepted) -> EventOut:
    """Return the event that a draft became."""
    return rendered(stored_event("", draft, accepted), accepted.index)


def stored_before(event: Event) -> EventOut:
    """Return an entry as its first request was answered."""
    return rendered(event, event.index)


def to_json(value: object) -> bytes:
    """Return what goes out as JSON text."""
    return json_text.encode(value)


def etag(revision: int) -> str:
    """Return the entity tag of an event at a revision."""
    return f'"{revision}"'


def is_known(if_none_match: Sequence[str], revision: int) -> bool:
    """Tell whether If-None-Match headers name a revision, weakly or among others."""
    tags = (tag.strip() for header in if_none_match for tag in header.split(","))
    return any(tag.removeprefix("W/") in ("*", etag(revision)) for tag in tags)


def expected_revisions(if_match: Sequence[str]) -> frozenset[int] | None:
    """Return the revisions that If-Match headers name, any of which will do; None for no condition.

    Raises: Malformed.
    """
    tags = [tag.strip() for header in if_match for tag in header.split(",") if tag.strip()]
    if not if_match or tags == ["*"]:
        return None
    texts = [tag.removeprefix("W/").strip('"') for tag in tags]
    if not tags or not all(t.isascii() and t.isdigit() and len(t) < 16 for t in texts):
        raise Malformed('If-Match must list revisions, such as "17", or be *', path="If-Match")
    return frozenset(map(int, texts))

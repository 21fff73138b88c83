"""The native API's JSON: events in, events out. A codec, no I/O."""

from __future__ import annotations

import msgspec

from tallystick import entry, ids, jsontext, summary, times
from tallystick.claims import claim_of_id
from tallystick.errors import Malformed
from tallystick.event import Draft, Event, Json, Op, Resource, View, as_recorded, stored_event
from tallystick.sequencer import Accepted


class EventIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """An event as it comes in; only `kind` is required."""

    kind: str
    id: str | None = None
    occurred_at: str | int | None = None
    actor: Resource | None = None
    target: Resource | None = None
    scopes: tuple[Resource, ...] = ()
    trails: tuple[str, ...] = ()
    data: Json = {}
    previous: Json | None = None
    original: Json | None = None


class SummaryOut(msgspec.Struct, frozen=True):
    """A sentence that tells the event, as text and as markup."""

    text: str
    html: str


class EventOut(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An event as it goes out; members without a value are left out."""

    id: str
    index: int
    kind: str
    op: Op
    occurred_at: str
    recorded_at: str
    actor: Resource | None = None
    target: Resource | None = None
    scopes: tuple[Resource, ...] = ()
    trails: tuple[str, ...] = ()
    data: Json
    previous: Json | None = None
    original: Json | None = None
    dialect: str
    subject: str | None = None
    erased: tuple[str, ...] = ()
    revision: int
    receipt: str
    summary: SummaryOut | None = None


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


def to_draft(event: EventIn, claims: tuple[tuple[bytes, bytes], ...] = ()) -> Draft:
    """Return the draft of an event that came in.

    Raises: Malformed.
    """
    if not event.kind:
        raise Malformed("kind must not be empty", path="/kind")
    occurred_at = event.occurred_at
    if isinstance(occurred_at, str):
        occurred_at = times.from_rfc3339(occurred_at, "/occurred_at")
    event_id = None if event.id is None else event.id.lower()
    draft = Draft(
        kind=event.kind,
        id=event_id,
        occurred_ms=occurred_at,
        actor=event.actor,
        target=event.target,
        scopes=event.scopes,
        trails=event.trails,
        data=event.data,
        previous=event.previous,
        original=event.original,
        claims=claims,
    )
    if event_id is not None:
        if not ids.is_uuid(event_id):
            raise Malformed("an event id is a UUID", path="/id")
        draft.claims = (*claims, (claim_of_id(event_id), entry.digest_of(event)))
    return draft


def stored(draft: Draft, accepted: Accepted) -> EventOut:
    """Return the event that a draft became."""
    return _out(stored_event("", draft, accepted), accepted.index)


def from_view(view: View) -> EventOut:
    """Return a view as the native API shows it: its latest revision folded in."""
    told = summary.of(view.event)
    return _out(view.event, view.revision, SummaryOut(told.text, told.html))


def from_recorded(event: Event) -> EventOut:
    """Return an entry as the log has it, whatever came after it."""
    return from_view(as_recorded(event))


def stored_before(event: Event) -> EventOut:
    """Return an entry as its first request was answered."""
    return _out(event, event.index)


def _out(event: Event, revision: int, told: SummaryOut | None = None) -> EventOut:
    return EventOut(
        id=event.id,
        index=event.index,
        kind=event.kind,
        op=event.op,
        occurred_at=times.to_rfc3339(event.occurred_ms),
        recorded_at=times.to_rfc3339(event.recorded_ms),
        actor=event.actor,
        target=event.target,
        scopes=event.scopes,
        trails=event.trails,
        data=event.data,
        previous=event.previous,
        original=event.original,
        dialect=event.dialect,
        subject=event.subject,
        erased=event.erased,
        revision=revision,
        receipt=receipt_link(event.id),
        summary=told,
    )


def receipt_link(event_id: str) -> str:
    """Return where the receipt of an event is."""
    return f"/v1/events/{event_id}/receipt"


def to_json(value: object) -> bytes:
    """Return what goes out as JSON text."""
    return jsontext.encode(value)


def etag(revision: int) -> str:
    """Return the entity tag of an event at a revision."""
    return f'"{revision}"'


def is_known(if_none_match: str | None, revision: int) -> bool:
    """Tell whether an If-None-Match value names a revision, weakly or among others."""
    tags = [] if if_none_match is None else if_none_match.split(",")
    return any(tag.strip().removeprefix("W/") in ("*", etag(revision)) for tag in tags)


def expected_revision(if_match: str | None) -> int | None:
    """Return the revision that an If-Match value names; None for no condition.

    Raises: Malformed.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Malformed('If-Match names a revision, such as "17"', path="If-Match")
    return int(text)

"""Events as the native API shows them: what lists, streams and exports render. No I/O."""

from __future__ import annotations

import msgspec

from tallystick import times
from tallystick.events import summary
from tallystick.events.event import Event, Json, Op, Resource, View, as_recorded


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
    proof: Json | None = None
    """The event's receipt, where it was asked for."""


def from_view(view: View) -> EventOut:
    """Return a view as the native API shows it: its latest revision folded in."""
    told = summary.of(view.event)
    return rendered(view.event, view.revision, SummaryOut(told.text, told.html))


def from_recorded(event: Event) -> EventOut:
    """Return an entry as the log has it, whatever came after it."""
    return from_view(as_recorded(event))


def rendered(event: Event, revision: int, told: SummaryOut | None = None) -> EventOut:
    """Return an event with the revision whose content it has, and the sentence that tells it."""
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

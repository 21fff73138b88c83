"""The event: before the ledger accepted it (`Draft`) and after (`Event`).

Plain values, no I/O. The fields and their meaning are described in `docs/event-model.md`; the
bytes that are hashed are made in `entry`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

Json = dict[str, Any]

HOLD_PLACED = "hold.placed"
HOLD_LIFTED = "hold.lifted"
COMPLIANCE_SET = "compliance.set"
HOLD_ACTS = frozenset({HOLD_PLACED, HOLD_LIFTED, COMPLIANCE_SET})
"""Kinds of entries that change what may be taken away."""

CLOCK_CONFIRMED = "clock.confirmed"


class Op(enum.StrEnum):
    """What an entry does to the log's story."""

    RECORD = "record"
    """Something happened: an ordinary event."""
    DOCUMENT = "document"
    """An item or a relation was put or deleted."""
    REVISE = "revise"
    """An earlier event is shown with other content from here on."""
    RETRACT = "retract"
    """An earlier event is no longer shown."""
    ERASE = "erase"
    """Section bytes of earlier entries were destroyed."""
    SYSTEM = "system"
    """The ledger's own acts: a key created, an export made, a policy changed."""


class Resource(msgspec.Struct, frozen=True, omit_defaults=True):
    """Anything with a type and an id: a user, a file, a space, an order."""

    type: str
    id: str
    name: str | None = None
    attributes: Json | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the resource within its tenant."""
        return (self.type, self.id)


class Expectation(msgspec.Struct, frozen=True):
    """What a conditional draft expects of a head when it is committed.

    `index` is the index of the entry that the head must point at; None means that there must be
    no head yet.
    """

    slot: HeadSlot
    type: str
    id: str
    index: int | None


class HeadSlot(enum.IntEnum):
    """Which of a resource's heads is meant: each moves on its own."""

    DOCUMENT = 0
    """Latest `document` entry of the resource."""
    EVENT = 1
    """Latest `record` entry with the resource as its target."""
    REVISION = 2
    """Latest `revise` or `retract` entry of the event whose id is the resource's id."""
    HOLD = 3
    """Latest act that placed or lifted a legal hold, whichever it was: one head a tenant."""


class Draft(msgspec.Struct, kw_only=True):
    """An event on its way in.

    `occurred_ms` None means "when it is recorded". `claims` (its own id, an idempotency key) make
    a retry safe: pairs of a text and the digest of what came with it, kept for good. A claim that
    comes again is answered with the first event, or refused when the digest differs.
    """

    kind: str
    op: Op = Op.RECORD
    id: str | None = None
    occurred_ms: int | None = None
    actor: Resource | None = None
    target: Resource | None = None
    scopes: tuple[Resource, ...] = ()
    trails: tuple[str, ...] = ()
    data: Json = {}
    previous: Json | None = None
    dialect: str = "native"
    subject: str | None = None
    original: Json | None = None
    claims: tuple[tuple[bytes, bytes], ...] = ()
    earlier_digests: tuple[Callable[[], bytes], ...] = ()
    """Digests that earlier versions made of the same request; computed only on a mismatch."""
    expects: tuple[Expectation, ...] = ()
    replay_of: int | None = None
    """Index that the sender says the event has here: it is only answered again, never stored."""


class Event(msgspec.Struct, kw_only=True, frozen=True):
    """One entry of a tenant's log with its sections decoded.

    `erased` names the sections whose bytes were destroyed; they read as empty.
    """

    tenant: str
    index: int
    id: str
    kind: str
    op: Op
    occurred_ms: int
    recorded_ms: int
    dialect: str
    actor: Resource | None = None
    target: Resource | None = None
    scopes: tuple[Resource, ...] = ()
    trails: tuple[str, ...] = ()
    data: Json = {}
    previous: Json | None = None
    subject: str | None = None
    original: Json | None = None
    erased: tuple[str, ...] = ()


class View(msgspec.Struct, kw_only=True, frozen=True):
    """An event as a reader sees it: as first recorded, and with its latest revision folded in.

    `event` is what codecs of dialects with change render; `first` is the event as it was first
    recorded, which codecs of dialects without change render. `revision` is the index of the entry
    whose content `event` shows, `revised_ms` the time that entry was recorded.
    """

    event: Event
    first: Event
    revision: int
    revised_ms: int
    retracted: bool = False
    removed: bool = False
    """Whether a retention policy took it away; then it is `retracted` too."""
    salt_hash: bytes | None = None
    """SHA-256 of the section salts in section order; None once a section is erased."""

    @property
    def index(self) -> int:
        """The event's own index."""
        return self.first.index


def class_of(kind: str) -> str:
    """Return the part of a kind before its first dot: `order` of `order.created`."""
    return kind.partition(".")[0]


class Placed(Protocol):
    """Where a draft was stored, and when."""

    @property
    def index(self) -> int:
        """Its index in the log."""

    @property
    def id(self) -> str:
        """The event's id."""

    @property
    def recorded_ms(self) -> int:
        """When it was recorded."""

    @property
    def occurred_ms(self) -> int:
        """When it occurred."""


def stored_event(tenant: str, draft: Draft, placed: Placed) -> Event:
    """Return a draft as the event it became."""
    return Event(
        tenant=tenant,
        index=placed.index,
        id=placed.id,
        kind=draft.kind,
        op=draft.op,
        occurred_ms=placed.occurred_ms,
        recorded_ms=placed.recorded_ms,
        dialect=draft.dialect,
        actor=draft.actor,
        target=draft.target,
        scopes=draft.scopes,
        trails=draft.trails,
        data=draft.data,
        previous=draft.previous,
        subject=draft.subject,
        original=draft.original,
    )


def as_recorded(event: Event, salt_hash: bytes | None = None) -> View:
    """Return an event as it was recorded, whatever was revised or retracted since."""
    return View(
        event=event,
        first=event,
        revision=event.index,
        revised_ms=event.recorded_ms,
        salt_hash=salt_hash,
    )

"""Changes as JSON: what every sink of a subscription shows of them.

A `record` and a `revise` are the event as `/v1/events` shows it. A `retract` and an `erase` are a
notice, which names the event and has none of its content: it is no longer shown to anybody.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from tallystick import json_text, times
from tallystick.events.event import Op
from tallystick.events.rendering import EventOut, from_view
from tallystick.query.question import Over
from tallystick.subscriptions.changes import Change
from tallystick.subscriptions.subscription import Disclosure


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That an event was retracted or erased.

    `id` and `index` are the event's own. Where the receiver may not know whether the event could be
    seen, there is `id_sha256` instead: the SHA-256 of the id's text in lower case, in hex. The
    other members are of the entry that took the event away.
    """

    op: Op
    id: str | None = None
    id_sha256: str | None = None
    index: int | None = None
    kind: str | None = None
    erased: tuple[str, ...] = ()
    recorded_at: str
    position: int


def content_of(
    change: Change, disclosure: Disclosure, over: Over = Over.EVENTS
) -> EventOut | Notice:
    """Return what a receiver gets of a change that passed."""
    if over is Over.LOG or change.op in (Op.RECORD, Op.REVISE):
        return from_view(change.view)
    return _notice(change, disclosure)


def to_json(change: Change, disclosure: Disclosure, over: Over = Over.EVENTS) -> bytes:
    """Return what a receiver gets of a change that passed, as JSON text on one line."""
    return json_text.encode(content_of(change, disclosure, over))


def name_of(change: Change, over: Over = Over.EVENTS) -> str:
    """Return what the change is called: `record`, `revise`, `retract`, `erase`.

    An entry of the log, as it was recorded, is a `record` of that entry.
    """
    return Op.RECORD.value if over is Over.LOG else change.op.value


def digest_of_id(event_id: str) -> str:
    """Return the digest by which a notice names an event to those only who know its id."""
    return sha256(event_id.lower().encode()).hexdigest()


def _notice(change: Change, disclosure: Disclosure) -> Notice:
    entry, event = change.entry, change.view.first
    is_open = disclosure is Disclosure.WHOLE
    return Notice(
        op=change.op,
        id=event.id if is_open else None,
        id_sha256=None if is_open else digest_of_id(event.id),
        index=event.index if is_open else None,
        kind=event.kind if is_open else None,
        erased=event.erased if is_open and change.op is Op.ERASE else (),
        recorded_at=times.to_rfc3339(entry.recorded_ms),
        position=entry.index,
    )

"""Changes as server-sent events, rendered once and judged once for each different subscription.

A frame is an `id:` line with the cursor behind its change, an `event:` line unless the change is
that an event was recorded, and a `data:` line. A heartbeat is an `id:` line alone: the receiver's
last event id moves on, and it sees no event. Source: WHATWG HTML, server-sent events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tallystick.query.question import Over
from tallystick.query.values import Values
from tallystick.store.base import Store
from tallystick.subscriptions import cursor, notices
from tallystick.subscriptions.changes import Change, LogPosition, read_changes
from tallystick.subscriptions.subscription import Disclosure, Judge, Subscription

MEDIA_TYPE = "text/event-stream"

_RECORD = "record"


class Frames(NamedTuple):
    """The frames of a stretch of a log, by subscription, and where to read on."""

    bodies: Mapping[Subscription, bytes]
    """Frames side by side; a subscription that gets nothing is left out."""
    following: LogPosition
    has_acts: bool


def read_frames(
    store: Store,
    tenant: str,
    origin: str,
    start: LogPosition,
    stop: int,
    judges: Mapping[Subscription, Judge],
    *,
    over: Over = Over.EVENTS,
) -> Frames:
    """Return the frames of the next changes from `start` on, of entries before `stop`.

    Raises: StoreCorrupt.
    Cost: of an event, 30 us to read and render, and one look a subscription.
    """
    part = read_changes(store, tenant, start, stop, over=over)
    bodies: dict[Subscription, list[bytes]] = {}
    for change in part.changes:
        values = Values(change.view)
        rendered: dict[Disclosure, bytes] = {}
        for subscription, judge in judges.items():
            disclosure = judge(change, values)
            if disclosure is Disclosure.NOTHING:
                continue
            if disclosure not in rendered:
                rendered[disclosure] = frame(origin, change, disclosure, over)
            bodies.setdefault(subscription, []).append(rendered[disclosure])
    joined = {subscription: b"".join(frames) for subscription, frames in bodies.items()}
    return Frames(joined, part.following, part.has_acts)


def frame(origin: str, change: Change, disclosure: Disclosure, over: Over) -> bytes:
    """Return one change as a server-sent event."""
    name = notices.name_of(change, over)
    line = b"" if name == _RECORD else b"event: %b\n" % name.encode()
    id = cursor.encode(origin, change.following).encode()
    return b"id: %b\n%bdata: %b\n\n" % (id, line, notices.to_json(change, disclosure, over))


def heartbeat(origin: str, position: LogPosition) -> bytes:
    """Return what moves a receiver's last event id on, and shows it nothing."""
    return b"id: %b\n\n" % cursor.encode(origin, position).encode()

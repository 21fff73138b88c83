"""Where a stream goes on whose state was lost: where the log last told that it was."""

from __future__ import annotations

from tallystick.events.event import Json
from tallystick.identity.streams import Stream
from tallystick.log.views import events_of
from tallystick.store.base import Store
from tallystick.subscriptions import cursor
from tallystick.subscriptions.streams import positions
from tallystick.subscriptions.streams.progress import StoredPosition, StreamProgress

DELIVERED = "stream.delivered"
"""The kind of the entries that tell how far streams have come."""

_ROWS = 256


def from_log(store: Store, stream: Stream) -> StreamProgress:
    """Return the progress of a stream as the log tells of it; a new one begins at its start.

    Cost: the entries of op `system` since it was made, latest first, back to one about it.
    """
    told = last_told(store, stream)
    start, total = stream.start, 0
    if told is not None and told.get("epoch") == stream.epoch:
        start, total = told["to"], told["total"]
    at = StoredPosition.of(cursor.at(store, stream.tenant, start))
    return StreamProgress(
        salt=stream.salt, epoch=stream.epoch, at=at, total=total, run=stream.run,
        revived=stream.revived, replay=0 if stream.replay is None else stream.replay.number,
    )  # fmt: skip


def last_told(store: Store, stream: Stream) -> Json | None:
    """Return the data of the latest entry that tells how far a stream has come."""
    head = store.log_head(stream.tenant)
    if head is None:
        return None
    # A new stream has no such entry, and what was before it may be years long.
    made = positions.recorded_from(store, stream.tenant, stream.created_ms)
    indexes = store.system_indexes(stream.tenant, made, head.size)
    for end in range(len(indexes), 0, -_ROWS):
        rows = store.rows_at(stream.tenant, indexes[max(0, end - _ROWS) : end])
        for event in reversed(events_of(stream.tenant, [rows[at] for at in sorted(rows)])):
            about = event.target is not None and event.target.id == stream.id
            if about and event.kind == DELIVERED and event.data.get("salt") == stream.salt:
                return event.data
    return None

"""Reading the log for a stream: from a position on, what passes its filter and its maker's rights.

Nothing that was read is kept between attempts: what was erased meanwhile is not sent.
"""

from __future__ import annotations

from typing import NamedTuple

from tallystick import json_text
from tallystick.events.event import Json, Op
from tallystick.events.rendering import EventOut
from tallystick.identity.streams import Stream
from tallystick.query.expr import Expr, all_of
from tallystick.query.values import Values
from tallystick.store.base import Store
from tallystick.subscriptions.changes import SLICE_ENTRIES, Change, LogPosition, read_changes
from tallystick.subscriptions.notices import content_of
from tallystick.subscriptions.streams.sinks.base import StreamMessage
from tallystick.subscriptions.subscription import Disclosure, Judge, Subscription, possibly

LOOKED_AT = 20_000
"""Entries that are looked at in one step, however few of them pass."""


class BatchBounds(NamedTuple):
    """How much is delivered together, and how long the first of it may wait for more."""

    messages: int
    octets: int
    linger_ms: int = 0


class Stretch(NamedTuple):
    """What passes between two positions."""

    start: LogPosition
    stop: LogPosition
    messages: list[StreamMessage]
    ends: list[LogPosition]
    """The position behind each message."""
    notices: list[Json]
    full: bool
    """Whether it ended for its size, with more to come."""


class StretchReader:
    """Reads for one stream, with the rights that its maker has at the moment."""

    def __init__(self, store: Store, stream: Stream, visible: Expr) -> None:
        self._store = store
        self._tenant = stream.tenant
        where = stream.filter.where()
        self._judge = Judge(Subscription(where=where, visible=visible))
        self.visible = visible
        """What the maker may see."""
        self._could_pass = possibly(all_of((where, visible)))

    def read(self, start: LogPosition, stop: LogPosition, bounds: BatchBounds | None) -> Stretch:
        """Return what passes from `start` on, to `stop` at most; all of it without bounds.

        Shape: `stop` is at most the size of the log.
        """
        at, looked_at, octets = start, 0, 0
        # What is read beyond a batch is read again for the next one: first as if all passed.
        wide = SLICE_ENTRIES if bounds is None else min(bounds.messages, SLICE_ENTRIES)
        messages: list[StreamMessage] = []
        ends: list[LogPosition] = []
        gap = _Gap()
        while _before(at, stop) and (bounds is None or looked_at < LOOKED_AT):
            # A stop inside an entry is reached by reading that entry's changes.
            last = stop.index + (1 if stop.part else 0)
            part = read_changes(self._store, self._tenant, at, last, max_entries=wide)
            for change in part.changes:
                if _before(stop, change.following):
                    return Stretch(start, stop, messages, ends, gap.notices(), full=False)
                message = self._message(change, gap)
                if message is not None:
                    octets += len(message.body)
                    messages.append(message)
                    ends.append(change.following)
                if bounds and (len(messages) >= bounds.messages or octets >= bounds.octets):
                    end = change.following
                    return Stretch(start, end, messages, ends, gap.notices(), full=True)
            looked_at += part.following.index - at.index
            at = part.following
            wide = min(2 * wide, SLICE_ENTRIES)
        return Stretch(start, at, messages, ends, gap.notices(), full=False)

    def _message(self, change: Change, gap: _Gap) -> StreamMessage | None:
        values = Values(change.view)
        disclosure = self._judge(change, values)
        if disclosure is Disclosure.NOTHING:
            erased = frozenset(change.entry.erased)
            if change.op is Op.RECORD and erased and self._could_pass(values, erased)[0]:
                gap.add(change.entry.index)
            return None
        content = content_of(change, disclosure)
        time_ms = change.entry.recorded_ms
        if isinstance(content, EventOut):
            time_ms = change.view.event.occurred_ms
        body = json_text.encode(content)
        return StreamMessage(change.entry.index, change.op, time_ms, content, body)


class _Gap:
    """Events whose content was removed before they were sent, so that nobody knows any more
    whether they were for the receiver."""

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []
        self._count = 0

    def add(self, index: int) -> None:
        self._count += 1
        if self._ranges and index - self._ranges[-1][1] <= 1:
            self._ranges[-1][1] = index + 1
        else:
            self._ranges.append([index, index + 1])

    def notices(self) -> list[Json]:
        if not self._ranges:
            return []
        low, high = self._ranges[0][0], self._ranges[-1][1]
        return [{"notice": "removed", "from": low, "to": high, "events": self._count}]


def _before(one: LogPosition, other: LogPosition) -> bool:
    return (one.index, one.part) < (other.index, other.part)

"""A stretch of a log as changes: what happened to events, in the order of the log.

    record     an event, as `/v1/events` shows it now; left out when it was retracted since,
               and without content, with `view.removed`, when a retention policy took it away
    revise     the event as it is shown now, and as it was shown before this revision
    retract    the event as it was shown before
    erase      the event with what is left of it; one change for each event that lost something,
               none for what a retention policy took away: it was due on the day it came

Other entries (documents, the ledger's own acts) are no changes of events. With `Over.LOG` every
entry is a change, as it was recorded. A change shows an event as of the moment it is read, not as
of its entry: content that was erased since is never shown again.

The law: slices read one after the other, each from where the last one ended, hold every change of
the stretch once, whatever the bounds of the slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tallystick.events.erased_sections import policy_of
from tallystick.events.event import Event, Op, View, as_recorded
from tallystick.ledger.erasure import erased_indexes
from tallystick.ledger.selections import first_views
from tallystick.limits import SLICE_BYTES
from tallystick.log.views import event_of, find_indexes, views_of, with_content
from tallystick.query.question import Over
from tallystick.store.base import LogRow, Store

SLICE_ENTRIES = 1024
"""Entries that one slice looks at."""

ERASURES = 256
"""Changes of one erasure in one slice."""

_CHANGES = frozenset({Op.REVISE, Op.RETRACT})


class LogPosition(NamedTuple):
    """Where to read on: at the entry `index`, behind the first `part` of its changes.

    `leaf` is the leaf hash of the entry before (empty at the beginning of a log), by which a log is
    recognised that was restored or failed over and went on differently.
    """

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    part: int = 0
    leaf: bytes = b""


class Change(NamedTuple):
    """What one entry did to one event."""

    op: Op
    entry: Event
    """The entry that made the change; of a `record` and with `Over.LOG`, the event itself."""
    view: View
    """The event concerned as it is shown now; `view.retracted` tells that it is not shown."""
    before: View | None
    """Of a revision: the event as it was shown before it."""
    following: LogPosition
    """Where to read on behind this change."""


class ChangeSlice(NamedTuple):
    """Changes one after the other, and where to read on; many entries may hold no change."""

    changes: Sequence[Change]
    following: LogPosition
    has_acts: bool
    """Whether an act of administration is among the entries: somebody's rights may have changed."""


def read_changes(
    store: Store,
    tenant: str,
    start: LogPosition,
    stop: int,
    *,
    over: Over = Over.EVENTS,
    max_entries: int = SLICE_ENTRIES,
    max_bytes: int = SLICE_BYTES,
) -> ChangeSlice:
    """Return the next changes from `start` on, of entries before `stop`.

    Shape: `stop` is at most the size of the log. While `start.index` < `stop`, what follows is
    behind `start`. The entries looked at have `max_bytes` together, or are one; so have the events
    that they changed.
    Raises: StoreCorrupt.
    Cost: about 15 us an entry; one read of the rows, one of heads, two of changed events.
    """
    wanted = range(start.index, min(stop, start.index + max_entries))
    rows = list(store.rows_within(tenant, wanted, max_bytes).values()) if wanted else []
    if not rows:
        return ChangeSlice((), start, has_acts=False)
    if over is Over.LOG:
        steps = _steps(rows, [as_recorded(event_of(tenant, row)) for row in rows], start)
        changes = [Change(s.entry.op, s.entry, s.view, None, s.end) for s in steps]
        following = steps[-1].end
    else:
        steps = _steps(rows, views_of(store, tenant, rows, max_bytes), start)
        changes, following = _Reading(store, tenant, max_bytes).changes(steps)
    return ChangeSlice(changes, following, any(step.entry.op is Op.SYSTEM for step in steps))


class _Step(NamedTuple):
    """An entry on the way, with the positions before and behind it."""

    entry: Event
    view: View
    begin: LogPosition
    end: LogPosition


class _Touch(NamedTuple):
    """A change whose event may still have to be read, with the positions before and behind it."""

    entry: Event
    event: int
    begin: LogPosition
    end: LogPosition
    view: View | None = None
    """The event, where it is at hand."""
    replaced: int | None = None
    """Of a revision: the earlier one whose content it replaced, if there was one."""

    @property
    def reads(self) -> tuple[int, ...]:
        """The entries to be read for it."""
        event = () if self.view is not None else (self.event,)
        return event if self.replaced is None else (*event, self.replaced)


def _steps(rows: Sequence[LogRow], views: Sequence[View], start: LogPosition) -> list[_Step]:
    steps: list[_Step] = []
    begin = start
    # Of large revisions the views end earlier than the rows.
    for row, view in zip(rows, views, strict=False):
        end = LogPosition(row.index + 1, 0, row.leaf)
        steps.append(_Step(view.first, view, begin, end))
        begin = end
    return steps


class _Reading:
    """Reads the events that the entries of one slice are about."""

    def __init__(self, store: Store, tenant: str, max_bytes: int) -> None:
        self._store = store
        self._tenant = tenant
        self._max_bytes = max_bytes

    def changes(self, steps: Sequence[_Step]) -> tuple[list[Change], LogPosition]:
        """Return the changes that steps make, and where to read on."""
        touches, following = self._touches(steps)
        known, is_read = self._views(touches)
        changes: list[Change] = []
        for touch in touches:
            if not is_read.issuperset(touch.reads):
                return changes, touch.begin
            view = touch.view or known.get(touch.event)
            if view is not None:
                before = _before(touch, view, known) if touch.entry.op is Op.REVISE else None
                changes.append(Change(touch.entry.op, touch.entry, view, before, touch.end))
        return changes, following

    def _touches(self, steps: Sequence[_Step]) -> tuple[list[_Touch], LogPosition]:
        """Return what the entries did to events, and the end of the last one looked at."""
        events = self._events_of(step.entry for step in steps)
        touches: list[_Touch] = []
        for entry, view, begin, end in steps:
            if entry.op is Op.RECORD:
                if not view.retracted or view.removed:
                    touches.append(_Touch(entry, entry.index, begin, end, view))
            elif entry.op is Op.ERASE and policy_of(entry.data) is None:
                erased, reached = self._erasures(entry, begin, end)
                touches += erased
                if reached != end:
                    return touches, reached
            elif (event := events.get(entry.id)) is not None:
                touches.append(_Touch(entry, event, begin, end, None, _replaced(entry, event)))
        return touches, steps[-1].end

    def _erasures(
        self, entry: Event, begin: LogPosition, end: LogPosition
    ) -> tuple[list[_Touch], LogPosition]:
        """Return a change for each event that an erasure took something from, and how far it got.

        Revisions go with their events: an event that is named itself has one change.
        """
        indexes = erased_indexes(entry)
        first, named = begin.part, frozenset(indexes)
        rows = self._store.rows_at(self._tenant, indexes[first : first + ERASURES])
        entries = {index: event_of(self._tenant, row) for index, row in rows.items()}
        events = self._events_of(entries.values())
        touches: list[_Touch] = []
        for part, index in enumerate(indexes[first : first + ERASURES], first):
            touched = entries.get(index)
            event = None if touched is None else events.get(touched.id)
            if touched is not None and touched.op is Op.RECORD:
                event = index
            elif event in named:
                continue
            if event is not None:
                begin = begin._replace(part=part)
                is_last = part + 1 == len(indexes)
                follows = end if is_last else begin._replace(part=part + 1)
                touches.append(_Touch(entry, event, begin, follows))
        is_whole = first + ERASURES >= len(indexes)
        return touches, end if is_whole else begin._replace(part=first + ERASURES)

    def _events_of(self, entries: Iterable[Event]) -> dict[str, int]:
        """Return the events that revisions and retractions are about, by the ids of those."""
        subjects = {
            entry.id: entry.subject.lower()
            for entry in entries
            if entry.op in _CHANGES and entry.subject is not None
        }
        found = find_indexes(self._store, self._tenant, set(subjects.values())) if subjects else {}
        return {id: found[subject] for id, subject in subjects.items() if subject in found}

    def _views(self, touches: Sequence[_Touch]) -> tuple[Mapping[int, View], frozenset[int]]:
        """Return the entries to be read for the first changes, and which of them were looked for.

        There is always enough for the first change that needs any.
        """
        wanted = list(dict.fromkeys(index for touch in touches for index in touch.reads))
        least = next((len(touch.reads) for touch in touches if touch.reads), 0)
        known: dict[int, View] = {}
        done = 0
        while done < least:
            found = first_views(self._store, self._tenant, wanted[done:], self._max_bytes)
            known |= found
            rest = wanted[done:]
            done += max((n for n, index in enumerate(rest, 1) if index in found), default=len(rest))
        return known, frozenset(wanted[:done])


def _replaced(entry: Event, event: int) -> int | None:
    if entry.op is not Op.REVISE or entry.original is None:
        return None
    index = entry.original.get("revision")
    return index if isinstance(index, int) and index != event else None


def _before(touch: _Touch, view: View, known: Mapping[int, View]) -> View:
    if touch.replaced is not None and touch.replaced in known:
        return with_content(view, known[touch.replaced].first)
    first = view.first
    return msgspec.structs.replace(
        view, event=first, revision=first.index, revised_ms=first.recorded_ms
    )

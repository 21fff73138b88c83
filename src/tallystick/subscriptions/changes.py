"""A stretch of a log as changes: what happened to events, in the order of the log.

    record     an event, as `/v1/events` shows it now; left out when it was retracted since
    revise     the event as it is shown now, and as it was shown before this revision
    retract    the event as it was shown before
    erase      the event with what is left of it; one change for each event that lost something

Other entries (documents, the ledger's own acts) are no changes of events. With `Over.LOG` every
entry is a change, as it was recorded. A change shows an event as of the moment it is read, not as
of its entry: content that was erased since is never shown again.

The law: slices read one after the other, each from where the last one ended, hold every change of
the stretch once, whatever the bounds of the slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tallystick.events.event import Event, Op, View
from tallystick.ledger.selections import first_views
from tallystick.limits import SLICE_BYTES
from tallystick.log.views import find_indexes, views_of, with_content
from tallystick.query.question import Over
from tallystick.store.base import LogRow, Store

SLICE_ENTRIES = 1024
"""Entries that one slice looks at."""

_ERASURES = 256
"""Events of one erasure that one slice tells of."""


class Position(NamedTuple):
    """Where to read on: at the entry `index`, behind its first `part` changes.

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
    """The entry that made the change: for `record`, the event as it was recorded."""
    view: View
    """The event concerned as it is shown now; `view.retracted` tells that it is not shown."""
    before: View | None
    """Of a revision: the event as it was shown before it."""
    following: Position
    """Where to read on behind this change."""


class Slice(NamedTuple):
    """Changes one after the other, and where to read on; none may be among many entries."""

    changes: list[Change]
    following: Position
    has_acts: bool
    """Whether an act of administration is among the entries: rights may have changed."""


def read_slice(
    store: Store,
    tenant: str,
    start: Position,
    stop: int,
    *,
    over: Over = Over.EVENTS,
    max_entries: int = SLICE_ENTRIES,
    max_bytes: int = SLICE_BYTES,
) -> Slice:
    """Return the next changes from `start` on, of entries before `stop`.

    Shape: `start.index` <= `stop` <= size of the log. Where `start.index` < `stop`, the slice ends
    behind `start`. Its events have `max_bytes` together, or are one.
    Raises: StoreCorrupt.
    Cost: about 15 us an entry; one read of the rows, one of heads, and as many of the events that
    revisions, retractions and erasures are about.
    """
    rows = _rows(store, tenant, start.index, min(stop, start.index + max_entries), max_bytes)
    if not rows:
        return Slice([], start, False)
    if over is Over.LOG:
        views = [view for view in views_of(store, tenant, rows, max_bytes)]
        changes = [_as_recorded(row, view) for row, view in zip(rows, views, strict=False)]
        return _slice(rows[: len(views)], [view.first for view in views], changes, None)
    views = views_of(store, tenant, rows, max_bytes)
    rows = rows[: len(views)]
    entries = [view.first for view in views]
    items = list(_items(store, tenant, rows, views, start.part))
    concerned, reached = _concerned(store, tenant, items, max_bytes)
    changes = [change for item in items[:reached] if (change := _change(item, concerned))]
    stopped = items[reached] if reached < len(items) else None
    return _slice(rows, entries, changes, stopped)


class _Item(NamedTuple):
    """A change before the event that it is about was read."""

    entry: Event
    event: int
    """Index of the event concerned."""
    view: View | None
    """The event concerned, where it is at hand."""
    replaced: int | None
    """Index of the entry whose content a revision replaced."""
    at: Position
    following: Position


def _rows(store: Store, tenant: str, start: int, stop: int, max_bytes: int) -> list[LogRow]:
    if start >= stop:
        return []
    return list(store.rows_within(tenant, range(start, stop), max_bytes).values())


def _slice(
    rows: Sequence[LogRow],
    entries: Sequence[Event],
    changes: list[Change],
    stopped: _Item | None,
) -> Slice:
    has_acts = any(entry.op is Op.SYSTEM for entry in entries)
    if stopped is None:
        return Slice(changes, Position(rows[-1].index + 1, 0, rows[-1].leaf), has_acts)
    return Slice(changes, stopped.at, has_acts)


def _as_recorded(row: LogRow, view: View) -> Change:
    first = view.first
    recorded = msgspec.structs.replace(
        view, event=first, revision=first.index, revised_ms=first.recorded_ms, retracted=False
    )
    return Change(first.op, first, recorded, None, Position(row.index + 1, 0, row.leaf))


def _items(
    store: Store, tenant: str, rows: Sequence[LogRow], views: Sequence[View], part: int
) -> Iterator[_Item]:
    """Yield what the entries did to events; of the first entry, behind its first `part` changes."""
    subjects = {
        view.first.subject.lower()
        for view in views
        if view.first.op in (Op.REVISE, Op.RETRACT) and view.first.subject is not None
    }
    events = find_indexes(store, tenant, subjects) if subjects else {}
    leaf = b""
    for row, view in zip(rows, views, strict=True):
        entry, end = view.first, Position(row.index + 1, 0, row.leaf)
        at = Position(row.index, 0, leaf)
        if entry.op is Op.RECORD:
            yield _Item(entry, row.index, view, None, at, end)
        elif entry.op is Op.ERASE:
            yield from _erasures(store, tenant, entry, part, end, leaf)
        elif entry.op in (Op.REVISE, Op.RETRACT) and entry.subject is not None:
            event = events.get(entry.subject.lower())
            if event is not None:
                yield _Item(entry, event, None, _replaced(entry), at, end)
        part, leaf = 0, row.leaf

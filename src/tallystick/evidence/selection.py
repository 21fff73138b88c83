"""Which entries a bundle holds, and why the others of its range do not.

Everything is decided from the log at one size, never from an index: the same size and question give
the same selection, today and years later. Memory: some bytes for each revised, retracted or erased
event, eight for each entry that is chosen.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from tallystick.events import entry, erased_sections
from tallystick.events.entry import OP_BYTES
from tallystick.events.event import HOLD_LIFTED, HOLD_PLACED, Op, View
from tallystick.log.views import event_of, find_index, recorded_view
from tallystick.query.expr import Everything, Expr, all_of
from tallystick.query.match import to_predicate
from tallystick.query.values import Values
from tallystick.store.base import LogRow, Store
from tallystick.store.slices import row_slices

_ENTRIES = 1024
_CHANGES = (b'"op":"revise"', b'"op":"retract"', b'"op":"erase"')

REMOVED = "removed by policy"
"""Why an event is not in a bundle that a retention policy took away."""


class Question(NamedTuple):
    """What a bundle answers: events that match, of entries [start, stop), as of one size."""

    tenant: str
    size: int
    start: int
    stop: int
    where: Expr
    visible: Expr
    is_complete: bool
    """Whether each entry of the range is accounted for."""

    @property
    def sees_all(self) -> bool:
        """Whether the exporter may see the whole log."""
        return isinstance(self.visible, Everything)

    @property
    def takes_all(self) -> bool:
        """Whether every entry of the range is wanted, events or not."""
        return self.sees_all and isinstance(self.where, Everything)


class LaterChanges(NamedTuple):
    """What later entries did to events, below the size of a bundle."""

    revisions: dict[str, list[int]]
    retracted: dict[str, int]
    erasures: list[tuple[int, frozenset[int]]]
    removed: set[int]
    """Entries that retention policies took away."""


class SelectedEntries(NamedTuple):
    """The entries of a bundle, in order, and the runs of those left out."""

    indexes: array[int]
    omitted: list[tuple[int, int, str]]
    changes: LaterChanges


def select(store: Store, question: Question) -> SelectedEntries:
    """Return what a bundle holds.

    Raises: StoreCorrupt.
    Cost: one pass over the entries, one over the sections where the question needs them.
    """
    changes = _changes(store, question)
    chosen = array("Q")
    left_out: list[tuple[int, int, str]] = []
    if question.takes_all:
        chosen.extend(range(question.start, question.stop))
    else:
        reason_of = _Judge(store, question, changes).reason
        for rows in row_slices(store, question.tenant, question.start, question.stop):
            for row in rows:
                reason = reason_of(row)
                if reason is None:
                    chosen.append(row.index)
                else:
                    _extend(left_out, row.index, reason)
    evidence = _evidence(store, question, changes, chosen)
    omitted = list(_without(left_out, evidence)) if question.is_complete else []
    return SelectedEntries(
        array("Q", sorted({*evidence, *chosen})) if evidence else chosen, omitted, changes
    )


class _Judge:
    """Says why an entry is not in a bundle, None if it is."""

    def __init__(self, store: Store, question: Question, changes: LaterChanges) -> None:
        self._store = store
        self._question = question
        self._changes = changes
        self._matches = to_predicate(all_of((question.where, question.visible)))
        self._visible = to_predicate(question.visible)

    def reason(self, row: LogRow) -> str | None:
        view = self.view(row)
        if not self._question.sees_all and not self._visible(Values(view)):
            return "not visible"
        if view.first.op is not Op.RECORD:
            return "not an event"
        if view.index in self._changes.removed:
            return REMOVED
        if view.first.id in self._changes.retracted:
            return "retracted"
        return None if self._matches(Values(view)) else "filtered out"

    def view(self, row: LogRow) -> View:
        """Return an event as it was seen at the bundle's size."""
        tenant = self._question.tenant
        view = recorded_view(tenant, row)
        revisions = self._changes.revisions.get(view.first.id)
        if not revisions or view.first.op is not Op.RECORD:
            return view
        latest = self._store.rows_at(tenant, [revisions[-1]])[revisions[-1]]
        shown = event_of(tenant, latest)
        event = msgspec.structs.replace(view.first, data=shown.data, previous=shown.previous)
        return msgspec.structs.replace(
            view, event=event, revision=shown.index, revised_ms=shown.recorded_ms
        )


def _changes(store: Store, question: Question) -> LaterChanges:
    found = LaterChanges({}, {}, [], set())
    for index, data in _entries(store, question.tenant, question.start, question.size):
        if not any(op in data[:OP_BYTES] for op in _CHANGES):
            continue
        row = store.rows_at(question.tenant, [index])[index]
        event = event_of(question.tenant, row)
        if event.op is Op.REVISE and event.subject is not None:
            found.revisions.setdefault(event.subject, []).append(index)
        elif event.op is Op.RETRACT and event.subject is not None:
            found.retracted[event.subject] = index
        elif event.op is Op.ERASE:
            erased = frozenset(each.index for each in erased_sections.decode(event))
            found.erasures.append((index, erased))
            if erased_sections.policy_of(event.data) is not None:
                found.removed.update(erased)
    return found


def erased_since(store: Store, tenant: str, start: int, stop: int) -> bool:
    """Tell whether anything was erased by the entries [start, stop)."""
    return any(
        b'"op":"erase"' in data[:OP_BYTES] for _, data in _entries(store, tenant, start, stop)
    )


def _entries(store: Store, tenant: str, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    for at in range(start, stop, _ENTRIES):
        yield from enumerate(store.entries(tenant, at, min(at + _ENTRIES, stop)), at)


def _evidence(
    store: Store, question: Question, changes: LaterChanges, chosen: array[int]
) -> set[int]:
    """Return the entries beside the chosen ones that say what became of those."""
    is_chosen = _membership(question, chosen)
    evidence: set[int] = set()
    for event_id, revisions in changes.revisions.items():
        index = find_index(store, question.tenant, event_id)
        if index is not None and is_chosen(index):
            evidence.update(revisions)
    if question.sees_all:
        for event_id, at in changes.retracted.items():
            index = find_index(store, question.tenant, event_id)
            if index is not None and is_chosen(index):
                evidence.add(at)
        span = range(question.start, question.stop) if question.is_complete else range(0)
        for at, erased in changes.erasures:
            if any(
                index in evidence
                or is_chosen(index)
                or (index in span and index in changes.removed)
                for index in erased
            ):
                evidence.add(at)
        evidence.update(_holds(store, question))
    return {index for index in evidence if not is_chosen(index)}


def _membership(question: Question, chosen: array[int]) -> Callable[[int], bool]:
    if question.takes_all:
        return lambda index: question.start <= index < question.stop
    known = bytearray((question.stop - question.start + 7) // 8)
    for index in chosen:
        known[(index - question.start) >> 3] |= 1 << (index - question.start & 7)

    def is_chosen(index: int) -> bool:
        at = index - question.start
        return 0 <= at < question.stop - question.start and bool(known[at >> 3] >> (at & 7) & 1)

    return is_chosen


def _holds(store: Store, question: Question) -> Iterator[int]:
    indexes = store.system_indexes(question.tenant, 0, question.size)
    for at in range(0, len(indexes), _ENTRIES):
        rows = store.rows_at(question.tenant, indexes[at : at + _ENTRIES])
        for index, row in rows.items():
            decoded = entry.decode(question.tenant, index, row.entry, row.sections)
            if decoded.kind in (HOLD_PLACED, HOLD_LIFTED):
                yield index


def _extend(runs: list[tuple[int, int, str]], index: int, reason: str) -> None:
    if runs and runs[-1][1] == index - 1 and runs[-1][2] == reason:
        runs[-1] = (runs[-1][0], index, reason)
    else:
        runs.append((index, index, reason))


def _without(runs: list[tuple[int, int, str]], kept: set[int]) -> Iterator[tuple[int, int, str]]:
    """Yield runs without the entries that are in the bundle after all."""
    inside = sorted(kept)
    at = 0
    for first, last, reason in runs:
        start = first
        while at < len(inside) and inside[at] <= last:
            if inside[at] >= start:
                if inside[at] > start:
                    yield start, inside[at] - 1, reason
                start = inside[at] + 1
            at += 1
        if start <= last:
            yield start, last, reason

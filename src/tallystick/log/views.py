"""How rows of the log become what a reader sees: events, and views with revisions folded in.

The ledger and the followers share it, so that a list, a search and a single read agree. It only
reads the store; what a revision may change (`data` and `previous`, nothing else) is enforced where
revisions are written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from tallystick.errors import StoreCorrupt
from tallystick.events import entry, ids
from tallystick.events.event import Event, HeadSlot, Op, View, as_recorded
from tallystick.log.idempotency import claim_of_id
from tallystick.store.base import LogRow, Store, head_key
from tallystick.store.slices import row_slices

_REVISED_SECTIONS = ("data", "previous")


def event_of(tenant: str, row: LogRow) -> Event:
    """Return the event that one row describes, as recorded.

    Raises: StoreCorrupt.
    """
    return entry.decode(tenant, row.index, row.entry, row.sections)


def events_of(tenant: str, rows: Iterable[LogRow]) -> list[Event]:
    """Return the events that rows describe, as recorded.

    Raises: StoreCorrupt.
    """
    return [entry.decode(tenant, row.index, row.entry, row.sections) for row in rows]


def recorded_view(tenant: str, row: LogRow) -> View:
    """Return the entry as it was recorded, whatever was revised or retracted since."""
    event = entry.decode(tenant, row.index, row.entry, row.sections)
    return as_recorded(event, entry.salt_hash(row.sections, event.erased))


class Recorded(NamedTuple):
    """An entry as it was recorded, with its leaf hash."""

    view: View
    leaf: bytes


class LogReader:
    """Reads logs in order, for followers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def tenants(self) -> list[str]:
        """Return the tenants that have a log."""
        return [head.tenant for head in self._store.log_heads()]

    def sizes(self) -> dict[str, int]:
        """Return how many entries each log has."""
        return {head.tenant: head.size for head in self._store.log_heads()}

    def size(self, tenant: str) -> int:
        """Return how many entries a log has."""
        head = self._store.log_head(tenant)
        return 0 if head is None else head.size

    def origin(self, tenant: str) -> str | None:
        """Return the name of a tenant's log; None when it has none."""
        head = self._store.log_head(tenant)
        return None if head is None else head.origin

    def leaf(self, tenant: str, index: int) -> bytes | None:
        """Return the leaf hash of an entry; None when the log does not reach so far."""
        leaves = self._store.leaves(tenant, index, index + 1)
        return leaves[0] if leaves else None

    def read(self, tenant: str, start: int, stop: int) -> list[Recorded]:
        """Return the entries [start, stop) that exist, in order; fewer than asked for if many.

        Raises: StoreCorrupt.
        """
        rows = next(row_slices(self._store, tenant, start, stop), [])
        return [Recorded(recorded_view(tenant, row), row.leaf) for row in rows]


def views_of(
    store: Store, tenant: str, rows: Sequence[LogRow], max_bytes: int | None = None
) -> list[View]:
    """Return entries as they are seen now, one view a row, in the order of `rows`.

    An event shows the content of its latest revision; what is no ordinary event shows its own.
    With `max_bytes` the views end, after the first at least, where revisions have as many.
    Raises: StoreCorrupt.
    Cost: one lookup of heads, then one of the revisions if there are any.
    """
    views = [recorded_view(tenant, row) for row in rows]
    keys = {
        head_key(HeadSlot.REVISION, "event", view.first.id): at
        for at, view in enumerate(views)
        if view.first.op is Op.RECORD
    }
    heads = store.resource_heads(tenant, list(keys)) if keys else {}
    if not heads:
        return views
    latest = {at: heads[key].index for key, at in keys.items() if key in heads}
    revisions = _events_at(store, tenant, list(latest.values()), max_bytes)
    before = {index: _before(event) for index, event in revisions.items()}
    replaced = [index for index in before.values() if index is not None and index not in revisions]
    revisions |= _events_at(store, tenant, replaced, max_bytes)
    for at, head in latest.items():
        # The first one is folded in any case: where an entry is missing, that says so.
        if max_bytes and at and not {head, before.get(head) or head} <= revisions.keys():
            return views[:at]
        views[at] = _folded(views[at], head, revisions)
    return views


def find_index(store: Store, tenant: str, event_id: str) -> int | None:
    """Return where the entry with an id stands.

    Cost: one or two point reads.
    """
    return find_indexes(store, tenant, [event_id.lower()]).get(event_id.lower())


def find_indexes(store: Store, tenant: str, event_ids: Collection[str]) -> dict[str, int]:
    """Return where the entries with some ids, in lower case, stand; those that exist.

    Cost: one or two reads, however many ids.
    """
    guesses = {index for id in event_ids if (index := ids.index_of_event_id(id)) is not None}
    rows = store.rows_at(tenant, guesses) if guesses else {}
    # A writer's own UUID may look like one of ours: what stands there has to have that id.
    found = {id: at for at, row in rows.items() if (id := entry.id_of(row.entry)) in event_ids}
    claims = {claim_of_id(id): id for id in event_ids if id not in found and ids.is_uuid(id)}
    if claims:
        claimed = store.claims(tenant, list(claims))
        found |= {claims[claim]: known.index for claim, known in claimed.items()}
    return found


def _events_at(
    store: Store, tenant: str, indexes: Sequence[int], max_bytes: int | None
) -> dict[int, Event]:
    if max_bytes is None:
        rows = store.rows_at(tenant, indexes)
    else:
        rows = store.rows_within(tenant, indexes, max_bytes)
    return {index: event_of(tenant, row) for index, row in rows.items()}


def _before(revision: Event) -> int | None:
    """Return the revision that a retraction found, whose content it leaves in place."""
    if revision.op is not Op.RETRACT or revision.original is None:
        return None
    index = revision.original.get("revision")
    return index if isinstance(index, int) else None


def _folded(view: View, head: int, revisions: dict[int, Event]) -> View:
    """Return `view` with the revision that its head points at."""
    latest = revisions.get(head)
    if latest is None:
        raise StoreCorrupt(f"the revision {head} of event {view.index} is missing")
    if latest.op is Op.ERASE:
        return msgspec.structs.replace(view, retracted=True, removed=True)
    retracted = latest.op is Op.RETRACT
    shown = revisions.get(_before(latest) or view.index) if retracted else latest
    if shown is None or shown.op is not Op.REVISE:
        return msgspec.structs.replace(view, retracted=retracted)
    return msgspec.structs.replace(with_content(view, shown), retracted=retracted)


def with_content(view: View, revision: Event) -> View:
    """Return `view` as it is shown with the content of one of its revisions."""
    first = view.first
    kept = tuple(name for name in first.erased if name not in _REVISED_SECTIONS)
    gone = tuple(name for name in revision.erased if name in _REVISED_SECTIONS)
    event = msgspec.structs.replace(
        first, data=revision.data, previous=revision.previous, erased=kept + gone
    )
    return msgspec.structs.replace(
        view, event=event, revision=revision.index, revised_ms=revision.recorded_ms
    )

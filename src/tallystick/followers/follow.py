"""Followers: what reads the log in order and keeps something derived from it.

One mechanism for all of them. A follower has a cursor a tenant, kept together with what it derives;
`Following` reads the log from there in slices, small when it is idle and large when it lags, and
hands them over. The law: the state after following equals the state after rebuilding.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from tallystick.events import erased_sections, ids
from tallystick.events.event import Event, HeadSlot, Op, View
from tallystick.followers.cursors import check_cursors, mark_of
from tallystick.followers.damage import Cursor, LogSetBack
from tallystick.log.views import event_of, events_of, find_index, recorded_view, views_of
from tallystick.store.base import LogRow, ResourceHead, Store, head_key

SLICE_ROWS = 2_048
"""Entries of one slice at most."""

SLICE_BYTES = 1 << 19
"""Bytes of a tenant's entries in one slice, but for the last: a turn of large events is not to keep
other tenants waiting."""

_TURN_S = 0.25
"""Processor time of a turn; a tenant of one that took longer gets fewer entries in the next."""


class Follower(Protocol):
    """Keeps something derived from the log; used by one thread."""

    @property
    def name(self) -> str:
        """What it is called in commands and metrics."""

    def cursors(self) -> Mapping[str, Cursor]:
        """Return for each tenant how far its log can be read here."""

    def apply(self, parts: Sequence[Slice]) -> None:
        """Take in one slice of each of some tenants, in the order of the log."""

    def commit(self, *, urgent: bool) -> bool:
        """Make what was applied readable, if it is time or urgent; tell whether cursors moved."""

    def tidy(self) -> bool:
        """Do a few milliseconds of housekeeping; tell whether there is more to do.

        Checks of what is stored belong to it. Raises: IndexDamaged.
        """

    def verify(self) -> None:
        """Compare the checksums of all files.

        Raises: IndexDamaged.
        """

    def residue(self) -> bool:
        """Tell whether only a rebuild destroys what is left of erased content."""

    def close(self) -> None:
        """Release files; idempotent."""


class Following:
    """Brings one follower up to the heads it knows; used by one thread."""

    def __init__(self, store: Store, follower: Follower, *, slice_rows: int = SLICE_ROWS) -> None:
        self._store = store
        self.slice_rows = slice_rows
        self._uuids: dict[str, str] = {}
        self._origins: dict[str, str] = {}
        self.follower = follower
        self._cursors = dict(follower.cursors())
        check_cursors(store, self._cursors.items())
        self.readable = {tenant: cursor.next for tenant, cursor in self._cursors.items()}
        """For each tenant the index up to which its entries can be read."""
        self._taken = dict(self.readable)
        self._unread: dict[str, int] = {}
        # Heads of the logs that are ahead of what was taken; the longest waiting first.
        self._ahead: dict[str, int] = {}
        # Up to where logs are to be readable soon, since reads wait for that.
        self._hurried: dict[str, int] = {}
        # Entries in a turn of tenants whose entries take long, and whether these were passed over.
        self._paces: dict[str, int] = {}
        self._passed_over = False

    def learn_heads(self, heads: Iterable[tuple[str, int]]) -> None:
        """Note that logs have at least these sizes."""
        for tenant, size in heads:
            if size > self._taken.get(tenant, 0):
                self._ahead[tenant] = max(size, self._ahead.get(tenant, 0))

    def hurry(self, tenants: Iterable[str]) -> None:
        """Take next what is known of some logs by now: reads wait for that."""
        for tenant in tenants:
            self._hurried[tenant] = self._ahead.get(tenant, self._taken.get(tenant, 0))

    def is_hurried(self) -> bool:
        """Tell whether reads wait."""
        return bool(self._hurried)

    def has_arrived(self) -> bool:
        """Tell whether some reads wait for nothing but a commit."""
        return any(self._taken.get(tenant, 0) >= to for tenant, to in self._hurried.items())

    def behind(self) -> int:
        """Return how many entries are still to be taken, over all tenants."""
        taken = self._taken
        return sum(size - taken.get(tenant, 0) for tenant, size in self._ahead.items())

    def read(self) -> list[Slice]:
        """Return the next slice of tenants that have one, together within the size of one.

        Raises: StoreCorrupt for a log that does not decode, LogSetBack.
        """
        parts: list[Slice] = []
        room = self.slice_rows
        for tenant in self._turn():
            start = self._taken.get(tenant, 0)
            stop = min(self._ahead[tenant], start + min(room, self._paces.get(tenant, room)))
            part = self._read(tenant, start, stop)
            if part.stop > part.start:
                parts.append(part)
                room -= part.stop - part.start
            if room <= 0:
                break
        return parts

    def take(self, parts: Sequence[Slice]) -> None:
        """Hand slices over.

        Raises: StoreCorrupt when what the follower keeps is damaged and has to be made again.
        """
        started_s = time.thread_time()
        self.follower.apply(parts)
        self._note_pace(parts, time.thread_time() - started_s)
        for part in parts:
            self._taken[part.tenant] = self._unread[part.tenant] = part.stop
            self._cursors[part.tenant] = Cursor(part.stop, part.mark)
            # A tenant that was served goes to the back, so that no tenant starves another.
            size = self._ahead.pop(part.tenant)
            if size > part.stop:
                self._ahead[part.tenant] = size

    def commit(self, *, urgent: bool) -> dict[str, int]:
        """Make what was taken readable if it is time; return the cursors that moved."""
        committed = self.follower.commit(urgent=urgent)
        if committed or urgent:
            taken = self._taken
            self._hurried = {t: to for t, to in self._hurried.items() if taken.get(t, 0) < to}
        if not committed:
            return {}
        moved, self._unread = self._unread, {}
        self.readable |= moved
        return moved

    def catch_up(self) -> None:
        """Take everything there is and make it readable."""
        while parts := self.read():
            self.take(parts)
        self.commit(urgent=True)

    def check(self) -> None:
        """Check that what was taken is still in the log.

        Raises: LogSetBack.
        """
        check_cursors(self._store, self._cursors.items())

    def _turn(self) -> list[str]:
        """Return the tenants of the next turn in their order: first those that reads wait for.

        Where there are such, tenants whose entries take long are passed over every other time.
        """
        first = [tenant for tenant in self._hurried if tenant in self._ahead]
        quick = [tenant for tenant in first if tenant not in self._paces]
        others = [tenant for tenant in self._ahead if tenant not in self._hurried]
        slow = any(tenant in self._paces for tenant in (*first, *others)) if quick else False
        self._passed_over = slow and not self._passed_over
        if self._passed_over:
            return [*quick, *(tenant for tenant in others if tenant not in self._paces)]
        first.sort(key=lambda tenant: tenant in self._paces)
        return [*first, *others]

    def _note_pace(self, parts: Sequence[Slice], took_s: float) -> None:
        for part in parts:
            if took_s > _TURN_S:
                rows = int((part.stop - part.start) * _TURN_S / took_s)
                self._paces[part.tenant] = max(rows, 1)
            elif part.tenant in self._paces:
                # It may do twice as many; once that is all of a turn, nothing is to be kept.
                self._paces[part.tenant] *= 2
                if self._paces[part.tenant] >= self.slice_rows:
                    del self._paces[part.tenant]

    def _read(self, tenant: str, start: int, stop: int) -> Slice:
        """Read a slice, with the entry before it: that one must still be the one taken last."""
        rows: Sequence[LogRow] = self._store.rows(tenant, max(start - 1, 0), stop)
        origin = self._origin_of(tenant)
        if start:
            taken = self._cursors[tenant]
            if not rows or mark_of(origin, rows[0].leaf) != taken.mark:
                raise LogSetBack({tenant: taken})
            rows = rows[1:]
        rows = within_bytes(rows)
        part = slice_of(self._store, tenant, self._uuid_of(tenant), start, rows)
        return part._replace(mark=mark_of(origin, rows[-1].leaf)) if rows else part

    def _origin_of(self, tenant: str) -> str:
        origin = self._origins.get(tenant)
        if origin is None:
            head = self._store.log_head(tenant)
            # Without a head there are no entries that a mark would be of.
            origin = "" if head is None else head.origin
            if head is not None:
                self._origins[tenant] = origin
        return origin

    def _uuid_of(self, tenant: str) -> str:
        uuid = self._uuids.get(tenant)
        if uuid is None:
            uuid = self._uuids[tenant] = tenant_uuid(self._store, tenant)
        return uuid


def tenant_uuid(store: Store, tenant: str) -> str:
    """Return the UUID that a tenant was given when it was made; it never changes."""
    row = store.identity(tenant, "tenant", tenant)
    return str(ids.tenant_uuid(tenant) if row is None else msgspec.json.decode(row.doc)["uuid"])


def read_slice(store: Store, tenant: str, uuid: str, start: int, stop: int) -> Slice:
    """Read entries [start, stop) of a log, with the earlier entries that they change.

    Shape: fewer where these are more than `SLICE_BYTES`, but always one if there is one.
    """
    return slice_of(store, tenant, uuid, start, within_bytes(store.rows(tenant, start, stop)))


def slice_of(store: Store, tenant: str, uuid: str, start: int, rows: Sequence[LogRow]) -> Slice:
    """Return entries from `start` on as a slice, with the earlier entries that they change."""
    fresh = [recorded_view(tenant, row) for row in rows]
    stop = rows[-1].index + 1 if rows else start
    touched = _touched(store, tenant, [view.first for view in fresh], stop)
    changed: list[View] = []
    if touched:
        stored = store.rows_at(tenant, touched)
        for view in views_of(store, tenant, [stored[index] for index in sorted(stored)]):
            if view.index >= start:
                fresh[view.index - start] = view
            else:
                changed.append(view)
    current = _current_documents(store, tenant, fresh, changed, stop)
    return Slice(tenant, uuid, start, stop, fresh, changed, current)


def within_bytes(rows: Sequence[LogRow]) -> Sequence[LogRow]:
    """Return the first rows, up to and with the one that fills a slice."""
    room = SLICE_BYTES
    for count, row in enumerate(rows, 1):
        room -= sum(len(section) for section in row.sections if section is not None)
        if room <= 0:
            return rows[:count]
    return rows


def _touched(store: Store, tenant: str, events: Iterable[Event], stop: int) -> set[int]:
    """Return the entries below `stop` that some events make look different."""
    touched: set[int] = set()
    for event in events:
        if event.op in (Op.REVISE, Op.RETRACT):
            touched |= _subject(store, tenant, event)
        elif event.op is Op.ERASE:
            lost = {each.index for each in erased_sections.decode(event)}
            touched |= lost
            for entry in events_of(tenant, store.rows_at(tenant, lost).values()):
                if entry.op in (Op.REVISE, Op.RETRACT):
                    touched |= _subject(store, tenant, entry)
    return {index for index in touched if index < stop}


def _subject(store: Store, tenant: str, event: Event) -> set[int]:
    index = None if event.subject is None else find_index(store, tenant, event.subject)
    return set() if index is None else {index}


def _current_documents(
    store: Store, tenant: str, fresh: Sequence[View], changed: Sequence[View], stop: int
) -> frozenset[int]:
    """Return which documents are the latest of their resource at `stop`, and no deletion."""
    latest: dict[bytes, Event] = {}
    for view in (*changed, *fresh):
        event = view.first
        if event.op is Op.DOCUMENT and event.target is not None:
            latest[head_key(HeadSlot.DOCUMENT, *event.target.key)] = event
    if not latest:
        return frozenset()
    heads = store.resource_heads(tenant, list(latest))
    later = {head.index for head in heads.values() if head.index >= stop}
    rows = store.rows_at(tenant, later) if later else {}
    return frozenset(
        event.index
        for key, event in latest.items()
        if not event.kind.endswith(".delete")
        and _is_latest(event, heads.get(key), rows, known=event.index >= stop - len(fresh))
    )


def _is_latest(
    event: Event, head: ResourceHead | None, later: Mapping[int, LogRow], *, known: bool
) -> bool:
    """Tell whether a document is the latest of its resource as far as the slice reaches.

    A later document that follows beyond the slice does not count yet, unless its target was
    erased since: then nobody will learn from it what it replaced. For an entry from before the
    slice it counts at once, since it may not have been the latest even before that.
    """
    if head is None or head.index == event.index:
        return True
    row = later.get(head.index)
    return known and row is not None and event_of(event.tenant, row).target is not None


class Slice(NamedTuple):
    """Entries [start, stop) of a tenant's log, and what they change about earlier ones.

    `fresh` holds one view for each of them, in order. `changed` holds earlier entries as they are
    seen from here on, by index: their content, or whether they are shown, may differ from what
    was given before. `current` are the indexes of documents, in either list, that are the latest
    of their resource and no deletion. `mark` is that of the cursor behind them; see `cursors`.
    """

    tenant: str
    tenant_uuid: str
    start: int
    stop: int
    fresh: Sequence[View]
    changed: Sequence[View]
    current: frozenset[int]
    mark: bytes = b""

"""Keeps the lists of every tenant: with each batch, and for what was not listed with its batch.

A batch is listed in its own transaction as long as the lists have come up to it. They have not in
a database that is older than lists, after a copy, or once a program with other rules has come: then
they are brought up slice by slice, each holding the tenant's head for a moment. An older program
lists nothing that a newer one has taken over.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from tallystick.errors import FollowerBehind
from tallystick.events.dialect_rules import Rules
from tallystick.events.entry import Prepared, Sealed
from tallystick.events.event import Op, as_recorded, stored_event
from tallystick.followers.follow import SLICE_ROWS, Slice, read_slice, tenant_uuid
from tallystick.index.postgres.counts import WORTH, Subject, keep_count
from tallystick.index.postgres.removal import remove_stale
from tallystick.index.postgres.sql import execute
from tallystick.index.postgres.tenant_lists import Taking, TenantListing
from tallystick.index.postgres.terms import Numbering, Sight
from tallystick.index.postgres.transaction_store import InsideStore
from tallystick.store.base import Store, TenantCommit
from tallystick.store.postgres.connection import Connection
from tallystick.store.postgres.rows import ListState, to_bytes
from tallystick.store.postgres.store import PostgresStore
from tallystick.store.postgres.writer import Held

WAIT_S = 5.0
"""How long a read brings lists up before it asks its caller to come again."""

_KEY_BYTES = 16
_TENANTS = 256
# From here on COPY beats inserts, although it cannot share a round trip with anything.
_COPY_ROWS = 128
_PLAIN = frozenset((Op.RECORD, Op.SYSTEM))


class Lists:
    """Writes lists; safe to share between threads, since each tenant's are guarded by its head."""

    def __init__(
        self, rules: Rules, *, slice_rows: int = SLICE_ROWS, counts_worth: int = WORTH
    ) -> None:
        self.rules = rules
        self.sight = Sight(rules)
        self.counts_worth = counts_worth
        self._slice_rows = slice_rows
        # Guards the tables only: a tenant's own part is used by the thread that holds its head.
        self._lock = threading.Lock()
        self._tenants: OrderedDict[str, TenantListing] = OrderedDict()
        self._numberings: OrderedDict[bytes, Numbering] = OrderedDict()

    def numbering(self, key: bytes) -> Numbering:
        """Return the numbering of terms under a tenant's key."""
        with self._lock:
            numbering = self._numberings.get(key)
            if numbering is None:
                numbering = self._numberings[key] = Numbering(key)
                if len(self._numberings) > _TENANTS:
                    self._numberings.popitem(last=False)
            self._numberings.move_to_end(key)
            return numbering

    def is_current(self, state: ListState, size: int) -> bool:
        """Tell whether lists hold all of a log of some size, as these rules show it."""
        return state.rules == self.sight.fingerprint and state.next >= size

    # With a batch

    def write(self, held: Held, commit: TenantCommit) -> Batch | None:
        """Begin to list what a commit appends, in its transaction: the extension of a store.

        None where the lists have not come up to it, or are not to be written by these rules.
        """
        state, tenant = held.lists, commit.head.tenant
        if not commit.rows:
            return None
        if state.key is None and not commit.old_size:
            state = self._begin(held, tenant)
        if state.next != commit.old_size or not self._mine(state):
            return None
        return Batch(self._listing(held, tenant, state), held.connection, state, commit)

    # Without one

    def catch_up(
        self,
        store: PostgresStore,
        tenant: str,
        *,
        wait_s: float | None = None,
        told: Callable[[int], None] = lambda left: None,
    ) -> None:
        """Bring the lists of a tenant up to the head of its log, a slice a transaction.

        `told` learns how many entries are left. Raises: FollowerBehind when the lists belong to a
        newer program, or are not up in time; StoreBusy.
        """
        begun = time.monotonic()
        while left := store.with_head(tenant, self._step):
            told(left)
            if wait_s is not None and time.monotonic() - begun > wait_s:
                raise FollowerBehind(
                    f"the lists of {tenant!r} are being made", retry_after_s=WAIT_S
                )
        told(0)

    def rebuild(
        self, store: PostgresStore, tenant: str, *, told: Callable[[int], None] = lambda left: None
    ) -> None:
        """Make the lists of a tenant again from the beginning; readers wait meanwhile."""
        store.with_head(tenant, lambda held: self._begin(held, tenant))
        self.catch_up(store, tenant, told=told)

    def _step(self, held: Held) -> int:
        """Remove or list one slice; return how many entries are left to list."""
        assert held.head is not None, "only a log has lists"
        connection, head, state = held.connection, held.head, held.lists
        tenant = to_bytes(head.tenant)
        if state.key is None or (not self._mine(state) and self._takes_over(state)):
            state = self._begin(held, head.tenant)
        if state.stale:
            remove_stale(connection, tenant, state.stale)
            return head.size
        stop = min(state.next + self._slice_rows, head.size)
        if state.next < stop:
            listing = self._listing(held, head.tenant, state)
            part = _slice(connection, head.tenant, state.next, stop)
            _take(listing, connection, part, head.root if stop == head.size else None)
            execute(connection, "advance_lists", tenant=tenant, next=stop)
        return head.size - stop

    def _mine(self, state: ListState) -> bool:
        return state.rules == self.sight.fingerprint

    def _takes_over(self, state: ListState) -> bool:
        """Tell that lists made with other rules are to be made again.

        Raises: FollowerBehind when they belong to a newer program.
        """
        if state.rules is not None and not self.sight.supersedes(state.rules):
            raise FollowerBehind(
                "the lists were made by a newer program", hint="upgrade this server too"
            )
        return True

    def _begin(self, held: Held, tenant: str) -> ListState:
        """Begin the lists of a tenant, or begin them again."""
        state, rules = held.lists, self.sight.fingerprint
        key = state.key or os.urandom(_KEY_BYTES)
        execute(held.connection, "begin_lists", tenant=to_bytes(tenant), key=key, rules=rules)
        return ListState(key, rules, 0, max(state.next, state.stale), state.changes + 1)

    def keep_count(
        self,
        store: PostgresStore,
        tenant: str,
        subject: Subject,
        before: Mapping[int, int],
        *,
        size: int,
        changes: int,
    ) -> None:
        """Keep a count from here on, unless the lists changed meanwhile.

        `before` says how many of the first `size` entries count, by who sees them, as counted
        after `changes` to the lists. Raises: StoreBusy.
        """

        def keep(held: Held) -> None:
            state = held.lists
            if state.changes == changes and state.next >= size and self._mine(state):
                name = to_bytes(tenant)
                keep_count(held.connection, name, subject, before, start=size, stop=state.next)

        store.with_head(tenant, keep)

    def _listing(self, held: Held, tenant: str, state: ListState) -> TenantListing:
        """Return what lists a tenant, with all it remembers if nobody else wrote meanwhile."""
        listing = self._remembered(held, tenant, state)
        listing.learn_counted(held.connection, state.changes)
        return listing

    def _remembered(self, held: Held, tenant: str, state: ListState) -> TenantListing:
        assert state.key is not None, "lists were begun"
        with self._lock:
            listing = self._tenants.get(tenant)
            if listing is not None and _is_up(listing, held):
                self._tenants.move_to_end(tenant)
                return listing
        uuid = tenant_uuid(cast(Store, InsideStore(held.connection)), tenant)
        listing = TenantListing(tenant, state.key, uuid, self.sight, self.rules)
        with self._lock:
            self._tenants[tenant] = listing
            if len(self._tenants) > _TENANTS:
                self._tenants.popitem(last=False)
        return listing


class Batch:
    """A batch that is being listed in its own transaction."""

    def __init__(
        self, listing: TenantListing, connection: Connection, state: ListState, commit: TenantCommit
    ) -> None:
        # Whatever fails on the way leaves it remembering what was never written.
        listing.root = None
        self._listing = listing
        self._connection = connection
        self._state = state
        self._commit = commit
        self._taking: Taking | None = None
        if not commit.erasures and _is_plain(commit.prepared, commit.rows):
            head = commit.head
            fresh = [
                as_recorded(stored_event(head.tenant, prepared.draft, sealed))
                for prepared, sealed in zip(commit.prepared, commit.rows, strict=True)
            ]
            part = Slice(head.tenant, "", commit.old_size, head.size, fresh, (), frozenset())
            self._taking = listing.begin(connection, part)

    def make(self, count: int) -> None:
        """Make the rows of the next entries, if they are at hand as they came in."""
        if self._taking is not None:
            self._taking.make(count)

    def copy(self) -> None:
        """Copy the rows of all entries, if they are at hand."""
        if self._taking is not None:
            self._taking.copy(self._connection)

    def write(self) -> ListState:
        """Write the rest; what changes earlier entries is read as the batch leaves it."""
        connection, head = self._connection, self._commit.head
        taking = self._taking
        if taking is None:
            part = _slice(connection, head.tenant, self._commit.old_size, head.size)
            taking = self._listing.begin(connection, part)
        taking.write(connection)
        self._listing.root = head.root
        changes = self._listing.changes
        assert changes is not None, "they were read before the batch"
        return self._state._replace(next=head.size, changes=changes)


def _is_up(listing: TenantListing, held: Held) -> bool:
    """Tell whether nobody has written since, neither to the log nor to its lists."""
    head, state = held.head, held.lists
    if head is None or state.next != head.size:
        return False
    return (listing.key, listing.root) == (state.key, head.root)


def _take(listing: TenantListing, connection: Connection, part: Slice, root: bytes | None) -> None:
    # Whatever fails on the way leaves it remembering what was never written.
    listing.root = None
    taking = listing.begin(connection, part)
    if len(part.fresh) >= _COPY_ROWS:
        taking.copy(connection)
    with connection.pipeline():
        taking.write(connection)
    listing.root = root


def _is_plain(prepared: Sequence[Prepared], rows: Sequence[Sealed]) -> bool:
    """Tell whether entries change nothing about earlier ones, and are at hand as they came in."""
    return len(prepared) == len(rows) and all(each.draft.op in _PLAIN for each in prepared)


def _slice(connection: Connection, tenant: str, start: int, stop: int) -> Slice:
    # Following reads four things of a store, and those can be read inside a transaction too. The
    # UUID is for what dialects derive, which is not in a slice here.
    return read_slice(cast(Store, InsideStore(connection)), tenant, "", start, stop)

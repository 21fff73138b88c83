"""One open transaction of the PostgreSQL store: it holds one tenant, whose head row is its lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol, TypeVar

import psycopg
from psycopg.errors import LockNotAvailable

from tallystick.errors import StoreBusy, StoreCorrupt, StoreError
from tallystick.events.entry import SECTIONS, Sealed
from tallystick.store.base import (
    Claim,
    Erasure,
    IdentityWrite,
    LogHead,
    LogRow,
    ResourceHead,
    TenantCommit,
    changed_meanwhile,
)
from tallystick.store.postgres import rows as reading
from tallystick.store.postgres.binary_arrays import bools, byteas, byteas_or_null, int8s
from tallystick.store.postgres.binary_copy import HEADER, TRAILER, copied
from tallystick.store.postgres.connection import Connection, Pool, begin_settings
from tallystick.store.postgres.partitions import STRETCH
from tallystick.store.postgres.rows import ListState, select, to_bytes
from tallystick.store.postgres.statements import STATEMENTS

# From here on COPY beats inserts, although it cannot share a round trip with anything.
_COPY_ROWS = 128
# So many rows are sent before what comes next is worked on, while the database takes them in.
_SENT_ROWS = 64
_SERVER_WIDE = b""

Result = TypeVar("Result")


class Held(NamedTuple):
    """A tenant's log that an open transaction keeps from everybody else."""

    connection: Connection
    head: LogHead | None
    lists: ListState


class Share(Protocol):
    """What an extension writes in the transaction of one batch."""

    def make(self, count: int) -> None:
        """Make some of it, while the database is busy with rows of the batch."""

    def copy(self) -> None:
        """Write as much as should be copied: of a large batch, outside of any pipeline."""

    def write(self) -> ListState:
        """Write the rest, waiting for nothing; return how far the lists are then."""


Extension = Callable[[Held, TenantCommit], Share | None]
"""Begins its share of a batch; it is told the log as it was before."""


class PostgresWriter:
    """Writes between BEGIN and COMMIT.

    The transaction begins when its tenant is named. Statements whose answers nobody waits for
    travel together with the COMMIT, so a small batch costs two round trips.
    """

    def __init__(
        self,
        pool: Pool,
        evict_stuck: Callable[[], None],
        make_room: Callable[[int], None],
        extension: Extension | None,
    ) -> None:
        """Write through a connection of `pool`; `make_room` is told how long a log will be."""
        self._pool = pool
        self._evict_stuck = evict_stuck
        self._make_room = make_room
        self._extension = extension
        self._pipeline = ExitStack()
        self._connection: Connection | None = None
        self._tenant: str | None = None
        self._head: LogHead | None = None
        self._lists = ListState()
        self._now_ms: int | None = None
        self._wrote = False
        self.erased = False

    # Reading under the lock

    def head(self, tenant: str) -> LogHead | None:
        """Return the head of a tenant's log and keep others from extending it; None: no log.

        Raises: StoreBusy when somebody else keeps it for too long.
        """
        if self._tenant is None:
            head = self._begin(tenant)
            self._tenant = tenant
            self._head = head
            return head
        connection = self._held(tenant)
        return _head(tenant, select(connection, "log_head", tenant=to_bytes(tenant)))

    def now_ms(self) -> int | None:
        """Return what time it was in the database when the log was locked."""
        return self._now_ms

    def resource_heads(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, ResourceHead]:
        """Return the heads that exist among `keys`."""
        return reading.resource_heads(self._held(tenant), to_bytes(tenant), keys)

    def claims(self, tenant: str, claims: Sequence[bytes]) -> dict[bytes, Claim]:
        """Return the claims that exist among `claims`."""
        return reading.claims(self._held(tenant), to_bytes(tenant), claims)

    def rows_at(self, tenant: str, indexes: Iterable[int]) -> dict[int, LogRow]:
        """Return the entries at `indexes` that exist."""
        return reading.rows_at(self._held(tenant), to_bytes(tenant), indexes)

    def leaves(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes of [start, stop)."""
        return reading.leaves(self._held(tenant), to_bytes(tenant), start, stop)

    def tile_roots(self, tenant: str, level: int, start: int, stop: int) -> list[bytes]:
        """Return the roots of the complete tiles [start, stop) of a level."""
        return reading.tile_roots(self._held(tenant), to_bytes(tenant), level, start, stop)

    def entries(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the entry bytes of [start, stop)."""
        return reading.entries(self._held(tenant), to_bytes(tenant), start, stop)

    def tile(self, tenant: str, level: int, number: int) -> bytes | None:
        """Return the hashes of a complete tile."""
        return reading.tile(self._held(tenant), to_bytes(tenant), level, number)

    def _held(self, tenant: str) -> Connection:
        if self._tenant is None:
            self.head(tenant)
        if self._tenant != tenant:
            raise StoreError("a transaction of this store holds one tenant")
        assert self._connection is not None
        return self._connection

    def _begin(self, tenant: str) -> LogHead | None:
        """Begin with the head locked; once more after its holder was ended, or the
        connection turned out lost: nothing was written yet."""
        for last in (False, True):
            self._connection = connection = self._pool.take()
            try:
                return self._lock(connection, tenant)
            except LockNotAvailable:
                if last:
                    raise
                connection.execute("ROLLBACK")
                self._release()
                self._evict_stuck()
            except psycopg.OperationalError:
                if last or not connection.broken:
                    raise
                self._release()
                self._pool.replace_lost()
        raise AssertionError("the second attempt returns or raises")

    def _lock(self, connection: Connection, tenant: str) -> LogHead | None:
        values = {"tenant": to_bytes(tenant)}
        with connection.pipeline():
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            begin_settings(connection)
            found = select(connection, "lock_head", **values)
        if not found:
            # Another process that makes the same log waits here, or made it meanwhile.
            connection.execute(STATEMENTS["insert_head"], values)
            found = select(connection, "lock_head", **values)
        self._lists = reading.list_state(found[0])
        self._now_ms = reading.locked_ms(found[0])
        return _head(tenant, found)

    # Writing

    def append(self, commit: TenantCommit) -> None:
        """Write the transaction's share: everything, since it holds one tenant."""
        connection = self._held(commit.head.tenant)
        before = self._head
        if commit.old_size != (0 if before is None else before.size):
            raise StoreCorrupt(
                f"the log of {commit.head.tenant!r} moved while it was being extended"
            )
        tenant = to_bytes(commit.head.tenant)
        self._pipeline.close()
        self._make_room(commit.head.size)
        held = Held(connection, before, self._lists)
        share = None if self._extension is None else self._extension(held, commit)
        is_large = len(commit.rows) >= _COPY_ROWS
        if is_large:
            _copy_rows(connection, tenant, commit.rows, share)
            if share is not None:
                share.copy()
        self._pipeline.enter_context(connection.pipeline())
        if commit.rows and not is_large:
            _insert_rows(connection, tenant, commit.rows)
        _write_pointers(connection, tenant, commit)
        for write in commit.identity:
            _write_identity(connection, write)
        if commit.erasures:
            self._erase(connection, tenant, commit.erasures)
            if commit.identity:
                _execute(connection, "note_changed", tenant=tenant, relation=b"identity")
        if commit.forgotten:
            claims = byteas(commit.forgotten)
            _execute(connection, "forget_claims", tenant=tenant, claims=claims)
            _execute(connection, "note_changed", tenant=tenant, relation=b"claims")
        if share is not None:
            self._lists = share.write()
        _write_tree(connection, tenant, commit, self._lists.next)
        self._head = commit.head
        self._wrote = True

    def use(self, tenant: str, extend: Callable[[Held], Result]) -> Result | None:
        """Let somebody else write beside a log whose head is held; None if there is no log."""
        head = self.head(tenant)
        if head is None:
            return None
        result = extend(Held(self._held(tenant), head, self._lists))
        self._wrote = True
        return result

    def _erase(self, connection: Connection, tenant: bytes, erasures: Sequence[Erasure]) -> None:
        flags = {name: [name in erasure.sections for erasure in erasures] for name in SECTIONS}
        indexes = [erasure.index for erasure in erasures]
        _execute(connection, "erase", tenant=tenant, idx=indexes, **flags)
        # By their names: what a sharded table is called where its rows are is no business of ours.
        for stretch in sorted({index // STRETCH for index in indexes}):
            relation = f"log_{stretch}".encode()
            _execute(connection, "note_changed", tenant=tenant, relation=relation)
        self.erased = True

    # Ending

    def commit(self) -> None:
        """Make everything durable; nothing, if nothing was written."""
        connection = self._connection
        if connection is None:
            return
        if not self._wrote:
            self.abandon()
            return
        try:
            answer = connection.execute("COMMIT")
            self._pipeline.close()
            if answer.statusmessage != "COMMIT":
                raise StoreBusy("the database rolled back instead of committing")
        finally:
            self._release()

    def abandon(self) -> None:
        """Undo everything; a connection that cannot do so is dropped, which does it too."""
        connection = self._connection
        if connection is None:
            return
        try:
            self._pipeline.close()
            connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()
        finally:
            self._release()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection)


def _head(tenant: str, found: Sequence[Any]) -> LogHead | None:
    head = reading.log_head(tenant, found[0]) if found else None
    # A row without an origin only holds the place of a log that this transaction may make.
    return head if head is not None and head.origin else None


def _execute(connection: Connection, statement: str, **values: Any) -> None:
    connection.execute(STATEMENTS[statement], values, prepare=True)


def _copy_rows(
    connection: Connection, tenant: bytes, rows: Sequence[Sealed], share: Share | None
) -> None:
    with connection.cursor().copy(STATEMENTS["copy_rows"]) as copy:
        copy.write(HEADER)
        for start in range(0, len(rows), _SENT_ROWS):
            copy.write(copied(tenant, rows[start : start + _SENT_ROWS]))
            if share is not None:
                share.make(_SENT_ROWS)
        copy.write(TRAILER)


def _insert_rows(connection: Connection, tenant: bytes, rows: Sequence[Sealed]) -> None:
    sections = zip(*(row.sections for row in rows), strict=True)
    _execute(
        connection, "insert_rows", tenant=tenant, idx=int8s(row.index for row in rows),
        entry=byteas(row.entry for row in rows), leaf=byteas(row.leaf for row in rows),
        **dict(zip(SECTIONS, map(byteas_or_null, sections), strict=True)),
    )  # fmt: skip


def _write_tree(
    connection: Connection, tenant: bytes, commit: TenantCommit, lists_next: int
) -> None:
    head = commit.head
    for tile in commit.tiles:
        _execute(
            connection, "insert_tile", tenant=tenant, level=tile.level, number=tile.number,
            root=tile.root, hashes=tile.hashes,
        )  # fmt: skip
    _execute(
        connection, "update_head", tenant=tenant, origin=to_bytes(head.origin),
        key_id=head.key_id, size=head.size, frontier=head.frontier, root=head.root,
        checkpoint=to_bytes(head.checkpoint), recorded_ms=head.recorded_ms,
        lists_next=lists_next,
    )  # fmt: skip


def _write_pointers(connection: Connection, tenant: bytes, commit: TenantCommit) -> None:
    if commit.heads:
        keys, heads = zip(*commit.heads, strict=True)
        _execute(
            connection, "upsert_heads", tenant=tenant, keys=byteas(keys),
            idx=int8s(head.index for head in heads), live=bools([head.live for head in heads]),
        )  # fmt: skip
    if commit.claims:
        claims, digests, indexes = zip(*commit.claims, strict=True)
        _execute(
            connection, "insert_claims", tenant=tenant, claims=byteas(claims),
            digests=byteas(digests), idx=int8s(indexes),
        )  # fmt: skip


def _write_identity(connection: Connection, write: IdentityWrite) -> None:
    owner, kind, id = map(to_bytes, write[:3])
    _execute(connection, "delete_lookups", tenant=_SERVER_WIDE, owner=owner, kind=kind, id=id)
    record = {"tenant": owner, "kind": kind, "id": id}
    if write.doc is not None and write.replaces is None:
        _execute(connection, "insert_identity", **record, doc=write.doc)
    else:
        statement = "delete_identity" if write.doc is None else "replace_identity"
        if not select(connection, statement, **record, doc=write.doc, replaces=write.replaces):
            raise changed_meanwhile(write)
    for namespace, text in write.lookups:
        _execute(
            connection, "insert_lookup", tenant=_SERVER_WIDE, namespace=to_bytes(namespace),
            text=to_bytes(text), owner=owner, kind=kind, id=id,
        )  # fmt: skip

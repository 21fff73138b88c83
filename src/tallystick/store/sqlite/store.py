"""The default store: one SQLite file in a data folder, written by one connection.

Write-ahead log, `synchronous=FULL`, one transaction for all tenants of a batch, so that one flush
makes many events durable. Readers have connections of their own, one a thread. The file
`schema.sql` beside this module is the schema; rows are read in `sqlite_rows`, written in
`sqlite_writer`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path

import apsw

from tallystick.errors import SchemaMismatch, StoreBusy, StoreFailed
from tallystick.store.base import (
    SCHEMA_VERSION,
    Claim,
    IdentityRow,
    IdentityWrite,
    LogHead,
    LogRow,
    ResourceHead,
    Writer,
)
from tallystick.store.sqlite import rows as sqlite_rows
from tallystick.store.sqlite.connection import BUSY_MS, has_schema, open_connection, translated
from tallystick.store.sqlite.writer import SqliteWriter
from tallystick.store.sqlite_read_only import open_read_only
from tallystick.store.write_probe import try_folder

# How long an erasure waits for readers of an old state, and how often it looks meanwhile.
_TRUNCATE_WAIT_S = 1.0
_TRUNCATE_AGAIN_S = 0.01


def open_sqlite(path: Path, *, read_only: bool = False) -> SqliteStore:
    """Open the store in the file `path`, making it if there is none.

    With `read_only` nothing is made or written, in the file or beside it.
    Raises: SchemaMismatch, StoreFailed, StoreCorrupt.
    """
    return SqliteStore(path, read_only=read_only)


class SqliteStore:
    """A store in one file; see `store.base` for what it promises."""

    name = "sqlite"
    many_tenants = True

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._local = threading.local()
        self._readers: list[apsw.Connection] = []
        self._readers_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._closed = False
        # Numbers of committed logs; they never change once given.
        self._numbers: dict[str, int] = {}
        # Whether erased bytes may still stand in the write-ahead log, also since a crash.
        self._truncate = True
        # When a commit may try next to empty it; tries cost each a flush.
        self._truncate_s = 0.0
        with translated():
            if read_only:
                self._connection = open_read_only(path)
                self._check_version()
                return
            self._connection = open_connection(
                path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
            )
            self._create()
            self._check_version()
            self._truncate_wal()

    def _create(self) -> None:
        connection = self._connection
        if not has_schema(connection):
            script = (
                resources.files("tallystick.store.sqlite").joinpath("schema.sql").read_text("utf-8")
            )
            with connection:
                connection.execute(script)
        # Also in a file of an older program, which then keeps it up to date as well.
        connection.execute(sqlite_rows.CREATE_SYSTEM_INDEXES)

    def _check_version(self) -> None:
        connection = self._connection
        version = connection.execute("SELECT version FROM schema_version").get
        if version != SCHEMA_VERSION:
            raise SchemaMismatch(
                f"{self.path.name} has schema version {version}, this program needs "
                f"{SCHEMA_VERSION}",
                hint="use the version of the program that wrote it, or see docs/operations.md",
            )

    # Writing

    @contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Open a transaction over any number of tenants; leaving the block flushes it."""
        if self._read_only:
            raise StoreFailed("the store was opened for reading only")
        with self._write_lock, translated():
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            writer = SqliteWriter(connection, self._numbers)
            try:
                yield writer
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._numbers |= writer.numbers
            if writer.erased:
                self._truncate = True
            elif self._truncate and time.monotonic() >= self._truncate_s:
                self._truncate_wal()

    def try_write(self) -> None:
        """Write beside the file: a transaction that is rolled back would write nothing."""
        try_folder(self.path.parent)

    def settle_erased(self) -> None:
        """Empty the write-ahead log, in which erased bytes stand.

        Most of it is copied into the file without keeping anybody from writing; only what came in
        meanwhile is copied, and the log cut off, with the lock held.
        """
        give_up_s = time.monotonic() + _TRUNCATE_WAIT_S
        while self._is_to_be_truncated():
            with self._reader() as connection, suppress(StoreBusy):
                _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").get
            with self._write_lock, translated():
                if self._is_to_be_truncated():
                    self._truncate_wal()
            if time.monotonic() > give_up_s:
                return
            time.sleep(_TRUNCATE_AGAIN_S)

    def _is_to_be_truncated(self) -> bool:
        return self._truncate and not self._closed

    def _truncate_wal(self) -> None:
        """Empty the write-ahead log; if others read an old state until then, a later commit does.

        The transaction is durable already, so nothing that goes wrong here may fail it.
        """
        self._truncate_s = time.monotonic() + _TRUNCATE_WAIT_S
        connection = self._connection
        connection.set_busy_timeout(0)
        try:
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
            self._truncate = bool(busy)
        except (apsw.BusyError, apsw.LockedError, apsw.FullError, apsw.IOError):
            self._truncate = True
        finally:
            connection.set_busy_timeout(BUSY_MS)

    # Reading

    @contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        with translated():
            connection = getattr(self._local, "connection", None)
            if connection is None or self._closed:
                connection = self._new_reader()
            yield connection

    def _new_reader(self) -> apsw.Connection:
        with self._readers_lock:
            if self._closed:
                raise StoreFailed("the store is closed")
            if self._read_only:
                connection = open_read_only(self.path)
            else:
                connection = open_connection(self.path, apsw.SQLITE_OPEN_READWRITE)
                connection.execute("PRAGMA query_only = ON")
            self._local.connection = connection
            self._readers.append(connection)
            return connection

    def _number(self, connection: apsw.Connection, tenant: str) -> int | None:
        number = self._numbers.get(tenant)
        if number is None:
            number = sqlite_rows.number(connection, tenant)
            if number is not None:
                self._numbers[tenant] = number
        return number

    def now_ms(self) -> int | None:
        """There is no other clock than that of this process."""
        return None

    def nodes_away(self) -> list[str]:
        """There are no other machines."""
        return []

    def loaded(self) -> None:
        """No plan depends on what a table holds."""

    def log_head(self, tenant: str) -> LogHead | None:
        """Return the committed head of a tenant's log."""
        with self._reader() as connection:
            return sqlite_rows.log_head(connection, tenant)

    def log_heads(self) -> list[LogHead]:
        """Return the committed heads of all logs, by tenant."""
        with self._reader() as connection:
            return sqlite_rows.log_heads(connection)

    def rows(self, tenant: str, start: int, stop: int) -> list[LogRow]:
        """Return the entries [start, stop) that exist, in order."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            return [] if log is None else sqlite_rows.rows(connection, log, start, stop)

    def rows_at(self, tenant: str, indexes: Iterable[int]) -> dict[int, LogRow]:
        """Return the entries at `indexes` that exist."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            return {} if log is None else sqlite_rows.rows_at(connection, log, indexes)

    def rows_within(self, tenant: str, indexes: Sequence[int], max_bytes: int) -> dict[int, LogRow]:
        """Return the entries at the first of `indexes` that have `max_bytes` together."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            if log is None:
                return {}
            return sqlite_rows.rows_within(connection, log, indexes, max_bytes)

    def entries(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the entry bytes of [start, stop)."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            return [] if log is None else sqlite_rows.entries(connection, log, start, stop)

    def system_indexes(self, tenant: str, start: int, stop: int) -> list[int]:
        """Return where entries of op `system` stand in [start, stop), in order."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            if log is None:
                return []
            return sqlite_rows.system_indexes(connection, log, start, stop)

    def act_indexes(self, tenant: str, start: int, stop: int) -> list[int]:
        """Return where entries of op `system` stand in [start, stop) that do more than report."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            if log is None:
                return []
            return sqlite_rows.act_indexes(connection, log, start, stop)

    def leaves(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes of [start, stop)."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            return [] if log is None else sqlite_rows.leaves(connection, log, start, stop)

    def tile(self, tenant: str, level: int, number: int) -> bytes | None:
        """Return the hashes of a complete tile."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            return None if log is None else sqlite_rows.tile(connection, log, level, number)

    def tile_roots(self, tenant: str, level: int, start: int, stop: int) -> list[bytes]:
        """Return the roots of the complete tiles [start, stop) of a level."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            if log is None:
                return []
            return sqlite_rows.tile_roots(connection, log, level, start, stop)

    def resource_heads(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, ResourceHead]:
        """Return the committed heads that exist among `keys`."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            return {} if log is None else sqlite_rows.resource_heads(connection, log, keys)

    def claims(self, tenant: str, claims: Sequence[bytes]) -> dict[bytes, Claim]:
        """Return the committed claims that exist among `claims`."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            return {} if log is None else sqlite_rows.claims(connection, log, claims)

    def claims_of(self, tenant: str, indexes: Iterable[int]) -> list[Claim]:
        """Return the claims that lead to entries at `indexes`."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            return [] if log is None else sqlite_rows.claims_of(connection, log, indexes)

    def identity(self, tenant: str, kind: str, id: str) -> IdentityRow | None:
        """Return one identity record."""
        with self._reader() as connection:
            return sqlite_rows.identity(connection, tenant, kind, id)

    def identities(self, tenant: str | None, kind: str) -> list[IdentityRow]:
        """Return the records of a kind, of one tenant or of all, by tenant and id."""
        with self._reader() as connection:
            return sqlite_rows.identities(connection, tenant, kind)

    def find_identity(self, namespace: str, text: str) -> IdentityRow | None:
        """Return the record that a lookup leads to."""
        with self._reader() as connection:
            return sqlite_rows.find_identity(connection, namespace, text)

    def scan_heads(self, tenant: str, after: bytes, limit: int) -> list[tuple[bytes, ResourceHead]]:
        """Return the next heads of a tenant by key."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            return [] if log is None else sqlite_rows.scan_heads(connection, log, after, limit)

    def scan_claims(self, tenant: str, after: bytes, limit: int) -> list[Claim]:
        """Return the next claims of a tenant."""
        with self._reader() as connection:
            log = self._number(connection, tenant)
            return [] if log is None else sqlite_rows.scan_claims(connection, log, after, limit)

    def scan_identity(self, after: tuple[str, str, str] | None, limit: int) -> list[IdentityWrite]:
        """Return the next identity records, with their lookups."""
        with self._reader() as connection:
            return sqlite_rows.scan_identity(connection, after, limit)

    def close(self) -> None:
        """Close every connection; idempotent."""
        with self._write_lock, self._readers_lock:
            self._closed = True
            for connection in (*self._readers, self._connection):
                connection.close()
            self._readers.clear()

"""The default store: one SQLite file in a data folder, written by one connection.

Write-ahead log, `synchronous=FULL`, one transaction for all tenants of a batch, so that one flush
makes many events durable. Readers have connections of their own, one a thread. The file
`schema.sql` beside this module is the schema.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import apsw

from tallystick.entry import SECTIONS, Sealed
from tallystick.errors import (
    Conflict,
    SchemaMismatch,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFailed,
    TallystickError,
)
from tallystick.store import sqlite_scan
from tallystick.store.base import (
    SCHEMA_VERSION,
    Claim,
    Erasure,
    IdentityRow,
    IdentityWrite,
    LogHead,
    LogRow,
    ResourceHead,
    TenantCommit,
    Writer,
)

_INDEX_BITS = 40
_LEVEL_BITS = 35
_TILE_BITS = 32

# Statements for many rows at once come in a few sizes, so that the connection keeps them prepared.
_SIZES = (256, 64, 16, 4, 1)
_INSERT_LOG = {
    n: "INSERT INTO log VALUES " + ",".join(["(?,?,?,?,?,?,?,?)"] * n) for n in _SIZES
}
_HEAD_COLUMNS = "tenant, origin, key_id, size, frontier, root, checkpoint, recorded_ms"
_ERASE = {name: f"UPDATE log SET {name} = NULL WHERE pos = ?" for name in SECTIONS}  # noqa: S608


def open_sqlite(path: Path) -> SqliteStore:
    """Open the store in the file `path`, making it if there is none.

    Raises: SchemaMismatch, StoreFailed, StoreCorrupt.
    """
    return SqliteStore(path)


class SqliteStore:
    """A store in one file; see `store.base` for what it promises."""

    name = "sqlite"
    many_tenants = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._readers: list[apsw.Connection] = []
        self._readers_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._closed = False
        with _translated():
            self._connection = _open(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            self._create_or_check()
        # Tenant numbers never change once given; the writer alone adds to them.
        self._numbers: dict[str, int] = {}

    def _create_or_check(self) -> None:
        connection = self._connection
        if not _has_schema(connection):
            script = resources.files("tallystick.store").joinpath("schema.sql").read_text("utf-8")
            with connection:
                connection.execute(script)
        version = connection.execute("SELECT version FROM schema_version").get
        if version != SCHEMA_VERSION:
            raise SchemaMismatch(
                f"{self.path.name} has schema version {version}, this program wants "
                f"{SCHEMA_VERSION}",
                hint="use the program version that wrote it, or see docs/operations.md",
            )

    # Writing

    @contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Open a transaction over any number of tenants; leaving the block flushes it."""
        with self._write_lock, _translated():
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            writer = _SqliteWriter(self, connection)
            try:
                yield writer
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._numbers.clear()
                raise
            if writer.erased:
                # Erased bytes may still stand in the write-ahead log.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def number(self, connection: apsw.Connection, tenant: str) -> int | None:
        """Return the number by which rows of a tenant are keyed; None: it has no log."""
        number = self._numbers.get(tenant)
        if number is None:
            number = connection.execute("SELECT number FROM logs WHERE tenant = ?", (tenant,)).get
            if number is not None:
                self._numbers[tenant] = number
        return number

    # Reading

    @contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        with _translated():
            connection = getattr(self._local, "connection", None)
            if connection is None or self._closed:
                connection = self._new_reader()
            yield connection

    def _new_reader(self) -> apsw.Connection:
        if self._closed:
            raise StoreFailed("the store is closed")
        connection = _open(self.path, apsw.SQLITE_OPEN_READWRITE)
        connection.execute("PRAGMA query_only = ON")
        self._local.connection = connection
        with self._readers_lock:
            self._readers.append(connection)
        return connection

    def log_head(self, tenant: str) -> LogHead | None:
        """Return the committed head of a tenant's log."""
        with self._reader() as connection:
            return _log_head(connection, tenant)

    def log_heads(self) -> list[LogHead]:
        """Return the committed heads of all logs, by tenant."""
        with self._reader() as connection:
            rows = connection.execute(f"SELECT {_HEAD_COLUMNS} FROM logs ORDER BY tenant")
            return [LogHead(*row) for row in rows]

    def rows(self, tenant: str, start: int, stop: int) -> list[LogRow]:
        """Return the entries [start, stop) that exist, in order."""
        with self._reader() as connection:
            base = self._base(connection, tenant)
            if base is None:
                return []
            rows = connection.execute(
                "SELECT pos, entry, leaf, actor, target, place, data, previous FROM log"
                " WHERE pos >= ? AND pos < ? ORDER BY pos",
                (base + start, base + max(stop, start)),
            )
            return [LogRow(row[0] - base, row[1], row[2], row[3:]) for row in rows]

    def rows_at(self, tenant: str, indexes: Iterable[int]) -> dict[int, LogRow]:
        """Return the entries at `indexes` that exist."""
        with self._reader() as connection:
            base = self._base(connection, tenant)
            if base is None:
                return {}
            rows = connection.execute(
                "SELECT pos, entry, leaf, actor, target, place, data, previous"
                " FROM json_each(?) CROSS JOIN log ON log.pos = json_each.value",
                (json.dumps([base + index for index in indexes]),),
            )
            return {
                row[0] - base: LogRow(row[0] - base, row[1], row[2], row[3:]) for row in rows
            }

    def entries(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the entry bytes of [start, stop)."""
        with self._reader() as connection:
            base = self._base(connection, tenant)
            if base is None:
                return []
            rows = connection.execute(
                "SELECT entry FROM log WHERE pos >= ? AND pos < ? ORDER BY pos",
                (base + start, base + max(stop, start)),
            )
            return [row[0] for row in rows]

    def leaves(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes of [start, stop)."""
        with self._reader() as connection:
            base = self._base(connection, tenant)
            return [] if base is None else _leaves(connection, base, start, stop)

    def tile(self, tenant: str, level: int, number: int) -> bytes | None:
        """Return the hashes of a complete tile."""
        with self._reader() as connection:
            log = self.number(connection, tenant)
            if log is None:
                return None
            pos = _tile_pos(log, level, number)
            hashes: bytes | None = connection.execute(
                "SELECT hashes FROM tiles WHERE pos = ?", (pos,)
            ).get
            return hashes

    def tile_roots(self, tenant: str, level: int, start: int, stop: int) -> list[bytes]:
        """Return the roots of the complete tiles [start, stop) of a level."""
        with self._reader() as connection:
            log = self.number(connection, tenant)
            return [] if log is None else _tile_roots(connection, log, level, start, stop)

    def resource_heads(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, ResourceHead]:
        """Return the committed heads that exist among `keys`."""
        with self._reader() as connection:
            log = self.number(connection, tenant)
            return {} if log is None else _resource_heads(connection, log, keys)

    def claims(self, tenant: str, claims: Sequence[bytes]) -> dict[bytes, Claim]:
        """Return the committed claims that exist among `claims`."""
        with self._reader() as connection:
            log = self.number(connection, tenant)
            return {} if log is None else _claims(connection, log, claims)

    def identity(self, tenant: str, kind: str, id: str) -> IdentityRow | None:
        """Return one identity record."""
        with self._reader() as connection:
            row = connection.execute(
                "SELECT tenant, kind, id, doc FROM identity"
                " WHERE tenant = ? AND kind = ? AND id = ?",
                (tenant, kind, id),
            ).fetchone()
            return None if row is None else IdentityRow(*row)

    def identities(self, tenant: str | None, kind: str) -> list[IdentityRow]:
        """Return the records of a kind, of one tenant or of all, by tenant and id."""
        with self._reader() as connection:
            rows = connection.execute(
                "SELECT tenant, kind, id, doc FROM identity"
                " WHERE kind = ?1 AND (?2 IS NULL OR tenant = ?2) ORDER BY tenant, id",
                (kind, tenant),
            )
            return [IdentityRow(*row) for row in rows]

    def find_identity(self, namespace: str, text: str) -> IdentityRow | None:
        """Return the record that a lookup leads to."""
        with self._reader() as connection:
            row = connection.execute(
                "SELECT i.tenant, i.kind, i.id, i.doc FROM lookups AS l JOIN identity AS i"
                " USING (tenant, kind, id) WHERE l.namespace = ? AND l.text = ?",
                (namespace, text),
            ).fetchone()
            return None if row is None else IdentityRow(*row)

    def scan_heads(
        self, tenant: str, after: bytes, limit: int
    ) -> list[tuple[bytes, ResourceHead]]:
        """Return the next heads of a tenant by key."""
        with self._reader() as connection:
            log = self.number(connection, tenant)
            return [] if log is None else sqlite_scan.heads(connection, log, after, limit)

    def scan_claims(self, tenant: str, after: bytes, limit: int) -> list[Claim]:
        """Return the next claims of a tenant."""
        with self._reader() as connection:
            log = self.number(connection, tenant)
            return [] if log is None else sqlite_scan.claims(connection, log, after, limit)

    def scan_identity(
        self, after: tuple[str, str, str] | None, limit: int
    ) -> list[IdentityWrite]:
        """Return the next identity records, with their lookups."""
        with self._reader() as connection:
            return sqlite_scan.identity(connection, after, limit)

    def _base(self, connection: apsw.Connection, tenant: str) -> int | None:
        number = self.number(connection, tenant)
        return None if number is None else number << _INDEX_BITS

    def close(self) -> None:
        """Close every connection; idempotent."""
        with self._write_lock, self._readers_lock:
            self._closed = True
            for connection in (*self._readers, self._connection):
                connection.close()
            self._readers.clear()


class _SqliteWriter:
    """The one open write transaction of a `SqliteStore`."""

    def __init__(self, store: SqliteStore, connection: apsw.Connection) -> None:
        self._store = store
        self._connection = connection
        self.erased = False

    def head(self, tenant: str) -> LogHead | None:
        return _log_head(self._connection, tenant)

    def resource_heads(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, ResourceHead]:
        log = self._store.number(self._connection, tenant)
        return {} if log is None else _resource_heads(self._connection, log, keys)

    def claims(self, tenant: str, claims: Sequence[bytes]) -> dict[bytes, Claim]:
        log = self._store.number(self._connection, tenant)
        return {} if log is None else _claims(self._connection, log, claims)

    def leaves(self, tenant: str, start: int, stop: int) -> list[bytes]:
        log = self._store.number(self._connection, tenant)
        return [] if log is None else _leaves(self._connection, log << _INDEX_BITS, start, stop)

    def tile_roots(self, tenant: str, level: int, start: int, stop: int) -> list[bytes]:
        log = self._store.number(self._connection, tenant)
        return [] if log is None else _tile_roots(self._connection, log, level, start, stop)

    def append(self, commit: TenantCommit) -> None:
        log = self._extend_head(commit)
        self._insert_rows(log << _INDEX_BITS, commit.rows)
        execute = self._connection.execute
        for tile in commit.tiles:
            pos = _tile_pos(log, tile.level, tile.number)
            execute("INSERT INTO tiles VALUES (?, ?, ?)", (pos, tile.root, tile.hashes))
        if commit.heads:
            rows = [[key.hex(), head.index, int(head.live)] for key, head in commit.heads]
            execute(
                "INSERT INTO heads SELECT ?, unhex(value ->> 0), value ->> 1, value ->> 2"
                " FROM json_each(?) WHERE true ON CONFLICT (number, key)"
                " DO UPDATE SET idx = excluded.idx, live = excluded.live",
                (log, json.dumps(rows)),
            )
        if commit.claims:
            rows = [[c.claim.hex(), c.digest.hex(), c.index] for c in commit.claims]
            execute(
                "INSERT INTO claims SELECT ?, unhex(value ->> 0), unhex(value ->> 1), value ->> 2"
                " FROM json_each(?)",
                (log, json.dumps(rows)),
            )
        for write in commit.identity:
            self._write_identity(write)
        for erasure in commit.erasures:
            self._erase(log << _INDEX_BITS, erasure)

    def _extend_head(self, commit: TenantCommit) -> int:
        head = commit.head
        log = self._store.number(self._connection, head.tenant)
        if log is None:
            self._connection.execute(
                f"INSERT INTO logs ({_HEAD_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", head
            )
            return self._connection.last_insert_rowid()
        self._connection.execute(
            "UPDATE logs SET size = ?, frontier = ?, root = ?, checkpoint = ?, recorded_ms = ?"
            " WHERE number = ? AND size = ?",
            (*head[3:], log, commit.old_size),
        )
        if self._connection.changes() != 1:
            raise StoreCorrupt(f"the log of {head.tenant!r} moved while it was being extended")
        return log

    def _insert_rows(self, base: int, rows: Sequence[Sealed]) -> None:
        values: list[object] = []
        for row in rows:
            values += (base + row.index, row.entry, row.leaf, *row.sections)
        at, left = 0, len(rows)
        for size in _SIZES:
            while left >= size:
                self._connection.execute(_INSERT_LOG[size], values[at : at + 8 * size])
                at += 8 * size
                left -= size

    def _write_identity(self, write: IdentityWrite) -> None:
        execute = self._connection.execute
        record = (write.tenant, write.kind, write.id)
        execute("DELETE FROM lookups WHERE tenant = ? AND kind = ? AND id = ?", record)
        if write.doc is None:
            execute("DELETE FROM identity WHERE tenant = ? AND kind = ? AND id = ?", record)
            return
        if not write.new:
            execute("DELETE FROM identity WHERE tenant = ? AND kind = ? AND id = ?", record)
        execute("INSERT INTO identity VALUES (?, ?, ?, ?)", (*record, write.doc))
        for namespace, text in write.lookups:
            execute("INSERT INTO lookups VALUES (?, ?, ?, ?, ?)", (namespace, text, *record))

    def _erase(self, base: int, erasure: Erasure) -> None:
        self.erased = True
        for section in erasure.sections:
            self._connection.execute(_ERASE[section], (base + erasure.index,))


def _open(path: Path, flags: int) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(5_000)
    for pragma in (
        "page_size = 8192",
        "journal_mode = WAL",
        "synchronous = FULL",
        "secure_delete = ON",
        "cache_size = -32768",
        "temp_store = MEMORY",
        "mmap_size = 0",
        "wal_autocheckpoint = 2000",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _has_schema(connection: apsw.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'").get
    return found is not None


def _tile_pos(log: int, level: int, number: int) -> int:
    return (log << _LEVEL_BITS) | (level << _TILE_BITS) | number


def _log_head(connection: apsw.Connection, tenant: str) -> LogHead | None:
    row = connection.execute(
        f"SELECT {_HEAD_COLUMNS} FROM logs WHERE tenant = ?", (tenant,)
    ).fetchone()
    return None if row is None else LogHead(*row)


def _leaves(connection: apsw.Connection, base: int, start: int, stop: int) -> list[bytes]:
    rows = connection.execute(
        "SELECT leaf FROM log WHERE pos >= ? AND pos < ? ORDER BY pos", (base + start, base + stop)
    )
    return [row[0] for row in rows]


def _tile_roots(
    connection: apsw.Connection, log: int, level: int, start: int, stop: int
) -> list[bytes]:
    rows = connection.execute(
        "SELECT root FROM tiles WHERE pos >= ? AND pos < ? ORDER BY pos",
        (_tile_pos(log, level, start), _tile_pos(log, level, stop)),
    )
    return [row[0] for row in rows]


def _resource_heads(
    connection: apsw.Connection, log: int, keys: Sequence[bytes]
) -> dict[bytes, ResourceHead]:
    rows = connection.execute(
        "SELECT key, idx, live FROM json_each(?) CROSS JOIN heads"
        " ON heads.number = ? AND heads.key = unhex(json_each.value)",
        (json.dumps([key.hex() for key in keys]), log),
    )
    return {key: ResourceHead(index, bool(live)) for key, index, live in rows}


def _claims(connection: apsw.Connection, log: int, claims: Sequence[bytes]) -> dict[bytes, Claim]:
    rows = connection.execute(
        "SELECT claim, digest, idx FROM json_each(?) CROSS JOIN claims"
        " ON claims.number = ? AND claims.claim = unhex(json_each.value)",
        (json.dumps([claim.hex() for claim in claims]), log),
    )
    return {row[0]: Claim(*row) for row in rows}


@contextmanager
def _translated() -> Iterator[None]:
    """Turn every error of the driver into one of ours."""
    try:
        yield
    except TallystickError:
        raise
    except apsw.Error as error:
        raise _ours(error) from error


def _ours(error: Any) -> TallystickError:
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return StoreBusy("the store is busy")
    if isinstance(error, apsw.ConstraintError):
        return Conflict("that id or name is taken")
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return StoreCorrupt(f"the file is damaged: {error}", hint="restore a backup; run fsck")
    if isinstance(error, apsw.FullError):
        return StoreFailed("the disk is full; nothing was stored", hint="make room on the disk")
    if isinstance(error, (apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError)):
        return StoreFailed(f"the file cannot be written: {error}", hint="check disk and rights")
    return StoreError(f"SQLite refused: {error}")

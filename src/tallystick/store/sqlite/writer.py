"""The one open write transaction of a SQLite store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import apsw

from tallystick.errors import StoreCorrupt
from tallystick.events.entry import SECTIONS
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
from tallystick.store.sqlite import rows as sqlite_rows
from tallystick.store.sqlite.rows import HEAD_COLUMNS, INDEX_BITS

# Statements for many rows at once come in these sizes, so that the connection keeps them prepared.
# Every call of the driver hands the interpreter to other threads: a small commit is to need one.
_SIZES = (256, 128, 64, *range(32, 0, -1))


def _insert(table: str, columns: int, then: str = "") -> dict[int, str]:
    row = "(" + ",".join("?" * columns) + ")"
    return {n: f"INSERT INTO {table} VALUES {','.join([row] * n)}{then}" for n in _SIZES}


_INSERT_LOG = _insert("log", 8)
_INSERT_CLAIMS = _insert("claims", 4)
_INSERT_HEADS = _insert(
    "heads",
    4,
    " ON CONFLICT (number, key) DO UPDATE SET idx = excluded.idx, live = excluded.live",
)
_ERASE = {name: f"UPDATE log SET {name} = NULL WHERE pos = ?" for name in SECTIONS}

_FORGET_CLAIM = "UPDATE claims SET digest = x'' WHERE number = ? AND claim = ?"


class SqliteWriter:
    """Writes between BEGIN and COMMIT.

    `numbers` of logs are only handed back once the transaction is committed: before, the number
    of a new log may yet become another's.
    """

    def __init__(self, connection: apsw.Connection, committed: Mapping[str, int]) -> None:
        self._connection = connection
        self._committed = committed
        self.numbers: dict[str, int] = {}
        self.erased = False

    def head(self, tenant: str) -> LogHead | None:
        """Return the head of a tenant's log; the whole file is locked already."""
        return sqlite_rows.log_head(self._connection, tenant)

    def now_ms(self) -> int | None:
        """There is no other clock than that of this process."""
        return None

    def resource_heads(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, ResourceHead]:
        """Return the heads that exist among `keys`."""
        log = self._number(tenant)
        return {} if log is None else sqlite_rows.resource_heads(self._connection, log, keys)

    def claims(self, tenant: str, claims: Sequence[bytes]) -> dict[bytes, Claim]:
        """Return the claims that exist among `claims`."""
        log = self._number(tenant)
        return {} if log is None else sqlite_rows.claims(self._connection, log, claims)

    def rows_at(self, tenant: str, indexes: Iterable[int]) -> dict[int, LogRow]:
        """Return the entries at `indexes` that exist."""
        log = self._number(tenant)
        return {} if log is None else sqlite_rows.rows_at(self._connection, log, indexes)

    def leaves(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes of [start, stop)."""
        log = self._number(tenant)
        return [] if log is None else sqlite_rows.leaves(self._connection, log, start, stop)

    def tile_roots(self, tenant: str, level: int, start: int, stop: int) -> list[bytes]:
        """Return the roots of the complete tiles [start, stop) of a level."""
        log = self._number(tenant)
        if log is None:
            return []
        return sqlite_rows.tile_roots(self._connection, log, level, start, stop)

    def entries(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the entry bytes of [start, stop)."""
        log = self._number(tenant)
        return [] if log is None else sqlite_rows.entries(self._connection, log, start, stop)

    def tile(self, tenant: str, level: int, number: int) -> bytes | None:
        """Return the hashes of a complete tile."""
        log = self._number(tenant)
        return None if log is None else sqlite_rows.tile(self._connection, log, level, number)

    def append(self, commit: TenantCommit) -> None:
        """Write one tenant's share of the transaction."""
        log = self._extend_head(commit)
        base = log << INDEX_BITS
        self._insert_many(
            _INSERT_LOG,
            [(base + row.index, row.entry, row.leaf, *row.sections) for row in commit.rows],
        )
        execute = self._connection.execute
        for tile in commit.tiles:
            pos = sqlite_rows.tile_pos(log, tile.level, tile.number)
            execute("INSERT INTO tiles VALUES (?, ?, ?)", (pos, tile.root, tile.hashes))
        self._insert_many(
            _INSERT_HEADS, [(log, key, head.index, head.live) for key, head in commit.heads]
        )
        self._insert_many(
            _INSERT_CLAIMS, [(log, c.claim, c.digest, c.index) for c in commit.claims]
        )
        for write in commit.identity:
            self._write_identity(write)
        for erasure in commit.erasures:
            self._erase(base, erasure)
        for claim in commit.forgotten:
            execute(_FORGET_CLAIM, (log, claim))

    def _number(self, tenant: str) -> int | None:
        number = self._committed.get(tenant) or self.numbers.get(tenant)
        if number is None:
            number = sqlite_rows.number(self._connection, tenant)
            if number is not None:
                self.numbers[tenant] = number
        return number

    def _extend_head(self, commit: TenantCommit) -> int:
        head = commit.head
        log = self._number(head.tenant)
        if log is None:
            self._connection.execute(
                f"INSERT INTO logs ({HEAD_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", head
            )
            return self._connection.last_insert_rowid()
        self._connection.execute(
            "UPDATE logs SET key_id = ?, size = ?, frontier = ?, root = ?, checkpoint = ?,"
            " recorded_ms = ? WHERE number = ? AND size = ?",
            (*head[2:], log, commit.old_size),
        )
        if self._connection.changes() != 1:
            raise StoreCorrupt(f"the log of {head.tenant!r} moved while it was being extended")
        return log

    def _insert_many(
        self, statements: Mapping[int, str], rows: Sequence[tuple[apsw.SQLiteValue, ...]]
    ) -> None:
        at = 0
        while left := len(rows) - at:
            size = next(size for size in _SIZES if size <= left)
            values = tuple(chain.from_iterable(rows[at : at + size]))
            self._connection.execute(statements[size], values)
            at += size

    def _write_identity(self, write: IdentityWrite) -> None:
        execute = self._connection.execute
        record = (write.tenant, write.kind, write.id)
        execute("DELETE FROM lookups WHERE tenant = ? AND kind = ? AND id = ?", record)
        if write.doc is not None and write.replaces is None:
            execute("INSERT INTO identity VALUES (?, ?, ?, ?)", (*record, write.doc))
        else:
            self._replace_identity(write)
        for namespace, text in write.lookups:
            execute("INSERT INTO lookups VALUES (?, ?, ?, ?, ?)", (namespace, text, *record))

    def _replace_identity(self, write: IdentityWrite) -> None:
        stored = (write.tenant, write.kind, write.id, write.replaces)
        where = "WHERE tenant = ? AND kind = ? AND id = ? AND doc = ?"
        if write.doc is None:
            self._connection.execute(f"DELETE FROM identity {where}", stored)
        else:
            self._connection.execute(f"UPDATE identity SET doc = ? {where}", (write.doc, *stored))
        if self._connection.changes() != 1:
            raise changed_meanwhile(write)

    def _erase(self, base: int, erasure: Erasure) -> None:
        self.erased = True
        for section in erasure.sections:
            self._connection.execute(_ERASE[section], (base + erasure.index,))

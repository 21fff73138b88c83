"""States of streams in a SQLite file of their own, beside the one of the log.

One process writes it: the one that holds the lock file. Others read.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import apsw

from tallystick.errors import SchemaMismatch
from tallystick.store.sqlite.connection import has_schema, open_connection, translated
from tallystick.store.stream_states import DELIVERIES, Letter, Save, StateRow

SCHEMA_VERSION = 1

_LETTER = "start, start_part, stop, stop_part, attempts, due_ms, problem"
_OF = "tenant = ? AND stream = ?"
_TIDY_EVERY = 100


class SqliteStreamStates:
    """States of streams in one SQLite file; see `store.stream_states` for what it promises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Guards what follows; statements are short.
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._handle: int | None = None
        self._saves = 0

    def acquire(self, tenant: str, stream: str) -> bool:
        """Become the sender of all streams of the file, or stay it."""
        with self._lock:
            if self._handle is not None:
                return True
            lock = self._path.with_suffix(".lock")
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # The sender of a server that was killed is about to end.
                os.close(handle)
                return False
            self._handle = handle
            return True

    def release(self, tenant: str, stream: str) -> None:
        """Do nothing: the file has one sender as long as that runs."""

    def load(self, tenant: str, stream: str) -> bytes | None:
        """Return the state of a stream, if it has one."""
        with self._reading() as connection:
            if connection is None:
                return None
            found: bytes | None = connection.execute(
                f"SELECT doc FROM states WHERE {_OF}", (tenant, stream)
            ).get
            return found

    def save(self, tenant: str, stream: str, save: Save) -> bool:
        """Write what changed in one transaction."""
        if self._handle is None:
            return False
        of = (tenant, stream)
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", (*of, save.doc))
            connection.executemany(
                f"DELETE FROM letters WHERE {_OF} AND stop = ? AND stop_part = ?",
                [(*of, letter.stop, letter.stop_part) for letter in save.settled],
            )
            connection.executemany(
                f"INSERT OR REPLACE INTO letters (tenant, stream, {_LETTER})"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(*of, *letter) for letter in save.letters],
            )
            connection.executemany(
                "INSERT INTO deliveries (tenant, stream, doc) VALUES (?, ?, ?)",
                [(*of, doc) for doc in save.deliveries],
            )
            self._saves += 1
            if self._saves % _TIDY_EVERY == 0:
                _tidy(connection, tenant, stream)
        return True

    def all(self) -> list[StateRow]:
        """Return the states of all streams."""
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute("SELECT tenant, stream, doc FROM states ORDER BY 1, 2")
            return [StateRow(tenant, stream, doc, "") for tenant, stream, doc in rows]

    def deliveries(self, tenant: str, stream: str, limit: int) -> list[bytes]:
        """Return the latest deliveries of a stream, latest first."""
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(
                f"SELECT doc FROM deliveries WHERE {_OF} ORDER BY number DESC LIMIT ?",
                (tenant, stream, min(limit, DELIVERIES)),
            )
            return [doc for (doc,) in rows]

    def due(self, tenant: str, stream: str, now_ms: int, limit: int) -> list[Letter]:
        """Return letters that are to be tried now, those that wait longest first."""
        return self._letters(
            "due_ms <= ? ORDER BY due_ms, stop, stop_part LIMIT ?",
            (tenant, stream, now_ms, limit),
        )

    def dead(self, tenant: str, stream: str, limit: int) -> list[Letter]:
        """Return dead letters, in the order of the log."""
        return self._letters(
            "due_ms IS NULL ORDER BY stop, stop_part LIMIT ?", (tenant, stream, limit)
        )

    def _letters(self, where: str, values: tuple[str | int, ...]) -> list[Letter]:
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(
                f"SELECT {_LETTER} FROM letters WHERE {_OF} AND {where}", values
            )
            return [Letter(*row) for row in rows]

    def counts(self, tenant: str, stream: str) -> tuple[int, int]:
        """Return how many letters wait, and how many are dead."""
        with self._reading() as connection:
            if connection is None:
                return (0, 0)
            row = connection.execute(
                f"SELECT count(due_ms), count(*) - count(due_ms) FROM letters WHERE {_OF}",
                (tenant, stream),
            ).fetchone()
            return (0, 0) if row is None else (int(row[0]), int(row[1]))

    def revive(self, tenant: str, stream: str, now_ms: int) -> None:
        """Let all dead letters be tried again, as if they had never been."""
        with self._writing() as connection:
            connection.execute(
                f"UPDATE letters SET due_ms = ?, attempts = 0 WHERE {_OF} AND due_ms IS NULL",
                (now_ms, tenant, stream),
            )

    def forget(self, tenant: str, stream: str) -> None:
        """Remove all that is kept of a stream."""
        with self._writing() as connection:
            for table in ("states", "letters", "deliveries"):
                connection.execute(f"DELETE FROM {table} WHERE {_OF}", (tenant, stream))

    def close(self) -> None:
        """Close the file and let another process send; idempotent."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    @contextmanager
    def _reading(self) -> Iterator[apsw.Connection | None]:
        """Yield the connection; None while no stream was ever sent."""
        with self._lock, translated():
            if self._connection is None and self._path.exists():
                self._connection = self._open(apsw.SQLITE_OPEN_READWRITE)
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        with self._lock, translated():
            if self._connection is None:
                flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
                self._connection = self._open(flags)
            with _transaction(self._connection) as connection:
                yield connection

    def _open(self, flags: int) -> apsw.Connection:
        connection = open_connection(self._path, flags)
        if not has_schema(connection):
            folder = resources.files("tallystick.store.sqlite")
            script = folder.joinpath("stream_states.sql").read_text("utf-8")
            with _transaction(connection):
                # Another process may have been faster.
                if not has_schema(connection):
                    connection.execute(script)
        version = connection.execute("SELECT version FROM schema_version").get
        if version != SCHEMA_VERSION:
            raise SchemaMismatch(
                f"{self._path.name} has schema version {version}, this program needs"
                f" {SCHEMA_VERSION}",
                hint="use the version of the program that wrote it",
            )
        return connection


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[apsw.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _tidy(connection: apsw.Connection, tenant: str, stream: str) -> None:
    connection.execute(
        f"DELETE FROM deliveries WHERE {_OF} AND number <= (SELECT number FROM deliveries"
        f" WHERE {_OF} ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (tenant, stream, tenant, stream, DELIVERIES),
    )

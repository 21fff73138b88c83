"""Public files in a SQLite file of their own, beside the one of the log.

Files are kept in chunks, so that a small change writes little and space that a format reserves
costs nothing. The file is made when something is published for the first time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import apsw

from tallystick.errors import Conflict, SchemaMismatch, StoreFailed
from tallystick.store import file_chunks
from tallystick.store.public_files import Patch, PublicationCursor, PublishedSeal
from tallystick.store.sqlite.connection import has_schema, open_connection, translated
from tallystick.store.sqlite_read_only import open_read_only

SCHEMA_VERSION = 1
_FLAGS = apsw.SQLITE_OPEN_READWRITE
_CACHE_PAGES = 500
_REMOVING = (
    "DELETE FROM seals WHERE number = ?",
    "DELETE FROM chunks WHERE number = ?",
    "DELETE FROM files WHERE number = ?",
    "DELETE FROM publications WHERE number = ?",
)


class SqlitePublicFiles:
    """Public files in one SQLite file; see `publicfiles` for what it promises."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._local = threading.local()
        # Guards the list of all connections and `_closed`.
        self._lock = threading.Lock()
        self._connections: list[apsw.Connection] = []
        self._closed = False

    def tenants(self) -> list[str]:
        """Return the tenants that have public files."""
        with self._reading() as connection:
            if connection is None:
                return []
            found = connection.execute("SELECT tenant FROM publications ORDER BY tenant")
            return [str(tenant) for (tenant,) in found]

    def cursor(self, tenant: str) -> PublicationCursor | None:
        """Return how far a tenant's files have come."""
        with self._reading() as connection:
            return None if connection is None else _cursor(connection, tenant)

    def advance(
        self,
        tenant: str,
        before: PublicationCursor | None,
        after: PublicationCursor,
        *,
        patches: Sequence[Patch] = (),
        seals: Sequence[PublishedSeal] = (),
    ) -> None:
        """Go from one cursor to the next in one transaction."""
        with translated(), _transaction(self._writer()) as connection:
            if _cursor(connection, tenant) != before:
                raise Conflict("the public files were brought forward by somebody else")
            connection.execute(
                "INSERT INTO publications (tenant, leaves, sealed, tail) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (tenant) DO UPDATE SET leaves = excluded.leaves,"
                " sealed = excluded.sealed, tail = excluded.tail",
                (tenant, *after),
            )
            number = _number(connection, tenant)
            assert number is not None, "it was just written"
            _write(connection, number, patches)
            connection.executemany(
                "INSERT OR REPLACE INTO seals (number, file, leaves, data) VALUES (?, ?, ?, ?)",
                [(number, *seal) for seal in seals],
            )

    def remove(self, tenant: str, before: PublicationCursor) -> None:
        """Remove all files of a tenant in one transaction."""
        with translated(), _transaction(self._writer()) as connection:
            if _cursor(connection, tenant) != before:
                raise Conflict("the public files were brought forward by somebody else")
            number = _number(connection, tenant)
            for statement in _REMOVING:
                connection.execute(statement, (number,))

    def size(self, tenant: str, file: int) -> int | None:
        """Return how many bytes a file has."""
        with self._reading() as connection:
            number = None if connection is None else _number(connection, tenant)
            if connection is None or number is None:
                return None
            return _size(connection, number, file)

    def read(self, tenant: str, file: int, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return the bytes [start, stop) of a file, as of one moment."""
        with self._reading() as connection:
            number = None if connection is None else _number(connection, tenant)
            if connection is None or number is None:
                return None
            content = None
            # One transaction, so that size and chunks are of one moment.
            with connection:
                size = _size(connection, number, file)
                if size is not None:
                    end = size if stop is None else min(stop, size)
                    content = _bytes(connection, number, file, start, max(start, end))
            return content

    def seal(self, tenant: str, file: int) -> PublishedSeal | None:
        """Return the latest seal of a file."""
        with self._reading() as connection:
            number = None if connection is None else _number(connection, tenant)
            if connection is None or number is None:
                return None
            row = connection.execute(
                "SELECT file, leaves, data FROM seals WHERE number = ? AND file = ?", (number, file)
            ).fetchone()
            return None if row is None else PublishedSeal(*row)

    def close(self) -> None:
        """Close every connection; idempotent."""
        with self._lock:
            self._closed = True
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    @contextmanager
    def _reading(self) -> Iterator[apsw.Connection | None]:
        """Yield this thread's connection; None while nothing was ever published."""
        with translated():
            connection: apsw.Connection | None = getattr(self._local, "connection", None)
            if connection is None and self.path.exists():
                connection = self._open(_FLAGS)
            yield connection

    def _writer(self) -> apsw.Connection:
        """Return this thread's connection to a file that is there."""
        with translated():
            if not self.path.exists():
                self._open(_FLAGS | apsw.SQLITE_OPEN_CREATE)
            connection: apsw.Connection | None = getattr(self._local, "connection", None)
            return self._open(_FLAGS) if connection is None else connection

    def _open(self, flags: int) -> apsw.Connection:
        with self._lock:
            if self._closed:
                raise StoreFailed("the public files are closed")
            if self._read_only:
                connection = open_read_only(self.path)
            else:
                connection = open_connection(self.path, flags)
            connection.execute(f"PRAGMA cache_size = {_CACHE_PAGES}")
            self._connections.append(connection)
            self._local.connection = connection
        if not has_schema(connection):
            _create(connection)
        version = connection.execute("SELECT version FROM schema_version").get
        if version != SCHEMA_VERSION:
            raise SchemaMismatch(
                f"{self.path.name} has schema version {version}, this program needs"
                f" {SCHEMA_VERSION}",
                hint="use the version of the program that wrote it, or see docs/operations.md",
            )
        return connection


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[apsw.Connection]:
    # It takes the write lock first: what it reads is what it changes.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create(connection: apsw.Connection) -> None:
    script = (
        resources.files("tallystick.store.sqlite").joinpath("public_files.sql").read_text("utf-8")
    )
    with _transaction(connection):
        # Somebody else may have been faster.
        if not has_schema(connection):
            connection.execute(script)


def _cursor(connection: apsw.Connection, tenant: str) -> PublicationCursor | None:
    row = connection.execute(
        "SELECT leaves, sealed, tail FROM publications WHERE tenant = ?", (tenant,)
    ).fetchone()
    return None if row is None else PublicationCursor(*row)


def _number(connection: apsw.Connection, tenant: str) -> int | None:
    found: int | None = connection.execute(
        "SELECT number FROM publications WHERE tenant = ?", (tenant,)
    ).get
    return found


def _size(connection: apsw.Connection, number: int, file: int) -> int | None:
    found: int | None = connection.execute(
        "SELECT size FROM files WHERE number = ? AND file = ?", (number, file)
    ).get
    return found


def _bytes(connection: apsw.Connection, number: int, file: int, start: int, stop: int) -> bytes:
    rows = connection.execute(
        "SELECT chunk, data FROM chunks WHERE number = ? AND file = ? AND chunk BETWEEN ? AND ?",
        (number, file, *file_chunks.span(start, stop)),
    )
    return file_chunks.joined(rows, start, stop)


def _write(connection: apsw.Connection, number: int, patches: Sequence[Patch]) -> None:
    there: dict[file_chunks.Place, bytes] = {}
    for place in file_chunks.touched(patches):
        found: bytes | None = connection.execute(
            "SELECT data FROM chunks WHERE number = ? AND file = ? AND chunk = ?", (number, *place)
        ).get
        if found is not None:
            there[place] = found
    connection.executemany(
        "INSERT OR REPLACE INTO chunks (number, file, chunk, data) VALUES (?, ?, ?, ?)",
        [(number, *place, data) for place, data in file_chunks.patched(there, patches).items()],
    )
    connection.executemany(
        "INSERT INTO files (number, file, size) VALUES (?, ?, ?)"
        " ON CONFLICT (number, file) DO UPDATE SET size = max(size, excluded.size)",
        [(number, file, size) for file, size in file_chunks.sizes(patches).items()],
    )

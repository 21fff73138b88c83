"""Connections to SQLite files of truth: how they are set up, and how their errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from tallystick.errors import (
    Conflict,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFailed,
    TallystickError,
)

BUSY_MS = 5_000
"""How long a connection waits for another one's write."""

_STATEMENTS = 150
"""Statements a connection keeps prepared: the inserts of every size, and all others."""


def open_connection(path: Path, flags: int) -> apsw.Connection:
    """Open a file of truth: durable at every commit, erased bytes overwritten.

    Only its owner can read a file that is made here, whatever the folder lets others do.
    """
    if flags & apsw.SQLITE_OPEN_CREATE:
        # Where that fails, opening does too, and says why; the files beside it get the same rights.
        with suppress(OSError):
            path.touch(0o600)
    connection = apsw.Connection(str(path), flags=flags, statementcachesize=_STATEMENTS)
    connection.set_busy_timeout(BUSY_MS)
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


def has_schema(connection: apsw.Connection) -> bool:
    """Tell whether the file was filled before."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'").get
    return found is not None


@contextmanager
def translated() -> Iterator[None]:
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
        return Conflict("the id or name is already taken")
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return StoreCorrupt("the file is damaged", hint="restore a backup; run fsck")
    if isinstance(error, apsw.FullError):
        return StoreFailed("the disk is full; nothing was stored", hint="make room on the disk")
    if isinstance(error, (apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError)):
        return StoreFailed("the file cannot be written", hint="check disk and rights")
    return StoreError("the store rejected the statement")

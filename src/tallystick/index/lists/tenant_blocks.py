"""What stands in the lists' folder, and one tenant's blocks as read from it.

The follower that writes the folder and the server that reads it hold the same `Shelf`; each
refreshes it from the tables, which are what counts. Files are only ever added and removed.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import apsw

from tallystick.errors import StoreBusy, StoreError, StoreFailed, TallystickError
from tallystick.followers.damage import ListsDamaged
from tallystick.index.lists.block import Block
from tallystick.index.lists.open_block import OpenBlock
from tallystick.index.lists.row_set import to_bits
from tallystick.index.lists.sealed_block import Segment
from tallystick.index.page_checksums import open_checked

SCHEMA_VERSION = 2
ROW_BITS = 16

LISTS_FILE = "views.db"
_ROW_MASK = (1 << ROW_BITS) - 1


class Shelf:
    """The blocks of one tenant, as of the last refresh.

    `next` is the index up to which entries are listed. Not for several threads at once.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.next = 0
        self.shape = -1
        self.sealed: list[Segment] = []
        self.open = OpenBlock(0)
        self.kinds: set[str] | None = None
        self._gone_rows: dict[int, int] = {}

    @property
    def blocks(self) -> Sequence[Block]:
        """Every block that has rows."""
        return (*self.sealed, self.open) if self.open.rows else self.sealed

    def refresh(self, folder: Path, connection: apsw.Connection) -> None:
        """Read what changed since the last time; the caller holds a read transaction."""
        row = connection.execute(
            "SELECT next, shape FROM tenants WHERE number = ?", (self.number,)
        ).fetchone()
        if row is None:
            raise ListsDamaged("the index lost a tenant", hint="rebuild the index")
        changed = row[1] != self.shape
        if changed:
            self._read_blocks(folder, connection)
        self._read_arrivals(connection)
        if changed:
            self._read_open_gone(connection)
        self.next, self.shape = row
        self.open.rank()

    def hide_sealed(self, index: int) -> tuple[int, int]:
        """Mark the row of an entry in a sealed block as gone; return the block and the row.

        Raises: ListsDamaged when no block shows it.
        """
        for block in reversed(self.sealed):
            row = block.row_of(index)
            if row is not None and not block.gone >> row & 1:
                block.gone |= 1 << row
                return block.id, row
        raise ListsDamaged(f"entry {index} is not listed", hint="rebuild the index")

    def _read_blocks(self, folder: Path, connection: apsw.Connection) -> None:
        known = {block.id: block for block in self.sealed}
        sealed: list[Segment] = []
        rows: Iterable[Any] = connection.execute(
            "SELECT id, sealed, gone, digest FROM blocks WHERE tenant = ? ORDER BY id",
            (self.number,),
        )
        for id, is_sealed, gone, digest in tuple(rows):
            if not is_sealed:
                if self.open.id != id:
                    self.open = OpenBlock(id)
                continue
            block = known.get(id) or Segment(id, block_path(folder, id), digest)
            if self._gone_rows.get(id, 0) != gone:
                block.gone = to_bits(read_gone(connection, id))
                self._gone_rows[id] = gone
            sealed.append(block)
        self.sealed = sealed

    def _read_arrivals(self, connection: apsw.Connection) -> None:
        block = self.open
        rows = connection.execute(
            "SELECT idx, ms, terms FROM arrivals WHERE pos >= ? AND pos < ? ORDER BY pos",
            ((block.id << ROW_BITS) + block.rows, (block.id + 1) << ROW_BITS),
        )
        for index, ms, terms in rows:
            block.add(index, ms, array("Q", terms))

    def _read_open_gone(self, connection: apsw.Connection) -> None:
        for row in read_gone(connection, self.open.id):
            self.open.drop(row)


def read_gone(connection: apsw.Connection, block: int) -> list[int]:
    """Return the rows of a block that are gone."""
    rows = connection.execute(
        "SELECT pos FROM gone WHERE pos >= ? AND pos < ? ORDER BY pos",
        (block << ROW_BITS, (block + 1) << ROW_BITS),
    )
    return [pos & _ROW_MASK for (pos,) in rows]


def verify_folder(folder: Path, connection: apsw.Connection) -> None:
    """Compare the checksums of the tables' pages and the digests of all blocks.

    Raises: ListsDamaged.
    Cost: a pass over all files.
    """
    with translated():
        # Reads every page, whose checksums are compared on the way.
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)")]
        blocks = list(connection.execute("SELECT id, digest FROM blocks WHERE sealed"))
    if found != ["ok"]:
        raise ListsDamaged(f"the tables of the lists contradict themselves: {found[0]}")
    for id, digest in blocks:
        try:
            Segment(id, block_path(folder, id), digest)
        except FileNotFoundError as error:
            raise ListsDamaged("the index lost a file") from error


def block_path(folder: Path, id: int) -> Path:
    """Return where a sealed block lies."""
    return folder / f"{id}.block"


def tenant_number(connection: apsw.Connection, tenant: str) -> int | None:
    """Return the number under which a tenant's rows stand."""
    number: int | None = connection.execute(
        "SELECT number FROM tenants WHERE tenant = ?", (tenant,)
    ).get
    return number


def open_writer(folder: Path) -> apsw.Connection:
    """Open the tables for writing, making them if there are none.

    Raises: ListsDamaged for tables of another version, StoreFailed.
    """
    with translated():
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        connection = _open(folder / LISTS_FILE, flags)
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get is None:
            script = resources.files("tallystick.index.lists").joinpath("lists.sql")
            with connection:
                connection.execute(script.read_text("utf-8"))
                write_meta(connection, "version", b"%d" % SCHEMA_VERSION)
                write_meta(connection, "key", os.urandom(32))
        if read_meta(connection, "version") != b"%d" % SCHEMA_VERSION:
            raise ListsDamaged("the lists were written by another version")
        return connection


def open_reader(folder: Path) -> apsw.Connection:
    """Open the tables for reading.

    Raises: StoreFailed when there are none.
    """
    with translated():
        connection = _open(folder / LISTS_FILE, apsw.SQLITE_OPEN_READWRITE)
        connection.execute("PRAGMA query_only = ON")
        return connection


def read_meta(connection: apsw.Connection, key: str) -> bytes | None:
    """Return what was noted under a key."""
    value: bytes | None = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).get
    return value


def write_meta(connection: apsw.Connection, key: str, value: bytes) -> None:
    """Note something under a key."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


@contextmanager
def transaction(connection: apsw.Connection, how: str = "DEFERRED") -> Iterator[None]:
    """Run the block in one transaction, which is undone when it fails."""
    with translated():
        connection.execute(f"BEGIN {how}")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def translated() -> Iterator[None]:
    """Turn every error of the driver into one of ours."""
    try:
        yield
    except TallystickError:
        raise
    except apsw.Error as error:
        raise _ours(error) from error


def _open(path: Path, flags: int) -> apsw.Connection:
    connection = open_checked(path, flags)
    connection.set_busy_timeout(5_000)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "secure_delete = ON",
        "cache_size = -32768",
        "temp_store = MEMORY",
        "wal_autocheckpoint = 1000",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _ours(error: Any) -> TallystickError:
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreBusy("the index is busy")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.SchemaChangeError):
        return ListsDamaged("the index is damaged", hint="rebuild the index")
    if isinstance(error, apsw.FullError | apsw.IOError | apsw.ReadOnlyError | apsw.CantOpenError):
        return StoreFailed("the index cannot be used", hint="check disk and rights")
    return StoreError("the index rejected the statement")

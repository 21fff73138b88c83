"""Opening SQLite files of truth without leaving a trace, also on a medium that takes none.

A file in WAL mode is normally opened by writing beside it. A checker must not: where a server has
the file open, it reads through the index of the write-ahead log that the server keeps; where a
server was killed, it makes that index in its own memory; otherwise nobody changes the file.
"""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import quote

import apsw

from tallystick.errors import StoreCorrupt
from tallystick.store.sqlite.connection import BUSY_MS, has_schema

_VFS = "tallystick-read-only"
_registered: list[apsw.VFS] = []
_register_lock = threading.Lock()


def open_read_only(path: Path) -> apsw.Connection:
    """Open a file of truth for reading; neither it nor its folder changes.

    Raises: StoreCorrupt when the file holds no schema.
    """
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    wal, index = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if not wal.exists():
        # Nobody has it open, or the write-ahead log would be there.
        connection = apsw.Connection(_uri(path, "immutable=1"), flags=flags)
    elif index.exists():
        connection = apsw.Connection(_uri(path, "mode=ro&readonly_shm=1"), flags=flags)
    else:
        connection = apsw.Connection(_uri(path, "mode=ro"), flags=flags, vfs=_unlocked())
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    connection.set_busy_timeout(BUSY_MS)
    for pragma in ("query_only = ON", "mmap_size = 0", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    if not has_schema(connection):
        connection.close()
        raise StoreCorrupt(f"{path.name} holds no tables", hint="restore a backup")
    return connection


class _UnlockedFile(apsw.VFSFile):
    """A file that is read only, and taken for locked: its index then stays in memory."""

    def __init__(self, name: str | apsw.URIFilename, flags: list[int]) -> None:
        super().__init__("", name, flags)

    def xLock(self, level: int) -> None:
        """Take the lock for granted: there is nobody else."""

    def xUnlock(self, level: int) -> None:
        """Give back what was never taken."""

    def xCheckReservedLock(self) -> bool:
        """Tell that nobody is about to write."""
        return False


class _UnlockedFiles(apsw.VFS):
    """Opens a file and its write-ahead log for reading, whatever SQLite asks for."""

    def __init__(self) -> None:
        super().__init__(_VFS, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """Open a file."""
        assert name is not None, "temporary tables are kept in memory"
        writing = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        flags[0] = (flags[0] & ~writing) | apsw.SQLITE_OPEN_READONLY
        return _UnlockedFile(name, flags)


def _unlocked() -> str:
    with _register_lock:
        if not _registered:
            _registered.append(_UnlockedFiles())
    return _VFS


def _uri(path: Path, parameters: str) -> str:
    return f"file:{quote(str(path.absolute()))}?{parameters}"

"""Checksums for the pages of an index's SQLite files, checked whenever a page is read.

SQLite leaves eight bytes at the end of each page to us: a CRC-32 of the rest of the page stands
there. It is computed when a page is written and compared when one is read, so that a flipped byte
in any page is an error before it is an answer. The write-ahead log has checksums of SQLite's own,
over the pages as SQLite gives them, and a tip of ours; see `log_tip`.
"""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

import apsw

from tallystick.index.log_tip import FoundLog, LogTip, forget_tip

PAGE_BYTES = 8_192

_RESERVED_BYTES = 8
_HEADER_BYTES = 100
_SIZE_AT, _RESERVED_AT = slice(16, 18), 20
_CONTENT = slice(0, PAGE_BYTES - _RESERVED_BYTES)
_NAME = "tallystick-checked"


def open_checked(path: Path, flags: int) -> apsw.Connection:
    """Open a file whose pages have checksums; with the flag to create one, it is made so.

    The process that may create the file writes it, and checks the log that it finds.
    Raises: IndexDamaged, apsw.Error.
    """
    writes = bool(flags & apsw.SQLITE_OPEN_CREATE)
    found = FoundLog(path) if writes else None
    connection = apsw.Connection(str(path), flags=flags, vfs=_VFS.name)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    if writes:
        # Takes effect on a file that is still empty, and on no other.
        connection.reserve_bytes("main", _RESERVED_BYTES)
    if found is not None:
        found.check(connection)
    return connection


class _Pages(apsw.VFSFile):
    """The file itself, page by page."""

    def __init__(self, name: str | apsw.URIFilename, flags: list[int]) -> None:
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # named by SQLite
        """Read, and compare the checksum if it is a page."""
        data = super().xRead(amount, offset)
        if amount == PAGE_BYTES:
            if data and data[_CONTENT.stop :] != _checksum(data):
                raise apsw.CorruptError(f"the page at {offset} does not have its checksum")
        elif amount == _HEADER_BYTES and data:
            # What SQLite believes of the whole file, before it reads the first page.
            size = int.from_bytes(data[_SIZE_AT], "big")
            if size != PAGE_BYTES or data[_RESERVED_AT] != _RESERVED_BYTES:
                raise apsw.CorruptError("the pages have no checksums")
        return data

    def xWrite(self, data: bytes, offset: int) -> None:  # named by SQLite
        """Write, a page with its checksum."""
        if len(data) == PAGE_BYTES:
            data = data[_CONTENT] + _checksum(data)
        super().xWrite(data, offset)


class _Log(apsw.VFSFile):
    """The write-ahead log."""

    def __init__(self, name: str, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._tip = LogTip(name, PAGE_BYTES)

    def xWrite(self, data: bytes, offset: int) -> None:  # named by SQLite
        """Write, and note how far the log was committed to."""
        if offset == 0:
            self._tip.begins(data)
        super().xWrite(data, offset)
        if offset:
            self._tip.wrote(data, offset)

    def xClose(self) -> None:  # named by SQLite
        """Close."""
        self._tip.close()
        super().xClose()


class _System(apsw.VFS):
    """Opens files so that their pages are checked."""

    name = _NAME

    def __init__(self) -> None:
        super().__init__(_NAME, "")

    def xOpen(  # named by SQLite
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        """Open a file; one without a name is temporary and needs no checksums."""
        if name is not None and flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return _Pages(name, flags)
        if isinstance(name, str) and flags[0] & apsw.SQLITE_OPEN_WAL:
            return _Log(name, flags)
        return apsw.VFSFile("", name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # named by SQLite
        """Delete a file; one that is gone already, with its folder, is no failure."""
        try:
            super().xDelete(name, sync)
        except apsw.IOError:
            if os.path.lexists(name):
                raise
        if name.endswith("-wal"):
            forget_tip(name)


def _checksum(page: bytes) -> bytes:
    return crc32(page[_CONTENT], PAGE_BYTES).to_bytes(_RESERVED_BYTES, "little")


_VFS = _System()
"""Registered with SQLite for as long as this module is loaded."""

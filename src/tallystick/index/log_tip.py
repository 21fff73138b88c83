"""How far the write-ahead log of an index's SQLite file was committed to: a few bytes beside it.

SQLite takes the first bad checksum in a log that a kill left behind for the end of that log. If
later frames of it were copied into the file before, it goes on with pages of different moments
side by side, all of them sound. The tip says how many frames were committed, so that a log that
ends earlier is noticed. It is written after each commit and not flushed: a kill loses nothing of
it, and after a power cut, when another boot's tip is found, SQLite's own order of flushes holds.
Source: "The WAL File Format" in the documentation of SQLite.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import apsw

from tallystick.followers.damage import IndexDamaged

LOG_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24

_FORM = struct.Struct(">16sII")
_SUM_BYTES = 4
_SALT_AT = slice(16, 20)
_COMMIT_AT = slice(4, 8)
_SUMMED_WORDS = 6
_MASK = (1 << 32) - 1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Tip(NamedTuple):
    """Which log was committed to last, by the first of its salts, and how many frames it had."""

    salt: int
    frames: int


class LogTip:
    """Follows the writes to one log, and writes its tip after each commit."""

    def __init__(self, log: str, page_bytes: int) -> None:
        self._log = log
        self._frame_bytes = FRAME_HEADER_BYTES + page_bytes
        self._salt: int | None = None
        self._commits_at = -1
        self._file = -1

    def begins(self, header: bytes) -> None:
        """Learn of a log that is about to be begun: all of the one before is in the file."""
        self._salt = int.from_bytes(header[_SALT_AT], "big")
        self._write(0)

    def wrote(self, data: bytes, offset: int) -> None:
        """Learn what was written to the log behind its header, and where."""
        if len(data) == FRAME_HEADER_BYTES:
            commits = any(data[_COMMIT_AT])
            self._commits_at = offset + FRAME_HEADER_BYTES if commits else -1
        elif offset == self._commits_at:
            self._commits_at = -1
            self._write((offset - LOG_HEADER_BYTES) // self._frame_bytes + 1)

    def close(self) -> None:
        """Release the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, frames: int) -> None:
        if self._salt is None:
            # A log that another process began.
            header = _log_header(self._log)
            assert header is not None, "a frame of it was just written"
            self._salt = int.from_bytes(header[_SALT_AT], "big")
        if self._file < 0:
            self._file = os.open(_tip_path(self._log), os.O_RDWR | os.O_CREAT, 0o600)
        data = _FORM.pack(_boot(), self._salt, frames)
        os.pwrite(self._file, data + crc32(data).to_bytes(_SUM_BYTES, "big"), 0)


class FoundLog:
    """The log that a process finds when it opens a file to write it, before SQLite looks at it."""

    def __init__(self, database: Path) -> None:
        """Look at it.

        Raises: IndexDamaged for a tip that is damaged, or missing beside a log.
        """
        self._log = f"{database}-wal"
        self._header = _log_header(self._log)
        self._tip = _read_tip(self._log, needed=self._header is not None)

    def check(self, connection: apsw.Connection) -> None:
        """Check that SQLite found all of the log that was committed.

        Raises: IndexDamaged.
        """
        if self._tip is None or not self._tip.frames:
            return
        connection.execute("SELECT count(*) FROM sqlite_schema")
        _, frames, _ = connection.execute("PRAGMA wal_checkpoint(NOOP)").fetchone() or (0, 0, 0)
        salt = None if self._header is None else int.from_bytes(self._header[_SALT_AT], "big")
        same = salt == self._tip.salt and frames >= self._tip.frames
        # A log is begun again once all of the one before is in the file.
        next_one = salt == (self._tip.salt + 1) & _MASK and _is_sound(self._header)
        if not same and not next_one:
            raise IndexDamaged("the write-ahead log of the index is damaged")


def forget_tip(log: str) -> None:
    """Remove the tip of a log that SQLite removed, since all of it is in the file."""
    Path(_tip_path(log)).unlink(missing_ok=True)


def _read_tip(log: str, *, needed: bool) -> Tip | None:
    try:
        data = Path(_tip_path(log)).read_bytes()
    except FileNotFoundError:
        data = b""
    # A kill between creating the file and writing it leaves it empty: no log was begun then.
    if not data:
        if needed:
            raise IndexDamaged("the tip of the index's write-ahead log is missing")
        return None
    if (
        len(data) != _FORM.size + _SUM_BYTES
        or crc32(data[: _FORM.size]).to_bytes(_SUM_BYTES, "big") != (data[_FORM.size :])
    ):
        raise IndexDamaged("the tip of the index's write-ahead log is damaged")
    boot, salt, frames = _FORM.unpack(data[: _FORM.size])
    return Tip(salt, frames) if boot == _boot() else None


def _log_header(log: str) -> bytes | None:
    """Return the header of a log; None if there is no log, or one that nothing was written to."""
    try:
        with Path(log).open("rb") as file:
            return file.read(LOG_HEADER_BYTES) or None
    except FileNotFoundError:
        return None


def _is_sound(header: bytes | None) -> bool:
    """Tell whether the header of a log has its checksum."""
    if header is None or len(header) != LOG_HEADER_BYTES:
        return False
    magic, *_ = struct.unpack_from(">I", header)
    words = struct.unpack_from((">" if magic & 1 else "<") + f"{_SUMMED_WORDS}I", header)
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return struct.unpack_from(">2I", header, _SUMMED_WORDS * 4) == (first, second)


def _tip_path(log: str) -> str:
    return f"{log}-tip"


def _boot() -> bytes:
    """Return which boot of the machine this is; nothing where the system does not say."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)

"""Tampering with a copy of a data folder, as somebody would who can write to its files.

Everything is done behind the program's back: in the tables of the database, with the signing key,
or with the whole folder. What is signed with the key fits together again, as a good forgery would.
Used by the drill only, on copies.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from tallystick.data_folder import (
    BLOBS_FOLDER,
    HEADS_FOLDER,
    INDEX_FOLDER,
    KEY_FILE,
    LEDGER_FILE,
)
from tallystick.durable import replace_file
from tallystick.events import entry
from tallystick.events.entry import SECTIONS
from tallystick.index.lists.tenant_blocks import LISTS_FILE
from tallystick.index.page_checksums import open_checked
from tallystick.log.keys import LogKey, read_log_key
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.frontier import Frontier
from tallystick.tlog.hashing import leaf_hash
from tallystick.tlog.note import Signer
from tallystick.tlog.tile import TILE_WIDTH, full_tiles_completed, tile_root

DAY_MS: Final = 86_400_000

_LOG_BITS: Final = 40
_TILE_LOG_BITS: Final = 35
_TILE_LEVEL_BITS: Final = 32
_CUT: Final = 3
_BACK_DAYS: Final = 30


class DrillFolder(NamedTuple):
    """A copy to tamper with, and what a tamperer would look for in it."""

    folder: Path
    older: Path
    """The same folder, a few entries earlier."""
    tenant: str
    other: str
    """Another tenant."""
    middle: int
    """An event in the middle of the tenant's log; the one behind it is an event, too."""
    erased: int
    """An event of the other tenant that was erased after the older copy was made."""
    extend: Callable[[Path, int], None]
    """Adds so many events to a copy, with the program itself."""


class Forgery:
    """The tables of one copy, open for writing."""

    def __init__(self, connection: apsw.Connection, folder: Path) -> None:
        self.folder = folder
        self.execute = connection.execute

    def start(self, tenant: str) -> int:
        """Return the position of a tenant's entry 0."""
        return self._number(tenant) << _LOG_BITS

    def size(self, tenant: str) -> int:
        """Return the size in a tenant's head."""
        return int(self.execute("SELECT size FROM logs WHERE tenant = ?", (tenant,)).get)

    def entry(self, position: int) -> bytes:
        """Return the bytes of an entry."""
        return bytes(self.execute("SELECT entry FROM log WHERE pos = ?", (position,)).get)

    def write_entry(self, position: int, data: bytes) -> None:
        """Put other bytes in the place of an entry, with the leaf hash that they have."""
        self.execute(
            "UPDATE log SET entry = ?, leaf = ? WHERE pos = ?", (data, leaf_hash(data), position)
        )

    def copy_row(self, source: int, target: int, data: bytes) -> None:
        """Add a row with the sections of another one."""
        names = ", ".join(SECTIONS)
        self.execute(
            f"INSERT INTO log SELECT ?, ?, ?, {names} FROM log WHERE pos = ?",  # noqa: S608
            (target, data, leaf_hash(data), source),
        )

    def sign(self, tenant: str, key: LogKey) -> None:
        """Make tiles, frontier, root, time and checkpoint of a log fit its rows, and sign them."""
        number, start = self._number(tenant), self.start(tenant)
        rows = self.execute(
            "SELECT leaf FROM log WHERE pos >= ? AND pos < ? ORDER BY pos",
            (start, start + (1 << _LOG_BITS)),
        )
        leaves = [bytes(row[0]) for row in rows]
        frontier = Frontier.empty()
        frontier.extend(leaves)
        self._write_tiles(number, leaves)
        signer = key.signer(self._origin(tenant))
        note = sign_checkpoint(signer, signer.name, frontier.size, frontier.root())
        recorded_ms = entry.recorded_ms_of(self.entry(start + frontier.size - 1))
        self.execute(
            "UPDATE logs SET key_id = ?, size = ?, frontier = ?, root = ?, checkpoint = ?, "
            "recorded_ms = ? WHERE number = ?",
            (signer.key_id, frontier.size, frontier.to_bytes(), frontier.root(), note,
             recorded_ms, number),
        )  # fmt: skip

    def _write_tiles(self, number: int, leaves: list[bytes]) -> None:
        first = number << _TILE_LOG_BITS
        self.execute(
            "DELETE FROM tiles WHERE pos >= ? AND pos < ?", (first, first + (1 << _TILE_LOG_BITS))
        )
        levels = [leaves]
        for level, tile in full_tiles_completed(0, len(leaves)):
            hashes = levels[level][tile * TILE_WIDTH : (tile + 1) * TILE_WIDTH]
            root = tile_root(hashes)
            if level + 1 == len(levels):
                levels.append([])
            levels[level + 1].append(root)
            position = first + (level << _TILE_LEVEL_BITS) + tile
            self.execute("INSERT INTO tiles VALUES (?, ?, ?)", (position, root, b"".join(hashes)))

    def _number(self, tenant: str) -> int:
        return int(self.execute("SELECT number FROM logs WHERE tenant = ?", (tenant,)).get)

    def _origin(self, tenant: str) -> str:
        return str(self.execute("SELECT origin FROM logs WHERE tenant = ?", (tenant,)).get)


@contextlib.contextmanager
def forging(folder: Path) -> Iterator[Forgery]:
    """Open the database of a copy; what the block does is one transaction."""
    connection = apsw.Connection(str(folder / LEDGER_FILE), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        with connection:
            yield Forgery(connection, folder)
    finally:
        connection.close()


# With the database


def edit(made: DrillFolder) -> None:
    """Change what an event says."""
    with forging(made.folder) as forgery:
        position = forgery.start(made.tenant) + made.middle
        data = bytes(forgery.execute("SELECT data FROM log WHERE pos = ?", (position,)).get)
        forgery.execute(
            "UPDATE log SET data = ? WHERE pos = ?", (data[:-1] + b',"edited":1}', position)
        )


def delete(made: DrillFolder) -> None:
    """Remove the row of an event."""
    with forging(made.folder) as forgery:
        position = forgery.start(made.tenant) + made.middle
        forgery.execute("DELETE FROM log WHERE pos = ?", (position,))


def insert(made: DrillFolder) -> None:
    """Add an event between two others; those behind it move on by one."""
    with forging(made.folder) as forgery:
        position = forgery.start(made.tenant) + made.middle
        end = forgery.start(made.tenant) + forgery.size(made.tenant)
        # By way of negative positions: a row never meets the next one.
        forgery.execute("UPDATE log SET pos = -pos - 1 WHERE pos > ? AND pos < ?", (position, end))
        forgery.execute("UPDATE log SET pos = -pos WHERE pos < 0")
        data = forgery.entry(position)
        old = entry.id_of(data).encode()
        new = old[:-1] + (b"0" if old.endswith(b"1") else b"1")
        forgery.copy_row(position, position + 1, data.replace(old, new, 1))


def reorder(made: DrillFolder) -> None:
    """Let two neighbouring events change places."""
    with forging(made.folder) as forgery:
        position = forgery.start(made.tenant) + made.middle
        _swap(forgery, position, position + 1)


def swap_tenants(made: DrillFolder) -> None:
    """Let an event change places with one of another tenant."""
    with forging(made.folder) as forgery:
        there = forgery.start(made.other) + forgery.size(made.other) - 1
        _swap(forgery, forgery.start(made.tenant) + made.middle, there)


def restore_erased(made: DrillFolder) -> None:
    """Put back, from an older copy, what was erased of an event."""
    names = ", ".join(SECTIONS)
    with forging(made.older) as older:
        position = older.start(made.other) + made.erased
        row = older.execute(f"SELECT {names} FROM log WHERE pos = ?", (position,)).fetchall()[0]  # noqa: S608
    with forging(made.folder) as forgery:
        values = ", ".join(f"{name} = ?" for name in SECTIONS)
        forgery.execute(f"UPDATE log SET {values} WHERE pos = ?", (*row, position))  # noqa: S608


# With other files of the folder


def hide(made: DrillFolder) -> None:
    """Mark an event as gone in the lists, with the checksums that the file wants."""
    path = next((made.folder / INDEX_FOLDER).rglob(LISTS_FILE))
    connection = open_checked(path, apsw.SQLITE_OPEN_READWRITE)
    try:
        with connection:
            position = connection.execute("SELECT max(pos) FROM arrivals").get
            connection.execute("INSERT INTO gone VALUES (?)", (position,))
            connection.execute("UPDATE blocks SET gone = gone + 1 WHERE id = ?", (position >> 16,))
            connection.execute("UPDATE tenants SET shape = shape + 1")
    finally:
        connection.close()


def change_blob(made: DrillFolder) -> None:
    """Change a byte of an uploaded file."""
    path = next(path for path in (made.folder / BLOBS_FOLDER).rglob("*") if path.is_file())
    content = path.read_bytes()
    replace_file(path, bytes([content[0] ^ 1]) + content[1:])


# With the database and the signing key: nothing in the store contradicts itself afterwards, apart
# from what the act is about


def backdate(made: DrillFolder) -> None:
    """Let an event have happened a month earlier, and sign the log again."""
    with forging(made.folder) as forgery:
        position = forgery.start(made.tenant) + made.middle
        data = forgery.entry(position)
        ms = _number_after(data, b'"occurred_ms":')
        earlier = b'"occurred_ms":%d' % (ms - _BACK_DAYS * DAY_MS)
        forgery.write_entry(position, data.replace(b'"occurred_ms":%d' % ms, earlier))
        forgery.sign(made.tenant, _key(made.folder))
    shutil.rmtree(made.folder / HEADS_FOLDER, ignore_errors=True)


def truncate(made: DrillFolder) -> None:
    """Remove the last entries and sign the shorter log."""
    with forging(made.folder) as forgery:
        end = forgery.start(made.tenant) + forgery.size(made.tenant)
        forgery.execute("DELETE FROM log WHERE pos >= ? AND pos < ?", (end - _CUT, end))
        forgery.sign(made.tenant, _key(made.folder))


def set_clock_back(made: DrillFolder) -> None:
    """Add an entry that says that it was recorded a month before the one in front of it."""
    with forging(made.folder) as forgery:
        end = forgery.start(made.tenant) + forgery.size(made.tenant)
        data = forgery.entry(end - 1)
        ms = _number_after(data, b'"recorded_ms":')
        earlier = b'"recorded_ms":%d' % (ms - _BACK_DAYS * DAY_MS)
        forgery.copy_row(end - 1, end, data.replace(b'"recorded_ms":%d' % ms, earlier))
        forgery.sign(made.tenant, _key(made.folder))


# With the whole folder


def roll_back(made: DrillFolder) -> None:
    """Put an older copy in the place of the folder."""
    shutil.rmtree(made.folder)
    shutil.copytree(made.older, made.folder)


def fork(made: DrillFolder) -> None:
    """Go on from an older copy with other events than those that were recorded."""
    with forging(made.folder) as forgery:
        size = forgery.size(made.tenant)
    roll_back(made)
    with forging(made.folder) as forgery:
        added = size - forgery.size(made.tenant) + 1
    made.extend(made.folder, added)


def sign_with_another_key(made: DrillFolder) -> None:
    """Put another signing key in the place of the folder's, and sign every log with it."""
    other = Signer.generate("log")
    replace_file(made.folder / KEY_FILE, other.to_private_text().encode())
    with forging(made.folder) as forgery:
        for (tenant,) in forgery.execute("SELECT tenant FROM logs").fetchall():
            forgery.sign(str(tenant), LogKey(other))
    shutil.rmtree(made.folder / HEADS_FOLDER, ignore_errors=True)


class TamperAct(NamedTuple):
    """One way to tamper, and what is in the hands of who does it."""

    name: str
    means: str
    tamper: Callable[[DrillFolder], None]


DATABASE: Final = "the database"
DATABASE_AND_KEY: Final = "the database and the signing key"
FOLDER: Final = "the whole folder"

ACTS: Final = (
    TamperAct("edit", DATABASE, edit),
    TamperAct("delete", DATABASE, delete),
    TamperAct("insert", DATABASE, insert),
    TamperAct("reorder", DATABASE, reorder),
    TamperAct("backdate", DATABASE_AND_KEY, backdate),
    TamperAct("tenant swap", DATABASE, swap_tenants),
    TamperAct("truncate", DATABASE_AND_KEY, truncate),
    TamperAct("roll back", FOLDER, roll_back),
    TamperAct("fork", FOLDER, fork),
    TamperAct("re-sign with another key", FOLDER, sign_with_another_key),
    TamperAct("hide from an index", "the index", hide),
    TamperAct("change a blob", "the blobs", change_blob),
    TamperAct("restore an erased subject", "the database and an older copy", restore_erased),
    TamperAct("clock back", DATABASE_AND_KEY, set_clock_back),
)


def _swap(forgery: Forgery, one: int, other: int) -> None:
    for source, target in ((one, -1), (other, one), (-1, other)):
        forgery.execute("UPDATE log SET pos = ? WHERE pos = ?", (target, source))


def _number_after(data: bytes, name: bytes) -> int:
    digits = data.partition(name)[2]
    return int(digits[: min(digits.find(end) for end in (b",", b"}") if end in digits)])


def _key(folder: Path) -> LogKey:
    return read_log_key(folder / KEY_FILE)

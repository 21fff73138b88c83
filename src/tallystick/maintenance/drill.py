"""The tamper drill: what notices each way to tamper with a data folder, tried on copies of it.

Every act starts from a fresh copy. The checks are those of the product, in the order in which
they would meet the act: a server's start, `fsck`, a comparison of the lists with the log, and a
reader who remembers the last head. The original is only read.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import apsw
import msgspec

from tallystick.client.log_check import TiledLog, check_log
from tallystick.client.remembered_heads import PinnedHeads
from tallystick.data_folder import (
    BLOBS_FOLDER,
    ERASURES_FILE,
    KEY_FILE,
    LEDGER_FILE,
    PUBLIC_FILE,
    TIMESTAMPS_FOLDER,
)
from tallystick.durable import create_folder
from tallystick.errors import SettingsError, StoreCorrupt, TallystickError, for_operator
from tallystick.events.event import Op
from tallystick.log.keys import LogKey
from tallystick.log.proofs import StoreHashes
from tallystick.maintenance.tampering import ACTS, DrillFolder, TamperAct
from tallystick.store.base import Store
from tallystick.store.sqlite_read_only import open_read_only
from tallystick.tlog import tile

_ENTRIES: Final = 1024
_PAGES: Final = 1000

Check = Callable[[Path], str | None]
"""Looks at a folder and returns what it finds wrong, None when nothing is."""

Progress = Callable[[int, int], None]


class NamedCheck(NamedTuple):
    """A check, and what it is called in the report."""

    name: str
    check: Check


class Caught(NamedTuple):
    """What became of one act."""

    act: str
    means: str
    caught_by: str | None
    """None when no check noticed anything."""
    found: str | None
    after_s: float


class _Entry(msgspec.Struct):
    id: str
    op: Op
    subject: str | None = None


_decode_entry = msgspec.json.Decoder(_Entry).decode


def run_drill(
    made: DrillFolder,
    checks: Sequence[NamedCheck],
    scratch: Path,
    *,
    acts: Sequence[TamperAct] = ACTS,
    progress: Progress = lambda done, total: None,
) -> Iterator[Caught]:
    """Try each act on a copy of what was prepared, in a scratch folder, and yield what caught it.

    Raises: StoreCorrupt when a check finds something before anybody tampered.
    """
    untouched = _fresh(made, scratch)
    before = _first_found(checks, untouched.folder)
    if before is not None:
        raise StoreCorrupt(f"{before[0]} finds something wrong before the drill: {before[1]}")
    for done, act in enumerate(acts):
        progress(done, len(acts))
        copy = _fresh(made, scratch)
        act.tamper(copy)
        start_s = time.monotonic()
        found = _first_found(checks, copy.folder)
        after_s = time.monotonic() - start_s
        name, what = (None, None) if found is None else found
        yield Caught(act.name, act.means, name, what, after_s)
    progress(len(acts), len(acts))


def copy_untouched(source: Path, target: Path) -> None:
    """Copy what a data folder holds of truth into a new one; the original is only read.

    Works beside a running server.
    Raises: SettingsError, StoreCorrupt.
    """
    if not (source / LEDGER_FILE).exists():
        raise SettingsError(f"{source} holds no store", hint="name the folder with --data")
    create_folder(target)
    for name in (PUBLIC_FILE, LEDGER_FILE):
        if (source / name).exists():
            _copy_database(source / name, target / name)
    for name in (KEY_FILE, ERASURES_FILE):
        if (source / name).exists():
            shutil.copy2(source / name, target / name)
    for name in (BLOBS_FOLDER, TIMESTAMPS_FOLDER):
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)


def event_indexes(store: Store, tenant: str) -> set[int]:
    """Return the entries that a reader of a whole log counts as its events, whatever lists say."""
    head = store.log_head(tenant)
    events: dict[str, int] = {}
    retracted: set[str | None] = set()
    for start in range(0, 0 if head is None else head.size, _ENTRIES):
        for index, data in enumerate(store.entries(tenant, start, start + _ENTRIES), start):
            found = _decode_entry(data)
            if found.op is Op.RECORD:
                events[found.id] = index
            elif found.op is Op.RETRACT:
                retracted.add(found.subject)
    return {index for event_id, index in events.items() if event_id not in retracted}


class StoredLog:
    """A tenant's log as its public form would show it, read from the store."""

    def __init__(self, store: Store, tenant: str, key: LogKey) -> None:
        head = store.log_head(tenant)
        if head is None:
            raise StoreCorrupt(f"the log of {tenant!r} is gone")
        self._hashes = StoreHashes(store, tenant)
        self._vkey = str(key.signer(head.origin).verifier)
        self.shown = TiledLog(self._fetch, head.checkpoint)

    def _fetch(self, path: str) -> bytes | None:
        if path == "/log.vkey":
            return self._vkey.encode()
        if not path.startswith("/tile/"):
            return None
        level, number, width = tile.parse_path(path.removeprefix("/tile/"))
        assert level != "entries", "proofs need no entries"
        try:
            return b"".join(self._hashes.hashes(level, number * tile.TILE_WIDTH, width))
        except TallystickError:
            return None


def compare_heads(store: Store, tenants: Iterable[str], key: LogKey, heads: PinnedHeads) -> None:
    """Compare logs with what a reader remembers of them, and remember their heads.

    Raises: VerificationError.
    """
    for tenant in tenants:
        checked = check_log(StoredLog(store, tenant, key).shown, heads, tenant, tenant)
        heads.remember(checked.key, checked.note, instead_of=checked.old)


def _fresh(made: DrillFolder, scratch: Path) -> DrillFolder:
    """Return the prepared folders as new copies in place of those of the last act."""
    copies = [scratch / "folder", scratch / "older"]
    for source, copy in zip((made.folder, made.older), copies, strict=True):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source, copy)
    return made._replace(folder=copies[0], older=copies[1])


def _first_found(checks: Sequence[NamedCheck], folder: Path) -> tuple[str, str] | None:
    for name, check in checks:
        try:
            found = check(folder)
        except TallystickError as error:
            found = for_operator(error)
        if found is not None:
            return name, found
    return None


def _copy_database(source: Path, target: Path) -> None:
    reading = open_read_only(source)
    writing = apsw.Connection(str(target))
    try:
        target.chmod(0o600)
        with writing.backup("main", reading, "main") as copying:
            while not copying.done:
                copying.step(_PAGES)
    finally:
        writing.close()
        reading.close()

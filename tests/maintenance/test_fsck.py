"""`fsck` on stores that were tampered with: each change is found and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from tallystick.events.entry import SECTIONS
from tallystick.events.event import Draft, Op
from tallystick.log.keys import LogKey
from tallystick.maintenance import fsck
from tallystick.store.base import Erasure, IdentityWrite
from tallystick.store.sqlite.store import SqliteStore, open_sqlite
from tallystick.tlog.checkpoint import sign_checkpoint
from tests.support.recording import TENANT, Recorder, draft, order, origin_of

KEY = LogKey.generate()
UUID = "0b7e6a52-5f0e-4d43-9d0c-6a5a1d4c7f10"
SIZE = 520


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Yield a store with one log that has a bit of everything."""
    store = open_sqlite(tmp_path / "log.db")
    recorder = Recorder(store, KEY)
    chosen = draft(1, id=UUID, claims=((b"i" + bytes.fromhex(UUID.replace("-", "")), b"d"),))
    put = draft(2, op=Op.DOCUMENT, kind="item.put", target=order("1"))
    event = draft(3, target=order("1"), claims=((b"kkey", b"d"),))
    revise = Draft(kind="order.created", op=Op.REVISE, subject=UUID, data={"a": 1})
    user = IdentityWrite(TENANT, "user", "1", b"{}", (("login", "matt"),))
    recorder.append(TENANT, chosen, put, event, revise, identity=[user])
    recorder.fill(TENANT, SIZE - 4)
    recorder.close()
    yield store
    store.close()


@pytest.fixture
def tamper(store: SqliteStore) -> Callable[..., None]:
    """Return a function that changes the file behind the store's back."""

    def change(statement: str, *values: object) -> None:
        connection = apsw.Connection(str(store.path))
        connection.execute(statement, values)
        assert connection.changes() > 0, "nothing was changed"
        connection.close()

    return change


def check(store: SqliteStore, key: LogKey = KEY) -> fsck.Report:
    return fsck.check(store, lambda origin: key.signer(origin).verifier)


# The log has number 1, so entry 3 stands at 2^40 + 3 = 1099511627779.

TAMPERED = [
    (
        "UPDATE log SET data = CAST(data || x'00' AS BLOB) WHERE pos = 1099511627779",
        "entry 3: section data does not match",
    ),
    (
        "UPDATE log SET data = NULL WHERE pos = 1099511627779",
        "entry 3: data is missing and no entry erased it",
    ),
    (
        "UPDATE log SET actor = x'00' WHERE pos = 1099511627779",
        "section actor is stored but not committed to",
    ),
    (
        "UPDATE log SET entry = CAST(entry || ' ' AS BLOB) WHERE pos = 1099511627779",
        "entry 3: its leaf hash is not the hash",
    ),
    (
        "UPDATE log SET entry = x'7b7d',"
        " leaf = x'28a3a18f6cd6406b086e9ffda1f9b8a13dbcf44b0f3f32cb9031a11fd053acf9'"
        " WHERE pos = 1099511627779",
        "3: it does not decode",
    ),
    (
        "UPDATE log SET leaf = zeroblob(32) WHERE pos = 1099511627779",
        "entry 3: its leaf hash is not the hash",
    ),
    (
        "DELETE FROM log WHERE pos = 1099511627779",
        "entry 3: it is missing; the next one stored is 4",
    ),
    ("DELETE FROM log WHERE pos = 1099511628295", "entry 519: it is missing"),
    ("DELETE FROM log", "entry 0: it is missing"),
    ("UPDATE logs SET size = size - 1", "its frontier is not the one that its entries give"),
    ("UPDATE logs SET frontier = x'00'", "head: its frontier is not the one"),
    ("UPDATE logs SET root = zeroblob(32)", "head: its root is not the one"),
    ("UPDATE logs SET recorded_ms = recorded_ms + 1", "head: its time is not the one"),
    ("UPDATE logs SET key_id = x'00000000'", "head: its signing key is not the one"),
    ("UPDATE logs SET checkpoint = checkpoint || 'x'", "checkpoint: "),
    ("UPDATE tiles SET root = zeroblob(32)", "tile 0/0: it is not the one"),
    ("UPDATE tiles SET hashes = zeroblob(8192) WHERE pos % 2 = 1", "tile 0/1: it is not the one"),
    ("DELETE FROM tiles WHERE pos % 2 = 1", "tile 0/1: it is missing"),
    (
        "INSERT INTO tiles SELECT 34359738370, root, hashes FROM tiles LIMIT 1",
        "tile 0/2: it stands behind the end of the log",
    ),
    (
        "INSERT INTO log SELECT 1099511628296, entry, leaf, actor, target, place, data,"
        " previous FROM log WHERE pos = 1099511627779",
        "entry 520: it stands behind the end of the log",
    ),
    ("UPDATE heads SET idx = 0", "it does not know of entry"),
    ("UPDATE heads SET idx = idx + 100", "is about something else"),
    ("UPDATE heads SET idx = idx + 1000", "no such entry"),
    ("UPDATE heads SET live = 1 - live", "it has the wrong state"),
    ("DELETE FROM heads WHERE idx = 1", "it does not know of entry 1"),
    ("INSERT INTO heads VALUES (1, zeroblob(16), 2, 1)", "entry 2 is about something else"),
    ("DELETE FROM claims WHERE idx = 0", f"entry 0: id {UUID} does not lead to it"),
    ("UPDATE claims SET idx = 1 WHERE idx = 0", f"entry 0: id {UUID} does not lead to it"),
    ("UPDATE claims SET idx = 9999 WHERE idx = 2", "no such entry: 9999"),
    (
        "INSERT INTO claims SELECT number, unhex('69' || hex(zeroblob(16))), digest, 5 FROM claims"
        " LIMIT 1",
        "entry 5 has another id",
    ),
    ("UPDATE identity SET doc = x'00'", "it does not decode"),
]


def test_what_the_program_wrote_is_clean(store: SqliteStore) -> None:
    report = check(store)
    assert report.clean, report.difference
    assert (report.logs, report.entries, report.tiles) == (1, SIZE, 2)
    assert (report.heads, report.claims, report.identities) == (3, 2, 1)
    assert report.sections == SIZE + 2


@pytest.mark.parametrize(("statement", "difference"), TAMPERED, ids=lambda text: text[:60])
def test_tampering_is_named(
    store: SqliteStore, tamper: Callable[..., None], statement: str, difference: str
) -> None:
    tamper(statement)
    found = check(store).difference
    assert found is not None
    assert difference in found


def test_rewritten_log_is_found_by_the_key(store: SqliteStore, tamper: Callable[..., None]) -> None:
    """Whoever can recompute every hash still cannot sign: a stranger's checkpoint is refused."""
    head = store.log_head(TENANT)
    assert head is not None
    stranger = LogKey.generate().signer(origin_of(TENANT))
    note = sign_checkpoint(stranger, stranger.name, head.size, head.root)
    tamper("UPDATE logs SET checkpoint = ?", note)
    assert "checkpoint: no known key has signed" in (check(store).difference or "")
    tamper("UPDATE logs SET key_id = ?", stranger.key_id)
    assert "its signing key is not the one" in (check(store).difference or "")


def test_checkpoint_of_another_size_is_found(
    store: SqliteStore, tamper: Callable[..., None]
) -> None:
    head = store.log_head(TENANT)
    assert head is not None
    signer = KEY.signer(head.origin)
    tamper("UPDATE logs SET checkpoint = ?", sign_checkpoint(signer, signer.name, 1, head.root))
    assert "it states another size or root" in (check(store).difference or "")


def test_other_key_is_found(store: SqliteStore) -> None:
    assert "signing key" in (check(store, LogKey.generate()).difference or "")


def test_damaged_file_is_named(store: SqliteStore) -> None:
    store.close()
    damaged = bytearray(store.path.read_bytes())
    damaged[8192 * 5 : 8192 * 30] = bytes(8192 * 25)
    store.path.write_bytes(damaged)
    reopened = open_sqlite(store.path)
    assert check(reopened).difference is not None
    reopened.close()


def erase(store: SqliteStore, told: tuple[Erasure, ...], done: tuple[Erasure, ...]) -> None:
    """Record an erasure of `told` and carry out `done`."""
    entries = [{"index": each.index, "sections": list(each.sections)} for each in told]
    recorder = Recorder(store, KEY)
    tell = Draft(kind="erase", op=Op.ERASE, subject="x", data={"entries": entries})
    recorder.append(TENANT, tell, erasures=done)
    recorder.close()


def test_erasure_that_an_entry_tells_of_is_clean(store: SqliteStore) -> None:
    erasures = (Erasure(1, ("target",)), Erasure(2, SECTIONS), Erasure(7, ("data",)))
    erase(store, erasures, erasures)
    report = check(store)
    assert report.clean, report.difference
    assert report.erased == 4  # entry 2 has a target and data only


def test_erasure_beyond_what_an_entry_tells_is_named(store: SqliteStore) -> None:
    erase(store, (Erasure(1, ("target",)),), (Erasure(1, ("target", "data")),))
    assert "entry 1: data is missing and no entry erased it" in (check(store).difference or "")


def test_erasure_that_was_not_carried_out_is_named(store: SqliteStore) -> None:
    erase(store, (Erasure(1, ("target", "data")),), (Erasure(1, ("data",)),))
    assert "section target is still there" in (check(store).difference or "")


def test_erase_entry_about_what_is_not_before_it_is_named(store: SqliteStore) -> None:
    erase(store, (Erasure(9999, ("data",)),), ())
    assert "it erases 9999, which is not before it" in (check(store).difference or "")


def test_progress_is_told(store: SqliteStore) -> None:
    told: list[tuple[int, int]] = []
    fsck.check(
        store,
        lambda origin: KEY.signer(origin).verifier,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(256, SIZE), (512, SIZE), (SIZE, SIZE)]


def test_log_that_grows_meanwhile_is_clean(store: SqliteStore) -> None:
    """Events, heads that move on and an erasure arrive while the check is under way."""
    recorder = Recorder(store, KEY)

    def interfere(done: int, total: int) -> None:
        recorder.append(TENANT, draft(target=order("1")), draft(target=order("new")))
        erasure = Erasure(done, ("data",))
        entries = [{"index": done, "sections": ["data"]}]
        tell = Draft(kind="erase", op=Op.ERASE, subject="x", data={"entries": entries})
        recorder.append(TENANT, tell, erasures=[erasure])

    report = fsck.check(store, lambda origin: KEY.signer(origin).verifier, progress=interfere)
    recorder.close()
    assert report.clean, report.difference
    assert check(store).clean

"""The follower makes each leaf and each seal exactly once, whatever cuts it off."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.dialects.datatrails.merklelog import mmr
from tallystick.dialects.datatrails.merklelog.append import Tail
from tallystick.dialects.datatrails.publiclog import follower as following
from tallystick.dialects.datatrails.publiclog.follower import PublicLogFollower
from tallystick.dialects.datatrails.publiclog.fsck import Checked, check_merklelog
from tallystick.dialects.datatrails.publiclog.log import open_public_log
from tallystick.errors import Conflict, StoreBusy, StoreCorrupt
from tallystick.events.event import Draft, Op
from tallystick.identity import acts
from tallystick.log.views import LogReader
from tallystick.node.node import Node, open_node
from tallystick.query.expr import Everything
from tallystick.settings import Settings
from tallystick.store.public_files import Patch, PublicationCursor, PublicFiles, PublishedSeal
from tallystick.store.sqlite.public_files import SqlitePublicFiles
from tests.dialects.datatrails import independent_verifier as verifier
from tests.dialects.datatrails import logs

HEIGHT = 3
TENANT = "acme"


class Bench:
    """A node with one tenant, and a follower that is stepped by hand."""

    def __init__(self, folder: Path) -> None:
        self.node: Node = open_node(folder, Settings(), followers=False)
        made, act = acts.create_tenant(
            TENANT, server_name="x", now_ms=self.node.clock.now_ms(), aliases=(str(logs.TENANT),)
        )
        self.node.ledger.administer(TENANT, act)
        self.uuid = UUID(made.uuid)
        self.files: PublicFiles = self.node.public_files
        self.follower = self.make_follower(self.files)

    def make_follower(
        self, files: PublicFiles, source: LogReader | None = None
    ) -> PublicLogFollower:
        """Return a follower that writes to `files`."""
        return PublicLogFollower(
            source or LogReader(self.node.store),
            files,
            self.node.clock,
            key=logs.KEY,
            issuer="localhost",
            log_id_of=lambda tenant: self.uuid,
            height=HEIGHT,
        )

    def append(self, count: int, dialect: str = "datatrails") -> None:
        """Store events."""
        drafts = [
            Draft(kind="k", data={"n": str(n)}, trails=("t",), dialect=dialect)
            for n in range(count)
        ]
        self.node.ledger.append(TENANT, drafts)

    def follow(self) -> None:
        """Publish everything."""
        while self.follower.step(TENANT):
            pass

    def check(self) -> list[Checked]:
        """Check the public log with the product's own check."""
        return list(
            check_merklelog(
                LogReader(self.node.store),
                self.files,
                log_id_of=lambda tenant: self.uuid,
                key=logs.PUBLIC_KEY,
            )
        )

    def verified(self) -> verifier.Log:
        """Check it with the independent verifier as well; return what that read."""
        assert [checked.difference for checked in self.check() if checked.difference] == []
        files: list[bytes] = []
        seals: list[bytes] = []
        while (data := self.files.read(TENANT, len(files))) is not None:
            seal = self.files.seal(TENANT, len(files))
            assert seal is not None
            files.append(data)
            seals.append(seal.data)
        log = verifier.read_log(files, height=HEIGHT)
        for seal_bytes in seals:
            verifier.check_seal(seal_bytes, log, logs.PUBLIC_KEY)
        head = self.node.store.log_head(TENANT)
        assert head is not None
        assert len(log.leaves) == head.size
        return log

    @property
    def cursor(self) -> PublicationCursor:
        """How far the public log has come."""
        found = self.files.cursor(TENANT)
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Yield a bench."""
    made = Bench(tmp_path / "data")
    yield made
    made.node.close()


@pytest.mark.row("D-25", "D-74")
def test_every_entry_is_a_leaf_and_every_full_massif_is_sealed(bench: Bench) -> None:
    for count in (1, 2, 1, 9, 4, 30):
        bench.append(count)
        bench.follow()
        log = bench.verified()
        assert bench.cursor.sealed == bench.cursor.leaves == len(log.leaves)
    assert not bench.follower.step(TENANT)
    assert not bench.follower.seal(TENANT)


def test_slices_are_bounded_and_a_backlog_is_sealed_on_the_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SLICE_LEAVES", 2)
    monkeypatch.setattr(following, "SEAL_LEAVES", 3)
    bench.append(11)
    steps: list[PublicationCursor] = []
    while bench.follower.step(TENANT):
        steps.append(bench.cursor)
    assert [cursor.leaves for cursor in steps] == [2, 4, 6, 8, 10]
    assert [cursor.sealed for cursor in steps] == [0, 4, 4, 8, 8]
    bench.verified()


class CutOff(Exception):
    """Stands for a process that ended here."""


class CutFiles:
    """Public files that end the process before or after a write took effect."""

    def __init__(self, files: PublicFiles, cuts: Callable[[int], str | None]) -> None:
        self._files = files
        self._cuts = cuts
        self.writes = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._files, name)

    def advance(
        self,
        tenant: str,
        before: PublicationCursor | None,
        after: PublicationCursor,
        *,
        patches: Sequence[Patch] = (),
        seals: Sequence[PublishedSeal] = (),
    ) -> None:
        """Write, unless cut off."""
        self.writes += 1
        cut = self._cuts(self.writes)
        if cut == "before":
            raise CutOff
        self._files.advance(tenant, before, after, patches=patches, seals=seals)
        if cut == "after":
            raise CutOff


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize("write", [1, 2])
def test_follower_cut_off_at_any_write_goes_on_from_there(
    bench: Bench, cut: str, write: int
) -> None:
    """Each process is cut off at its first or second write; what was published never changes."""
    published: list[bytes] = []
    for number in range(12):
        bench.append(1 + number % 3)
        files = CutFiles(bench.files, lambda count: cut if count == write else None)
        follower = bench.make_follower(files)  # type: ignore[arg-type]  # it passes on the rest
        with contextlib.suppress(CutOff):
            while follower.step(TENANT):
                pass
        found = bench.files.cursor(TENANT)
        leaves = [leaf_value(bench, n) for n in range(found.leaves if found else 0)]
        assert leaves[: len(published)] == published
        published = leaves
    bench.follow()
    bench.verified()
    assert [leaf_value(bench, n) for n in range(len(published))] == published


def leaf_value(bench: Bench, leaf: int) -> bytes:
    """Return the value of a leaf as it is published."""
    log = open_public_log(bench.files, TENANT)
    assert log is not None
    return log.node(mmr.size_of(leaf))


def test_followers_at_once_make_nothing_twice(bench: Bench) -> None:
    errors: list[BaseException] = []

    def follow() -> None:
        follower = bench.make_follower(SqlitePublicFiles(bench.node.folder / "datatrails.db"))
        try:
            for _ in range(60):
                # Who finds the file busy for too long goes on later, as the loop of followers does.
                with contextlib.suppress(StoreBusy):
                    follower.step(TENANT)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=follow) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        bench.append(3)
    for thread in threads:
        thread.join()
    assert errors == []
    bench.follow()
    bench.verified()


def test_conflict_is_no_failure(bench: Bench) -> None:
    bench.append(3)

    class Late(CutFiles):
        def advance(self, *args: object, **kwargs: object) -> None:
            raise Conflict

    follower = bench.make_follower(Late(bench.files, lambda _: None))  # type: ignore[arg-type]
    assert follower.step(TENANT)


def test_log_that_is_behind_what_was_published_is_refused(bench: Bench) -> None:
    bench.append(3)
    bench.follow()
    # What another process published since the size was asked for is no reason to stop.
    assert bench.follower.publish(TENANT, 2) == 4

    class Restored(LogReader):
        def size(self, tenant: str) -> int:
            return 2

    follower = bench.make_follower(bench.files, Restored(bench.node.store))
    with pytest.raises(StoreCorrupt, match="has 4 leaves, its log 2 entries"):
        follower.step(TENANT)


def test_log_that_went_another_way_is_refused(bench: Bench) -> None:
    """As after an older copy was brought back and grew as long as the one that was published."""
    bench.append(3)
    bench.follow()

    class Another(LogReader):
        def leaf(self, tenant: str, index: int) -> bytes | None:
            return bytes(32)

    follower = bench.make_follower(bench.files, Another(bench.node.store))
    for count in (0, 2):
        bench.append(count)
        with pytest.raises(StoreCorrupt, match="was made of another log"):
            follower.step(TENANT)
    bench.follow()
    bench.verified()


def test_tail_of_an_earlier_version_is_compared_by_time_and_gets_a_mark(bench: Bench) -> None:
    bench.append(3)
    bench.follow()

    def store_tail(idtimestamp: bytes) -> None:
        tail = Tail.from_bytes(bench.cursor.tail)._replace(idtimestamp=idtimestamp, mark=b"")
        bench.files.advance(TENANT, bench.cursor, bench.cursor._replace(tail=tail.to_bytes()))

    idtimestamp = Tail.from_bytes(bench.cursor.tail).idtimestamp
    store_tail(bytes(9))
    with pytest.raises(StoreCorrupt, match="was made of another log"):
        bench.follower.step(TENANT)
    store_tail(idtimestamp)
    assert bench.cursor.tail[0] == 1
    bench.append(1)
    bench.follow()
    assert bench.cursor.tail[0] == 2
    bench.verified()


def test_leaf_made_before_an_erasure_stays_and_one_made_after_is_the_entrys(bench: Bench) -> None:
    bench.append(2)
    bench.follow()
    bench.append(1, dialect="native")
    bench.append(1)
    ledger = bench.node.ledger
    for index in (1, 3, 4):
        view = ledger.view_at(TENANT, index)
        ledger.retract(
            TENANT, view.first.id, visible=Everything(), dialect=view.first.dialect, erase=True
        )
    bench.follow()
    log = bench.verified()
    rules = [leaf.extra[0] for leaf in log.leaves]
    ops = [ledger.view_at(TENANT, index).first.op for index in range(len(rules))]
    assert rules[1:5] == [1, 1, 255, 255]
    assert all(rule == 255 for rule, op in zip(rules, ops, strict=True) if op is not Op.RECORD)
    rows = bench.node.store.rows(TENANT, 3, 5)
    assert [log.leaves[3].value, log.leaves[4].value] == [row.leaf for row in rows]


# The check finds what the independent verifier cannot: leaves that are not of this log.


def damaged(bench: Bench, *, seal: int | None = None, file: int | None = None, at: int = 0) -> str:
    """Flip a bit of a stored seal or file and return the difference that is found."""
    cursor = bench.cursor
    if seal is not None:
        stored = bench.files.seal(TENANT, seal)
        assert stored is not None
        changed = bytearray(stored.data)
        changed[at] ^= 4
        bench.files.advance(TENANT, cursor, cursor, seals=[stored._replace(data=bytes(changed))])
    else:
        byte = bench.files.read(TENANT, file or 0, at, at + 1)
        assert byte is not None
        patch = Patch(file or 0, at, bytes((byte[0] ^ 4,)))
        bench.files.advance(TENANT, cursor, cursor, patches=[patch])
    differences = [checked.difference for checked in bench.check() if checked.difference]
    assert differences, f"a flipped bit at {at} goes unnoticed"
    assert TENANT in differences[0]
    return differences[0]


SIZE = 288 + 64 * 2**HEIGHT + 7 * 32


@pytest.mark.parametrize("at", range(0, SIZE, 29))
def test_flipped_bit_in_a_massif_is_found(bench: Bench, at: int) -> None:
    bench.append(5)
    bench.follow()
    assert bench.files.size(TENANT, 0) == SIZE
    damaged(bench, file=0, at=at)


@pytest.mark.parametrize("at", range(2, 900, 97))
def test_flipped_bit_in_a_seal_is_found(bench: Bench, at: int) -> None:
    bench.append(5)
    bench.follow()
    damaged(bench, seal=1, at=at)


WRONG: dict[str, tuple[str, Callable[[PublicationCursor], PublicationCursor]]] = {
    "a leaf too many": ("cursor", lambda c: c._replace(leaves=c.leaves + 1)),
    "a seal that is not there": ("seal", lambda c: c._replace(sealed=c.sealed + 1)),
    "another peak": ("tail", lambda c: c._replace(tail=c.tail[:-1] + b"x")),
    "another time": ("tail", lambda c: c._replace(tail=c.tail[:12] + b"xx" + c.tail[14:])),
    "no tail": ("tail", lambda c: c._replace(tail=b"no tail")),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_cursor_is_found(bench: Bench, what: str) -> None:
    found, change = WRONG[what]
    bench.append(5)
    bench.follow()
    bench.files.advance(TENANT, bench.cursor, change(bench.cursor))
    (difference,) = [checked.difference for checked in bench.check() if checked.difference]
    assert found in difference


def test_seal_by_another_key_is_found(bench: Bench) -> None:
    bench.append(5)
    bench.follow()
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    checked = check_merklelog(
        LogReader(bench.node.store), bench.files, log_id_of=lambda _: bench.uuid, key=other
    )
    assert [one.difference for one in checked if one.difference]


def test_key_of_seals_is_the_servers_own_at_every_start(tmp_path: Path) -> None:
    keys = set()
    for _ in range(2):
        node = open_node(tmp_path / "data", Settings(), followers=False)
        key = node.key.derive_ec_key(ec.SECP384R1(), following.KEY_PURPOSE)
        keys.add(key.private_numbers().private_value)
        node.close()
    assert len(keys) == 1

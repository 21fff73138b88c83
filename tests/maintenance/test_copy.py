"""Moving everything from one store into another, of either kind, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tallystick.errors import Conflict, StoreBusy, StoreFailed
from tallystick.events.entry import SECTIONS
from tallystick.events.event import Op
from tallystick.maintenance.copy import Copied, copy, is_complete
from tallystick.store.base import Erasure, IdentityWrite, Store
from tallystick.store.sqlite.store import open_sqlite
from tests.store.store_fixtures import Place
from tests.store.test_erase import erase_draft, secret_draft
from tests.store.transactions import KEY
from tests.support.check import check_log
from tests.support.faulty_store import Fault, FaultyStore
from tests.support.recording import TENANT, Recorder, draft, order

NAMES = (TENANT, "é\x00\U0001f9fe", "empty but for one")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Store]:
    """Yield a SQLite store with a bit of everything."""
    store = open_sqlite(tmp_path / "source.db")
    recorder = Recorder(store, KEY)
    recorder.fill(TENANT, 700)
    put = draft(op=Op.DOCUMENT, kind="item.put", target=order("1"))
    recorder.append(
        NAMES[1],
        *(draft(n, target=order(str(n % 7)), claims=((b"k%d" % n, b"d"),)) for n in range(30)),
        put,
        identity=[
            IdentityWrite(NAMES[1], "user", "1", b'{"n":1}', (("login", "a\x00b"), ("log", "x"))),
            IdentityWrite(NAMES[1], "key", "2", b"{}"),
        ],
    )
    recorder.append(NAMES[2], secret_draft(0))
    erasure = Erasure(3, SECTIONS)
    recorder.append(TENANT, erase_draft(erasure), erasures=[erasure])
    recorder.close()
    yield store
    store.close()


def same(one: Store, two: Store) -> bool:
    """Tell whether two stores hold the same, byte for byte."""
    heads = one.log_heads()
    assert two.log_heads() == heads
    for head in heads:
        tenant = head.tenant
        assert one.rows(tenant, 0, head.size) == two.rows(tenant, 0, head.size)
        assert one.scan_heads(tenant, b"", 10_000) == two.scan_heads(tenant, b"", 10_000)
        assert one.scan_claims(tenant, b"", 10_000) == two.scan_claims(tenant, b"", 10_000)
        for number in range(head.size // 256 + 1):
            assert one.tile(tenant, 0, number) == two.tile(tenant, 0, number)
    assert one.scan_identity(None, 10_000) == two.scan_identity(None, 10_000)
    return True


def test_copy_is_the_same_and_back_again(source: Store, store: Store, tmp_path: Path) -> None:
    copied = copy(source, store)
    assert copied == Copied(logs=3, entries=733, heads=9, claims=30, identities=2)
    assert same(source, store)
    with ExitStack() as stack:
        back = open_sqlite(tmp_path / "back.db")
        stack.callback(back.close)
        copy(store, back)
        assert same(source, back)
        check_log(back, KEY)


def test_copied_log_goes_on(source: Store, store: Store) -> None:
    copy(source, store)
    recorder = Recorder(store, KEY)
    assert recorder.append(TENANT, draft())[0].index == 701
    again = draft(5, target=order("5"), claims=((b"k5", b"d"),))
    assert recorder.append(NAMES[1], again)[0].replayed
    recorder.close()


def test_second_copy_moves_nothing(source: Store, store: Store) -> None:
    copy(source, store)
    assert copy(source, store) == Copied(logs=3, entries=0, heads=0, claims=0, identities=0)
    assert same(source, store)


def test_later_copy_brings_what_is_new(source: Store, store: Store) -> None:
    """New entries, heads and claims, an erasure of what was copied, a lookup that moved."""
    copy(source, store)
    recorder = Recorder(source, KEY)
    recorder.append(TENANT, draft(target=order("1"), claims=((b"new", b"d"),)))
    erasure = Erasure(9, ("data",))
    recorder.append(TENANT, erase_draft(erasure), erasures=[erasure])
    lookups = (("login", "a\x00b"),)
    recorder.append(
        NAMES[1],
        draft(),
        identity=[
            IdentityWrite(NAMES[1], "user", "1", None, replaces=b'{"n":1}'),
            IdentityWrite(NAMES[1], "user", "0", b"{}", lookups),
        ],
    )
    recorder.close()
    copied = copy(source, store)
    assert (copied.entries, copied.identities) == (3, 1)
    assert same(source, store)


@pytest.mark.parametrize("persists", [False, True])
def test_copy_that_is_cut_off_goes_on(source: Store, store: Store, persists: bool) -> None:
    """It is cut off at every transaction in turn, before it and after it took effect."""
    faulty = FaultyStore(store)
    for passing in range(100):
        faulty.faults.clear()
        faulty.faults.extend([*[None] * (passing % 5), Fault(StoreFailed(), persists=persists)])
        try:
            copy(source, faulty.store)
        except StoreFailed:
            continue
        break
    faulty.faults.clear()
    copy(source, store)
    assert same(source, store)


def test_unfinished_copy_is_neither_extended_nor_clean(
    source: Store, place: Place, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        target = place.open()
        stack.callback(target.close)
        faulty = FaultyStore(target)
        faulty.faults.extend([None, Fault(StoreFailed(), persists=False)])
        with pytest.raises(StoreFailed):
            copy(source, faulty.store)
        [head] = target.log_heads()
        assert not is_complete(head)
        assert head.checkpoint == ""
        with pytest.raises(AssertionError, match="was not copied to its end"):
            check_log(target, KEY)
        recorder = Recorder(target, KEY)
        with pytest.raises(StoreBusy, match="still being copied"):
            recorder.append(head.tenant, draft())
        recorder.close()
        copy(source, target)
        assert all(map(is_complete, target.log_heads()))
        check_log(target, KEY)


def test_progress_is_told(source: Store, store: Store) -> None:
    told: list[tuple[int, int]] = []
    copy(source, store, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (733, 733)


def test_target_with_another_log_is_refused(source: Store, store: Store) -> None:
    recorder = Recorder(store, KEY)
    recorder.append(TENANT, draft())
    recorder.close()
    before = store.rows(TENANT, 0, 9)
    with pytest.raises(Conflict, match="another log"):
        copy(source, store)
    assert store.rows(TENANT, 0, 9) == before


def test_target_with_a_strange_tenant_is_refused(source: Store, store: Store) -> None:
    recorder = Recorder(store, KEY)
    recorder.append("stranger", draft())
    recorder.close()
    with pytest.raises(Conflict, match="stranger"):
        copy(source, store)


def test_source_that_is_written_to_is_noticed(source: Store, store: Store) -> None:
    recorder = Recorder(source, KEY)

    def interfere(done: int, total: int) -> None:
        recorder.append(TENANT, draft())

    with pytest.raises(Conflict, match="changed during the copy"):
        copy(source, store, progress=interfere)
    recorder.close()
    copy(source, store)
    assert same(source, store)

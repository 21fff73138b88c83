"""Changes of identity records on every store: what one server changes, another does not undo."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import cast

import msgspec
import pytest

from tallystick.clock import ManualClock
from tallystick.errors import Conflict, NotFound, StoreBusy
from tallystick.identity import acts
from tallystick.identity.access import Grant, Scope
from tallystick.identity.acts import Act
from tallystick.identity.records import ApiKey, Identity, KeySet, Record, User
from tallystick.ledger import striped_locks
from tallystick.ledger.ledger import Ledger
from tallystick.query.question import Reader
from tallystick.store.base import Store
from tests.store.store_fixtures import Place
from tests.store.transactions import KEY
from tests.support.recording import TENANT, Recorder, draft

THREADS = 4
GRANTS = 12


@pytest.fixture
def ledgers(place: Place, store: Store, recorder: Recorder) -> Iterator[list[Ledger]]:
    """Yield the ledgers of two servers with a tenant; where only one process may write, they
    share what writes."""
    recorder.append(TENANT, draft())
    with ExitStack() as stack:
        recorders = [recorder, recorder]
        if not store.many_tenants:
            other = place.open()
            stack.callback(other.close)
            recorders[1] = Recorder(other, KEY)
            stack.callback(recorders[1].close)
        yield [
            Ledger(each.store, each.sequencer, cast(Reader, None), KEY, ManualClock())
            for each in recorders
        ]


@pytest.fixture
def user(ledgers: list[Ledger]) -> User:
    """Return a user that there is."""
    user = User(id="481", tenant=TENANT, created_ms=1, login="matt")
    ledgers[0].administer(TENANT, acts.create_user(user))
    return user


def change(
    ledger: Ledger, record: type[Record], id: str, act: Callable[[Record], Act | None]
) -> Record | None:
    """Carry out an act on a record that there is."""

    def decide(known: Record | None) -> Act | None:
        if known is None:
            raise NotFound
        return act(known)

    return ledger.changes.carry_out(record, TENANT, id, decide)


def changing(**members: object) -> Callable[[User], Act]:
    """Return what gives a user other members."""
    return lambda user: acts.change_user(user, msgspec.structs.replace(user, **members))


def granting(scope: str) -> Callable[[User], Act]:
    """Return what gives a user a role."""
    return lambda user: acts.add_grant(user, Grant(scope, "Viewer"))


def kinds(store: Store) -> list[str]:
    """Return what the log tells, entry by entry."""
    rows = store.rows(TENANT, 0, 1_000)
    return [msgspec.json.decode(row.entry)["kind"] for row in rows]


@pytest.mark.usefixtures("user")
def test_grants_given_through_two_servers_at_once_are_all_kept(
    store: Store, ledgers: list[Ledger]
) -> None:
    scopes = [f"workspace:{n}" for n in range(GRANTS)]

    def grant(n: int) -> None:
        change(ledgers[n % 2], User, "481", granting(scopes[n]))

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(grant, range(GRANTS)))
    found = Identity(store).get(User, TENANT, "481")
    assert found is not None
    assert sorted(grant.scope for grant in found.grants) == sorted(scopes)
    # Each is told once, however often it was tried.
    assert kinds(store).count("grant.added") == GRANTS


@pytest.mark.usefixtures("user")
def test_what_another_server_changed_meanwhile_stays(store: Store, ledgers: list[Ledger]) -> None:
    """A user is shut out through one server just when another has read them to change a name."""
    here, there = ledgers
    read: list[User] = []

    def rename(user: User) -> Act:
        read.append(user)
        if len(read) == 1:
            change(there, User, "481", changing(disabled=True))
            change(there, User, "481", granting("workspace:1"))
        return changing(name="Matthew")(user)

    changed = change(here, User, "481", rename)
    assert Identity(store).get(User, TENANT, "481") == changed
    assert changed is not None
    assert (changed.name, changed.disabled, len(changed.grants)) == ("Matthew", True, 1)
    assert [user.disabled for user in read] == [False, True]


def test_a_revoked_key_stays_revoked(store: Store, ledgers: list[Ledger]) -> None:
    """Revoked through both servers at once, it is revoked once, and the first time stays."""
    key, _, act = acts.create_key(TENANT, (Scope.READ,), now_ms=1)
    here, there = ledgers
    here.administer(TENANT, act)

    def revoke_at(now_ms: int) -> Callable[[ApiKey], Act | None]:
        def revoke(key: ApiKey) -> Act | None:
            if key.revoked_ms is not None:
                return None
            if now_ms == 8:
                change(there, ApiKey, key.id, revoke_at(7))
            return acts.revoke_key(key, now_ms=now_ms)

        return revoke

    change(here, ApiKey, key.id, revoke_at(8))
    found = Identity(store).get(ApiKey, TENANT, key.id)
    assert found is not None
    assert found.revoked_ms == 7
    assert kinds(store).count("key.revoked") == 1


@pytest.mark.usefixtures("user")
def test_what_was_deleted_meanwhile_does_not_come_back(store: Store, ledgers: list[Ledger]) -> None:
    here, there = ledgers

    def rename(user: User) -> Act:
        change(there, User, "481", acts.delete)
        return changing(name="Matthew")(user)

    with pytest.raises(NotFound):
        change(here, User, "481", rename)
    assert store.scan_identity(None, 10) == []


def test_a_key_set_saved_twice_at_once_is_there_once(store: Store, ledgers: list[Ledger]) -> None:
    """Whoever finds it made meanwhile replaces it."""
    here, there = ledgers

    def save(known: KeySet | None) -> Act:
        if known is None:
            there.administer(TENANT, acts.save_key_set(key_set("theirs")))
        return acts.save_key_set(key_set("ours"))

    assert here.changes.carry_out(KeySet, TENANT, "sso", save) == key_set("ours")
    assert Identity(store).list(KeySet, TENANT) == [key_set("ours")]


def key_set(issuer: str) -> KeySet:
    """Return keys that verify an issuer's tokens."""
    return KeySet(id="sso", tenant=TENANT, created_ms=1, secret="s" * 32, issuer=issuer)


@pytest.mark.usefixtures("user")
def test_a_name_that_is_taken_is_told_at_once(ledgers: list[Ledger]) -> None:
    other = User(id="482", tenant=TENANT, created_ms=1, login="kate")
    ledgers[0].administer(TENANT, acts.create_user(other))
    started_s = time.monotonic()
    with pytest.raises(Conflict, match="taken"):
        change(ledgers[1], User, "481", changing(login="kate"))
    assert time.monotonic() - started_s < 10


def test_an_act_on_what_exists_is_not_carried_out_unread(
    store: Store, ledgers: list[Ledger], user: User
) -> None:
    before = store.scan_identity(None, 10)
    for act in (changing(name="Matthew")(user), acts.delete(user)):
        with pytest.raises(Conflict):
            ledgers[0].administer(TENANT, act)
    assert store.scan_identity(None, 10) == before


@pytest.mark.usefixtures("user")
def test_whoever_is_never_first_is_told_to_come_back(
    ledgers: list[Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = ledgers
    monkeypatch.setattr(striped_locks, "WAIT_S", 0.5)
    names = iter(map(str, range(100_000)))

    def rename(user: User) -> Act:
        change(there, User, "481", changing(name=next(names)))
        return changing(name="Matthew")(user)

    with pytest.raises(StoreBusy):
        change(here, User, "481", rename)

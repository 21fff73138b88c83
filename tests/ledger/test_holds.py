"""Legal holds on every store: what they cover stays as it is, whichever server is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from tallystick.clock import ManualClock
from tallystick.errors import Conflict, NotFound, StoreBusy, TallystickError, UnderHold, Unexpected
from tallystick.events.entry import prepare
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.ledger import holds
from tallystick.ledger.ledger import Ledger
from tallystick.log.commit_plan import Item
from tallystick.log.views import events_of
from tallystick.maintenance.copy import copy
from tallystick.query.expr import Everything
from tallystick.query.question import Reader
from tallystick.store.base import Store
from tallystick.store.sqlite.store import open_sqlite
from tests.store.store_fixtures import Place
from tests.store.transactions import KEY
from tests.support.check import check_log
from tests.support.recording import TENANT, Recorder, draft, order

COUNSEL = Resource("user", "7", "Counsel")
EVENTS = 12


class Server:
    """A ledger of its own on a store: what one server process has."""

    def __init__(self, store: Store, recorder: Recorder) -> None:
        # Nothing here asks an index.
        self.ledger = Ledger(store, recorder.sequencer, cast(Reader, None), KEY, ManualClock())

    def place(self, query: str, *, from_ms: int | None = None, to_ms: int | None = None) -> str:
        """Place a hold and return its id."""
        hold, act = holds.place(
            TENANT, query, reason="a matter", by=COUNSEL, now_ms=1_000, from_ms=from_ms, to_ms=to_ms
        )
        self.ledger.administer(TENANT, act)
        return hold.id

    def lift(self, id: str) -> None:
        """Lift a hold."""
        _, act = self.ledger.holds.lifted(TENANT, id, reason="over", by=COUNSEL, now_ms=2_000)
        self.ledger.administer(TENANT, act)

    def revise(self, id: str) -> None:
        """Revise an event."""
        self.ledger.revise(TENANT, id, {"a": 2}, visible=Everything(), dialect="native")

    def retract(self, id: str, *, erase: bool = False) -> None:
        """Retract an event."""
        self.ledger.retract(TENANT, id, visible=Everything(), dialect="native", erase=erase)


@pytest.fixture
def ids(recorder: Recorder) -> list[str]:
    """Return the ids of events about orders, one each."""
    drafts = (
        draft(n, kind=f"order.k{n % 2}", target=order(str(n)), occurred_ms=n * 1_000)
        for n in range(EVENTS)
    )
    return [accepted.id for accepted in recorder.append(TENANT, *drafts)]


@pytest.fixture
def servers(place: Place, store: Store, recorder: Recorder) -> Iterator[list[Server]]:
    """Return two servers of one store; where only one process may write they share a sequencer."""
    with ExitStack() as stack:
        found = [Server(store, recorder)]
        if store.many_tenants:
            found.append(Server(store, recorder))
        else:
            other = place.open()
            stack.callback(other.close)
            beside = Recorder(other, KEY)
            stack.callback(beside.close)
            found.append(Server(other, beside))
        yield found


def log_of(store: Store) -> list[tuple[Op, str, str | None]]:
    """Return what every entry of the log does, and to what."""
    rows = store.rows(TENANT, 0, 1_000)
    return [(event.op, event.kind, event.subject) for event in events_of(TENANT, rows)]


def test_what_a_hold_covers_stays_until_it_is_lifted(
    store: Store, servers: list[Server], ids: list[str]
) -> None:
    """Placed through one server, it holds through the other, against every way to touch it."""
    here, there = servers
    id = here.place("target:order:3")
    before = log_of(store)
    touching: list[Callable[[], object]] = [
        lambda: there.revise(ids[3]),
        lambda: there.retract(ids[3]),
        lambda: there.retract(ids[3], erase=True),
        lambda: there.ledger.erase(TENANT, [3], subject="x"),
        # One that is covered keeps all that would have gone with it.
        lambda: there.ledger.erase(TENANT, [2, 3, 4], subject="x"),
        lambda: there.ledger.retract_each(
            TENANT, there.ledger.views_at(TENANT, [2, 3]).values(), dialect="native"
        ),
    ]
    for touch in touching:
        with pytest.raises(UnderHold) as refusal:
            touch()
        assert refusal.value.hold == id
        assert id in str(refusal.value.hint)
    assert log_of(store) == before
    there.revise(ids[4])
    there.lift(id)
    here.revise(ids[3])
    here.retract(ids[3], erase=True)


@pytest.mark.parametrize(
    ("query", "options", "covered"),
    [
        ("*", {}, set(range(EVENTS))),
        ("kind:order.k1", {}, {1, 3, 5, 7, 9, 11}),
        ("target:order:3 OR target:order:5", {}, {3, 5}),
        ("data.number:4", {}, {4}),
        ("*", {"from_ms": 10_000}, {10, 11}),
        ("*", {"to_ms": 2_000}, {0, 1}),
        ("kind:order.*", {"from_ms": 3_000, "to_ms": 5_000}, {3, 4}),
        ("scope:workspace:1", {}, set()),
    ],
    ids=["all", "kind", "targets", "payload", "since", "until", "between", "nothing"],
)
def test_hold_covers_what_its_query_and_time_say(
    servers: list[Server], ids: list[str], query: str, options: dict[str, int], covered: set[int]
) -> None:
    servers[0].place(query, **options)
    refused = set[int]()
    for n, id in enumerate(ids):
        try:
            servers[1].retract(id)
        except UnderHold:
            refused.add(n)
    assert refused == covered


def test_event_is_held_as_recorded_and_as_it_is_shown(
    servers: list[Server], ids: list[str]
) -> None:
    here = servers[0]
    here.revise(ids[0])
    for query in ("data.number:0", "data.a:2"):
        id = here.place(query)
        with pytest.raises(UnderHold):
            here.retract(ids[0])
        here.lift(id)


def test_revision_is_held_with_its_event(
    store: Store, servers: list[Server], ids: list[str]
) -> None:
    servers[0].revise(ids[0])
    revision = len(log_of(store)) - 1
    servers[0].place("target:order:0")
    with pytest.raises(UnderHold):
        servers[0].ledger.erase(TENANT, [revision], subject="x")


def test_deletion_of_a_held_document_is_refused_and_a_new_version_is_not(
    servers: list[Server], recorder: Recorder
) -> None:
    def document(kind: str, data: Json) -> Draft:
        return Draft(kind=kind, op=Op.DOCUMENT, target=Resource("users", "kate"), data=data)

    recorder.append(TENANT, document("item.put", {"n": 1}))
    id = servers[0].place("target:users:kate")
    servers[1].ledger.append(TENANT, [document("item.put", {"n": 2})])
    for _ in range(2):
        with pytest.raises(UnderHold, match="users 'kate'"):
            servers[1].ledger.append(TENANT, [document("item.delete", {})])
    servers[1].lift(id)
    servers[0].ledger.append(TENANT, [document("item.delete", {})])


def test_hold_placed_between_check_and_commit_stops_the_commit(
    store: Store, servers: list[Server], ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other server places its hold at the worst moment: when this one has just looked."""
    here, there = servers
    guarded = here.ledger.holds.guarded

    def slow(tenant: str, items: list[Item]) -> object:
        found = guarded(tenant, items)
        there.place("target:order:1")
        return found

    monkeypatch.setattr(here.ledger.holds, "guarded", slow)
    monkeypatch.setattr(here.ledger, "administer", there.ledger.administer)
    before = len(log_of(store))
    with pytest.raises(StoreBusy, match="hold"):
        here.retract(ids[1], erase=True)
    assert len(log_of(store)) == before + 1
    monkeypatch.undo()
    with pytest.raises(UnderHold):
        here.retract(ids[1], erase=True)


def test_nothing_held_is_touched_after_the_hold_is_in_the_log(
    store: Store, servers: list[Server], ids: list[str]
) -> None:
    """Threads on both servers take events away while a hold is placed: each is gone before the
    hold's own entry, or stays."""
    first_gone = threading.Event()
    refused: list[TallystickError] = []

    def take(server: Server, mine: list[str]) -> None:
        for id in mine:
            try:
                server.retract(id, erase=True)
            except (StoreBusy, UnderHold) as error:
                refused.append(error)
            first_gone.set()

    threads = [threading.Thread(target=take, args=(servers[n % 2], ids[n::4])) for n in range(4)]
    for thread in threads:
        thread.start()
    assert first_gone.wait(30)
    servers[1].place("kind:order.*")
    for thread in threads:
        thread.join()
    log = log_of(store)
    placed = next(at for at, (_, kind, _) in enumerate(log) if kind == "hold.placed")
    gone = {subject for op, _, subject in log if op is Op.RETRACT}
    assert not [op for op, _, _ in log[placed:] if op in (Op.RETRACT, Op.ERASE, Op.REVISE)]
    assert len(gone) + len(refused) == EVENTS
    for id in set(ids) - gone:
        assert servers[0].ledger.get(TENANT, id, Everything()).event.data


def test_hold_is_lifted_once(servers: list[Server], ids: list[str]) -> None:
    here, there = servers
    id = here.place("*")
    late = here.ledger.holds.lifted(TENANT, id, reason="over", by=COUNSEL, now_ms=2)[1]
    there.lift(id)
    with pytest.raises(StoreBusy):
        here.ledger.administer(TENANT, late)
    with pytest.raises(Conflict, match="lifted already"):
        here.lift(id)
    with pytest.raises(NotFound):
        here.lift("another")
    (hold,) = here.ledger.holds.all(TENANT)
    assert (hold.active, hold.placed_by, hold.lifted_by, hold.lift_reason) == (
        False, COUNSEL, COUNSEL, "over"
    )  # fmt: skip
    assert here.ledger.holds.active(TENANT) == []


def test_id_of_a_hold_is_never_used_again(servers: list[Server], ids: list[str]) -> None:
    def place() -> None:
        act = holds.place(TENANT, "*", reason="r", by=COUNSEL, now_ms=1, id="matter-1")[1]
        servers[0].ledger.administer(TENANT, act)

    place()
    servers[1].lift("matter-1")
    with pytest.raises(Conflict):
        place()


def test_hold_of_one_tenant_is_nobody_elses(servers: list[Server], recorder: Recorder) -> None:
    recorder.append("other", draft(target=order("1")))
    recorder.append(TENANT, draft())
    servers[0].place("*")
    view = servers[1].ledger.view_at("other", 0)
    servers[1].ledger.retract("other", view.first.id, visible=Everything(), dialect="native")


def test_way_past_the_check_is_shut(servers: list[Server], ids: list[str]) -> None:
    item = Item(prepare(Draft(kind="order.k1", op=Op.RETRACT, subject=ids[1])))
    with pytest.raises(Unexpected):
        servers[0].ledger.submit(TENANT, [item], lambda work: None)


def test_hold_goes_along_into_another_store(
    store: Store, servers: list[Server], ids: list[str], tmp_path: Path
) -> None:
    servers[0].place("target:order:3")
    copied = open_sqlite(tmp_path / "copied.db")
    copy(store, copied)
    recorder = Recorder(copied, KEY)
    there = Server(copied, recorder)
    with pytest.raises(UnderHold):
        there.retract(ids[3])
    there.retract(ids[4])
    recorder.close()
    check_log(copied, KEY)
    copied.close()

"""The sequencer on a real store: what is committed together, what fails alone, who waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tallystick import limits
from tallystick.clock import ManualClock
from tallystick.errors import (
    Conflict,
    IdempotencyMismatch,
    NotFound,
    PreconditionFailed,
    SequencerFull,
    StoreBusy,
    StoreCorrupt,
    StoreFailed,
    TallystickError,
)
from tallystick.events import ids
from tallystick.events.entry import prepare
from tallystick.events.event import Expectation, HeadSlot, Op
from tallystick.log import pauses, sequencer
from tallystick.log.idempotency import claim_of_id
from tallystick.log.keys import LogKey
from tallystick.log.sequencer import Accepted, Item, Work
from tallystick.store.base import IdentityWrite, LogHead, TenantCommit, head_key
from tallystick.store.sqlite.store import SqliteStore, open_sqlite
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.frontier import Frontier
from tests.support.check import check_log
from tests.support.faulty_store import Fault, FaultyStore
from tests.support.recording import TENANT, Pending, Recorder, draft, order, origin_of

KEY = LogKey.generate()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteStore]:
    """Yield a store that is checked when the test ends."""
    store = open_sqlite(tmp_path / "log.db")
    yield store
    check_log(store, KEY)
    store.close()


@pytest.fixture
def faulty(sqlite: SqliteStore) -> FaultyStore:
    return FaultyStore(sqlite)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def recorder(faulty: FaultyStore, clock: ManualClock) -> Iterator[Recorder]:
    recorder = Recorder(faulty.store, KEY, clock)
    yield recorder
    recorder.close()


@pytest.fixture
def gather(faulty: FaultyStore, recorder: Recorder) -> Callable[..., list[Pending]]:
    """Return a function that queues works while a first one is held up, so that they meet."""

    def gathered(*submit: Callable[[], Pending]) -> list[Pending]:
        with faulty.held():
            first = recorder.submit(TENANT, draft())
            faulty.wait_for_transaction()
            pending = [each() for each in submit]
        first.accepted()
        for each in pending:
            each.outcomes()
        return pending

    return gathered


def claim(text: str, body: str = "") -> tuple[tuple[bytes, bytes], ...]:
    """Return a claim with the digest of what comes with it."""
    return ((b"k" + text.encode(), sha256(body.encode()).digest()),)


def claim_of(id: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the claim of a writer that brings an id."""
    return ((claim_of_id(id), sha256(b"").digest()),)


def test_single_event_commits_at_once(recorder: Recorder, faulty: FaultyStore) -> None:
    accepted = recorder.append(TENANT, draft())
    assert [each.index for each in accepted] == [0]
    assert faulty.transactions == 1


def test_what_gathers_during_a_commit_is_committed_together(
    recorder: Recorder, faulty: FaultyStore, gather: Callable[..., list[Pending]]
) -> None:
    pending = gather(*[lambda n=n: recorder.submit(TENANT, draft(n)) for n in range(50)])
    assert [each.accepted()[0].index for each in pending] == list(range(1, 51))
    assert faulty.transactions == 2


def test_store_for_many_tenants_commits_them_together(
    recorder: Recorder, faulty: FaultyStore, gather: Callable[..., list[Pending]]
) -> None:
    tenants = [f"tenant {n}" for n in range(10)]
    pending = gather(*[lambda t=t: recorder.submit(t, draft()) for t in tenants])
    assert [each.accepted()[0].index for each in pending] == [0] * 10
    assert faulty.transactions == 2


def test_one_bad_draft_among_many_fails_alone(
    recorder: Recorder, sqlite: SqliteStore, gather: Callable[..., list[Pending]]
) -> None:
    unmet = (Expectation(HeadSlot.EVENT, "order", "1", 77),)
    pending = gather(
        lambda: recorder.submit(TENANT, draft(1)),
        lambda: recorder.submit(TENANT, draft(2, expects=unmet)),
        lambda: recorder.submit(TENANT, draft(3)),
    )
    assert isinstance(pending[1].outcomes()[0], PreconditionFailed)
    assert [pending[n].accepted()[0].index for n in (0, 2)] == [1, 2]


def test_work_that_is_not_atomic_stores_all_but_the_bad(recorder: Recorder) -> None:
    unmet = (Expectation(HeadSlot.EVENT, "order", "1", 77),)
    drafts = [draft(0), draft(1, expects=unmet), draft(2)]
    outcomes = recorder.submit(TENANT, *drafts, atomic=False).outcomes()
    assert isinstance(outcomes[1], PreconditionFailed)
    assert [o.index for o in outcomes if isinstance(o, Accepted)] == [0, 1]


def test_atomic_work_with_a_bad_draft_leaves_no_trace(
    recorder: Recorder, sqlite: SqliteStore
) -> None:
    """Neither its heads nor its claims may be visible to what follows in the same batch."""
    unmet = (Expectation(HeadSlot.EVENT, "order", "9", 77),)
    first = draft(0, target=order("1"), claims=claim("a"))
    bad = recorder.submit(TENANT, first, draft(1, expects=unmet))
    assert [type(outcome) for outcome in bad.outcomes()] == [PreconditionFailed] * 2
    assert sqlite.log_head(TENANT) is None
    fresh = (Expectation(HeadSlot.EVENT, "order", "1", None),)
    again = draft(2, target=order("1"), claims=claim("a", "other"), expects=fresh)
    assert recorder.append(TENANT, again)[0].index == 0


def test_atomic_work_is_rewound_within_its_batch(
    recorder: Recorder, gather: Callable[..., list[Pending]]
) -> None:
    unmet = (Expectation(HeadSlot.EVENT, "order", "9", 77),)
    fresh = (Expectation(HeadSlot.EVENT, "order", "1", None),)
    bad, good = gather(
        lambda: recorder.submit(
            TENANT, draft(0, target=order("1"), claims=claim("a")), draft(1, expects=unmet)
        ),
        lambda: recorder.submit(
            TENANT, draft(2, target=order("1"), claims=claim("a", "other"), expects=fresh)
        ),
    )
    assert isinstance(bad.outcomes()[0], PreconditionFailed)
    assert good.accepted()[0].index == 1


def test_claim_that_comes_again_is_answered_with_the_first_event(recorder: Recorder) -> None:
    recorder.append(TENANT, draft(0), draft(1, claims=claim("a")))
    again = recorder.append(TENANT, draft(1, claims=claim("a")), draft(2))
    assert [(each.index, each.replayed) for each in again] == [(1, True), (2, False)]


def test_claim_that_comes_again_with_another_body_is_refused(recorder: Recorder) -> None:
    recorder.append(TENANT, draft(1, claims=claim("a", "body")))
    with pytest.raises(IdempotencyMismatch):
        recorder.append(TENANT, draft(2, claims=claim("a", "another body")))


def test_claim_is_known_by_the_digest_that_an_earlier_version_made(recorder: Recorder) -> None:
    stored = recorder.append(TENANT, draft(1, claims=claim("a", "as written")))
    digest = claim("a", "as written")[0][1]
    again = draft(1, claims=claim("a", "values"), earlier_digests=(lambda: digest,))
    assert recorder.append(TENANT, again)[0].index == stored[0].index
    other = draft(1, claims=claim("a", "values"), earlier_digests=(lambda: b"other",))
    with pytest.raises(IdempotencyMismatch):
        recorder.append(TENANT, other)


def test_claims_meet_within_one_batch(
    recorder: Recorder, gather: Callable[..., list[Pending]]
) -> None:
    pending = gather(*[lambda: recorder.submit(TENANT, draft(1, claims=claim("a")))] * 3)
    assert [each.accepted()[0].index for each in pending] == [1, 1, 1]
    assert [each.accepted()[0].replayed for each in pending] == [False, True, True]


def test_id_that_the_log_assigned_cannot_be_brought_again(recorder: Recorder) -> None:
    """Two entries with one id could not be told apart, and only one of them would be found."""
    [assigned] = recorder.append(TENANT, draft(0))
    id = assigned.id
    with pytest.raises(IdempotencyMismatch):
        recorder.append(TENANT, draft(1, id=id, claims=claim_of(id)))
    with pytest.raises(IdempotencyMismatch):
        recorder.append(TENANT, draft(1), draft(2, id=id, claims=claim_of(id)))
    # The event itself is answered again; it is found at its id alone.
    [again] = recorder.append(TENANT, draft(0, id=id, occurred_ms=assigned.recorded_ms))
    assert (again.index, again.replayed) == (0, True)
    assert recorder.append(TENANT, draft(3))[0].index == 1
    assert recorder.append("another", draft(0), draft(1, id=id, claims=claim_of(id)))[1].id == id


def test_foreign_id_that_only_looks_like_one_of_ours_is_kept(recorder: Recorder) -> None:
    recorder.append(TENANT, draft(0), draft(1))
    for id in (ids.event_id(1, 0, 7), ids.event_id(1, 1 << 39, 7)):
        for replayed in (False, True):
            [accepted] = recorder.append(TENANT, draft(2, id=id, claims=claim_of(id)))
            assert accepted.replayed == replayed


def test_claims_of_tenants_are_their_own(recorder: Recorder) -> None:
    assert not recorder.append("one", draft(1, claims=claim("a")))[0].replayed
    assert not recorder.append("two", draft(1, claims=claim("a", "other")))[0].replayed


def test_conditional_drafts_meet_within_one_batch(
    recorder: Recorder, gather: Callable[..., list[Pending]]
) -> None:
    """Two writers that saw the same state: the first wins, the second learns of it."""
    nothing = (Expectation(HeadSlot.DOCUMENT, "order", "1", None),)
    put = {"op": Op.DOCUMENT, "kind": "item.put", "target": order("1"), "expects": nothing}
    first, second = gather(*[lambda: recorder.submit(TENANT, draft(1, **put))] * 2)
    assert first.accepted()[0].index == 1
    assert isinstance(second.outcomes()[0], PreconditionFailed)


def test_conditional_draft_follows_the_head_it_saw(recorder: Recorder, sqlite: SqliteStore) -> None:
    def put(expected: int | None, kind: str = "item.put") -> Accepted:
        expects = (Expectation(HeadSlot.DOCUMENT, "order", "1", expected),)
        put = draft(1, op=Op.DOCUMENT, kind=kind, target=order("1"), expects=expects)
        return recorder.append(TENANT, put)[0]

    assert [put(None).index, put(0).index, put(1, "item.delete").index] == [0, 1, 2]
    with pytest.raises(PreconditionFailed):
        put(1)
    key = head_key(HeadSlot.DOCUMENT, "order", "1")
    assert not sqlite.resource_heads(TENANT, [key])[key].live


def test_recorded_time_never_decreases_when_the_clock_steps_back(
    recorder: Recorder, clock: ManualClock
) -> None:
    now_ms = clock.now_ms()
    times = [recorder.append(TENANT, draft())[0].recorded_ms]
    clock.advance(-3_600_000)
    times.append(recorder.append(TENANT, draft())[0].recorded_ms)
    clock.set(now_ms + 5)
    times.append(recorder.append(TENANT, draft())[0].recorded_ms)
    assert times == [now_ms, now_ms, now_ms + 5]


def test_millisecond_grows_where_the_idtimestamp_wraps(
    sqlite: SqliteStore, faulty: FaultyStore
) -> None:
    """At index 2^24 the low bits of an idtimestamp start again; a log that long is too long for a
    test, so the planner is asked on top of a head that says it is."""
    from tallystick.log.commit_plan import Planner

    index = 1 << 24
    clock_ms = ManualClock().now_ms()
    signer = KEY.signer(origin_of(TENANT))
    frontier = Frontier(index - 2, [bytes(32)] * (index - 2).bit_count())
    checkpoint = sign_checkpoint(signer, signer.name, index - 2, frontier.root())
    head = LogHead(
        TENANT, signer.name, signer.key_id, index - 2, frontier.to_bytes(),
        frontier.root(), checkpoint, clock_ms,
    )  # fmt: skip
    with sqlite.transaction() as writer:
        planner = Planner(writer, TENANT, head, clock_ms)
        items = [Item(prepare(draft(n))) for n in range(4)]
        planner.add([Work(TENANT, items, lambda _: None)])
    rows = planner.rows
    assert [row.index for row in rows] == list(range(index - 2, index + 2))
    assert [row.recorded_ms - clock_ms for row in rows] == [0, 0, 1, 1]
    stamps = [ids.idtimestamp(row.recorded_ms, row.index) for row in rows]
    assert stamps == sorted(set(stamps))


def test_full_queue_pushes_back_and_harms_nobody(
    recorder: Recorder, faulty: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUEUE_EVENTS", 10)
    with faulty.held():
        pending = [recorder.submit(TENANT, draft())]
        faulty.wait_for_transaction()
        pending += [recorder.submit(TENANT, draft(n)) for n in range(5)]
        with pytest.raises(SequencerFull) as refused:
            recorder.submit(TENANT, draft(5))
        assert refused.value.retry_after_s > 0
        assert recorder.sequencer.queued[0] == 5
        pending.append(recorder.submit("another tenant", draft()))
    for each in pending:
        each.accepted()
    assert recorder.sequencer.queued == (0, 0)


def test_queue_is_bounded_in_bytes(
    recorder: Recorder, faulty: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUEUE_BYTES", 10_000)
    with faulty.held():
        pending = [recorder.submit(TENANT, draft())]
        faulty.wait_for_transaction()
        large = draft(data={"text": "x" * 4_000})
        pending.append(recorder.submit(TENANT, large))
        with pytest.raises(SequencerFull):
            recorder.submit(TENANT, large)
    for each in pending:
        each.accepted()


def test_commit_is_bounded_in_events(
    recorder: Recorder,
    faulty: FaultyStore,
    gather: Callable[..., list[Pending]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "COMMIT_EVENTS", 10)
    gather(*[lambda: recorder.submit(TENANT, *map(draft, range(6)))] * 3)
    assert faulty.transactions == 4


def test_busy_tenant_does_not_starve_another(
    recorder: Recorder,
    faulty: FaultyStore,
    gather: Callable[..., list[Pending]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fifty works of one tenant wait when another sends one: it is in the very next commit."""
    monkeypatch.setattr(limits, "COMMIT_EVENTS", 4)
    finished: list[str] = []

    def submit(tenant: str) -> Pending:
        items = [Item(prepare(draft()), origin=origin_of(tenant))]
        pending = Pending(tenant, items, done=lambda: finished.append(tenant))
        recorder.sequencer.submit(pending.work)
        return pending

    gather(*[lambda: submit("busy")] * 50, lambda: submit("quiet"))
    assert finished.index("quiet") < 4


def test_close_commits_what_is_queued(recorder: Recorder, faulty: FaultyStore) -> None:
    with faulty.held():
        pending = [recorder.submit(TENANT, draft(n)) for n in range(20)]
        closing = threading.Thread(target=recorder.close)
        closing.start()
    closing.join(30)
    assert not closing.is_alive()
    assert all(each.done for each in pending)
    assert sorted(each.accepted()[0].index for each in pending) == list(range(20))
    with pytest.raises(StoreBusy):
        recorder.submit(TENANT, draft())


def test_tenant_without_a_log_is_not_found(recorder: Recorder, sqlite: SqliteStore) -> None:
    pending = Pending("nobody", [Item(prepare(draft()))])
    recorder.sequencer.submit(pending.work)
    assert isinstance(pending.outcomes()[0], NotFound)
    assert sqlite.log_heads() == []


def test_work_without_items_is_answered(recorder: Recorder) -> None:
    assert recorder.submit(TENANT).outcomes() == []
    recorder.append(TENANT, draft())
    assert recorder.submit(TENANT).outcomes() == []


def test_identity_that_collides_fails_alone(
    recorder: Recorder, sqlite: SqliteStore, gather: Callable[..., list[Pending]]
) -> None:
    def key(id: str) -> IdentityWrite:
        return IdentityWrite(TENANT, "key", id, b"{}", (("key", "same"),))

    recorder.append(TENANT, draft(), identity=[key("1")])
    before, colliding, after = gather(
        lambda: recorder.submit(TENANT, draft(1)),
        lambda: recorder.submit(TENANT, draft(2), identity=[key("2")]),
        lambda: recorder.submit(TENANT, draft(3)),
    )
    assert isinstance(colliding.outcomes()[0], Conflict)
    assert [before.accepted()[0].index, after.accepted()[0].index] == [2, 3]
    found = sqlite.find_identity("key", "same")
    assert found is not None
    assert found.id == "1"


FAULTS = [StoreFailed("the disk is full"), StoreBusy("the database went away"), KeyError("driver")]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_error_before_the_write_stores_nothing(
    recorder: Recorder, faulty: FaultyStore, sqlite: SqliteStore, error: Exception
) -> None:
    recorder.append(TENANT, draft(0))
    faulty.faults.append(Fault(error, persists=False))
    outcome = recorder.submit(TENANT, draft(1)).outcomes()[0]
    assert isinstance(outcome, TallystickError)
    assert len(sqlite.rows(TENANT, 0, 10)) == 1
    assert recorder.append(TENANT, draft(1))[0].index == 1


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_error_after_the_write_is_found_out(
    recorder: Recorder, faulty: FaultyStore, sqlite: SqliteStore, error: Exception
) -> None:
    """The commit took effect and only its answer got lost: the events are acknowledged."""
    recorder.append(TENANT, draft(0))
    faulty.faults.append(Fault(error, persists=True))
    assert recorder.append(TENANT, draft(1))[0].index == 1
    assert recorder.append(TENANT, draft(2))[0].index == 2
    assert len(sqlite.rows(TENANT, 0, 10)) == 3


def test_error_after_the_write_is_found_out_for_each_tenant(
    recorder: Recorder, faulty: FaultyStore, gather: Callable[..., list[Pending]]
) -> None:
    faulty.faults.extend([None, Fault(StoreBusy(), persists=True)])
    pending = gather(*[lambda t=t: recorder.submit(t, draft()) for t in ("one", "two", "three")])
    assert [each.accepted()[0].index for each in pending] == [0, 0, 0]


def test_outcome_is_awaited_while_the_store_is_away(
    recorder: Recorder, faulty: FaultyStore
) -> None:
    """Attempts to re-read the head fail as well, in whatever way; nobody is told anything wrong."""
    recorder.append(TENANT, draft(0))
    faulty.faults.append(Fault(StoreBusy(), persists=True))
    faulty.faults.extend(Fault(error, persists=False) for error in (*FAULTS, OSError("driver")))
    assert recorder.append(TENANT, draft(1))[0].index == 1


def test_outcome_that_cannot_be_found_out_is_said_to_be_unknown(
    recorder: Recorder, faulty: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.log.sequencer._RECHECKS", 2)
    recorder.append(TENANT, draft(0))
    faulty.faults.extend([Fault(StoreBusy(), persists=True)] * 3)
    outcome = recorder.submit(TENANT, draft(1)).outcomes()[0]
    assert isinstance(outcome, StoreBusy)
    assert "may or may not be stored" in outcome.message


def test_listener_that_fails_harms_nobody(sqlite: SqliteStore) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a listener's own problem")

    recorder = Recorder(sqlite, KEY, committed=fail)
    broken = Work(TENANT, [Item(prepare(draft()), origin=origin_of(TENANT))], fail)
    recorder.sequencer.submit(broken)
    assert recorder.append(TENANT, draft(1))[0].index == 1
    recorder.close()


def test_listener_learns_of_a_commit_before_whoever_waits(sqlite: SqliteStore) -> None:
    told: list[str] = []
    recorder = Recorder(
        sqlite, KEY, committed=lambda heads, stats: told.append(f"{heads[0].size}/{stats.events}")
    )
    items = [Item(prepare(draft(n)), origin=origin_of(TENANT)) for n in range(3)]
    pending = Pending(TENANT, items, done=lambda: told.append("done"))
    recorder.sequencer.submit(pending.work)
    pending.accepted()
    recorder.close()
    assert told == ["3/3", "done"]


def test_another_key_refuses_to_extend(sqlite: SqliteStore, recorder: Recorder) -> None:
    recorder.append(TENANT, draft(0))
    stranger = Recorder(sqlite, LogKey.generate())
    with pytest.raises(StoreCorrupt, match="another key"):
        stranger.append(TENANT, draft(1))
    assert [type(each) for each in stranger.sequencer.failures.values()] == [StoreCorrupt]
    stranger.close()
    assert recorder.append(TENANT, draft(1))[0].index == 1


def test_head_that_moved_stops_the_sequencer(sqlite: SqliteStore) -> None:
    """A log is never forked, whatever went wrong before: the store refuses another continuation."""
    recorder = Recorder(sqlite, KEY)
    recorder.append(TENANT, draft(0))
    recorder.close()
    head = sqlite.log_head(TENANT)
    assert head is not None
    stale = TenantCommit(old_size=5, head=head._replace(size=6), rows=(), prepared=())
    with pytest.raises(StoreCorrupt), sqlite.transaction() as writer:
        writer.append(stale)
    assert sqlite.log_head(TENANT) == head


def test_many_threads_get_dense_indexes(sqlite: SqliteStore) -> None:
    recorder = Recorder(sqlite, KEY)
    pending: list[Pending] = []

    def write() -> None:
        for n in range(100):
            pending.append(recorder.submit(TENANT, draft(n)))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    indexes = sorted(each.accepted()[0].index for each in pending)
    recorder.close()
    assert indexes == list(range(800))


def test_tiles_are_complete_at_every_size(sqlite: SqliteStore) -> None:
    """Commits that end before, at and after the edge of a tile, and one over several tiles."""
    recorder = Recorder(sqlite, KEY)
    sizes = (255, 1, 1, 255, 600, 424)
    for count in sizes:
        recorder.append(TENANT, *map(draft, range(count)))
        check_log(sqlite, KEY)
    recorder.close()
    assert check_log(sqlite, KEY).tiles == sum(sizes) // 256


def test_followers_that_are_overrun_have_a_share_of_the_time_and_no_more(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[float] = []

    def pause_s(took_s: float) -> float:
        paused.append(took_s)
        return 0.0

    monkeypatch.setattr(sequencer, "pause_s", pause_s)
    overrun = True
    recorder = Recorder(sqlite, KEY, overrun=lambda: overrun)
    for index in range(3):
        assert recorder.append(TENANT, draft())[0].index == index
    overrun = False
    recorder.append(TENANT, draft())
    recorder.close()
    assert len(paused) == 3
    assert all(took_s > 0 for took_s in paused)


@pytest.mark.parametrize(("took_s", "pause"), [(0.0, 0.0), (0.01, 0.001), (5.0, 0.01)])
def test_the_share_of_followers(took_s: float, pause: float) -> None:
    assert pauses.pause_s(took_s) == pytest.approx(pause)


def test_passing_fault_of_a_shard_is_tried_again_at_once(
    recorder: Recorder, faulty: FaultyStore
) -> None:
    """What a shard that moves refuses once it takes the second time; nobody has to send again."""
    moving = Fault(StoreBusy("a shard is being moved", again=True), persists=False)
    faulty.faults += [moving, None]
    assert recorder.append(TENANT, draft(0))[0].index == 0
    # The one that looks whether something was stored after all comes in between.
    faulty.faults += [moving, None, moving]
    with pytest.raises(StoreBusy):
        recorder.append(TENANT, draft(1))
    assert recorder.append(TENANT, draft(2))[0].index == 1

"""Retention: what is due by the log's own clock, what a run removes, and what keeps it."""

from __future__ import annotations

import msgspec
import pytest

from tallystick.errors import Conflict, InvalidQuery, Malformed, NotFound
from tallystick.events import erased_sections
from tallystick.events.event import CLOCK_CONFIRMED, Draft, Event, Json, Op, Resource
from tallystick.identity.policies import RetentionPolicy
from tallystick.ledger import holds
from tallystick.ledger.log_time import DAY_MS, LogTimes
from tallystick.ledger.retention import PolicyPlan
from tallystick.log.idempotency import claim_event
from tallystick.log.views import event_of
from tallystick.maintenance import fsck
from tallystick.node.node import Node
from tallystick.query.expr import Everything
from tallystick.query.question import Find
from tests.ledger.canary import CANARY, PHONE, places_holding
from tests.ledger.clocked import AHEAD_DAYS, START_MS, SetClock, clock, node

__all__ = ["clock", "node"]

BY = Resource("user", "dpo")


def record(node: Node, kind: str = "k", **members: object) -> int:
    draft = Draft(**{"kind": kind, "data": {"n": 1}, **members})  # type: ignore[arg-type]
    return node.ledger.append("acme", [draft])[0].index


def keep(
    node: Node,
    id: str = "p",
    query: str = "*",
    days: int | None = 30,
    floor: int | None = None,
    *,
    confirm: bool = False,
) -> RetentionPolicy:
    policy = RetentionPolicy(
        id=id, tenant="acme", query=query, days=days, floor=floor,
        set_ms=node.clock.now_ms(), set_by=BY,
    )  # fmt: skip
    return node.retention.set_policy(policy, confirm=confirm)


def pass_days(node: Node, clock: SetClock, days: int) -> None:
    """Let days pass in a log in which something is recorded every day."""
    for _ in range(days):
        clock.ms += DAY_MS
        node.ledger.append("acme", [Draft(kind="daily", op=Op.SYSTEM)])


def run(node: Node, **how: object) -> dict[str, PolicyPlan]:
    """Run all policies and compare that with the dry run before it."""
    planned = node.retention.plan("acme", **how)  # type: ignore[arg-type]
    _, done = node.retention.run("acme", by=BY, **how)  # type: ignore[arg-type]
    assert msgspec.to_builtins(planned.policies) == msgspec.to_builtins(done.policies)
    return done.policies


def shown(node: Node) -> list[int]:
    """Return the events that lists, counts and search show; all have to agree."""
    found = node.ledger.find("acme", Find(limit=100), Everything())
    listed = sorted(hit.index for hit in found.hits)
    assert node.ledger.count("acme", Everything(), Everything()) == len(listed)
    return listed


def at(node: Node, index: int) -> Event:
    return event_of("acme", node.store.rows_at("acme", [index])[index])


def entries(node: Node, kind: str) -> list[Event]:
    head = node.store.log_head("acme")
    assert head is not None
    rows = node.store.rows("acme", 0, head.size)
    return [event for row in rows if (event := event_of("acme", row)).kind == kind]


def difference(node: Node) -> str | None:
    report = fsck.check(node.store, lambda origin: node.key.signer(origin).verifier, replay=True)
    return report.difference


def test_old_events_go_and_young_ones_stay(node: Node, clock: SetClock) -> None:
    old = [record(node, target=Resource("order", "17", "Canary"), data={"n": n}) for n in range(3)]
    keep(node)
    pass_days(node, clock, 31)
    young = record(node)
    done = run(node, confirm=True)
    assert (done["p"].events, done["p"].ranges) == (3, [[old[0], old[-1] + 1]])
    assert shown(node) == [young]
    assert all(at(node, index).erased == ("target", "data") for index in old)
    view = node.ledger.view_at("acme", old[0])
    assert (view.removed, view.retracted) == (True, True)
    with pytest.raises(NotFound):
        node.ledger.get("acme", at(node, old[0]).id, Everything())
    assert node.ledger.resource("acme", "order", "17") is None
    assert run(node)["p"].events == 0
    report = fsck.check(node.store, lambda origin: node.key.signer(origin).verifier, replay=True)
    assert (report.difference, report.removed, report.erased) == (None, 6, 0)
    for name in ("views", "search"):
        node.index.rebuild(name, lambda done, total: None)
    assert shown(node) == [young]


def test_run_is_an_entry_with_policy_count_ranges_and_root(node: Node, clock: SetClock) -> None:
    first = record(node)
    keep(node)
    pass_days(node, clock, 31)
    before = node.store.log_head("acme")
    assert before is not None
    id, _ = node.retention.run("acme", by=BY, confirm=True)
    [noted] = entries(node, "retention.run")
    from tallystick.tlog.encoding import to_base64

    assert noted.data == {
        "policy": "p", "run": id, "size": before.size, "root": to_base64(before.root),
        "count": 1, "ranges": [[first, first + 1]], "blocked": {}, "left": 0,
    }  # fmt: skip
    assert (noted.op, noted.actor) == (Op.SYSTEM, BY)
    [erasure] = entries(node, "erase")
    assert erased_sections.policy_of(erasure.data) == "p"
    assert [each.index for each in erased_sections.decode(erasure)] == [first]
    policy = node.retention.policy("acme", "p")
    assert (policy.runs, policy.removed) == (1, 1)


def test_at_most_a_twentieth_goes_unless_confirmed(node: Node, clock: SetClock) -> None:
    for n in range(60):
        record(node, data={"n": n})
    keep(node)
    pass_days(node, clock, 31)
    head = node.store.log_head("acme")
    assert head is not None
    done = run(node)
    assert done["p"].events == head.size // 20
    assert done["p"].left == 60 - head.size // 20
    assert shown(node)[0] == done["p"].ranges[0][1], "the oldest go first"
    assert run(node, confirm=True)["p"].events == 60 - head.size // 20
    assert shown(node) == []


def test_holds_and_compliance_win(node: Node, clock: SetClock) -> None:
    held, free = record(node, "held"), record(node, "free")
    keep(node)
    _, act = holds.place("acme", "kind:held", reason="m", by=BY, now_ms=START_MS, id="m-1")
    node.ledger.administer("acme", act)
    pass_days(node, clock, 31)
    done = run(node, confirm=True)
    assert (done["p"].events, done["p"].blocked) == (1, {"m-1": 1})
    assert shown(node) == [held]
    _, act = node.ledger.holds.lifted("acme", "m-1", reason="over", by=BY, now_ms=clock.ms)
    node.ledger.administer("acme", act)
    _, act = node.ledger.holds.comply(
        "acme", until_ms=clock.ms + 2 * DAY_MS, reason="17a-4", by=BY, now_ms=clock.ms
    )
    node.ledger.administer("acme", act)
    assert run(node, confirm=True)["p"].blocked == {"compliance": 1}
    pass_days(node, clock, 3)
    assert run(node, confirm=True)["p"].events == 1
    assert free not in shown(node)
    assert difference(node) is None


def test_floor_of_one_policy_keeps_events_from_another(node: Node, clock: SetClock) -> None:
    audit, other = record(node, "audit.login"), record(node, "view")
    keep(node, "all", "*", 10)
    keep(node, "audit", "kind:audit.*", None, 40)
    pass_days(node, clock, 11)
    assert run(node, confirm=True)["all"].ranges == [[other, other + 1]]
    pass_days(node, clock, 30)
    assert run(node, confirm=True)["all"].ranges == [[audit, audit + 1]]


def test_clock_set_ahead_removes_nothing(node: Node, clock: SetClock) -> None:
    """Goal: age is the log's. A clock far ahead lets one day pass, until it is confirmed."""
    record(node)
    keep(node)
    clock.ms += AHEAD_DAYS * DAY_MS
    record(node)
    assert run(node, confirm=True)["p"].events == 0
    draft = Draft(kind=CLOCK_CONFIRMED, op=Op.SYSTEM, target=Resource("clock", "acme"))
    node.ledger.append("acme", [draft])
    assert run(node, confirm=True)["p"].events == 1


def test_confirmation_counts_the_steps_before_it_in_full(node: Node, clock: SetClock) -> None:
    record(node, "before")
    clock.ms += 40 * DAY_MS
    after = record(node, "after")
    draft = Draft(kind=CLOCK_CONFIRMED, op=Op.SYSTEM, target=Resource("clock", "acme"))
    node.ledger.append("acme", [draft])
    keep(node)
    assert run(node, confirm=True)["p"].events == 1
    assert shown(node) == [after]


def test_times_of_a_log_do_not_depend_on_when_it_is_measured(node: Node, clock: SetClock) -> None:
    steps = [1, DAY_MS, 5 * DAY_MS, 0, 3, 40 * DAY_MS, DAY_MS // 2]
    for n, step in enumerate(steps):
        clock.ms += step
        kind = CLOCK_CONFIRMED if n == 3 else "k"
        node.ledger.append("acme", [Draft(kind=kind, op=Op.SYSTEM)])
    head = node.store.log_head("acme")
    assert head is not None
    whole, stepwise = LogTimes(node.store), LogTimes(node.store)
    for size in range(1, head.size + 1):
        stepwise.time_ms("acme", size)
    now_ms = whole.now_ms("acme", head.size, clock.ms)
    assert now_ms == START_MS + 1 + 6 * DAY_MS + 3 + DAY_MS + DAY_MS // 2
    for time_ms in range(START_MS - DAY_MS, now_ms + DAY_MS, DAY_MS // 4):
        count = whole.recorded_until("acme", head.size, time_ms)
        assert count == stepwise.recorded_until("acme", head.size, time_ms)
    assert whole.recorded_until("acme", head.size, now_ms) == head.size
    assert whole.recorded_until("acme", head.size, START_MS - 1) == 0


def test_revisions_and_digests_of_retries_go_too(node: Node, clock: SetClock) -> None:
    draft = Draft(kind="k", data={"phone": "+49 171 5550481"})
    claim_event(draft, "key-1", {"phone": "+49 171 5550481"})
    [accepted] = node.ledger.append("acme", [draft])
    for n in range(3):
        node.ledger.revise("acme", accepted.id, {"n": n}, visible=Everything(), dialect="native")
    retracted = node.ledger.append("acme", [Draft(kind="k", data={"n": 9})])[0]
    node.ledger.retract("acme", retracted.id, visible=Everything(), dialect="native")
    keep(node)
    pass_days(node, clock, 31)
    run(node, confirm=True)
    assert [e.erased for e in entries(node, "k") if e.op in (Op.RECORD, Op.REVISE)] == [
        ("data",), *[("place", "data")] * 3, ("data",),
    ]  # fmt: skip
    claims = node.store.scan_claims("acme", b"", 10)
    assert [claim.digest for claim in claims] == [b""]
    assert difference(node) is None


def test_policies_are_never_shortened_silently(node: Node) -> None:
    keep(node, days=100, floor=50)
    for change in ({"days": 60, "floor": 50}, {"days": 100, "floor": 10}, {"query": "kind:x"}):
        wanted = {"days": 100, "floor": 50, **change}
        with pytest.raises(Conflict, match="earlier"):
            keep(node, **wanted)  # type: ignore[arg-type]
    keep(node, days=200, floor=60)
    keep(node, days=60, floor=60, confirm=True)
    with pytest.raises(Conflict, match="60 days"):
        node.retention.delete_policy("acme", "p", by=BY, reason=None, confirm=False)
    node.retention.delete_policy("acme", "p", by=BY, reason="over", confirm=True)
    with pytest.raises(NotFound):
        node.retention.policy("acme", "p")
    told = [event.data for event in entries(node, "policy.set")]
    assert [("shortened" in each) for each in told] == [False, False, True]
    assert difference(node) is None


@pytest.mark.parametrize(
    "wanted",
    [{"days": None}, {"days": -1}, {"days": 5, "floor": 9}, {"id": "a/b"}, {"query": "(("}],
)
def test_policy_that_means_nothing_is_refused(node: Node, wanted: Json) -> None:
    with pytest.raises((Malformed, InvalidQuery)):
        keep(node, **wanted)


def test_runs_by_themselves_come_once_an_interval(node: Node, clock: SetClock) -> None:
    record(node)
    keep(node, days=2)
    for day in range(24):
        assert node.retention.run_due(clock.ms, DAY_MS) == []
        assert node.retention.run_due(clock.ms, DAY_MS) == []
        assert len(entries(node, "retention.run")) == day + 1
        clock.ms += DAY_MS
    assert shown(node) == [], "an idle log grows older by the entries of its runs"
    clock.ms -= 10 * DAY_MS
    assert node.retention.run_due(clock.ms, DAY_MS) == []
    assert len(entries(node, "retention.run")) == 25


def test_records_that_contradict_their_entries_are_found(node: Node) -> None:
    policy = keep(node)
    from tallystick.identity.records import to_write

    changed = to_write(msgspec.structs.replace(policy, days=1))
    write = changed._replace(replaces=msgspec.json.encode(policy))
    from tallystick.events import entry
    from tallystick.log.commit_plan import Item

    node.ledger.append_all("acme", [Item(entry.prepare(Draft(kind="x", op=Op.SYSTEM)), (write,))])
    assert "days" in (difference(node) or "")


def test_nothing_of_what_was_removed_is_left_in_any_file(node: Node, clock: SetClock) -> None:
    who = Resource("user", "481", CANARY, {"phone": PHONE})
    index = record(node, actor=who, target=who, data={"to": PHONE}, trails=(CANARY,))
    id = at(node, index).id
    node.ledger.revise("acme", id, {"to": [PHONE]}, visible=Everything(), dialect="native")
    assert shown(node) == [index]
    assert places_holding(node, [CANARY, PHONE]) != []
    keep(node, days=0)
    run(node, confirm=True)
    assert shown(node) == []
    assert places_holding(node, [CANARY, PHONE]) == []
    assert difference(node) is None

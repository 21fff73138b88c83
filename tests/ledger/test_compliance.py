"""Compliance: nothing is taken away before a date, by the log's own clock."""

from __future__ import annotations

import msgspec
import pytest

from tallystick.errors import Conflict, Malformed, StoreCorrupt, UnderHold
from tallystick.events.event import CLOCK_CONFIRMED, Draft, Op, Resource
from tallystick.ledger.holds import Hold
from tallystick.ledger.log_time import DAY_MS
from tallystick.maintenance import fsck
from tallystick.node.node import Node
from tallystick.query.expr import Everything
from tallystick.store.base import IdentityWrite, TenantCommit
from tests.ledger.clocked import AHEAD_DAYS, START_MS, SetClock, clock, node

__all__ = ["clock", "node"]

BY = Resource("user", "dpo")


def comply(node: Node, days: float) -> Hold:
    hold, act = node.ledger.holds.comply(
        "acme", until_ms=START_MS + int(days * DAY_MS), reason="17a-4", by=BY,
        now_ms=node.clock.now_ms(),
    )  # fmt: skip
    node.ledger.administer("acme", act)
    return hold


def record(node: Node, kind: str = "k", op: Op = Op.RECORD) -> str:
    return node.ledger.append("acme", [Draft(kind=kind, op=op, data={"n": 1})])[0].id


def erase(node: Node, id: str) -> None:
    node.ledger.erase_event("acme", id, visible=Everything())


def difference(node: Node) -> str | None:
    report = fsck.check(node.store, lambda origin: node.key.signer(origin).verifier, replay=True)
    return report.difference


def test_nothing_is_taken_away_before_the_date(node: Node, clock: SetClock) -> None:
    id = record(node)
    comply(node, 3)
    with pytest.raises(UnderHold, match="compliance keeps event"):
        erase(node, id)
    with pytest.raises(UnderHold):
        node.ledger.revise("acme", id, {}, visible=Everything(), dialect="native")
    with pytest.raises(Conflict, match="nobody ends it"):
        node.ledger.holds.lifted("acme", "compliance", reason="r", by=BY, now_ms=clock.ms)
    for day in range(1, 4):
        clock.ms = START_MS + day * DAY_MS
        record(node)
    erase(node, id)
    assert difference(node) is None


def test_compliance_is_lengthened_and_never_shortened(node: Node) -> None:
    comply(node, 3)
    for days in (1, 3):
        with pytest.raises(Conflict, match="only ever lengthened"):
            comply(node, days)
    assert comply(node, 5).until_ms == START_MS + 5 * DAY_MS
    assert difference(node) is None


def test_date_that_is_past_is_refused(node: Node) -> None:
    with pytest.raises(Malformed):
        comply(node, 0)


def test_clock_set_ahead_ends_nothing_until_it_is_confirmed(node: Node, clock: SetClock) -> None:
    id = record(node)
    comply(node, 30)
    clock.ms += AHEAD_DAYS * DAY_MS
    for _ in range(3):
        record(node)
    with pytest.raises(UnderHold):
        erase(node, id)
    record(node, CLOCK_CONFIRMED, Op.SYSTEM)
    erase(node, id)


def test_shortened_record_lets_nothing_go(node: Node) -> None:
    id = record(node)
    hold = comply(node, 30)
    row = node.store.identity("acme", "hold", hold.id)
    assert row is not None
    shorter = msgspec.json.encode(msgspec.structs.replace(hold, until_ms=START_MS))
    with node.store.transaction() as writer:
        head = writer.head("acme")
        assert head is not None
        write = IdentityWrite("acme", "hold", hold.id, shorter, replaces=row.doc)
        writer.append(TenantCommit(head.size, head, (), (), identity=[write]))
    with pytest.raises(StoreCorrupt):
        erase(node, id)
    assert "until_ms" in (difference(node) or "")

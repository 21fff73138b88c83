"""A state machine drives the ledger against a plain list of what must be in it.

Appends (alone, whole batches, batches with bad members), retries, revisions, retractions,
conditional writes, reads and restarts come in any order; after every step the whole log is
verified from its bytes.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tallystick.clock import ManualClock
from tallystick.errors import (
    IdempotencyMismatch,
    NotFound,
    PreconditionFailed,
    TallystickError,
)
from tallystick.events.entry import digest_of, prepare
from tallystick.events.event import Draft, Expectation, HeadSlot, Op, Resource
from tallystick.identity import acts
from tallystick.log.idempotency import claim_of_id
from tallystick.log.sequencer import Item
from tallystick.node.node import Node, open_node
from tallystick.query.expr import Eq, Everything
from tallystick.query.question import Find
from tallystick.settings import Settings
from tests.support.live_server import check_node

TENANT = "t"
KINDS = st.sampled_from(["order.created", "order.updated", "note"])
TARGETS = st.sampled_from(["a", "b", "c"])
DATA = st.dictionaries(
    st.sampled_from(["x", "y"]), st.none() | st.booleans() | st.integers() | st.text(max_size=5)
)


@dataclass
class Known:
    """What the model knows of one event."""

    id: str
    index: int
    kind: str
    target: str
    occurred_ms: int
    data: dict[str, Any]
    revision: int
    retracted: bool = False
    revisions: list[int] = field(default_factory=list)


class LedgerMachine(RuleBasedStateMachine):
    """Drives one tenant's log on a real file."""

    events = Bundle("events")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tallystick-machine-"))
        self.clock = ManualClock()
        self.node = self.open()
        _, act = acts.create_tenant(TENANT, server_name="s", now_ms=self.clock.now_ms())
        self.node.ledger.administer(TENANT, act)
        self.model: list[Known] = []
        self.size = 1
        self.opened_at = 1
        self.documents: dict[str, tuple[int, bool]] = {}

    def open(self) -> Node:
        return open_node(self.folder, Settings(), followers=False, clock=self.clock)

    def teardown(self) -> None:
        if hasattr(self, "node"):
            self.node.close()
            shutil.rmtree(self.folder)

    def draft(self, kind: str, target: str, data: dict[str, Any], **more: Any) -> Draft:
        return Draft(kind=kind, target=Resource("thing", target), data=data, **more)

    def learn(self, draft: Draft, index: int, id: str, occurred_ms: int) -> Known:
        assert draft.target is not None
        assert index == self.size
        known = Known(id, index, draft.kind, draft.target.id, occurred_ms, draft.data, index)
        self.model.append(known)
        self.size += 1
        return known

    @rule(by_ms=st.integers(-5_000, 5_000))
    def time_passes(self, by_ms: int) -> None:
        self.clock.advance(by_ms)

    @rule(target=events, kind=KINDS, to=TARGETS, data=DATA, back_ms=st.integers(0, 10_000))
    def append(self, kind: str, to: str, data: dict[str, Any], back_ms: int) -> Known:
        draft = self.draft(kind, to, data, occurred_ms=self.clock.now_ms() - back_ms)
        accepted = self.node.ledger.append(TENANT, [draft])[0]
        return self.learn(draft, accepted.index, accepted.id, accepted.occurred_ms)

    @rule(
        batch=st.lists(st.tuples(KINDS, TARGETS, DATA), min_size=1, max_size=4), bad=st.booleans()
    )
    def append_whole_batch(self, batch: list[tuple[str, str, dict[str, Any]]], bad: bool) -> None:
        drafts = [self.draft(*members) for members in batch]
        if bad:
            never = Expectation(HeadSlot.EVENT, "thing", "nobody", 5)
            drafts.append(self.draft("note", "a", {}, expects=(never,)))
        try:
            accepted = self.node.ledger.append(TENANT, drafts)
        except PreconditionFailed:
            assert bad
            return
        assert not bad
        for draft, one in zip(drafts, accepted, strict=True):
            self.learn(draft, one.index, one.id, one.occurred_ms)

    @rule(batch=st.lists(st.tuples(KINDS, TARGETS, DATA), max_size=3), at=st.integers(0, 3))
    def a_bad_member_fails_alone(
        self, batch: list[tuple[str, str, dict[str, Any]]], at: int
    ) -> None:
        never = Expectation(HeadSlot.EVENT, "thing", "nobody", 5)
        drafts = [self.draft(*members) for members in batch]
        bad = self.draft("note", "a", {}, expects=(never,))
        drafts.insert(min(at, len(drafts)), bad)
        outcomes = self.node.ledger.append_each(TENANT, [Item(prepare(d)) for d in drafts])
        for draft, outcome in zip(drafts, outcomes, strict=True):
            if draft is bad:
                assert isinstance(outcome, PreconditionFailed)
            else:
                assert not isinstance(outcome, TallystickError)
                self.learn(draft, outcome.index, outcome.id, outcome.occurred_ms)

    @rule(target=events, to=TARGETS, data=DATA, times=st.integers(1, 3), change=st.booleans())
    def append_with_an_id_again_and_again(
        self, to: str, data: dict[str, Any], times: int, change: bool
    ) -> Known:
        event_id = str(uuid.uuid4())
        claim = ((claim_of_id(event_id), digest_of(data)),)
        draft = self.draft("note", to, data, id=event_id, claims=claim)
        first = self.node.ledger.append(TENANT, [draft])[0]
        known = self.learn(draft, first.index, first.id, first.occurred_ms)
        for _ in range(times - 1):
            again = self.node.ledger.append(TENANT, [draft])[0]
            assert (again.index, again.replayed) == (first.index, True)
        if change:
            other = self.draft(
                "note", to, {"z": 1}, id=event_id, claims=((claim[0][0], digest_of({"z": 1})),)
            )
            try:
                self.node.ledger.append(TENANT, [other])
            except IdempotencyMismatch:
                return known
            raise AssertionError("another body was accepted under the same id")
        return known

    @rule(known=events, data=DATA, stale=st.booleans())
    def revise(self, known: Known, data: dict[str, Any], stale: bool) -> None:
        expected = known.revision - 1 if stale else known.revision
        try:
            view = self.node.ledger.revise(
                TENANT,
                known.id,
                data,
                visible=Everything(),
                dialect="native",
                expected=frozenset((expected,)),
            )
        except NotFound:
            assert known.retracted
        except PreconditionFailed:
            assert stale
        else:
            assert not stale
            assert not known.retracted
            assert view.revision == self.size
            known.data, known.revision = data, self.size
            known.revisions.append(self.size)
            self.size += 1

    @rule(known=events, erase=st.booleans())
    def retract(self, known: Known, erase: bool) -> None:
        try:
            self.node.ledger.retract(
                TENANT, known.id, visible=Everything(), dialect="native", erase=erase
            )
        except NotFound:
            assert known.retracted
        else:
            assert not known.retracted
            known.retracted = True
            self.size += 2 if erase else 1

    @rule(key=TARGETS, data=DATA, right=st.booleans(), delete=st.booleans())
    def put_document_conditionally(
        self, key: str, data: dict[str, Any], right: bool, delete: bool
    ) -> None:
        index = self.documents[key][0] if key in self.documents else None
        expected = index if right else (index or 0) + 1
        draft = Draft(
            kind="item.delete" if delete else "item.put",
            op=Op.DOCUMENT,
            target=Resource("doc", key),
            data=data,
            expects=(Expectation(HeadSlot.DOCUMENT, "doc", key, expected),),
        )
        try:
            accepted = self.node.ledger.append(TENANT, [draft])[0]
        except PreconditionFailed:
            assert not right
        else:
            assert right
            assert accepted.index == self.size
            self.documents[key] = (self.size, not delete)
            self.size += 1

    # Otherwise two steps of five would be a start after which nothing was stored.
    @precondition(lambda self: self.size > self.opened_at)
    @rule()
    def restart(self) -> None:
        self.node.close()
        self.node = self.open()
        self.opened_at = self.size

    @rule(known=events)
    def read_one(self, known: Known) -> None:
        try:
            view = self.node.ledger.get(TENANT, known.id.upper(), Everything())
        except NotFound:
            assert known.retracted
        else:
            assert not known.retracted
            assert (view.event.data, view.revision) == (known.data, known.revision)

    @rule(kind=st.none() | KINDS, limit=st.integers(1, 5))
    def list_newest(self, kind: str | None, limit: int) -> None:
        where = Everything() if kind is None else Eq("kind", kind)
        page = self.node.ledger.find(
            TENANT, Find(where=where, limit=limit, total=True), Everything()
        )
        shown = [k for k in self.model if not k.retracted and kind in (None, k.kind)]
        shown.sort(key=lambda k: (k.occurred_ms, k.index), reverse=True)
        assert [view.index for view in page.views] == [k.index for k in shown[:limit]]
        assert [view.event.data for view in page.views] == [k.data for k in shown[:limit]]
        assert page.total == len(shown)
        assert page.more == (len(shown) > limit)

    @rule(key=TARGETS)
    def read_document(self, key: str) -> None:
        index, live = self.documents.get(key, (None, False))
        found = self.node.ledger.document(TENANT, "doc", key)
        assert (found.index if found else None) == (index if live else None)

    @invariant()
    def the_log_is_whole(self) -> None:
        if hasattr(self, "node"):
            check_node(self.node)
            head = self.node.store.log_head(TENANT)
            assert head is not None
            assert head.size == self.size


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

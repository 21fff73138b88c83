"""Writing events in tests without a server: a sequencer on a store, waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from tallystick.clock import Clock, ManualClock
from tallystick.errors import TallystickError
from tallystick.events.entry import prepare
from tallystick.events.event import Draft, Resource
from tallystick.log.keys import LogKey
from tallystick.log.sequencer import Accepted, CommitListener, Item, Outcome, Sequencer, Work
from tallystick.store.base import Erasure, IdentityWrite, Store

TENANT = "acme"
WAIT_S = 60


def draft(number: int = 0, **changes: Any) -> Draft:
    """Return a small draft that differs by `number`."""
    given: dict[str, Any] = {"kind": "order.created", "data": {"number": number}}
    return Draft(**(given | changes))


def order(id: str) -> Resource:
    """Return a resource to write about."""
    return Resource("order", id)


def origin_of(tenant: str) -> str:
    """Return the origin that tests give the log of a tenant."""
    return f"log.test/{sha256(tenant.encode()).hexdigest()[:16]}"


class Pending:
    """A work on its way through the sequencer; `done` is told before whoever waits for it."""

    def __init__(
        self,
        tenant: str,
        items: Sequence[Item],
        *,
        atomic: bool = True,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._finished = threading.Event()
        self._told = done
        self.work = Work(tenant, items, self._finish, atomic=atomic)

    def _finish(self, _: Work) -> None:
        self._told()
        self._finished.set()

    @property
    def done(self) -> bool:
        """Whether the outcome is known."""
        return self._finished.is_set()

    def outcomes(self) -> list[Outcome]:
        """Wait for the outcome of every item."""
        assert self._finished.wait(WAIT_S), "the sequencer does not answer"
        return self.work.outcomes

    def accepted(self) -> list[Accepted]:
        """Wait until every item is stored, raising the first error."""
        outcomes = self.outcomes()
        for outcome in outcomes:
            if isinstance(outcome, TallystickError):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, Accepted)]


class Recorder:
    """A sequencer that makes the log of a tenant when it is first written to."""

    def __init__(
        self,
        store: Store,
        key: LogKey,
        clock: Clock | None = None,
        committed: CommitListener = lambda heads, stats: None,
        overrun: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store = store
        self.sequencer = Sequencer(
            store, key, clock or ManualClock(), committed=committed, overrun=overrun
        )

    def submit(
        self,
        tenant: str,
        *drafts: Draft,
        atomic: bool = True,
        identity: Sequence[IdentityWrite] = (),
        erasures: Sequence[Erasure] = (),
    ) -> Pending:
        """Queue drafts; what else must become true goes with the first of them."""
        items = [Item(prepare(each), origin=origin_of(tenant)) for each in drafts]
        if items:
            items[0] = items[0]._replace(identity=tuple(identity), erasures=tuple(erasures))
        pending = Pending(tenant, items, atomic=atomic)
        self.sequencer.submit(pending.work)
        return pending

    def append(
        self,
        tenant: str,
        *drafts: Draft,
        identity: Sequence[IdentityWrite] = (),
        erasures: Sequence[Erasure] = (),
    ) -> list[Accepted]:
        """Store drafts as one, waiting until they are durable."""
        return self.submit(tenant, *drafts, identity=identity, erasures=erasures).accepted()

    def fill(self, tenant: str, count: int, *, at_once: int = 1_000) -> None:
        """Store `count` small events."""
        for start in range(0, count, at_once):
            self.append(tenant, *map(draft, range(start, min(start + at_once, count))))

    def close(self) -> None:
        """Let the sequencer finish."""
        self.sequencer.close()

"""The sequencer: the one place where events get their position in a log.

Works wait in a queue, bounded in count and bytes, in a lane per tenant; a thread takes what is
there, has it planned, and commits it in one transaction; then everybody who waited is told at once.
When nothing else waits, a single event commits immediately: the batch is whatever gathered while
the previous commit was being flushed. A work that fails, fails alone.

Stores that hold one tenant in a transaction get several threads, each on a tenant of its own.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import structlog

from tallystick import limits
from tallystick.clock import Clock
from tallystick.errors import (
    NotFound,
    SequencerFull,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFailed,
    TallystickError,
    for_operator,
)
from tallystick.log.clock_step import require_in_step
from tallystick.log.commit_plan import Accepted, Item, Outcome, Planner, Work
from tallystick.log.head_proof import Precondition, ProvenHeads, is_being_copied
from tallystick.log.keys import LogKey
from tallystick.log.lane import Lane
from tallystick.log.pauses import pause_s
from tallystick.store.base import Erasure, LogHead, Store, TenantCommit, Writer

__all__ = [
    "Accepted",
    "CommitListener",
    "CommitStats",
    "Item",
    "Outcome",
    "Sequencer",
    "Work",
]

_RECHECKS = 20
_GATHER_S = 0.002
_PAUSE_S = 0.010
_RECHECK_WAIT_S_MAX = 1.0

_log = structlog.get_logger(__name__)


class CommitStats(NamedTuple):
    """What one transaction did, for metrics."""

    events: int
    duration_s: float
    identity_changed: bool
    erased: Mapping[str, Sequence[Erasure]] = {}  # what lost content, by tenant


CommitListener = Callable[[Sequence[LogHead], CommitStats], None]


class Sequencer:
    """Orders events, one lane a tenant, and commits them in batches.

    `committed` is called after each transaction, from the sequencer's thread, before the waiting
    requests are told: followers learn of new heads there. While `overrun` says that they cannot
    keep up, commits leave them a share of the time, however far they are behind.

    Before anything is signed on top of a head that this sequencer did not write itself, the head
    is proven, and `precondition` is asked when that happens for the first time. A log whose head
    cannot be proven is written to no more; other logs go on.
    """

    def __init__(
        self,
        store: Store,
        key: LogKey,
        clock: Clock,
        *,
        committed: CommitListener = lambda heads, stats: None,
        overrun: Callable[[], bool] = lambda: False,
        precondition: Precondition = lambda reads, tenant, head: None,
        threads: int = 4,
    ) -> None:
        self._store = store
        self._key = key
        self._clock = clock
        self._committed = committed
        self._overrun = overrun
        self._heads = ProvenHeads(key, precondition)
        # Guarded by `_condition`: why logs are not written to, by tenant.
        self._stopped: dict[str, TallystickError] = {}
        # Guarded by `_condition`: lanes, queued counts, busy tenants, wanted, stopping.
        self._condition = threading.Condition()
        self._lanes: OrderedDict[str, Lane] = OrderedDict()
        self._busy: set[str] = set()
        self._queued_events = 0
        self._queued_bytes = 0
        self._wanted = 1
        self._stopping = False
        # Of the latest commit; only its thread looks at them.
        self._last_events = 1
        self._committed_s = 0.0
        self.failure: TallystickError | None = None
        self._threads = [
            threading.Thread(target=self._run, name=f"sequencer-{n}", daemon=True)
            for n in range(1 if store.many_tenants else threads)
        ]
        for thread in self._threads:
            thread.start()

    def refuse(self, error: TallystickError, tenant: str | None = None) -> None:
        """Take nothing from now on, or nothing for one tenant, and say why to every caller."""
        with self._condition:
            if tenant is None:
                self.failure = error
            else:
                self._stopped.setdefault(tenant, error)

    @property
    def failures(self) -> dict[str | None, TallystickError]:
        """Why nothing is written, by tenant; None stands for all of them."""
        with self._condition:
            everything = {} if self.failure is None else {None: self.failure}
            return everything | {tenant: self._stopped[tenant] for tenant in sorted(self._stopped)}

    def prove(self, tenants: Sequence[str], *, deadline_s: float) -> int:
        """Prove the heads of logs before anybody writes to them; return how many were looked at.

        Those that are left when time is up are proven before their first commit, as all would be.
        """
        end_s = time.monotonic() + deadline_s
        for done, tenant in enumerate(tenants):
            if time.monotonic() > end_s:
                return done
            try:
                with self._store.transaction() as writer:
                    self._heads.proven(writer, tenant)
            except StoreCorrupt as error:
                self.refuse(error, tenant)
            except (StoreBusy, StoreError) as error:
                _log.warning("head_not_proven", tenant=tenant, reason=for_operator(error))
        return len(tenants)

    def proven(self, tenants: Sequence[str]) -> list[LogHead]:
        """Return the heads of those logs that were proven or written, and that are not stopped."""
        with self._condition:
            heads = [self._heads.known(each) for each in tenants if each not in self._stopped]
            return [head for head in heads if head is not None]

    @property
    def queued(self) -> tuple[int, int]:
        """Events and bytes that wait to be committed."""
        return self._queued_events, self._queued_bytes

    def submit(self, work: Work) -> None:
        """Queue `work`; its `done` is called from the sequencer's thread.

        Raises: SequencerFull when the tenant's share of the queue is used up, StoreBusy after
        `close`, the fatal error once the sequencer has stopped itself.
        """
        with self._condition:
            if self.failure is not None:
                raise self.failure
            if work.tenant in self._stopped:
                raise self._stopped[work.tenant]
            if self._stopping:
                raise StoreBusy("the server is shutting down")
            lane = self._lanes.get(work.tenant) or Lane()
            if self._is_full(lane, work):
                raise SequencerFull(
                    f"{self._queued_events:,} events are waiting to be written",
                    hint="retry after the given time",
                )
            lane.put(work)
            self._lanes[work.tenant] = lane
            self._queued_events += len(work.items)
            self._queued_bytes += work.size_bytes
            # One thread is enough, and none for a tenant whose thread looks again by itself.
            is_wanted = self._wanted == 1 or self._queued_events >= self._wanted
            if is_wanted and work.tenant not in self._busy:
                self._condition.notify()

    def _is_full(self, lane: Lane, work: Work) -> bool:
        """Tell whether a tenant would hold more than it leaves free for the others.

        One busy tenant gets half of the queue, two get a third each, and so on: there is
        always room for one more.
        """
        if not lane.works and not self._queued_events:
            return False
        free_events = limits.QUEUE_EVENTS - self._queued_events
        free_bytes = limits.QUEUE_BYTES - self._queued_bytes
        return (
            lane.events + len(work.items) > free_events
            or lane.size_bytes + work.size_bytes > free_bytes
        )

    def close(self) -> None:
        """Commit what is queued, then stop; idempotent."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._ready():
                    if self._stopping and not self._lanes:
                        return
                    self._condition.wait()
                self._gather()
                batch = self._take()
                tenants = {work.tenant for work in batch}
                self._busy |= tenants
            try:
                started_s = time.monotonic()
                self._commit(batch)
                if self._overrun() and not self._stopping:
                    time.sleep(pause_s(time.monotonic() - started_s))
            except StoreCorrupt as error:
                self._stop_for_good(error, batch)
            finally:
                with self._condition:
                    self._busy -= tenants
                    if self._stopping:
                        self._condition.notify_all()

    def _gather(self) -> None:
        """Under load, wait a little until as much waits as the last commit held.

        A commit and the requests that feed it then take turns with the interpreter instead of
        taking it from each other. After a pause, or for one caller alone, nothing is waited for.
        """
        now_s = time.monotonic()
        if not self._store.many_tenants or now_s - self._committed_s > _PAUSE_S:
            return
        self._wanted = self._last_events
        give_up_s = now_s + _GATHER_S
        while self._queued_events < self._wanted and not self._stopping and now_s < give_up_s:
            self._condition.wait(give_up_s - now_s)
            now_s = time.monotonic()
        self._wanted = 1

    def _ready(self) -> bool:
        return any(tenant not in self._busy for tenant in self._lanes)

    def _take(self) -> list[Work]:
        """Take works round robin over the tenants, up to the size of one commit."""
        batch: list[Work] = []
        events = size_bytes = 0
        free = [tenant for tenant in self._lanes if tenant not in self._busy]
        if not self._store.many_tenants:
            free = free[:1]
        while free:
            for tenant in tuple(free):
                lane = self._lanes[tenant]
                work = lane.works[0]
                if batch and (
                    work.alone
                    or batch[0].alone
                    or events + len(work.items) > limits.COMMIT_EVENTS
                    or size_bytes + work.size_bytes > limits.COMMIT_BYTES
                ):
                    free.clear()
                    break
                batch.append(lane.take())
                events += len(work.items)
                size_bytes += work.size_bytes
                if not lane.works:
                    del self._lanes[tenant]
                    free.remove(tenant)
        # A tenant that was served goes to the back, so that no tenant starves another.
        for tenant in {work.tenant for work in batch} & self._lanes.keys():
            self._lanes.move_to_end(tenant)
        self._queued_events -= events
        self._queued_bytes -= size_bytes
        return batch

    def _commit(self, batch: Sequence[Work]) -> None:
        started_s = time.perf_counter()
        plans, error = self._write(batch)
        if isinstance(error, StoreBusy) and error.again and not plans:
            for work in batch:
                work.outcomes = []
            plans, error = self._write(batch)
        stats = CommitStats(
            sum(len(plan.rows) for plan in plans),
            time.perf_counter() - started_s,
            any(plan.identity for plan in plans),
            {plan.head.tenant: plan.erasures for plan in plans if plan.erasures},
        )
        self._last_events, self._committed_s = max(stats.events, 1), time.monotonic()
        for plan in plans:
            self._heads.written(plan.head)
        self._tell(plans, stats, batch)

    def _write(self, batch: Sequence[Work]) -> tuple[list[TenantCommit], TallystickError | None]:
        """Write works in one transaction; return what is stored, and why the rest surely is not."""
        by_tenant: dict[str, list[Work]] = {}
        for work in batch:
            by_tenant.setdefault(work.tenant, []).append(work)
        plans: list[TenantCommit] = []
        try:
            with self._store.transaction() as writer:
                for tenant, works in by_tenant.items():
                    plan = self._plan(writer, tenant, works)
                    if plan is not None:
                        plans.append(plan)
                        writer.append(plan)
        except StoreCorrupt:
            raise
        except TallystickError as error:
            if isinstance(error, StoreBusy | StoreError):
                _log.warning("commit_failed", reason=for_operator(error))
            return plans, error if self._settle(plans, batch, error) else None
        except Exception as error:  # whatever a store lets through must not stop the sequencer
            _log.exception("commit_failed")
            failed = StoreFailed(f"the store failed: {type(error).__name__}")
            return plans, failed if self._settle(plans, batch, failed) else None
        return plans, None

    def _plan(self, writer: Writer, tenant: str, works: list[Work]) -> TenantCommit | None:
        try:
            head = self._heads.proven(writer, tenant)
        except StoreCorrupt as error:
            self._stop_log(tenant, error, works)
            return None
        origin = works[0].origin if head is None else head.origin
        if origin is None:
            for work in works:
                work.fail(NotFound(f"no such tenant: {tenant!r}"))
            return None
        if head is not None and is_being_copied(head):
            for work in works:
                work.fail(StoreBusy(f"the log of {tenant!r} is still being copied"))
            return None
        now_ms = self._clock.now_ms()
        try:
            require_in_step(now_ms, writer.now_ms())
        except StoreFailed as error:
            _log.error("clock_ahead", tenant=tenant, reason=error.message)
            for work in works:
                work.fail(error)
            return None
        planner = Planner(writer, tenant, head, now_ms)
        planner.add(works)
        if not planner.rows:
            return None
        return planner.finish(self._key.signer(origin))

    def _stop_log(self, tenant: str, error: TallystickError, works: Sequence[Work]) -> None:
        """Write to one log no more, whose works are taken and wait; readers and others go on."""
        _log.error("writing_stopped", tenant=tenant, reason=for_operator(error))
        with self._condition:
            self._stopped.setdefault(tenant, error)
            lane = self._lanes.pop(tenant, Lane())
            self._queued_events -= lane.events
            self._queued_bytes -= lane.size_bytes
        for work in (*works, *lane.works):
            work.fail(error)
        self._tell((), CommitStats(0, 0.0, False), lane.works)

    def _settle(
        self, plans: list[TenantCommit], batch: Sequence[Work], error: TallystickError
    ) -> bool:
        """After a failed or unanswered commit, find out which tenants' events are stored.

        Tells whether that is known of all.
        """
        stored: set[str] = set()
        unknown: set[str] = set()
        for plan in plans:
            is_stored = self._is_stored(plan)
            if is_stored is None:
                unknown.add(plan.head.tenant)
            elif is_stored:
                stored.add(plan.head.tenant)
        for work in batch:
            if work.tenant in unknown:
                work.fail(_outcome_unknown())
            elif work.tenant not in stored:
                work.fail(error)
        plans[:] = [plan for plan in plans if plan.head.tenant in stored]
        return not unknown

    def _is_stored(self, plan: TenantCommit) -> bool | None:
        """Tell whether a commit took effect after all; None when nobody can be asked.

        Asking with the log held makes the answer final: a commit that the database is still busy
        with holds it too.
        """
        tenant, last = plan.head.tenant, plan.rows[-1]
        for attempt in range(_RECHECKS):
            try:
                with self._store.transaction() as writer:
                    head = writer.head(tenant)
                    if head is None or head.size <= last.index:
                        return False
                    return writer.leaves(tenant, last.index, last.index + 1) == [last.leaf]
            except StoreCorrupt:
                raise
            except Exception:  # as above: nothing that a store lets through may end the thread
                # The database may be on its way back; nobody can be told anything before.
                time.sleep(min(0.05 * 2**attempt, _RECHECK_WAIT_S_MAX))
        return None

    def _tell(
        self, plans: Sequence[TenantCommit], stats: CommitStats, batch: Sequence[Work]
    ) -> None:
        """Notify followers, then all waiting works; one that fails harms no other."""
        try:
            if plans:
                self._committed([plan.head for plan in plans], stats)
        except Exception:
            _log.exception("commit_listener_failed")
        for work in batch:
            try:
                work.done(work)
            except Exception:
                _log.exception("waiting_request_failed", tenant=work.tenant)

    def _stop_for_good(self, error: TallystickError, batch: Sequence[Work]) -> None:
        _log.error("writing_stopped", reason=for_operator(error))
        with self._condition:
            self.failure = error
            waiting = [work for lane in self._lanes.values() for work in lane.works]
            self._lanes.clear()
            self._queued_events = self._queued_bytes = 0
        for work in (*batch, *waiting):
            work.fail(error)
        self._tell((), CommitStats(0, 0.0, False), (*batch, *waiting))


def _outcome_unknown() -> StoreBusy:
    return StoreBusy(
        "the connection to the store was lost; the events may or may not be stored",
        hint="send them again with the same id or Idempotency-Key",
    )

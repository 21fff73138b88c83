"""The sequencer: the one place where events get their position in a log.

Works wait in a queue, bounded in count and bytes, in a lane per tenant; a thread takes what is
there, seals it, and commits it in one transaction; then everybody who waited is told at once.
When nothing else waits, a single event commits immediately: the batch is whatever gathered while
the previous commit was being flushed. A work that fails, fails alone.

Stores that hold one tenant in a transaction get several threads, each on a tenant of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tallystick import entry, ids, limits
from tallystick.clock import Clock
from tallystick.entry import Prepared, Sealed
from tallystick.errors import (
    IdempotencyMismatch,
    NotFound,
    PreconditionFailed,
    SequencerFull,
    StoreBusy,
    StoreCorrupt,
    StoreFailed,
    TallystickError,
)
from tallystick.event import HeadSlot, Op
from tallystick.keys import LogKey
from tallystick.store.base import (
    Claim,
    Erasure,
    IdentityWrite,
    LogHead,
    ResourceHead,
    Store,
    TenantCommit,
    Tile,
    Writer,
    head_key,
)
from tallystick.tlog import tile
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.frontier import Frontier
from tallystick.tlog.note import Signer

_TILE_WIDTH = 256
_RECHECKS = 20


class Item(NamedTuple):
    """A prepared draft and what else must become true in the same transaction."""

    prepared: Prepared
    identity: tuple[IdentityWrite, ...] = ()
    erasures: tuple[Erasure, ...] = ()
    origin: str | None = None
    """Names the tenant's new log; only the first item of a new tenant has one."""


class Accepted(NamedTuple):
    """Where an event was stored; `replayed` when it already was, by an earlier request."""

    index: int
    id: str
    recorded_ms: int
    occurred_ms: int
    replayed: bool = False


Outcome = Accepted | TallystickError


class Work:
    """Items of one request and the outcome of each, once `done` was called.

    An `atomic` work is stored whole or not at all; its first failure is every item's outcome.
    """

    __slots__ = ("alone", "atomic", "done", "items", "outcomes", "size_bytes", "tenant")

    def __init__(
        self,
        tenant: str,
        items: Sequence[Item],
        done: Callable[[Work], None],
        *,
        atomic: bool = True,
    ) -> None:
        self.tenant = tenant
        self.items = items
        self.done = done
        self.atomic = atomic
        self.size_bytes = sum(item.prepared.size_bytes for item in items)
        # Identity may collide with what is stored; alone in its transaction it harms nobody else.
        self.alone = any(item.identity for item in items)
        self.outcomes: list[Outcome] = []

    def fail(self, error: TallystickError) -> None:
        """Give every item the same failure as its outcome."""
        self.outcomes = [error] * len(self.items)


class CommitStats(NamedTuple):
    """What one transaction did, for metrics."""

    events: int
    duration_s: float
    identity_changed: bool


CommitListener = Callable[[Sequence[LogHead], CommitStats], None]


class Sequencer:
    """Orders events, one lane a tenant, and commits them in batches.

    `committed` is called after each transaction, from the sequencer's thread, before the waiting
    requests are told: followers learn of new heads there.
    """

    def __init__(
        self,
        store: Store,
        key: LogKey,
        clock: Clock,
        *,
        committed: CommitListener = lambda heads, stats: None,
        threads: int = 4,
    ) -> None:
        self._store = store
        self._key = key
        self._clock = clock
        self._committed = committed
        # Guarded by `_condition`: lanes, queued counts, busy tenants, stopping.
        self._condition = threading.Condition()
        self._lanes: OrderedDict[str, deque[Work]] = OrderedDict()
        self._busy: set[str] = set()
        self._queued_events = 0
        self._queued_bytes = 0
        self._stopping = False
        self.failure: TallystickError | None = None
        self._threads = [
            threading.Thread(target=self._run, name=f"sequencer-{n}", daemon=True)
            for n in range(1 if store.many_tenants else threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued(self) -> tuple[int, int]:
        """Events and bytes that wait to be committed."""
        return self._queued_events, self._queued_bytes

    def submit(self, work: Work) -> None:
        """Queue `work`; its `done` is called from the sequencer's thread.

        Raises: SequencerFull when the queue is full, StoreFailed after `close`, the fatal error
        once the sequencer has stopped itself.
        """
        with self._condition:
            if self.failure is not None:
                raise self.failure
            if self._stopping:
                raise StoreBusy("the server is shutting down")
            if (
                self._queued_events + len(work.items) > limits.QUEUE_EVENTS
                or self._queued_bytes + work.size_bytes > limits.QUEUE_BYTES
            ) and self._queued_events:
                raise SequencerFull(
                    f"{self._queued_events:,} events are waiting to be written",
                    hint="send again after the given time",
                )
            self._queued_events += len(work.items)
            self._queued_bytes += work.size_bytes
            lane = self._lanes.get(work.tenant)
            if lane is None:
                lane = self._lanes[work.tenant] = deque()
            lane.append(work)
            if len(self._threads) == 1:
                self._condition.notify()
            else:
                self._condition.notify_all()

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
                batch = self._take()
                tenants = {work.tenant for work in batch}
                self._busy |= tenants
            try:
                self._commit(batch)
            except StoreCorrupt as error:
                self._stop_for_good(error, batch)
            finally:
                with self._condition:
                    self._busy -= tenants
                    self._condition.notify_all()

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
                work = lane[0]
                if batch and (
                    work.alone
                    or batch[0].alone
                    or events + len(work.items) > limits.COMMIT_EVENTS
                    or size_bytes + work.size_bytes > limits.COMMIT_BYTES
                ):
                    free.clear()
                    break
                batch.append(lane.popleft())
                events += len(work.items)
                size_bytes += work.size_bytes
                if not lane:
                    del self._lanes[tenant]
                    free.remove(tenant)
        # Whoever was served goes to the back, so that no tenant starves another.
        for tenant in {work.tenant for work in batch} & self._lanes.keys():
            self._lanes.move_to_end(tenant)
        self._queued_events -= events
        self._queued_bytes -= size_bytes
        return batch

    def _commit(self, batch: Sequence[Work]) -> None:
        by_tenant: dict[str, list[Work]] = {}
        for work in batch:
            by_tenant.setdefault(work.tenant, []).append(work)
        started_s = time.perf_counter()
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
            self._settle(plans, batch, error)
        except Exception as error:  # whatever a store lets through must not stop the sequencer
            self._settle(plans, batch, StoreFailed(f"the store failed: {type(error).__name__}"))
        stats = CommitStats(
            sum(len(plan.rows) for plan in plans),
            time.perf_counter() - started_s,
            any(plan.identity for plan in plans),
        )
        heads = [plan.head for plan in plans]
        if heads:
            self._committed(heads, stats)
        for work in batch:
            work.done(work)

    def _plan(self, writer: Writer, tenant: str, works: list[Work]) -> TenantCommit | None:
        head = writer.head(tenant)
        origin = works[0].items[0].origin if head is None else head.origin
        if origin is None:
            for work in works:
                work.fail(NotFound(f"there is no tenant {tenant!r}"))
            return None
        signer = self._key.signer(origin)
        if head is not None and head.key_id != signer.key_id:
            raise StoreCorrupt(
                f"the log of {tenant!r} is signed with another key",
                hint="start the server with the signing key that the log names",
            )
        planner = _Planner(writer, tenant, head, max(self._clock.now_ms(), _recorded_ms(head)))
        for work in works:
            planner.add(work)
        if not planner.rows:
            return None
        return planner.finish(signer)

    def _settle(
        self, plans: list[TenantCommit], batch: Sequence[Work], error: TallystickError
    ) -> None:
        """After a failed or unanswered commit, find out which tenants' events are stored."""
        stored = {p.head.tenant for p in plans if self._is_stored(p)}
        for work in batch:
            if work.tenant not in stored:
                work.fail(error)
        plans[:] = [plan for plan in plans if plan.head.tenant in stored]

    def _is_stored(self, plan: TenantCommit) -> bool:
        tenant, last = plan.head.tenant, plan.rows[-1]
        for attempt in range(_RECHECKS):
            try:
                return self._store.leaves(tenant, last.index, last.index + 1) == [last.leaf]
            except StoreCorrupt:
                raise
            except TallystickError:
                # The database may be on its way back; nobody can be told anything before.
                time.sleep(min(0.05 * 2**attempt, 1.0))
        return False

    def _stop_for_good(self, error: TallystickError, batch: Sequence[Work]) -> None:
        with self._condition:
            self.failure = error
            waiting = [work for lane in self._lanes.values() for work in lane]
            self._lanes.clear()
            self._queued_events = self._queued_bytes = 0
        for work in (*batch, *waiting):
            work.fail(error)
            work.done(work)


class _Planner:
    """Gives the works of one tenant their places, on top of what the transaction can see."""

    def __init__(self, writer: Writer, tenant: str, head: LogHead | None, now_ms: int) -> None:
        self._writer = writer
        self._tenant = tenant
        self._head = head
        self._now_ms = now_ms
        self._size = 0 if head is None else head.size
        self._heads: dict[bytes, ResourceHead] = {}
        self._claims: dict[bytes, Claim] = {}
        self.rows: list[Sealed] = []
        self._prepared: list[Prepared] = []
        self._identity: list[IdentityWrite] = []
        self._erasures: list[Erasure] = []

    def add(self, work: Work) -> None:
        """Decide the outcome of every item of `work`, sealing those that are accepted."""
        found = self._look_up(work.items)
        mark = self._mark()
        for item in work.items:
            outcome = self._judge(item, found)
            if work.atomic and isinstance(outcome, TallystickError):
                self._rewind(mark)
                work.fail(outcome)
                return
            work.outcomes.append(self._accept(item) if outcome is None else outcome)

    def _mark(self) -> _Mark:
        return _Mark(
            len(self.rows), len(self._identity), len(self._erasures), self._now_ms,
            dict(self._heads), dict(self._claims),
        )  # fmt: skip

    def _rewind(self, mark: _Mark) -> None:
        del self.rows[mark.rows :], self._prepared[mark.rows :]
        del self._identity[mark.identity :], self._erasures[mark.erasures :]
        self._now_ms, self._heads, self._claims = mark.now_ms, mark.heads, mark.claims

    def _look_up(self, items: Sequence[Item]) -> _Found:
        drafts = [item.prepared.draft for item in items]
        claims = [text for draft in drafts for text, _ in draft.claims]
        keys = [head_key(e.slot, e.type, e.id) for draft in drafts for e in draft.expects]
        return _Found(
            self._writer.claims(self._tenant, claims) if claims else {},
            self._writer.resource_heads(self._tenant, keys) if keys else {},
        )

    def _judge(self, item: Item, found: _Found) -> Outcome | None:
        """Return the outcome of an item that is not to be stored; None when it is."""
        draft = item.prepared.draft
        for text, digest in draft.claims:
            claim = self._claims.get(text) or found.claims.get(text)
            if claim is not None:
                return _replay(claim, digest)
        for expected in draft.expects:
            key = head_key(expected.slot, expected.type, expected.id)
            head = self._heads.get(key) or found.heads.get(key)
            if (head.index if head else None) != expected.index:
                return PreconditionFailed(f"{expected.type} {expected.id!r} was changed meanwhile")
        return None

    def _accept(self, item: Item) -> Accepted:
        prepared = item.prepared
        draft = prepared.draft
        index = self._size + len(self.rows)
        if index and ids.wraps_idtimestamp(index):
            self._now_ms = max(self._now_ms, self._latest_ms() + 1)
        sealed = entry.seal(prepared, index, self._now_ms, os.urandom(entry.NOISE_BYTES))
        self.rows.append(sealed)
        self._prepared.append(prepared)
        self._identity += item.identity
        self._erasures += item.erasures
        self._move_heads(prepared, index)
        for text, digest in draft.claims:
            self._claims[text] = Claim(text, digest, index)
        return Accepted(index, sealed.id, sealed.recorded_ms, sealed.occurred_ms)

    def _latest_ms(self) -> int:
        return self.rows[-1].recorded_ms if self.rows else _recorded_ms(self._head)

    def _move_heads(self, prepared: Prepared, index: int) -> None:
        draft = prepared.draft
        target = draft.target
        if draft.op is Op.RECORD and target is not None:
            key = head_key(HeadSlot.EVENT, target.type, target.id)
            self._heads[key] = ResourceHead(index, live=True)
        elif draft.op is Op.DOCUMENT and target is not None:
            key = head_key(HeadSlot.DOCUMENT, target.type, target.id)
            self._heads[key] = ResourceHead(index, live=not draft.kind.endswith(".delete"))
        elif draft.op in (Op.REVISE, Op.RETRACT) and draft.subject is not None:
            key = head_key(HeadSlot.REVISION, "event", draft.subject)
            self._heads[key] = ResourceHead(index, live=draft.op is Op.REVISE)

    def finish(self, signer: Signer) -> TenantCommit:
        """Return the commit: new frontier, complete tiles and signed checkpoint included."""
        old = self._head
        frontier = Frontier.empty() if old is None else Frontier.from_bytes(old.frontier)
        leaves = [row.leaf for row in self.rows]
        frontier.extend(leaves)
        size, root = self._size + len(self.rows), frontier.root()
        head = LogHead(
            tenant=self._tenant,
            origin=signer.name,
            key_id=signer.key_id,
            size=size,
            frontier=frontier.to_bytes(),
            root=root,
            checkpoint=sign_checkpoint(signer, signer.name, size, root),
            recorded_ms=self.rows[-1].recorded_ms,
        )
        return TenantCommit(
            old_size=self._size,
            head=head,
            rows=self.rows,
            prepared=self._prepared,
            tiles=self._tiles(leaves),
            heads=tuple(self._heads.items()),
            claims=tuple(self._claims.values()),
            identity=self._identity,
            erasures=self._erasures,
        )

    def _tiles(self, leaves: list[bytes]) -> list[Tile]:
        """Return the tiles that become complete, lowest level first."""
        tiles: list[Tile] = []
        level, start, hashes = 0, self._size, leaves
        while hashes and start // _TILE_WIDTH != (start + len(hashes)) // _TILE_WIDTH:
            first = start - start % _TILE_WIDTH
            hashes = [*self._hashes(level, first, start), *hashes]
            full = len(hashes) // _TILE_WIDTH
            roots: list[bytes] = []
            for n in range(full):
                block = hashes[n * _TILE_WIDTH : (n + 1) * _TILE_WIDTH]
                roots.append(tile.tile_root(block))
                number = first // _TILE_WIDTH + n
                tiles.append(Tile(level, number, b"".join(block), roots[-1]))
            level, start, hashes = level + 1, first // _TILE_WIDTH, roots
        return tiles

    def _hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        if start == stop:
            return []
        if level == 0:
            return self._writer.leaves(self._tenant, start, stop)
        return self._writer.tile_roots(self._tenant, level - 1, start, stop)


class _Mark(NamedTuple):
    rows: int
    identity: int
    erasures: int
    now_ms: int
    heads: dict[bytes, ResourceHead]
    claims: dict[bytes, Claim]


class _Found(NamedTuple):
    claims: dict[bytes, Claim]
    heads: dict[bytes, ResourceHead]


def _replay(claim: Claim, digest: bytes) -> Outcome:
    if claim.digest != digest:
        return IdempotencyMismatch(
            "this id or Idempotency-Key was used before with another body",
            hint="retry with the same body, or choose a new id or key",
        )
    return Accepted(claim.index, "", 0, 0, replayed=True)


def _recorded_ms(head: LogHead | None) -> int:
    return 0 if head is None else head.recorded_ms

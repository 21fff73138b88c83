"""Deciding a commit: which items of a tenant are stored, at which index, and what follows from it.

A `Planner` sees one tenant inside one open transaction. It answers repeated claims, checks what
conditional drafts expect, seals what is accepted, and states the new head, tiles and checkpoint.
It writes nothing; queues and threads are the sequencer's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tallystick.errors import (
    IdempotencyMismatch,
    Malformed,
    PreconditionFailed,
    StoreBusy,
    TallystickError,
)
from tallystick.events import entry, ids
from tallystick.events.entry import Prepared, Sealed
from tallystick.events.event import HOLD_ACTS, Draft, Expectation, HeadSlot, Op
from tallystick.log.idempotency import claim_of_id, is_same_event
from tallystick.store.base import (
    HOLD_HEAD,
    Claim,
    Erasure,
    IdentityWrite,
    LogHead,
    LogRow,
    ResourceHead,
    TenantCommit,
    Tile,
    Writer,
    head_key,
)
from tallystick.tlog import tile
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.frontier import Frontier
from tallystick.tlog.note import Signer

_TILE_WIDTH = tile.TILE_WIDTH


class Item(NamedTuple):
    """A prepared draft and what else must become true in the same transaction."""

    prepared: Prepared
    identity: tuple[IdentityWrite, ...] = ()
    erasures: tuple[Erasure, ...] = ()
    origin: str | None = None
    """Names the tenant's new log; only the first item of a new tenant has one."""
    forgotten: tuple[bytes, ...] = ()
    """Claims that lose the digest of what came with them, since that is erased."""
    touched: Callable[[], Iterable[int]] | None = None
    """Finds entries that lose something besides what is erased, for legal holds on them."""
    removed: tuple[str, ...] = ()
    """Ids of events that a retention policy takes away: they are shown no more."""


class Accepted(NamedTuple):
    """Where an event was stored; `replayed` when it already was, by an earlier request."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
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

    @property
    def origin(self) -> str | None:
        """The name of the log that the work creates, if it creates one."""
        return self.items[0].origin if self.items else None

    def fail(self, error: TallystickError) -> None:
        """Give every item the same failure as its outcome."""
        self.outcomes = [error] * len(self.items)


class Planner:
    """Gives the works of one tenant their places, on top of what the transaction can see."""

    def __init__(self, writer: Writer, tenant: str, head: LogHead | None, now_ms: int) -> None:
        self._writer = writer
        self._tenant = tenant
        self._head = head
        self._now_ms = max(now_ms, _recorded_ms(head))
        self._size = 0 if head is None else head.size
        # What is stored, as far as the works ask for it, and what this commit adds.
        self._found = _Found({}, {}, {})
        self._heads: dict[bytes, ResourceHead] = {}
        self._claims: dict[bytes, Claim] = {}
        self.rows: list[Sealed] = []
        self._prepared: list[Prepared] = []
        self._identity: list[IdentityWrite] = []
        self._erasures: list[Erasure] = []
        self._forgotten: list[bytes] = []
        self._noise = b""
        self._noise_at = 0

    def add(self, works: Sequence[Work]) -> None:
        """Decide the outcome of every item, sealing those that are accepted.

        Cost: at most three reads, however many works there are, and one for each event that comes
        again under its id in another spelling.
        """
        self._found = self._look_up(works)
        self._noise = os.urandom(entry.NOISE_BYTES * sum(len(work.items) for work in works))
        self._noise_at = 0
        for work in works:
            self._add(work)

    def _add(self, work: Work) -> None:
        # A single item fails before it has changed anything, so there is nothing to go back to.
        mark = self._mark() if work.atomic and len(work.items) > 1 else None
        for item in work.items:
            outcome = self._judge(item)
            if work.atomic and isinstance(outcome, TallystickError):
                if mark is not None:
                    self._rewind(mark)
                work.fail(outcome)
                return
            work.outcomes.append(self._accept(item) if outcome is None else outcome)

    def _mark(self) -> _Mark:
        return _Mark(
            len(self.rows), len(self._identity), len(self._erasures), len(self._forgotten),
            self._now_ms,
            dict(self._heads), dict(self._claims),
        )  # fmt: skip

    def _rewind(self, mark: _Mark) -> None:
        del self.rows[mark.rows :], self._prepared[mark.rows :]
        del self._identity[mark.identity :], self._erasures[mark.erasures :]
        del self._forgotten[mark.forgotten :]
        self._now_ms, self._heads, self._claims = mark.now_ms, mark.heads, mark.claims

    def _look_up(self, works: Sequence[Work]) -> _Found:
        drafts = [item.prepared.draft for work in works for item in work.items]
        claims = {text for draft in drafts for text, _ in draft.claims}
        keys = {head_key(e.slot, e.type, e.id) for draft in drafts for e in draft.expects}
        chosen = [draft.id for draft in drafts if draft.id is not None]
        return _Found(
            self._writer.claims(self._tenant, list(claims)) if claims else {},
            self._writer.resource_heads(self._tenant, list(keys)) if keys else {},
            self._assigned(chosen) if chosen else {},
        )

    def _assigned(self, chosen: Sequence[str]) -> dict[str, LogRow]:
        """Return the entries that ids brought by drafts lead to, of those that have these ids."""
        places = {index for id in chosen if (index := ids.index_of_event_id(id)) is not None}
        before = [index for index in places if index < self._size]
        rows = self._writer.rows_at(self._tenant, before) if before else {}
        return {entry.id_of(row.entry): row for row in rows.values()}

    def _judge(self, item: Item) -> Outcome | None:
        """Return the outcome of an item that is not to be stored; None when it is."""
        draft = item.prepared.draft
        index = self._index_of_same(draft)
        if isinstance(index, TallystickError):
            return index
        if draft.replay_of is not None and draft.replay_of != index:
            return _not_stored_here(draft)
        if index is not None:
            return Accepted(index, "", 0, 0, replayed=True)
        for expected in draft.expects:
            key = head_key(expected.slot, expected.type, expected.id)
            head = self._heads.get(key) or self._found.heads.get(key)
            if (head.index if head else None) != expected.index:
                return _unexpected(expected)
        return None

    def _index_of_same(self, draft: Draft) -> int | TallystickError | None:
        """Return where the event that a draft repeats stands; None where it repeats none."""
        for text, digest in draft.claims:
            claim = self._claims.get(text) or self._found.claims.get(text)
            if claim is None:
                continue
            # An id names one event: what differs may be how it is told, as by an answer of ours.
            if (
                claim.digest == digest
                or (
                    draft.id is not None
                    and text == claim_of_id(draft.id)
                    and self._is_at(draft, claim.index)
                )
                or any(claim.digest == earlier() for earlier in draft.earlier_digests)
            ):
                return claim.index
            return _used_before()
        if draft.id is not None and (row := self._found.assigned.get(draft.id)) is not None:
            # The id was assigned here, to an event whose body nobody claimed.
            return row.index if self._is_same(draft, row) else _used_before()
        return None

    def _is_at(self, draft: Draft, index: int) -> bool:
        """Tell whether a draft tells what was recorded at an index."""
        if index >= self._size:
            row = self.rows[index - self._size]
            return self._is_same(draft, LogRow(index, row.entry, row.leaf, row.sections))
        rows = self._writer.rows_at(self._tenant, [index])
        return index in rows and self._is_same(draft, rows[index])

    def _is_same(self, draft: Draft, row: LogRow) -> bool:
        return is_same_event(draft, entry.decode(self._tenant, row.index, row.entry, row.sections))

    def _accept(self, item: Item) -> Accepted:
        prepared = item.prepared
        draft = prepared.draft
        index = self._size + len(self.rows)
        if index and ids.wraps_idtimestamp(index):
            self._now_ms = max(self._now_ms, self._latest_ms() + 1)
        sealed = entry.seal(prepared, index, self._now_ms, self._next_noise())
        self.rows.append(sealed)
        self._prepared.append(prepared)
        self._identity += item.identity
        self._erasures += item.erasures
        self._forgotten += item.forgotten
        self._move_heads(prepared, index)
        for id in item.removed:
            self._heads[head_key(HeadSlot.REVISION, "event", id)] = ResourceHead(index, live=False)
        for text, digest in draft.claims:
            self._claims[text] = Claim(text, digest, index)
        return Accepted(index, sealed.id, sealed.recorded_ms, sealed.occurred_ms)

    def _next_noise(self) -> bytes:
        # Cut from one piece: every call to the system hands the interpreter to other threads.
        start = self._noise_at
        self._noise_at = start + entry.NOISE_BYTES
        return self._noise[start : self._noise_at]

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
        elif draft.op is Op.SYSTEM and draft.kind in HOLD_ACTS:
            self._heads[HOLD_HEAD] = ResourceHead(index, live=True)

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
            forgotten=self._forgotten,
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
    forgotten: int
    now_ms: int
    heads: dict[bytes, ResourceHead]
    claims: dict[bytes, Claim]


class _Found(NamedTuple):
    claims: dict[bytes, Claim]
    heads: dict[bytes, ResourceHead]
    assigned: dict[str, LogRow]


def _not_stored_here(draft: Draft) -> Malformed:
    return Malformed(
        f"no event {draft.id!r} is stored at index {draft.replay_of}",
        hint="omit what the server assigns: index, op, recorded_at and so on",
    )


def _used_before() -> IdempotencyMismatch:
    return IdempotencyMismatch(
        "this id or Idempotency-Key was used before with another body",
        hint="retry with the same body, or choose a new id or key",
    )


def _unexpected(expected: Expectation) -> TallystickError:
    if expected.slot is HeadSlot.HOLD:
        return StoreBusy("a legal hold was placed or lifted in the meantime", hint="send again")
    return PreconditionFailed(f"{expected.type} {expected.id!r} was changed in the meantime")


def _recorded_ms(head: LogHead | None) -> int:
    return 0 if head is None else head.recorded_ms

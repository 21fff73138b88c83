"""Erasing persons: the request, its work in bounded commits, and what waits for a legal hold.

A request is planned once: which sections of which entries go. The plan, positions only, stands in
a record of identity until it is carried out, so that work that was cut off goes on, and entries
under a hold are erased once it is lifted. The person, the query and the reason stand in the data of
one entry, which can be erased itself; no leaf and no record holds them.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from tallystick import times
from tallystick.errors import Conflict, Malformed, NotFound, StoreBusy, TallystickError, UnderHold
from tallystick.events import entry, erased_sections, references
from tallystick.events.entry import SECTIONS, section_bits, sections_of_bits
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.ledger.blob_erasure import erase_unnamed
from tallystick.ledger.blobs import Blobs
from tallystick.ledger.erasure import (
    ForgottenClaims,
    present_sections,
    with_revisions,
)
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.person import Person, PersonQuery, Selected, select
from tallystick.log.commit_plan import Item
from tallystick.log.views import event_of
from tallystick.store.base import Erasure, IdentityWrite, Store
from tallystick.store.slices import row_slices

KIND = "erasure"
BATCH_ENTRIES = 256
"""Entries that one commit erases: others write in between."""

CERTIFICATE_FORMAT = "tallystick-erasure-certificate/1"

_TRIES = 5
_PAUSE_S_MAX = 0.5
_blob_name = re.compile(rb"blobs/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})").findall

T = TypeVar("T")

RUNNING, PENDING, DONE = "running", "pending", "done"


class ErasureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One erasure of a person: positions and counts, nothing of the person.

    `left` are the entries that are still to be erased, each with its sections as bits.
    """

    id: str
    tenant: str
    state: str
    requested_ms: int
    requested_by: tuple[str, str]
    size: int
    events: int
    kinds: dict[str, int]
    erased: int = 0
    blocked: dict[str, int] = {}
    left: tuple[tuple[int, int], ...] = ()
    blobs: tuple[str, ...] = ()
    completed_ms: int | None = None


class ErasurePlan(NamedTuple):
    """What an erasure destroys, as of a size of the log."""

    size: int
    selected: Sequence[Selected]
    blobs: Sequence[str]
    blocked: dict[str, int]

    @property
    def kinds(self) -> dict[str, int]:
        """How many entries of each kind there are."""
        return dict(sorted(Counter(each.kind for each in self.selected).items()))


class Erasures:
    """Erases persons from the logs of all tenants; safe to share between threads."""

    def __init__(self, ledger: Ledger, blobs: Blobs) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._blobs = blobs
        # One erasure at a time: each commit of one is followed by a pause for those who write.
        self._turn = threading.Lock()
        self._progress: dict[str, int] = {}
        self._stopping = threading.Event()

    def plan(self, tenant: str, query: PersonQuery) -> ErasurePlan:
        """Return what an erasure would destroy now.

        Raises: Malformed.
        Cost: one read of the log.
        """
        query.check()
        head = self._store.log_head(tenant)
        size = 0 if head is None else head.size
        person = Person(query)
        indexes = {
            event.index for events in select(self._store, tenant, person, size) for event in events
        }
        # Names were learned from all of them, so sections are looked at in a second pass.
        selected: list[Selected] = []
        blobs: set[str] = set()
        for part in _parts(sorted(with_revisions(self._store, tenant, indexes))):
            for each, content in self._selected(tenant, person, part):
                selected.append(each)
                blobs.update(name.decode() for name in _blob_name(content))
        held = Counter(self._held(tenant, [each.index for each in selected]).values())
        return ErasurePlan(size, selected, sorted(blobs), dict(held))

    def _selected(
        self, tenant: str, person: Person, indexes: Collection[int]
    ) -> Iterator[tuple[Selected, bytes]]:
        for index, row in sorted(self._store.rows_at(tenant, indexes).items()):
            event = event_of(tenant, row)
            sections = person.sections_of(event, present_sections(row))
            if sections:
                content = b"".join(
                    value.lower()
                    for name, value in zip(SECTIONS, row.sections, strict=True)
                    if value is not None and name in sections and name in ("data", "previous")
                )
                yield Selected(index, event.kind, sections), content

    def _held(self, tenant: str, indexes: Sequence[int]) -> dict[int, str]:
        held: dict[int, str] = {}
        for part in _parts(indexes):
            held |= self._ledger.holds.covering(tenant, part)
        return held

    def request(
        self, tenant: str, query: PersonQuery, *, reason: str, by: Resource, plan: ErasurePlan
    ) -> ErasureRecord:
        """Put an erasure on record; `run` carries it out.

        Raises: Malformed without a reason; NotFound when there is nothing to erase.
        """
        if not reason.strip():
            raise Malformed("an erasure needs a reason", path="/reason")
        type, id = references.parse(query.subject) or ("", "")
        account = account_deletion(self._store, tenant, id) if type == "user" else None
        if not plan.selected and account is None:
            raise NotFound(f"nothing of {query.subject!r} is left to erase")
        record = ErasureRecord(
            id=secrets.token_hex(8),
            tenant=tenant,
            state=RUNNING,
            requested_ms=self._ledger.clock.now_ms(),
            requested_by=by.key,
            size=plan.size,
            events=len(plan.selected),
            kinds=plan.kinds,
            left=tuple((each.index, section_bits(each.sections)) for each in plan.selected),
            blobs=tuple(plan.blobs),
        )
        told = {"state": RUNNING, "events": record.events, "size": record.size}
        noted = _draft("erasure.requested", record.id, by, told)
        items = [Item(entry.prepare(noted), (_write(record),))]
        wanted = msgspec.to_builtins(query)
        what = {**wanted, "reason": reason, "events": record.events, "kinds": record.kinds}
        header = Draft(
            kind="erase",
            op=Op.ERASE,
            actor=by,
            target=Resource(KIND, record.id),
            data=what,
            claims=((_claim(record.id), b""),),
        )
        items.append(Item(entry.prepare(header)))
        if account is not None:
            items.append(account)
        self._ledger.append_all(tenant, items)
        return record

    def all(self, tenant: str | None) -> list[ErasureRecord]:
        """Return the erasures of a tenant, or (None) of all, oldest first."""
        rows = self._store.identities(tenant, KIND)
        records = [msgspec.json.decode(row.doc, type=ErasureRecord) for row in rows]
        return sorted(records, key=lambda record: (record.requested_ms, record.id))

    def get(self, tenant: str, id: str) -> ErasureRecord:
        """Return an erasure.

        Raises: NotFound.
        """
        row = self._store.identity(tenant, KIND, id)
        if row is None:
            raise NotFound(f"no such erasure {id!r}")
        return msgspec.json.decode(row.doc, type=ErasureRecord)

    def request_of(self, record: ErasureRecord) -> Json:
        """Return who was erased and why; empty once that was erased too."""
        claim = _claim(record.id)
        found = self._store.claims(record.tenant, [claim]).get(claim)
        return {} if found is None else self._ledger.view_at(record.tenant, found.index).first.data

    def certificate(self, tenant: str, id: str) -> Json:
        """Return what proves a completed erasure to somebody who has not the log.

        It names nobody: times, counts, positions, and receipts of the entries that record them.
        Raises: NotFound; Conflict for an erasure that is not done.
        """
        record = self.get(tenant, id)
        if record.state != DONE:
            raise Conflict(f"the erasure {id!r} is {record.state}", hint="lift the holds first")
        indexes = self._entries_of(record)
        erased = [
            index
            for row in self._store.rows_at(tenant, indexes).values()
            for index, _ in erased_sections.decode(event_of(tenant, row))
        ]
        return {
            "format": CERTIFICATE_FORMAT,
            "erasure": id,
            "tenant": tenant,
            "requested_at": times.to_rfc3339(record.requested_ms),
            "completed_at": times.to_rfc3339(record.completed_ms or 0),
            "events": record.events,
            "kinds": record.kinds,
            "positions": sorted(set(erased)),
            "receipts": self._ledger.proofs.receipts(tenant, indexes),
        }

    def _entries_of(self, record: ErasureRecord) -> list[int]:
        """Return where the entries stand that record an erasure, the one with the person aside."""
        claim = _claim(record.id)
        header = self._store.claims(record.tenant, [claim])[claim].index
        head = self._store.log_head(record.tenant)
        target = Resource(KIND, record.id)
        return [
            row.index
            for rows in row_slices(self._store, record.tenant, header - 1, head.size if head else 0)
            for row in rows
            if row.index != header
            and row.sections[1] is not None
            and record.id.encode() in row.sections[1]
            and event_of(record.tenant, row).target == target
        ]

    def progress(self, id: str) -> int:
        """Return how many entries a running erasure has gone through."""
        return self._progress.get(id, 0)

    def run(self, tenant: str, id: str) -> ErasureRecord:
        """Carry out as much of an erasure as no hold covers, and return it as it is then.

        Raises: StoreCorrupt; StoreBusy, SequencerFull when it is to be tried again.
        """
        with self._turn:
            record = self.get(tenant, id)
            if record.state == DONE:
                return record
            try:
                return self._run(record)
            finally:
                self._progress.pop(id, None)

    def _run(self, record: ErasureRecord) -> ErasureRecord:
        erased, blocked, left = record.erased, Counter[str](), list[tuple[int, int]]()
        claims = ForgottenClaims(self._store, record.tenant, [index for index, _ in record.left])
        for part in _parts(record.left):
            started_s = time.monotonic()
            held, count = self._erase(record, dict(part), claims)
            erased += count
            blocked.update(held.values())
            left += [each for each in part if each[0] in held]
            self._progress[record.id] = self._progress.get(record.id, 0) + len(part)
            # As long for those who write as the erasure took for itself.
            pause_s = min(time.monotonic() - started_s, _PAUSE_S_MAX)
            if len(record.left) > BATCH_ENTRIES and self._stopping.wait(pause_s):
                return record
        self._ledger.settle()
        blobs = [] if left else self._erase_blobs(record, blocked)
        if record.state == PENDING and (len(left), blocked) == (len(record.left), record.blocked):
            return record  # the same holds as before
        return self._settle(record, erased, dict(blocked), left, blobs)

    def _erase(
        self, record: ErasureRecord, wanted: dict[int, int], claims: ForgottenClaims
    ) -> tuple[dict[int, str], int]:
        """Erase entries that no hold covers; return those that one covers, and how many went."""
        for _ in range(_TRIES):
            held = self._ledger.holds.covering(record.tenant, list(wanted))
            rows = self._store.rows_at(record.tenant, [i for i in wanted if i not in held])
            erasures = tuple(
                Erasure(index, sections)
                for index, row in sorted(rows.items())
                if (sections := sections_of_bits(wanted[index], present_sections(row)))
            )
            if not erasures:
                return held, 0
            told = {"erasure": record.id, **erased_sections.encode(erasures)}
            draft = Draft(
                kind="erase",
                op=Op.ERASE,
                actor=Resource(*record.requested_by),
                target=Resource(KIND, record.id),
                data=told,
            )
            item = Item(entry.prepare(draft), (), erasures, forgotten=claims.of(erasures))
            try:
                self._ledger.append_all(record.tenant, [item], settle=False)
            except UnderHold:
                continue  # it was placed since we looked
            return held, len(erasures)
        raise StoreBusy("legal holds are being placed and lifted", hint="send again")

    def _erase_blobs(self, record: ErasureRecord, blocked: Counter[str]) -> list[str]:
        """Erase blobs that only erased events named; return those that a hold keeps."""
        kept = erase_unnamed(
            self._ledger, self._blobs, record.tenant, record.blobs,
            actor=Resource(*record.requested_by),
        )  # fmt: skip
        blocked.update(kept.values())
        return list(kept)

    def _settle(
        self,
        record: ErasureRecord,
        erased: int,
        blocked: dict[str, int],
        left: list[tuple[int, int]],
        blobs: list[str],
    ) -> ErasureRecord:
        """Put on record how far an erasure has come."""
        is_done = not left and not blobs
        after = msgspec.structs.replace(
            record,
            state=DONE if is_done else PENDING,
            erased=erased,
            blocked=blocked,
            left=tuple(left),
            blobs=tuple(blobs) if not left else record.blobs,
            completed_ms=self._ledger.clock.now_ms() if is_done else None,
        )
        told: Json = {"state": after.state, "erased": erased, "blocked": blocked}
        kind = "erasure.completed" if is_done else "erasure.waiting"
        draft = _draft(kind, record.id, Resource(*record.requested_by), told)
        write = _write(after, replaces=msgspec.json.encode(record))
        self._ledger.append_all(record.tenant, [Item(entry.prepare(draft), (write,))])
        return after

    def stop(self) -> None:
        """Let a large erasure stop after the commit under way; it goes on at the next start."""
        self._stopping.set()

    def resume(self) -> list[tuple[str, TallystickError]]:
        """Go on with every erasure that is not done; return those that failed, and why."""
        failed: list[tuple[str, TallystickError]] = []
        for record in self.all(None):
            if record.state != DONE:
                try:
                    self.run(record.tenant, record.id)
                except TallystickError as error:
                    failed.append((record.id, error))
        return failed


def account_deletion(store: Store, tenant: str, id: str) -> Item | None:
    """Return what deletes the account of a user; None if there is none."""
    row = store.identity(tenant, "user", id)
    if row is None:
        return None
    draft = Draft(kind="user.deleted", op=Op.SYSTEM, target=Resource("user", id))
    write = IdentityWrite(tenant, "user", id, None, replaces=row.doc)
    return Item(entry.prepare(draft), (write,))


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), BATCH_ENTRIES):
        yield items[at : at + BATCH_ENTRIES]


def _claim(id: str) -> bytes:
    """Return the claim by which the entry is found that holds an erasure's request."""
    return b"e" + bytes.fromhex(id)


def _draft(kind: str, id: str, by: Resource, told: Json) -> Draft:
    return Draft(kind=kind, op=Op.SYSTEM, actor=by, target=Resource(KIND, id), data=told)


def _write(record: ErasureRecord, *, replaces: bytes | None = None) -> IdentityWrite:
    doc = msgspec.json.encode(record)
    return IdentityWrite(record.tenant, KIND, record.id, doc, replaces=replaces)

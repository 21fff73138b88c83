"""Checks a store against itself: everything is recomputed from stored bytes.

It shares no step with the sequencer: sections are hashed against the entry, entries into leaves,
leaves into tiles, and these into frontier, root and checkpoint, with the arithmetic of `tlog` only.
Then everything that points into a log (heads, claims, identity lookups) is followed. The first
difference ends the check and is named. A log may grow meanwhile: it is checked up to the size it
had, and reads go in slices, so memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NoReturn

import msgspec

from tallystick.errors import StoreError, VerificationError, for_operator
from tallystick.events import entry, erased_sections, ids
from tallystick.events.entry import SALT_BYTES, SECTIONS
from tallystick.events.event import Event, Op
from tallystick.identity.records import lookups_of
from tallystick.identity.replay import KINDS, IdentityReplay, is_report
from tallystick.json_text import NOT_JSON
from tallystick.maintenance.moved_heads import MovedHeads
from tallystick.store.base import (
    Claim,
    IdentityRow,
    LogHead,
    LogRow,
    ResourceHead,
    Store,
)
from tallystick.store.slices import row_slices
from tallystick.tlog.checkpoint import open_checkpoint
from tallystick.tlog.encoding import to_base64
from tallystick.tlog.frontier import Frontier
from tallystick.tlog.hashing import complete_root, leaf_hash, section_commitment
from tallystick.tlog.note import Verifier
from tallystick.tlog.tile import TILE_WIDTH, tile_root

_PAGE = 256

VerifierOf = Callable[[str], Verifier]
"""Gives the key that verifies the checkpoints of the log with an origin."""

Progress = Callable[[int, int], None]
"""Told, now and then, how many entries of how many were checked."""


class Report(msgspec.Struct):
    """What was checked, and the first thing found that is not as it must be.

    Blobs and public leaves are counted by the code that checks them; they stand beside the log.
    """

    logs: int = 0
    entries: int = 0
    sections: int = 0
    erased: int = 0
    removed: int = 0
    """Sections that retention policies destroyed, beside those that were erased."""
    tiles: int = 0
    heads: int = 0
    claims: int = 0
    identities: int = 0
    blobs: int = 0
    public_leaves: int = 0
    difference: str | None = None
    public_log_differs: bool = False
    """Whether the difference is that a public log was made of another log, which is sound."""

    @property
    def clean(self) -> bool:
        """Tell whether nothing was found."""
        return self.difference is None


class _Found(Exception):
    """Carries the first difference out to `check`."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    id: str
    op: Op
    kind: str
    occurred_ms: int
    recorded_ms: int
    dialect: str
    sections: dict[str, str]
    subject: str | None = None


_entry_decoder = msgspec.json.Decoder(_Entry)


def check(
    store: Store,
    verifier_of: VerifierOf,
    *,
    progress: Progress | None = None,
    replay: bool = False,
) -> Report:
    """Recompute everything in `store` and report the first difference.

    With `replay`, records of identity are also compared with the entries that tell of them.
    Cost: one pass over all logs, about 30 us an entry.
    """
    report = Report()
    try:
        heads = store.log_heads()
        total = sum(head.size for head in heads)
        for head in heads:
            log = _LogCheck(store, head, report, replay=replay)
            for _ in log.check_entries():
                if progress is not None:
                    progress(report.entries, total)
            log.check_head(verifier_of(head.origin))
            log.check_erasures()
            log.check_pointers()
            log.check_identity()
            report.logs += 1
        _check_identity(store, report, {head.tenant for head in heads} if replay else None)
    except _Found as found:
        report.difference = str(found)
    except StoreError as error:
        report.difference = for_operator(error)
    return report


class _LogCheck:
    """One log on its way through the check."""

    def __init__(self, store: Store, head: LogHead, report: Report, *, replay: bool) -> None:
        self._replay = IdentityReplay(head.tenant) if replay else None
        self._system = 0
        self._acts = 0
        self._store = store
        self._head = head
        self._tenant = head.tenant
        self._report = report
        self._tree = _Tree(store, head.tenant, report)
        self._recorded_ms = 0
        # Sections that are gone, by index, until an erase entry turns up that names them.
        self._missing: dict[int, set[str]] = {}
        self._moved = MovedHeads(store, head.tenant)

    def check_entries(self) -> Iterator[None]:
        """Check every entry, its place, its sections and the tiles over it, slice by slice."""
        expected = count()
        for rows in row_slices(self._store, self._tenant, 0, self._head.size):
            events = [self._check_row(row, next(expected)) for row in rows]
            self._check_heads_of(events)
            self._check_claims_of(events)
            self._report.entries += len(rows)
            yield
        if self._tree.size != self._head.size:
            self._differs(f"entry {self._tree.size}", "it is missing")

    def _check_row(self, row: LogRow, expected: int) -> Event:
        where = f"entry {expected}"
        if row.index != expected:
            self._differs(where, f"it is missing; the next one stored is {row.index}")
        if row.leaf != leaf_hash(row.entry):
            self._differs(where, "its leaf hash is not the hash of its bytes")
        try:
            told = _entry_decoder.decode(row.entry)
        except NOT_JSON:
            self._differs(where, "it does not decode")
        if told.v != entry.VERSION or not ids.is_uuid(told.id):
            self._differs(where, "its version or id is none that this program writes")
        if told.recorded_ms < self._recorded_ms:
            self._differs(where, "it was recorded before the entry in front of it")
        self._recorded_ms = told.recorded_ms
        self._check_sections(row, told.sections)
        self._tree.add(row.leaf)
        event = entry.decode(self._tenant, row.index, row.entry, row.sections)
        if event.op is Op.ERASE:
            self._check_erase(event)
        elif event.op is Op.SYSTEM:
            self._system += 1
            self._acts += not is_report(event.kind)
            if self._replay is not None:
                self._replay.apply(event)
        return event

    def _check_sections(self, row: LogRow, committed: dict[str, str]) -> None:
        where = f"entry {row.index}"
        if unknown := committed.keys() - set(SECTIONS):
            self._differs(where, f"it commits to unknown sections {sorted(unknown)}")
        for name, value in zip(SECTIONS, row.sections, strict=True):
            commitment = committed.get(name)
            if value is None:
                if commitment is not None:
                    self._missing.setdefault(row.index, set()).add(name)
                continue
            if commitment is None:
                self._differs(where, f"section {name} is stored but not committed to")
            if commitment != to_base64(section_commitment(value[:SALT_BYTES], value[SALT_BYTES:])):
                self._differs(where, f"section {name} does not match its commitment")
            self._report.sections += 1

    def _check_erase(self, event: Event) -> None:
        """Check that what an erase entry names is gone, and note that it may be."""
        told = dict(erased_sections.decode(event))
        rows = self._store.rows_at(self._tenant, told)
        for index, names in told.items():
            row = rows.get(index)
            if row is None or index >= event.index:
                self._differs(f"entry {event.index}", f"it erases {index}, which is not before it")
            for name in names:
                if row.sections[SECTIONS.index(name)] is not None:
                    self._differs(
                        f"entry {index}",
                        f"section {name} is still there, though entry {event.index} erased it",
                    )
            missing = self._missing.get(index, set()) & set(names)
            if erased_sections.policy_of(event.data) is None:
                self._report.erased += len(missing)
            else:
                self._report.removed += len(missing)
            self._missing.get(index, set()).difference_update(missing)
            if not self._missing.get(index, True):
                del self._missing[index]

    def check_head(self, verifier: Verifier) -> None:
        """Check frontier, root, time and checkpoint against the entries, and that nothing follows.

        Raises: _Found.
        """
        head, frontier = self._head, self._tree.frontier()
        if not head.key_id:
            self._differs("head", "the log was not copied to its end; copy it again")
        for name, stored, computed in (
            ("frontier", head.frontier, frontier.to_bytes()),
            ("root", head.root, frontier.root()),
            ("time", head.recorded_ms, self._recorded_ms),
            ("signing key", head.key_id, verifier.key_id),
        ):
            if stored != computed:
                self._differs("head", f"its {name} is not the one that its entries give")
        try:
            checkpoint = open_checkpoint(head.checkpoint, [verifier], head.origin)
        except VerificationError as error:
            self._differs("checkpoint", error.message)
        if (checkpoint.size, checkpoint.root) != (head.size, head.root):
            self._differs("checkpoint", "it states another size or root")
        beyond = self._tree.stray_tile()
        if self._store.leaves(self._tenant, head.size, head.size + 1):
            beyond = f"entry {head.size}"
        if beyond is not None and self._store.log_head(self._tenant) == head:
            self._differs(beyond, "it stands behind the end of the log")

    def check_erasures(self) -> None:
        """Check that every missing section was erased by an entry, be it one written meanwhile."""
        head = self._store.log_head(self._tenant) if self._missing else None
        if head is not None:
            for rows in row_slices(self._store, self._tenant, self._head.size, head.size):
                for row in rows:
                    event = entry.decode(self._tenant, row.index, row.entry, row.sections)
                    if event.op is Op.ERASE:
                        self._check_erase(event)
        for index, names in sorted(self._missing.items()):
            names_text = ", ".join(sorted(names))
            self._differs(f"entry {index}", f"{names_text} is missing and no entry erased it")

    def check_identity(self) -> None:
        """Check the records of the tenant against the entries that made and changed them."""
        size = self._head.size
        if len(self._store.system_indexes(self._tenant, 0, size)) != self._system:
            self._differs("index of system entries", "it is not that of the entries")
        if len(self._store.act_indexes(self._tenant, 0, size)) != self._acts:
            self._differs("index of acts", "it is not that of the entries")
        if self._replay is None:
            return
        rows = _records_of(self._store, self._tenant)
        grown = self._store.log_head(self._tenant)
        if grown is not None and grown.size > size:
            # What was recorded meanwhile may be in the records already.
            self._replay.advance(self._store, size, grown.size)
            rows = _records_of(self._store, self._tenant)
        difference = next(self._replay.differences(rows), None)
        if difference is not None:
            raise _Found(str(difference))

    # What points into the log. From the entries: each head is at least as late as the entry. From
    # the heads: each one's entry is such an entry. Together: each head is the latest there is.

    def _check_heads_of(self, events: Sequence[Event]) -> None:
        latest = {key: head for event in events for key, head in self._moved.by(event)}
        stored = self._store.resource_heads(self._tenant, list(latest)) if latest else {}
        for key, head in latest.items():
            found = stored.get(key)
            if found is None or found.index < head.index:
                self._differs(f"head {key.hex()}", f"it does not know of entry {head.index}")
            if found.index == head.index and found.live != head.live:
                self._differs(f"head {key.hex()}", "it has the wrong state")

    def _check_claims_of(self, events: Sequence[Event]) -> None:
        chosen = {_claim_of_id(e.id): e for e in events if ids.index_of_event_id(e.id) != e.index}
        stored = self._store.claims(self._tenant, list(chosen)) if chosen else {}
        for claim, event in chosen.items():
            found = stored.get(claim)
            if found is None or found.index != event.index:
                self._differs(f"entry {event.index}", f"id {event.id} does not lead to it")

    def check_pointers(self) -> None:
        """Check that every head and every claim points at an entry that it may point at."""
        after = b""
        while heads := self._store.scan_heads(self._tenant, after, _PAGE):
            after = heads[-1][0]
            self._check_heads(heads)
            self._report.heads += len(heads)
        after = b""
        while claims := self._store.scan_claims(self._tenant, after, _PAGE):
            after = claims[-1].claim
            self._check_claims(claims)
            self._report.claims += len(claims)

    def _check_heads(self, heads: Sequence[tuple[bytes, ResourceHead]]) -> None:
        rows = self._store.rows_at(self._tenant, {head.index for _, head in heads})
        events = {i: entry.decode(self._tenant, i, r.entry, r.sections) for i, r in rows.items()}
        for key, head in heads:
            event = events.get(head.index)
            if event is None:
                self._differs(f"head {key.hex()}", f"no such entry: {head.index}")
            # Without its target, an entry no longer tells which heads it moved.
            if "target" not in event.erased and (key, head) not in self._moved.by(event):
                self._differs(f"head {key.hex()}", f"entry {head.index} is about something else")

    def _check_claims(self, claims: Sequence[Claim]) -> None:
        rows = self._store.rows_at(self._tenant, {claim.index for claim in claims})
        for claim in claims:
            row = rows.get(claim.index)
            if row is None:
                self._differs(f"claim {claim.claim.hex()}", f"no such entry: {claim.index}")
            if claim.claim.startswith(b"i") and claim.claim != _claim_of_id(entry.id_of(row.entry)):
                self._differs(f"claim {claim.claim.hex()}", f"entry {claim.index} has another id")

    def _differs(self, where: str, what: str) -> NoReturn:
        raise _Found(f"tenant {self._tenant!r}, {where}: {what}")


class _Tree:
    """The tree over the leaves so far: the open tile of each level, the full ones compared."""

    def __init__(self, store: Store, tenant: str, report: Report) -> None:
        self._store = store
        self._tenant = tenant
        self._report = report
        self._open: list[list[bytes]] = [[]]
        self._full: list[int] = [0]
        self.size = 0

    def add(self, leaf: bytes) -> None:
        """Add a leaf hash; a tile that becomes full is compared with the stored one."""
        self.size += 1
        node = leaf
        for level in count():
            if level == len(self._open):
                self._open.append([])
                self._full.append(0)
            hashes = self._open[level]
            hashes.append(node)
            if len(hashes) < TILE_WIDTH:
                return
            node = self._compare(level, hashes)
            self._full[level] += 1
            hashes.clear()

    def _compare(self, level: int, hashes: list[bytes]) -> bytes:
        number, root = self._full[level], tile_root(hashes)
        stored = self._store.tile(self._tenant, level, number)
        roots = self._store.tile_roots(self._tenant, level, number, number + 1)
        if stored != b"".join(hashes) or roots != [root]:
            state = "missing" if stored is None else "not the one that its entries give"
            raise _Found(f"tenant {self._tenant!r}, tile {level}/{number}: it is {state}")
        self._report.tiles += 1
        return root

    def frontier(self) -> Frontier:
        """Return the frontier that the open tiles amount to."""
        peaks: list[bytes] = []
        for hashes in reversed(self._open):
            start = 0
            for bit in reversed(range(TILE_WIDTH.bit_length())):
                if len(hashes) >> bit & 1:
                    peaks.append(complete_root(hashes[start : start + (1 << bit)]))
                    start += 1 << bit
        return Frontier(self.size, peaks)

    def stray_tile(self) -> str | None:
        """Return the name of a stored tile that the log is too small for, if there is one."""
        for level, number in enumerate((*self._full, 0)):
            if self._store.tile(self._tenant, level, number) is not None:
                return f"tile {level}/{number}"
        return None


def _claim_of_id(event_id: str) -> bytes:
    return b"i" + bytes.fromhex(event_id.replace("-", ""))


def _records_of(store: Store, tenant: str) -> list[IdentityRow]:
    return [row for kind in KINDS for row in store.identities(tenant, kind)]


def _check_identity(store: Store, report: Report, tenants: set[str] | None) -> None:
    """Check that records decode and are found; given the tenants with logs, that each is one's."""
    after: tuple[str, str, str] | None = None
    while records := store.scan_identity(after, _PAGE):
        for record in records:
            after = (record.tenant, record.kind, record.id)
            where = f"identity record {after!r}"
            try:
                msgspec.json.decode(record.doc or b"")
            except NOT_JSON:
                raise _Found(f"{where}: it does not decode") from None
            for namespace, text in record.lookups:
                found = store.find_identity(namespace, text)
                if found is None or found[:3] != after:
                    raise _Found(f"{where}: lookup {namespace}:{text!r} does not lead to it")
            if tenants is not None and record.tenant not in tenants:
                raise _Found(f"{where}: its tenant {record.tenant!r} has no log")
            if tenants is not None and record.kind not in KINDS:
                raise _Found(f"{where}: unknown kind of record")
            if tenants is not None and record.lookups != lookups_of(record.kind, record.doc or b""):
                raise _Found(f"{where}: it is found by something else than it says")
            report.identities += 1

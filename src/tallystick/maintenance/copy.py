"""Moves everything from one place into another: every log with identical bytes, and identity.

Rows go in slices; a copy that was cut off goes on where it stopped. Until everything else is there,
the heads in the target name no signing key and have no checkpoint, so that nobody extends or serves
the logs; identity, without which nobody can reach them, comes last. Nothing is signed and nothing
is hashed again: what arrives is compared with the source's tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tallystick.errors import Conflict, StoreCorrupt
from tallystick.events import entry, erased_sections
from tallystick.events.entry import Sealed
from tallystick.ledger.blobs import Blobs, copy_content
from tallystick.store.base import (
    Erasure,
    IdentityWrite,
    LogHead,
    LogRow,
    Store,
    TenantCommit,
    Tile,
)
from tallystick.store.public_files import PublicFiles, copy_public_files
from tallystick.store.slices import row_slices
from tallystick.store.truth import Truth
from tallystick.tlog.frontier import Frontier
from tallystick.tlog.tile import full_tiles_completed

_PAGE = 1_000
_ELSEWHERE = "copy into an empty database or a new folder"

Progress = Callable[[int, int], None]
"""Told, now and then, how many entries of how many are in the target."""


class Copied(NamedTuple):
    """What a copy has moved; what was in the target already is not counted."""

    logs: int
    entries: int
    heads: int
    claims: int
    identities: int


class CopiedTruth(NamedTuple):
    """What a copy of a whole place has moved."""

    store: Copied
    blobs: int
    files: int


def is_complete(head: LogHead) -> bool:
    """Tell whether a log is whole, and not one whose copying has not come to its end."""
    return bool(head.key_id)


def copy_truth(source: Truth, target: Truth, *, progress: Progress | None = None) -> CopiedTruth:
    """Copy everything of one place into another; nobody may write to either meanwhile.

    Raises: Conflict when the target has something else than the beginning of this copy, or when
    the source was written to; StoreCorrupt when the source contradicts itself.
    """
    blobs = files = 0
    _refuse_strange_files(source.public_files, target.public_files)

    def copy_beside(tenants: list[str]) -> None:
        nonlocal blobs, files
        content = Blobs(source.store, source.blob_content)
        blobs = copy_content(content, tenants, target.blob_content)
        files = copy_public_files(source.public_files, target.public_files)

    copied = copy(source.store, target.store, progress=progress, beside=copy_beside)
    return CopiedTruth(copied, blobs, files)


def copy(
    source: Store,
    target: Store,
    *,
    progress: Progress | None = None,
    beside: Callable[[list[str]], None] | None = None,
) -> Copied:
    """Copy everything that `target` does not have yet; nobody may write to either meanwhile.

    `beside` is given the tenants and copies what else must be there before the logs are usable.
    Raises: Conflict when the target has a log that is not a beginning of the source's, or when the
    source was written to; StoreCorrupt when the source contradicts itself.
    """
    heads = source.log_heads()
    _refuse_strangers(heads, target)
    logs = [_LogCopy(source, target, head) for head in heads]
    total, done = sum(head.size for head in heads), 0
    entries = pointers = claims = 0
    for log in logs:
        for count in log.copy_rows():
            entries += count
            if progress is not None:
                progress(done + log.size, total)
        done += log.size
        pointers += log.copy_heads()
        claims += log.copy_claims()
    if beside is not None:
        beside([head.tenant for head in heads])
    for log in logs:
        log.complete()
    identities = _copy_identity(source, target)
    if source.log_heads() != heads:
        raise Conflict(
            "the source changed during the copy", hint="stop its server, then copy again"
        )
    target.loaded()
    return Copied(len(heads), entries, pointers, claims, identities)


class _LogCopy:
    """One log on its way."""

    def __init__(self, source: Store, target: Store, head: LogHead) -> None:
        self._source = source
        self._target = target
        self._head = head
        there = target.log_head(head.tenant)
        self._done = there == head
        self._frontier = Frontier.empty() if there is None else Frontier.from_bytes(there.frontier)
        self._recorded_ms = 0 if there is None else there.recorded_ms
        if there is not None:
            self._require_beginning(there)

    @property
    def size(self) -> int:
        """How many entries the target has."""
        return self._frontier.size

    def _require_beginning(self, there: LogHead) -> None:
        """See that what is in the target is the beginning of the source's log."""
        tenant, size = self._head.tenant, there.size
        last = self._source.leaves(tenant, size - 1, size) if size else []
        if (
            there.origin != self._head.origin
            or size > self._head.size
            or last != (self._target.leaves(tenant, size - 1, size) if size else [])
        ):
            raise Conflict(f"the target has another log of tenant {tenant!r}", hint=_ELSEWHERE)

    def copy_rows(self) -> Iterator[int]:
        """Copy the entries that are missing, and the tiles over them; yield slice by slice."""
        for rows in row_slices(self._source, self._head.tenant, self.size, self._head.size):
            old_size = self.size
            if [row.index for row in rows] != list(range(old_size, old_size + len(rows))):
                raise StoreCorrupt(f"entry {old_size} of {self._head.tenant!r} is missing")
            self._frontier.extend(row.leaf for row in rows)
            self._write(old_size, self._unfinished(), rows)
            yield len(rows)
        if not self._done and self._frontier.to_bytes() != self._head.frontier:
            raise StoreCorrupt(f"the head of {self._head.tenant!r} is not that of its entries")

    def _unfinished(self) -> LogHead:
        """Return the head of as much as there is: without a key, nobody can extend it."""
        return self._head._replace(
            key_id=b"",
            size=self.size,
            frontier=self._frontier.to_bytes(),
            root=self._frontier.root(),
            checkpoint="",
        )

    def _write(self, old_size: int, head: LogHead, rows: list[LogRow]) -> None:
        commit = TenantCommit(
            old_size,
            head,
            [_sealed(row) for row in rows],
            prepared=(),
            tiles=list(self._tiles(old_size, head.size)),
            erasures=list(self._erasures(rows)),
        )
        with self._target.transaction() as writer:
            writer.head(head.tenant)
            writer.append(commit)

    def _erasures(self, rows: list[LogRow]) -> Iterator[Erasure]:
        """Yield what erase entries among `rows` destroyed: an earlier copy may still have it."""
        for row in rows:
            if b'"op":"erase"' in row.entry:
                event = entry.decode(self._head.tenant, row.index, row.entry, row.sections)
                found = erased_sections.decode(event)
                yield from (Erasure(*each) for each in found if each.index < row.index)

    def _tiles(self, old_size: int, size: int) -> Iterator[Tile]:
        tenant = self._head.tenant
        for level, number in full_tiles_completed(old_size, size):
            hashes = self._source.tile(tenant, level, number)
            roots = self._source.tile_roots(tenant, level, number, number + 1)
            if hashes is None or len(roots) != 1:
                raise StoreCorrupt(f"tile {level}/{number} of {tenant!r} is missing")
            yield Tile(level, number, hashes, roots[0])

    def copy_heads(self) -> int:
        """Copy where resources stand; a head of an earlier copy moves on."""
        if self._done:
            return 0
        copied, after = 0, b""
        while heads := self._source.scan_heads(self._head.tenant, after, _PAGE):
            after = heads[-1][0]
            with self._target.transaction() as writer:
                writer.head(self._head.tenant)
                writer.append(self._commit()._replace(heads=heads))
            copied += len(heads)
        return copied

    def copy_claims(self) -> int:
        """Copy claimed ids and keys that are not there yet."""
        if self._done:
            return 0
        copied, after = 0, b""
        while claims := self._source.scan_claims(self._head.tenant, after, _PAGE):
            after = claims[-1].claim
            with self._target.transaction() as writer:
                writer.head(self._head.tenant)
                there = writer.claims(self._head.tenant, [claim.claim for claim in claims])
                missing = [claim for claim in claims if claim.claim not in there]
                # What was erased since an earlier copy.
                erased = [c.claim for c in claims if c.claim in there and not c.digest]
                writer.append(self._commit()._replace(claims=missing, forgotten=erased))
            copied += len(missing)
        return copied

    def complete(self) -> None:
        """Give the log the head that it has in the source: from now on it may be extended."""
        if not self._done:
            self._write(self.size, self._head, [])

    def _commit(self) -> TenantCommit:
        return TenantCommit(self.size, self._unfinished(), rows=(), prepared=())


def _refuse_strangers(heads: list[LogHead], target: Store) -> None:
    known = {head.tenant for head in heads}
    strangers = [head.tenant for head in target.log_heads() if head.tenant not in known]
    if strangers:
        raise Conflict(
            f"the target has a log of tenant {strangers[0]!r}, the source has not", hint=_ELSEWHERE
        )


def _refuse_strange_files(source: PublicFiles, target: PublicFiles) -> None:
    strangers = sorted(set(target.tenants()) - set(source.tenants()))
    if strangers:
        raise Conflict(
            f"the target has public files of tenant {strangers[0]!r}, the source has not",
            hint=_ELSEWHERE,
        )


def _sealed(row: LogRow) -> Sealed:
    # Id and times stand in the entry; a store keeps only its bytes.
    return Sealed(row.index, "", 0, 0, row.entry, row.leaf, row.sections)


def _copy_identity(source: Store, target: Store) -> int:
    """Make the records in the target those of the source."""
    # What is gone or different goes first, so that its lookups are free for others.
    for record in _stale(source, target):
        _write_identity(target, record._replace(doc=None, lookups=(), replaces=record.doc))
    copied = 0
    for record in _walk(source):
        if target.identity(record.tenant, record.kind, record.id) is None:
            _write_identity(target, record)
            copied += 1
    return copied


def _stale(source: Store, target: Store) -> Iterator[IdentityWrite]:
    """Yield the records of the target that the source has not, or not like this."""
    records = _walk(source)
    there = next(records, None)
    for record in _walk(target):
        while there is not None and there[:3] < record[:3]:
            there = next(records, None)
        if there != record:
            yield record


def _walk(store: Store) -> Iterator[IdentityWrite]:
    after: tuple[str, str, str] | None = None
    while records := store.scan_identity(after, _PAGE):
        after = records[-1][:3]
        yield from records


def _write_identity(target: Store, record: IdentityWrite) -> None:
    with target.transaction() as writer:
        head = writer.head(record.tenant)
        if head is None:
            raise StoreCorrupt(f"tenant {record.tenant!r} has records but no log")
        writer.append(TenantCommit(head.size, head, (), prepared=(), identity=[record]))

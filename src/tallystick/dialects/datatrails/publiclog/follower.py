"""The follower that writes the public Merkle log: leaves first, then a seal over them.

It reads each tenant's log from the cursor that is kept with what it writes, so whatever cuts it
off, no leaf and no seal is made twice and none is left out. It keeps nothing in memory: any
number of them may work on the same files, in one process or several. Source: wire specification
of DataTrails 4 to 6.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Protocol
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.clock import Clock
from tallystick.dialects.datatrails.merklelog import append, cose, massif
from tallystick.dialects.datatrails.merklelog.append import Tail
from tallystick.dialects.datatrails.merklelog.leaf import Leaf
from tallystick.dialects.datatrails.merklelog.seal import Sealer, SealState, make_seal
from tallystick.dialects.datatrails.publiclog import leaves
from tallystick.dialects.datatrails.publiclog.log import PublicLog, open_public_log
from tallystick.errors import Conflict, StoreCorrupt
from tallystick.events import ids
from tallystick.events.event import Json
from tallystick.followers.cursors import mark_of
from tallystick.log.views import Recorded
from tallystick.store.public_files import Patch, PublicationCursor, PublicFiles, PublishedSeal

SLICE_LEAVES = 256
"""Entries published in one go: bounds how long others wait for the processor."""

KEY_PURPOSE = "datatrails seals"
"""For what the key of seals is derived from the server's."""

SEAL_LEAVES = 2_048
"""Leaves that wait for a seal at most while the log grows faster than it is published."""


class LeafSource(Protocol):
    """The logs of record, as a follower reads them."""

    def size(self, tenant: str) -> int:
        """Return how many entries a log has."""

    def origin(self, tenant: str) -> str | None:
        """Return the name of a log; None when there is none."""

    def leaf(self, tenant: str, index: int) -> bytes | None:
        """Return the leaf hash of an entry; None when the log does not reach so far."""

    def read(self, tenant: str, start: int, stop: int) -> list[Recorded]:
        """Return entries from `start` on, in order, as many below `stop` as suit one go."""


def check_mark(source: LeafSource, tenant: str, tail: Tail) -> None:
    """Check that the last leaf was made of the entry that the log has there now.

    What was published and signed cannot be taken back, so a log that went another way is refused.
    Raises: StoreCorrupt.
    Cost: a point read.
    """
    if not tail.leaves:
        return
    index = tail.leaves - 1
    if tail.mark:
        leaf = source.leaf(tenant, index)
        same = leaf is not None and tail.mark == _mark(source, tenant, leaf)
    else:
        recorded = source.read(tenant, index, index + 1)
        # An earlier version kept no mark; the time of recording and the index are in this.
        same = [_idtimestamp(one) for one in recorded] == [tail.idtimestamp]
    if not same:
        raise StoreCorrupt(
            f"the public log of {tenant!r} was made of another log than the one stored: entry "
            f"{index:,} differs",
            hint="restore the newer log, or publish this one: tallystick public-log remake",
        )


def _mark(source: LeafSource, tenant: str, leaf: bytes) -> bytes:
    return mark_of(source.origin(tenant) or "", leaf)


def _idtimestamp(recorded: Recorded) -> bytes:
    event = recorded.view.first
    return bytes.fromhex(ids.idtimestamp(event.recorded_ms, event.index))


class PublicLogFollower:
    """Brings public logs up to date with the logs of record; safe to share between threads."""

    def __init__(
        self,
        source: LeafSource,
        files: PublicFiles,
        clock: Clock,
        *,
        key: ec.EllipticCurvePrivateKey,
        issuer: str,
        log_id_of: Callable[[str], UUID],
        height: int = massif.DEFAULT_HEIGHT,
    ) -> None:
        self._source = source
        self._files = files
        self._clock = clock
        self._key = key
        self._issuer = issuer
        self._log_id_of = cache(log_id_of)
        self._height = height

    def sealer(self, tenant: str) -> Sealer:
        """Return who signs for the public log of a tenant."""
        return Sealer(self._key, self._issuer, f"tenant/{self._log_id_of(tenant)}")

    def public_jwk(self) -> Json:
        """Return the key that verifies seals and receipts, as a JWK."""
        return cose.public_jwk(self._key.public_key())

    def step(self, tenant: str) -> bool:
        """Publish the next entries, and seal once the end is reached; tell whether more wait."""
        size = self._source.size(tenant)
        try:
            published = self.publish(tenant, size)
            more = published < size
            if not more or self._unsealed(tenant) >= SEAL_LEAVES:
                self.seal(tenant)
        except Conflict:
            # Another process was faster; what it did need not be done again.
            return True
        return more

    def publish(self, tenant: str, size: int) -> int:
        """Write the leaves of the next entries below `size`; return how many have one then.

        The leaf that fills a massif is sealed together with it, so that every full massif has a
        seal over all of it.
        Raises: Conflict when another process goes on from the same place, StoreCorrupt.
        """
        before = self._files.cursor(tenant)
        tail = append.empty(self._height) if before is None else Tail.from_bytes(before.tail)
        if tail.leaves >= size:
            # Another process may have come further since `size` was asked for.
            self._check_behind(tenant, tail.leaves)
            check_mark(self._source, tenant, tail)
            return tail.leaves
        check_mark(self._source, tenant, tail)
        count = min(size - tail.leaves, tail.room, SLICE_LEAVES)
        recorded = self._source.read(tenant, tail.leaves, tail.leaves + count)
        if not recorded:
            return tail.leaves
        fills = len(recorded) == tail.room
        grown, writes = append.grow(tail, [self._leaf(tenant, one) for one in recorded])
        grown = grown._replace(mark=_mark(self._source, tenant, recorded[-1].leaf))
        sealed = 0 if before is None else before.sealed
        after = PublicationCursor(grown.leaves, grown.leaves if fills else sealed, grown.to_bytes())
        seals = [self._seal(tenant, grown)] if fills else []
        patches = [Patch(*write) for write in writes]
        self._files.advance(tenant, before, after, patches=patches, seals=seals)
        return grown.leaves

    def seal(self, tenant: str) -> bool:
        """Sign what was published; tell whether there was anything new.

        Raises: Conflict when another process signed the same.
        """
        log = open_public_log(self._files, tenant)
        if log is None or log.cursor.sealed == log.cursor.leaves:
            return False
        seal = self._seal(tenant, log.tail, log)
        after = log.cursor._replace(sealed=log.cursor.leaves)
        self._files.advance(tenant, log.cursor, after, seals=[seal])
        return True

    def _check_behind(self, tenant: str, leaves: int) -> None:
        size = self._source.size(tenant)
        if leaves > size:
            raise StoreCorrupt(
                f"the public log of {tenant!r} has {leaves} leaves, its log {size} entries",
                hint="restore the newer log, or publish this one: tallystick public-log remake",
            )

    def _unsealed(self, tenant: str) -> int:
        cursor = self._files.cursor(tenant)
        return 0 if cursor is None else cursor.leaves - cursor.sealed

    def _leaf(self, tenant: str, recorded: Recorded) -> Leaf:
        view = recorded.view
        return leaves.leaf_of(
            view.first,
            salt_hash=view.salt_hash,
            entry_hash=recorded.leaf,
            log_id=self._log_id_of(tenant),
        )

    def _seal(self, tenant: str, tail: Tail, log: PublicLog | None = None) -> PublishedSeal:
        state = SealState(tail.size, tail.idtimestamp, self._clock.now_ms())
        presigned = {} if log is None else log.peak_receipts()
        data = make_seal(state, tail.peaks, self.sealer(tenant), presigned=presigned)
        number = massif.massif_of_leaf(tail.leaves - 1, tail.height)
        return PublishedSeal(number, tail.leaves, data)

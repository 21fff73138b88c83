"""Proofs of what a log holds: checkpoints, receipts, consistency, made from stored hashes.

Nothing is computed here that a verifier could not check; the arithmetic is in `tlog`.
"""

from __future__ import annotations

from typing import NamedTuple

from tallystick.errors import Malformed, NotFound
from tallystick.events import entry
from tallystick.events.entry import SALT_BYTES, SECTIONS
from tallystick.log.keys import LogKey
from tallystick.store.base import LogHead, Store
from tallystick.tlog.proof import consistency_proof, inclusion_proof
from tallystick.tlog.receipt import build_receipt
from tallystick.tlog.tile import TILE_WIDTH, split_hashes


class Inclusion(NamedTuple):
    """The proof that an entry is in a log of some size."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    size: int
    path: list[bytes]
    root: bytes


class Proofs:
    """What can be proven of every tenant's log."""

    def __init__(self, store: Store, key: LogKey) -> None:
        self._store = store
        self._key = key

    def head(self, tenant: str) -> LogHead:
        """Return the head of a tenant's log, its signed checkpoint included.

        Raises: NotFound.
        """
        head = self._store.log_head(tenant)
        if head is None:
            raise NotFound(f"there is no tenant {tenant!r}")
        return head

    def verifier_key(self, tenant: str) -> str:
        """Return the key that verifies a tenant's checkpoints, as a C2SP vkey."""
        return str(self._key.signer(self.head(tenant).origin).verifier)

    def receipt(self, tenant: str, index: int) -> bytes:
        """Return the receipt of an entry as JSON: all that is needed to verify it offline.

        Raises: NotFound.
        """
        head = self.head(tenant)
        row = self._store.rows_at(tenant, [index]).get(index)
        if row is None or index >= head.size:
            raise NotFound(f"there is no entry {index}")
        committed = entry.committed_sections(row.entry)
        sections = dict(zip(SECTIONS, row.sections, strict=True))
        return build_receipt(
            origin=head.origin,
            index=index,
            entry=row.entry,
            sections={name: _salt_and_bytes(sections[name]) for name in committed},
            proof=inclusion_proof(index, head.size, StoreHashes(self._store, tenant)),
            checkpoint=head.checkpoint,
            verifier=self._key.signer(head.origin).verifier,
        )

    def inclusion(self, tenant: str, index: int) -> Inclusion:
        """Return the proof that an entry is in a tenant's log as it is now.

        Raises: NotFound.
        """
        head = self.head(tenant)
        if not 0 <= index < head.size:
            raise NotFound(f"there is no entry {index}")
        path = inclusion_proof(index, head.size, StoreHashes(self._store, tenant))
        return Inclusion(index, head.size, path, head.root)

    def consistency(self, tenant: str, old_size: int, new_size: int) -> list[bytes]:
        """Return the proof that the log at one size continues the log at another.

        Raises: Malformed for sizes the log does not have.
        """
        size = self.head(tenant).size
        if not 0 <= old_size <= new_size <= size:
            raise Malformed(f"sizes run from 0 to {size}, the smaller first", path="from")
        return consistency_proof(old_size, new_size, StoreHashes(self._store, tenant))


class StoreHashes:
    """The hashes of one tenant's tree, read from its store."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def hashes(self, level: int, start: int, count: int) -> list[bytes]:
        """Return `count` hashes of a level from `start` on.

        Raises: NotFound if the log is not that big.
        """
        if count == TILE_WIDTH and start % TILE_WIDTH == 0:
            tile = self._store.tile(self._tenant, level, start // TILE_WIDTH)
            if tile is not None:
                return split_hashes(tile)
        if level == 0:
            found = self._store.leaves(self._tenant, start, start + count)
        else:
            found = self._store.tile_roots(self._tenant, level - 1, start, start + count)
        if len(found) != count:
            raise NotFound("the log is not that big")
        return found


def _salt_and_bytes(section: bytes | None) -> tuple[bytes, bytes] | None:
    return None if section is None else (section[:SALT_BYTES], section[SALT_BYTES:])

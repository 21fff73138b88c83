"""Proofs of what a log holds: checkpoints, receipts, consistency, made from stored hashes.

Nothing is computed here that a verifier could not check; the arithmetic is in `tlog`.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tallystick.errors import Malformed, NotFound
from tallystick.events import entry
from tallystick.events.entry import SALT_BYTES, SECTIONS
from tallystick.log.cose_receipts import to_cose_receipt
from tallystick.log.keys import LogKey
from tallystick.store.base import LogHead, LogRow, Store
from tallystick.tlog.note import Verifier
from tallystick.tlog.proof import HashReader, consistency_proof, inclusion_proof
from tallystick.tlog.receipt import build_receipt, to_receipt_text
from tallystick.tlog.tile import TILE_WIDTH, split_hashes

_TILES_KEPT = 512


class Inclusion(NamedTuple):
    """The proof that an entry is in a log of some size."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    size: int
    path: list[bytes]
    root: bytes


class SignedHead(NamedTuple):
    """The size of a log with the note that signs it, and the note in base64."""

    size: int
    checkpoint: str
    base64: bytes


class Proofs:
    """What can be proven of every tenant's log."""

    def __init__(self, store: Store, key: LogKey) -> None:
        self._store = store
        self._key = key
        # Written by the sequencer's threads and by readers, each entry whole: the latest head that
        # this process knows of. Another server of the store may have signed a later one.
        self._heads: dict[str, SignedHead] = {}

    def committed(self, heads: Iterable[LogHead]) -> None:
        """Note heads that were just committed."""
        for head in heads:
            self._heads[head.tenant] = _signed(head)

    def known_head(self, tenant: str, covering: int) -> SignedHead | None:
        """Return the latest head that is known, if it covers the entry at an index."""
        head = self._heads.get(tenant)
        return head if head is not None and head.size > covering else None

    def read_head(self, tenant: str) -> SignedHead:
        """Return the head that the store has.

        Raises: NotFound.
        """
        head = self._heads[tenant] = _signed(self.head(tenant))
        return head

    def head(self, tenant: str) -> LogHead:
        """Return the head of a tenant's log, its signed checkpoint included.

        Raises: NotFound.
        """
        head = self._store.log_head(tenant)
        if head is None:
            raise NotFound(f"no such tenant: {tenant!r}")
        return head

    def verifier_key(self, tenant: str) -> str:
        """Return the key that verifies a tenant's checkpoints, as a C2SP vkey."""
        return str(self._key.signer(self.head(tenant).origin).verifier)

    def receipt(self, tenant: str, index: int) -> bytes:
        """Return the receipt of an entry as JSON: all that is needed to verify it offline.

        Raises: NotFound.
        """
        (members,) = self.receipts(tenant, [index])
        return to_receipt_text(members)

    def receipts(self, tenant: str, indexes: Sequence[int]) -> list[dict[str, Any]]:
        """Return the receipts of entries as their members, all under one checkpoint.

        Raises: NotFound.
        Cost: reads each tile once.
        """
        return self.at_head(tenant).receipts(indexes)

    def at_head(self, tenant: str) -> ProofsAtHead:
        """Return what makes receipts of a tenant's log as it is now.

        Raises: NotFound.
        """
        head = self.head(tenant)
        return ProofsAtHead(self._store, head, self._key.signer(head.origin).verifier)

    def cose_receipt(self, tenant: str, index: int, event_id: str) -> bytes:
        """Return the receipt of an entry as a COSE message.

        Raises: NotFound.
        """
        proof = self.inclusion(tenant, index)
        return to_cose_receipt(
            self._key.signer(self.head(tenant).origin),
            event_id,
            index=index,
            size=proof.size,
            path=proof.path,
            root=proof.root,
        )

    def inclusion(self, tenant: str, index: int) -> Inclusion:
        """Return the proof that an entry is in a tenant's log as it is now.

        Raises: NotFound.
        """
        head = self.head(tenant)
        if not 0 <= index < head.size:
            raise NotFound(f"no such entry: {index}")
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


class ProofsAtHead:
    """Makes receipts of one log under one checkpoint; each tile is read once."""

    def __init__(self, store: Store, head: LogHead, verifier: Verifier) -> None:
        self._store = store
        self._head = head
        self._verifier = verifier
        self._hashes = KeptHashes(StoreHashes(store, head.tenant))
        self.size = head.size

    def receipts(self, indexes: Sequence[int]) -> list[dict[str, Any]]:
        """Return the receipts of entries as their members.

        Raises: NotFound.
        """
        head = self._head
        rows = self._store.rows_at(head.tenant, indexes)
        missing = [index for index in indexes if index not in rows or index >= head.size]
        if missing:
            raise NotFound(f"no such entry: {missing[0]}")
        return [
            build_receipt(
                origin=head.origin,
                index=index,
                entry=rows[index].entry,
                sections=salted_sections(rows[index]),
                proof=inclusion_proof(index, head.size, self._hashes),
                checkpoint=head.checkpoint,
                verifier=self._verifier,
            )
            for index in indexes
        ]


class StoreHashes:
    """The hashes of one tenant's tree, read from its store."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def hashes(self, level: int, start: int, count: int) -> list[bytes]:
        """Return `count` hashes of a level from `start` on.

        Raises: NotFound if the log is smaller than that.
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
            raise NotFound("the log is smaller than that")
        return found


class KeptHashes:
    """The hashes of a tree, each tile read once; for one answer, whose log does not grow.

    The tiles that were used last are kept: some 10 MB, whatever the size of the log.
    """

    def __init__(self, hashes: HashReader) -> None:
        self._hashes = hashes
        # The last one used stands last.
        self._tiles: dict[tuple[int, int, int], list[bytes]] = {}

    def hashes(self, level: int, start: int, count: int) -> list[bytes]:
        """Return `count` hashes of a level from `start` on."""
        key = (level, start, count)
        found = self._tiles.pop(key, None)
        if found is None:
            found = self._hashes.hashes(level, start, count)
            if len(self._tiles) >= _TILES_KEPT:
                del self._tiles[next(iter(self._tiles))]
        self._tiles[key] = found
        return found


def _signed(head: LogHead) -> SignedHead:
    note = head.checkpoint
    return SignedHead(head.size, note, b2a_base64(note.encode("utf-8"), newline=False))


def salted_sections(row: LogRow) -> dict[str, tuple[bytes, bytes] | None]:
    """Return salt and bytes of each section that an entry commits to; None if it was erased."""
    sections = dict(zip(SECTIONS, row.sections, strict=True))
    committed = entry.committed_sections(row.entry)
    return {name: _salt_and_bytes(sections[name]) for name in committed}


def _salt_and_bytes(section: bytes | None) -> tuple[bytes, bytes] | None:
    return None if section is None else (section[:SALT_BYTES], section[SALT_BYTES:])

"""Rotations of the signing key: the entries that tell of them, and what readers follow.

After another key was put in place, each log gets an entry that holds the statement signed by both
keys; from it on its checkpoints are signed by the new key. A log that has ended takes no entry: its
last head is signed again.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Final

import structlog

from tallystick.errors import StoreBusy, StoreError, TallystickError, for_operator
from tallystick.events import entry
from tallystick.events.event import Draft, Op, Resource
from tallystick.ledger.ledger import Ledger
from tallystick.log.head_proof import is_being_copied
from tallystick.log.keys import LogKey
from tallystick.store.base import LogHead, Store, TenantCommit
from tallystick.tlog.checkpoint import sign_checkpoint

KEY_ROTATED: Final = "log.key_rotated"

_KIND: Final = b'"kind":"log.key_rotated"'
_AT_ONCE: Final = 256
_log = structlog.get_logger(__name__)


def record_rotation(ledger: Ledger, key: LogKey, ended: Collection[str]) -> bool:
    """Have each log that the former key signed go on under the new one; tell whether all do.

    A log that cannot be written to now is tried again at the next start.
    """
    are_all_moved = True
    for head in ledger.store.log_heads():
        former = key.former_verifier(head.origin)
        if former is None or former.key_id != head.key_id or is_being_copied(head):
            continue
        try:
            if head.tenant in ended:
                _sign_again(ledger.store, head, key)
            else:
                ledger.append(head.tenant, [_told(head, key)])
        except (StoreBusy, StoreError, TallystickError) as error:
            _log.warning("rotation_not_recorded", tenant=head.tenant, reason=for_operator(error))
            are_all_moved = False
    return are_all_moved


def _told(head: LogHead, key: LogKey) -> Draft:
    return Draft(
        kind=KEY_ROTATED,
        op=Op.SYSTEM,
        target=Resource("log", head.origin),
        data={
            "from": str(key.former_verifier(head.origin)),
            "to": str(key.verifier(head.origin)),
            "statement": key.rotation(head.origin),
        },
    )


def _sign_again(store: Store, head: LogHead, key: LogKey) -> None:
    signer = key.signer(head.origin)
    note = sign_checkpoint(signer, head.origin, head.size, head.root)
    with store.transaction() as writer:
        if writer.head(head.tenant) == head:
            signed = head._replace(key_id=signer.key_id, checkpoint=note)
            writer.append(TenantCommit(head.size, signed, (), prepared=()))


class Rotations:
    """The statements of each log, oldest first, read once; safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Guards what follows: up to which size a log was read, and what was found.
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, tuple[str, ...]]] = {}

    def of(self, tenant: str) -> tuple[str, ...]:
        """Return the statements of a tenant's log.

        Cost: reads the `system` entries that were added since the last call.
        """
        head = self._store.log_head(tenant)
        size = 0 if head is None else head.size
        with self._lock:
            start, found = self._known.get(tenant, (0, ()))
            if start < size:
                found += tuple(self._between(tenant, start, size))
                self._known[tenant] = (size, found)
        return found

    def _between(self, tenant: str, start: int, stop: int) -> list[str]:
        statements: list[str] = []
        indexes = self._store.system_indexes(tenant, start, stop)
        for at in range(0, len(indexes), _AT_ONCE):
            rows = self._store.rows_at(tenant, indexes[at : at + _AT_ONCE])
            for index, row in sorted(rows.items()):
                if _KIND in row.entry:
                    event = entry.decode(tenant, index, row.entry, row.sections)
                    statements.append(str(event.data.get("statement", "")))
        return statements

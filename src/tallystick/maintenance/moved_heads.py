"""Which heads an entry moved, worked out from the entry alone, for `fsck`.

It shares no step with the sequencer, which moves them.
"""

from __future__ import annotations

from collections.abc import Collection

from tallystick.events import entry, erased_sections
from tallystick.events.event import HOLD_ACTS, Event, HeadSlot, Op
from tallystick.store.base import HOLD_HEAD, ResourceHead, Store, head_key

_ROWS = 256

Heads = Collection[tuple[bytes, ResourceHead]]


class MovedHeads:
    """Tells which heads entries of one log moved, and where to."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        # The last entry by which a policy took events away, and the heads that it moved.
        self._removal: tuple[int, Heads] = (-1, ())

    def by(self, event: Event) -> Heads:
        """Return the heads that an entry moved."""
        if event.op is not Op.ERASE or erased_sections.policy_of(event.data) is None:
            return _moved(event)
        if event.index != self._removal[0]:
            self._removal = (event.index, set(self._of_removed(event)))
        return self._removal[1]

    def _of_removed(self, event: Event) -> list[tuple[bytes, ResourceHead]]:
        """Return the heads of the events that a policy took away, each of which was moved."""
        head = ResourceHead(event.index, False)
        indexes = [each.index for each in erased_sections.decode(event)]
        return [
            (head_key(HeadSlot.REVISION, "event", entry.id_of(row.entry)), head)
            for at in range(0, len(indexes), _ROWS)
            for row in self._store.rows_at(self._tenant, indexes[at : at + _ROWS]).values()
            if b'"op":"record"' in row.entry[: entry.OP_BYTES]
        ]


def _moved(event: Event) -> list[tuple[bytes, ResourceHead]]:
    """Return the heads that an entry moved, and where to."""
    target, subject = event.target, event.subject
    if event.op in (Op.REVISE, Op.RETRACT) and subject is not None:
        key = head_key(HeadSlot.REVISION, "event", subject)
        return [(key, ResourceHead(event.index, event.op is Op.REVISE))]
    if event.op is Op.RECORD and target is not None:
        key = head_key(HeadSlot.EVENT, target.type, target.id)
        return [(key, ResourceHead(event.index, True))]
    if event.op is Op.DOCUMENT and target is not None:
        key = head_key(HeadSlot.DOCUMENT, target.type, target.id)
        return [(key, ResourceHead(event.index, not event.kind.endswith(".delete")))]
    if event.op is Op.SYSTEM and event.kind in HOLD_ACTS:
        return [(HOLD_HEAD, ResourceHead(event.index, True))]
    return []

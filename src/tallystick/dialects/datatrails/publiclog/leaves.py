"""Which leaf of the public log an entry of the tenant's own log becomes.

Every entry is one leaf, so that both logs number alike. An ordinary event is hashed as DataTrails
renders it, by the vendor's rule; any other entry, and an event of which a section is already
erased, by its RFC 6962 leaf hash. A leaf is made once and kept: after an erasure it could not be
made again.
"""

from __future__ import annotations

from uuid import UUID

from tallystick.dialects.datatrails import rendering, wire
from tallystick.dialects.datatrails.merklelog import leaf
from tallystick.dialects.datatrails.merklelog.leaf import Leaf, Rule
from tallystick.events import ids
from tallystick.events.event import Event, Op


def leaf_of(event: Event, *, salt_hash: bytes | None, entry_hash: bytes, log_id: UUID) -> Leaf:
    """Return the leaf of one entry, as it stands when its leaf is made.

    `salt_hash` is SHA-256 of the section salts, None once a section is erased; `entry_hash` is
    the RFC 6962 leaf hash; `log_id` is the tenant's UUID.
    """
    idtimestamp = _idtimestamp(event)
    if event.op is not Op.RECORD or event.erased:
        identity = f"entries/{event.id}" if event.op is not Op.RECORD else wire.identity(event.id)
        return leaf.entry_leaf(
            entry_hash, identity=identity, idtimestamp=idtimestamp, log_id=log_id
        )
    return leaf.event_leaf(
        leaf.serialized(*rendering.shown(event, salt_hash)),
        identity=wire.identity(event.id),
        idtimestamp=idtimestamp,
        log_id=log_id,
    )


def kept_leaf_of(
    event: Event, kept: Leaf, *, salt_hash: bytes | None, entry_hash: bytes, log_id: UUID
) -> Leaf:
    """Return what the leaf of an entry must be, given the one that was made of it long ago.

    Once a section is erased the value of an event's leaf cannot be made again and is taken from
    `kept`; nothing else is.
    """
    was_event = kept.extra == leaf.extra_bytes(Rule.EVENT, log_id)
    if event.op is Op.RECORD and event.erased and was_event:
        identity = wire.identity(event.id)
        idtimestamp = _idtimestamp(event)
        made = leaf.event_leaf(b"", identity=identity, idtimestamp=idtimestamp, log_id=log_id)
        return made._replace(value=kept.value)
    return leaf_of(event, salt_hash=salt_hash, entry_hash=entry_hash, log_id=log_id)


def _idtimestamp(event: Event) -> bytes:
    return bytes.fromhex(ids.idtimestamp(event.recorded_ms, event.index))

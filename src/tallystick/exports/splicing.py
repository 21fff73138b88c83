"""Rows of an export put together from stored bytes, for events that were never changed.

The bytes of sections are JSON already, in the spelling in which they would be written again; so a
line is their concatenation, and payloads need not be decoded. The law: a spliced line has the bytes
of one that was decoded and rendered.
"""

from __future__ import annotations

import msgspec

from tallystick import times
from tallystick.events.entry import SALT_BYTES
from tallystick.events.rendering import receipt_link
from tallystick.store.base import LogRow


class EntryHead(msgspec.Struct):
    """What an entry says itself; texts as they are written."""

    id: str
    op: str
    kind: msgspec.Raw
    occurred_ms: int
    recorded_ms: int
    dialect: msgspec.Raw
    sections: dict[str, str]


_NOTHING = msgspec.Raw()


class _PlaceText(msgspec.Struct):
    scopes: msgspec.Raw = _NOTHING
    trails: msgspec.Raw = _NOTHING
    original: msgspec.Raw = _NOTHING


HEAD = msgspec.json.Decoder(EntryHead)
_place = msgspec.json.Decoder(_PlaceText)
_NO_PLACE = _PlaceText()


def is_whole(head: EntryHead, row: LogRow) -> bool:
    """Tell whether no section of an entry was erased."""
    return len(head.sections) + row.sections.count(None) == len(row.sections)


def spliced(head: EntryHead, row: LogRow) -> bytes:
    """Return the line of an event that was neither revised nor erased."""
    actor, target, place_bytes, data, previous = row.sections
    place = _NO_PLACE if place_bytes is None else _place.decode(_text(place_bytes))
    parts = [
        b'{"id":"%b","index":%d,"kind":%b,"op":"record","occurred_at":"%b","recorded_at":"%b"'
        % (
            head.id.encode(),
            row.index,
            head.kind,
            times.to_rfc3339(head.occurred_ms).encode(),
            times.to_rfc3339(head.recorded_ms).encode(),
        )
    ]
    if actor is not None:
        parts += (b',"actor":', _text(actor))
    if target is not None:
        parts += (b',"target":', _text(target))
    if len(place.scopes):
        parts += (b',"scopes":', bytes(place.scopes))
    if len(place.trails):
        parts += (b',"trails":', bytes(place.trails))
    parts += (b',"data":', b"{}" if data is None else _text(data))
    if previous is not None:
        parts += (b',"previous":', _text(previous))
    if len(place.original):
        parts += (b',"original":', bytes(place.original))
    parts.append(
        b',"dialect":%b,"revision":%d,"receipt":"%b","leaf_hash":"%b"}\n'
        % (head.dialect, row.index, receipt_link(head.id).encode(), row.leaf.hex().encode())
    )
    return b"".join(parts)


def _text(section: bytes) -> bytes:
    return section[SALT_BYTES:]

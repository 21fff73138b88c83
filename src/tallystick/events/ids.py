"""Identifiers and how they are made from what the log already knows.

An event's UUID carries its index, an ObjectId carries its index, an idtimestamp carries its
index: none of them needs a table to be turned back into a position. Pure functions only.
"""

from __future__ import annotations

import re
import uuid

INDEX_BITS = 40
"""Bits of an index inside a UUIDv7: about 10^12 events a tenant."""

_INDEX_MASK = (1 << INDEX_BITS) - 1
_MS_MAX = (1 << 48) - 1
_SECONDS_MAX = 0xFFFFFFFF
_NAMESPACE = uuid.UUID("6f0f6a4e-5a1f-5d0c-9d5e-7a1c0f9b2e11")
_UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_OBJECT_ID_TEXT = re.compile(r"[0-9a-fA-F]{24}\Z")
_IDTIMESTAMP_EPOCH_MS = (1 << 40) - 1
IDTIMESTAMP_SEQUENCES = 1 << 24
"""After so many entries the low bits of an idtimestamp begin again."""


def event_id(recorded_ms: int, index: int, noise: int) -> str:
    """Return the UUIDv7 of the event at `index`.

    Shape: 48 bits of `recorded_ms`, version and variant, 34 bits of `noise`, 40 bits of index.
    Source: RFC 9562 section 5.7.
    """
    ms = min(max(recorded_ms, 0), _MS_MAX)
    low = (0b10 << 62) | ((noise & 0x3FFFFF) << INDEX_BITS) | (index & _INDEX_MASK)
    text = f"{(ms << 16) | 0x7000 | ((noise >> 22) & 0xFFF):016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def index_of_event_id(text: str) -> int | None:
    """Return the index that a UUIDv7 of ours carries; None when it cannot be one of ours.

    A foreign UUIDv7 yields an index too: the caller compares the id found there.
    """
    if not is_uuid(text) or text[14] != "7":
        return None
    return int(text[24:], 16) & _INDEX_MASK


def is_uuid(text: str) -> bool:
    """Tell whether `text` is a UUID in its usual spelling, in either case."""
    return _UUID_TEXT.match(text) is not None


def object_id(occurred_ms: int, index: int) -> str:
    """Return the 24-digit ObjectId of the event at `index`.

    Shape: 4 bytes of seconds, clamped to what they hold, then 8 bytes of index + 1.
    Source: seed Kvass, sample ids; wire specification 2.2.
    """
    seconds = min(max(occurred_ms // 1000, 0), _SECONDS_MAX)
    return f"{seconds:08x}{index + 1:016x}"


def index_of_object_id(text: str) -> int | None:
    """Return the index that an ObjectId of ours carries, or None."""
    if not is_object_id(text):
        return None
    index = int(text[8:], 16) - 1
    return index if 0 <= index <= _INDEX_MASK else None


def times_of_object_id(text: str) -> tuple[int | None, int | None]:
    """Return the first and the last millisecond of the second that an ObjectId names.

    Shape: None for an end that is open, since times are clamped to what 4 bytes of seconds hold.
    """
    seconds = int(text[:8], 16)
    return (
        seconds * 1000 if seconds else None,
        seconds * 1000 + 999 if seconds < _SECONDS_MAX else None,
    )


def is_object_id(text: str) -> bool:
    """Tell whether `text` is 24 hexadecimal digits."""
    return _OBJECT_ID_TEXT.match(text) is not None


def ordinal(index: int) -> int:
    """Return the number by which Orchestrate and Onehub name the event at `index`."""
    return index + 1


def idtimestamp(recorded_ms: int, index: int) -> str:
    """Return the 18 hexadecimal digits that name a leaf in the DataTrails log.

    Shape: one byte of epoch, 40 bits of milliseconds in it, 24 bits of index.
    Source: wire specification of DataTrails 4.3; one epoch is 2^40 - 1 ms.
    """
    epoch, ms = divmod(recorded_ms, _IDTIMESTAMP_EPOCH_MS)
    low = index % IDTIMESTAMP_SEQUENCES
    return f"{epoch & 0xFF:02x}{(ms << 24) | low:016x}"


def place_of_idtimestamp(number: int) -> tuple[int, int]:
    """Return the time of recording, and the low bits of the index, that an idtimestamp stands for.

    A number that stands for none gives those of the next that does.
    """
    epoch, rest = divmod(number, 1 << 64)
    ms, low = divmod(rest, IDTIMESTAMP_SEQUENCES)
    if ms >= _IDTIMESTAMP_EPOCH_MS:
        return (epoch + 1) * _IDTIMESTAMP_EPOCH_MS, 0
    return epoch * _IDTIMESTAMP_EPOCH_MS + ms, low


def wraps_idtimestamp(index: int) -> bool:
    """Tell whether the low bits of `index` start again, so that the millisecond must grow."""
    return index % IDTIMESTAMP_SEQUENCES == 0


def mmr_index(index: int) -> int:
    """Return the node number of leaf `index` in a Merkle mountain range.

    Source: wire specification of DataTrails 4.4.
    """
    return 2 * index - index.bit_count()


def derived_uuid(namespace: uuid.UUID, name: str) -> uuid.UUID:
    """Return the UUIDv5 of `name` under `namespace`: the same for the same input, always."""
    return uuid.uuid5(namespace, name)


def tenant_uuid(tenant: str) -> uuid.UUID:
    """Return the UUID of a tenant whose id is no UUID and who was given none."""
    return uuid.uuid5(_NAMESPACE, tenant)

"""Rows of the log in the binary form of COPY.

Source: PostgreSQL manual, "COPY", section "Binary Format".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tallystick.events.entry import SECTIONS, Sealed
from tallystick.store.postgres.binary_arrays import NULL
from tallystick.tlog.hashing import HASH_BYTES

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_LEAF = struct.pack("!i", HASH_BYTES)
_COLUMNS = 4 + len(SECTIONS)

_length = struct.Struct("!i").pack
_index_and_length = struct.Struct("!iqi").pack


def copied(tenant: bytes, rows: Sequence[Sealed]) -> bytes:
    """Return rows of a tenant's log as `copy_rows` reads them between `HEADER` and `TRAILER`."""
    head = struct.pack("!hi", _COLUMNS, len(tenant)) + tenant
    parts: list[bytes] = []
    for row in rows:
        entry = row.entry
        parts += (head, _index_and_length(8, row.index, len(entry)), entry, _LEAF, row.leaf)
        for section in row.sections:
            if section is None:
                parts.append(NULL)
            else:
                parts += (_length(len(section)), section)
    return b"".join(parts)

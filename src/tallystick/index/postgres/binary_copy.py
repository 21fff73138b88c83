"""Rows of the lists in the binary form of COPY; integers have 8 bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache

from tallystick.index.postgres.rows import Listed
from tallystick.index.postgres.sql import STATEMENTS
from tallystick.store.postgres.binary_arrays import NULL, array_head, int8
from tallystick.store.postgres.binary_copy import HEADER, TRAILER
from tallystick.store.postgres.connection import Connection

_AT_ONCE = 128
"""So many rows are sent while those behind them are packed."""

_integers = struct.Struct(">iqiqiqiq").pack
_flag = struct.Struct(">i?i").pack


def copy_in(connection: Connection, tenant: bytes, listed: Sequence[Listed]) -> None:
    """Copy what stands in the lists for some entries."""
    _copy(connection, "copy_lists", _lists, tenant, listed)
    _copy(connection, "copy_places", _places, tenant, listed)


def _copy(
    connection: Connection,
    statement: str,
    packed: Callable[[bytes, Sequence[Listed]], bytes],
    tenant: bytes,
    listed: Sequence[Listed],
) -> None:
    with connection.cursor().copy(STATEMENTS[statement]) as copy:
        copy.write(HEADER)
        for start in range(0, len(listed), _AT_ONCE):
            copy.write(packed(tenant, listed[start : start + _AT_ONCE]))
        copy.write(TRAILER)


def _begin(tenant: bytes, columns: int) -> bytes:
    """Return how each row begins: the number of its columns, and the first of them."""
    return struct.pack(">hi", columns, len(tenant)) + tenant


def _lists(tenant: bytes, listed: Sequence[Listed]) -> bytes:
    begin = _begin(tenant, 9)
    parts: list[bytes] = []
    for index, ms, seen, kind, actor_id, target_id, is_document, terms, _ in listed:
        head = _array_head(len(terms) // 12)
        parts += (
            begin,
            _integers(8, index, 8, ms, 8, seen, 8, kind),
            NULL if actor_id is None else int8(actor_id),
            NULL if target_id is None else int8(target_id),
            _flag(1, is_document, len(head) + len(terms)),
            head,
            terms,
        )
    return b"".join(parts)


def _places(tenant: bytes, listed: Sequence[Listed]) -> bytes:
    begin = _begin(tenant, 5)
    parts: list[bytes] = []
    for each in listed:
        for term in each.places:
            parts += (begin, _integers(8, term, 8, each.ms, 8, each.index, 8, each.seen))
    return b"".join(parts)


_array_head = cache(array_head)

"""COPY in its binary form, packed here: for thousands of rows of integers several times as fast as
handing the driver one value after another.

The form is that of the PostgreSQL manual, "COPY", section "Binary Format"; integers have 8 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import cache

from tallystick.index.postgres.rows import Listed
from tallystick.index.postgres.sql import STATEMENTS
from tallystick.store.postgres.connecting import Connection
from tallystick.store.postgres.copying import HEADER, NULL, TRAILER

_INT8_OID = 20

_integer = struct.Struct(">iq").pack
_integers = struct.Struct(">iqiqiqiq").pack
_flag = struct.Struct(">i?").pack


def copy_in(connection: Connection, tenant: bytes, listed: Sequence[Listed]) -> None:
    """Copy what stands in the lists for some entries."""
    _copy(connection, "copy_lists", _lists(tenant, listed))
    _copy(connection, "copy_places", _places(tenant, listed))


def _copy(connection: Connection, statement: str, rows: Iterable[bytes]) -> None:
    with connection.cursor().copy(STATEMENTS[statement]) as copy:
        copy.write(b"".join((HEADER, *rows, TRAILER)))


def _begin(tenant: bytes, columns: int) -> bytes:
    """Return how each row begins: the number of its columns, and the first of them."""
    return struct.pack(">hi", columns, len(tenant)) + tenant


def _lists(tenant: bytes, listed: Sequence[Listed]) -> Iterable[bytes]:
    begin = _begin(tenant, 9)
    for each in listed:
        yield begin
        yield _integers(8, each.index, 8, each.ms, 8, each.seen, 8, each.kind)
        yield NULL if each.actor_id is None else _integer(8, each.actor_id)
        yield NULL if each.target_id is None else _integer(8, each.target_id)
        yield _flag(1, each.document)
        yield _array(each.terms)


def _places(tenant: bytes, listed: Sequence[Listed]) -> Iterable[bytes]:
    begin = _begin(tenant, 5)
    for each in listed:
        for term in each.places:
            yield begin
            yield _integers(8, term, 8, each.ms, 8, each.index, 8, each.seen)


def _array(numbers: Sequence[int]) -> bytes:
    """Return an array of one dimension that begins at 1; it is never empty."""
    count = len(numbers)
    sized = [value for number in numbers for value in (8, number)]
    return _array_form(count).pack(20 + 12 * count, 1, 0, _INT8_OID, count, 1, *sized)


@cache
def _array_form(count: int) -> struct.Struct:
    return struct.Struct(">iiiiii" + "iq" * count)

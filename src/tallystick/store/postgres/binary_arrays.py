"""Values in PostgreSQL's binary form, packed here: the driver asks each element for its type, which
takes several times as long.

Source: PostgreSQL manual, "COPY", section "Binary Format"; arrays as `array_recv` reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from psycopg.adapt import AdaptersMap, Buffer, Dumper
from psycopg.pq import Format

NULL = b"\xff\xff\xff\xff"
INT8_OID = 20

_BOOL_OID, _BYTEA_OID = 16, 17
_BOOLS_OID, _BYTEAS_OID, _INT8S_OID = 1000, 1001, 1016
_FALSE, _TRUE = b"\0\0\0\1\0", b"\0\0\0\1\1"

_begin = struct.Struct(">iIIii").pack
_length = struct.Struct(">i").pack
_element = struct.Struct(">iq")
_integer = _element.pack


class Int8s(bytes):
    """An array of integers."""


class Byteas(bytes):
    """An array of bytes."""


class Bools(bytes):
    """An array of truth values."""


def int8(value: int) -> bytes:
    """Return an integer with its length before it, as in arrays and in rows of a COPY."""
    return _integer(8, value)


def unpacked(elements: bytes) -> list[int]:
    """Return integers that were packed one after another."""
    return [value for _, value in _element.iter_unpack(elements)]


def int8s(values: Iterable[int]) -> Int8s:
    """Return an array of integers."""
    return int8s_of([_integer(8, value) for value in values])


def int8s_of(packed: Sequence[bytes]) -> Int8s:
    """Return an array of integers that were packed before."""
    elements = b"".join(packed)
    return Int8s(array_head(len(elements) // 12) + elements)


def int8s_or_null(values: Sequence[int | None]) -> Int8s:
    """Return an array of integers of which some are missing."""
    packed = [NULL if value is None else _integer(8, value) for value in values]
    return Int8s(_head(len(values), INT8_OID, has_null=True) + b"".join(packed))


def byteas(values: Iterable[bytes]) -> Byteas:
    """Return an array of bytes."""
    packed = [_length(len(value)) + value for value in values]
    return Byteas(_head(len(packed), _BYTEA_OID) + b"".join(packed))


def byteas_or_null(values: Iterable[bytes | None]) -> Byteas:
    """Return an array of bytes of which some are missing."""
    packed = [NULL if value is None else _length(len(value)) + value for value in values]
    return Byteas(_head(len(packed), _BYTEA_OID, has_null=True) + b"".join(packed))


def bools(values: Sequence[bool]) -> Bools:
    """Return an array of truth values."""
    packed = [_TRUE if value else _FALSE for value in values]
    return Bools(_head(len(packed), _BOOL_OID) + b"".join(packed))


def array_head(count: int) -> bytes:
    """Return how an array of integers begins, none of them missing."""
    return _head(count, INT8_OID)


def _head(count: int, oid: int, *, has_null: bool = False) -> bytes:
    # An empty array has no dimensions.
    return _begin(1, has_null, oid, count, 1) if count else struct.pack(">iII", 0, 0, oid)


class _Packed(Dumper):
    format = Format.BINARY

    def dump(self, obj: Buffer) -> Buffer:
        """Return what is packed already."""
        return obj


class _Int8sDumper(_Packed):
    oid = _INT8S_OID


class _ByteasDumper(_Packed):
    oid = _BYTEAS_OID


class _BoolsDumper(_Packed):
    oid = _BOOLS_OID


def register(adapters: AdaptersMap) -> None:
    """Let a connection send packed arrays as they are."""
    adapters.register_dumper(Int8s, _Int8sDumper)
    adapters.register_dumper(Byteas, _ByteasDumper)
    adapters.register_dumper(Bools, _BoolsDumper)

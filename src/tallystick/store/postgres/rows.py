"""What the PostgreSQL store reads, as functions of a connection: inside a transaction or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from psycopg.rows import TupleRow

from tallystick.store.base import Claim, IdentityRow, LogHead, LogRow, ResourceHead
from tallystick.store.postgres.binary_arrays import byteas, int8s
from tallystick.store.postgres.connection import Connection, fetch
from tallystick.store.postgres.statements import STATEMENTS


class ListState(NamedTuple):
    """How far the lists of a tenant have come; see the columns of `logs`."""

    key: bytes | None = None
    rules: bytes | None = None
    next: int = 0
    stale: int = 0
    changes: int = 0


def to_bytes(name: str) -> bytes:
    """Return how a name is stored."""
    return name.encode("utf-8", "surrogatepass")


def from_bytes(stored: bytes) -> str:
    """Return the name that is stored so."""
    return stored.decode("utf-8", "surrogatepass")


def select(connection: Connection, statement: str, **values: Any) -> list[TupleRow]:
    """Return the rows of a named statement."""
    return fetch(connection, STATEMENTS[statement], values)


def log_head(tenant: str, row: TupleRow) -> LogHead:
    """Return the head that a row of `logs` describes."""
    origin, key_id, size, frontier, root, checkpoint, recorded_ms = row[:7]
    # What was damaged must stay readable, so that it is found damaged.
    return LogHead(
        tenant, origin.decode(errors="replace"), key_id, size, frontier, root,
        checkpoint.decode(errors="replace"), recorded_ms,
    )  # fmt: skip


def list_state(row: TupleRow) -> ListState:
    """Return how far the lists are that a row of `logs`, as `lock_head` reads it, tells of."""
    return ListState(*row[7:12])


def locked_ms(row: TupleRow) -> int:
    """Return what time it was where the log is kept, as `lock_head` read it."""
    return int(row[12])


def rows(connection: Connection, tenant: bytes, start: int, stop: int) -> list[LogRow]:
    """Return the entries [start, stop) that exist, in order."""
    found = select(connection, "rows", tenant=tenant, start=start, stop=stop)
    return [LogRow(row[0], row[1], row[2], row[3:]) for row in found]


def rows_at(connection: Connection, tenant: bytes, indexes: Iterable[int]) -> dict[int, LogRow]:
    """Return the entries at `indexes` that exist."""
    wanted = list(indexes)
    found = select(connection, "rows_at", tenant=tenant, idx=int8s(wanted)) if wanted else ()
    return {row[0]: LogRow(row[0], row[1], row[2], row[3:]) for row in found}


def rows_within(
    connection: Connection, tenant: bytes, indexes: Sequence[int], max_bytes: int
) -> dict[int, LogRow]:
    """Return the entries at the first of `indexes` that have `max_bytes` together."""
    if not indexes:
        return {}
    found = select(
        connection, "rows_within", tenant=tenant, idx=int8s(indexes), max_bytes=max_bytes
    )
    return {row[0]: LogRow(row[0], row[1], row[2], row[3:]) for row in found}


def leaves(connection: Connection, tenant: bytes, start: int, stop: int) -> list[bytes]:
    """Return the leaf hashes of [start, stop)."""
    found = select(connection, "leaves", tenant=tenant, start=start, stop=stop)
    return [leaf for (leaf,) in found]


def entries(connection: Connection, tenant: bytes, start: int, stop: int) -> list[bytes]:
    """Return the entry bytes of [start, stop)."""
    found = select(connection, "entries", tenant=tenant, start=start, stop=stop)
    return [entry for (entry,) in found]


def tile(connection: Connection, tenant: bytes, level: int, number: int) -> bytes | None:
    """Return the hashes of a complete tile."""
    found = select(connection, "tile", tenant=tenant, level=level, number=number)
    hashes: bytes | None = found[0][0] if found else None
    return hashes


def tile_roots(
    connection: Connection, tenant: bytes, level: int, start: int, stop: int
) -> list[bytes]:
    """Return the roots of the complete tiles [start, stop) of a level."""
    found = select(connection, "tile_roots", tenant=tenant, level=level, start=start, stop=stop)
    return [root for (root,) in found]


def resource_heads(
    connection: Connection, tenant: bytes, keys: Sequence[bytes]
) -> dict[bytes, ResourceHead]:
    """Return the heads that exist among `keys`."""
    found = select(connection, "resource_heads", tenant=tenant, keys=byteas(keys)) if keys else ()
    return {key: ResourceHead(index, live) for key, index, live in found}


def claims(connection: Connection, tenant: bytes, wanted: Sequence[bytes]) -> dict[bytes, Claim]:
    """Return the claims that exist among `wanted`."""
    found = select(connection, "claims", tenant=tenant, claims=byteas(wanted)) if wanted else ()
    return {row[0]: Claim(*row) for row in found}


def claims_of(connection: Connection, tenant: bytes, indexes: Iterable[int]) -> list[Claim]:
    """Return the claims that lead to entries at `indexes`."""
    found = select(connection, "claims_of", tenant=tenant, idx=list(indexes))
    return [Claim(*row) for row in found]


def identity(connection: Connection, tenant: bytes, kind: bytes, id: bytes) -> IdentityRow | None:
    """Return one identity record."""
    found = select(connection, "identity", tenant=tenant, kind=kind, id=id)
    return identity_row(found[0]) if found else None


def identity_row(row: TupleRow) -> IdentityRow:
    """Return the record that a row of `identity` describes."""
    tenant, kind, id, doc = row
    return IdentityRow(from_bytes(tenant), from_bytes(kind), from_bytes(id), doc)

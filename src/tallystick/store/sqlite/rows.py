"""How rows are keyed and read in the SQLite store: functions of a connection, nothing else.

`pos` is a tenant's number and an index in one integer, so that a log is one stretch of one B-tree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from tallystick.store.base import (
    Claim,
    IdentityRow,
    IdentityWrite,
    LogHead,
    LogRow,
    ResourceHead,
)

INDEX_BITS = 40
HEAD_COLUMNS = "tenant, origin, key_id, size, frontier, root, checkpoint, recorded_ms"

# Texts as bytes: what was damaged must stay readable, so that it is found damaged.
_HEAD = (
    "CAST(tenant AS BLOB), CAST(origin AS BLOB), key_id, size, frontier, root,"
    " CAST(checkpoint AS BLOB), recorded_ms"
)

# An entry begins with version and id, which are of one length, and then its op.
_IS_SYSTEM = 'substr(entry, 50, 15) = CAST(\'","op":"system"\' AS BLOB)'
# Behind the op stands the kind. Those that only report come by the minute, for years.
_IS_ACT = (
    f"{_IS_SYSTEM} AND substr(entry, 74, 17) <> CAST('stream.delivered\"' AS BLOB)"
    " AND substr(entry, 74, 7) <> CAST('access.' AS BLOB)"
)
CREATE_SYSTEM_INDEXES = (
    f"CREATE INDEX IF NOT EXISTS log_system ON log (pos) WHERE {_IS_SYSTEM};"
    f"CREATE INDEX IF NOT EXISTS log_acts ON log (pos) WHERE {_IS_ACT};"
)

_LEVEL_BITS = 35
_TILE_BITS = 32
_ROW_COLUMNS = "pos, entry, leaf, actor, target, place, data, previous"


def tile_pos(log: int, level: int, number: int) -> int:
    """Return the key of a tile."""
    return (log << _LEVEL_BITS) | (level << _TILE_BITS) | number


def number(connection: apsw.Connection, tenant: str) -> int | None:
    """Return the number of a tenant's log; None: it has none."""
    found: int | None = connection.execute(
        "SELECT number FROM logs WHERE tenant = ?", (tenant,)
    ).get
    return found


def log_head(connection: apsw.Connection, tenant: str) -> LogHead | None:
    """Return the head of a tenant's log."""
    row = connection.execute(f"SELECT {_HEAD} FROM logs WHERE tenant = ?", (tenant,)).fetchone()
    return None if row is None else _log_head(row)


def log_heads(connection: apsw.Connection) -> list[LogHead]:
    """Return the heads of all logs, by tenant."""
    rows = connection.execute(f"SELECT {_HEAD} FROM logs ORDER BY tenant")
    return [_log_head(row) for row in rows]


def _log_head(row: Any) -> LogHead:
    tenant, origin, key_id, size, frontier, root, checkpoint, recorded_ms = row
    return LogHead(
        tenant.decode(errors="replace"), origin.decode(errors="replace"), key_id, size,
        frontier, root, checkpoint.decode(errors="replace"), recorded_ms,
    )  # fmt: skip


def rows(connection: apsw.Connection, log: int, start: int, stop: int) -> list[LogRow]:
    """Return the entries [start, stop) that exist, in order."""
    found = connection.execute(
        f"SELECT {_ROW_COLUMNS} FROM log WHERE pos >= ? AND pos < ? ORDER BY pos",
        _stretch(log, start, stop),
    )
    base = log << INDEX_BITS
    return [LogRow(row[0] - base, row[1], row[2], row[3:]) for row in found]


def rows_at(connection: apsw.Connection, log: int, indexes: Iterable[int]) -> dict[int, LogRow]:
    """Return the entries at `indexes` that exist."""
    base = log << INDEX_BITS
    found = connection.execute(
        f"SELECT {_ROW_COLUMNS} FROM json_each(?) CROSS JOIN log ON log.pos = json_each.value",
        (json.dumps([base + index for index in indexes]),),
    )
    return {row[0] - base: LogRow(row[0] - base, row[1], row[2], row[3:]) for row in found}


def rows_within(
    connection: apsw.Connection, log: int, indexes: Sequence[int], max_bytes: int
) -> dict[int, LogRow]:
    """Return the entries at the first of `indexes` that have `max_bytes` together."""
    base = log << INDEX_BITS
    found: dict[int, LogRow] = {}
    # Rows are read as they are asked for, so what lies behind the bound is never read.
    for row in connection.execute(
        f"SELECT {_ROW_COLUMNS} FROM json_each(?) CROSS JOIN log ON log.pos = json_each.value",
        (json.dumps([base + index for index in indexes]),),
    ):
        stored = LogRow(row[0] - base, row[1], row[2], row[3:])
        max_bytes -= stored.section_bytes
        if max_bytes < 0 and found:
            break
        found[stored.index] = stored
    return found


def entries(connection: apsw.Connection, log: int, start: int, stop: int) -> list[bytes]:
    """Return the entry bytes of [start, stop)."""
    found = connection.execute(
        "SELECT entry FROM log WHERE pos >= ? AND pos < ? ORDER BY pos", _stretch(log, start, stop)
    )
    return [row[0] for row in found]


def system_indexes(connection: apsw.Connection, log: int, start: int, stop: int) -> list[int]:
    """Return where entries of op `system` stand in [start, stop)."""
    return _found(connection, f"log WHERE {_IS_SYSTEM}", log, range(start, stop))


def act_indexes(connection: apsw.Connection, log: int, start: int, stop: int) -> list[int]:
    """Return where entries of op `system` stand in [start, stop) that do more than report."""
    # Named, since the larger index serves as well; a file of an older program has only that one.
    has_index = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'log_acts'").get
    table = "log INDEXED BY log_acts" if has_index else "log"
    return _found(connection, f"{table} WHERE {_IS_ACT}", log, range(start, stop))


def _found(connection: apsw.Connection, source: str, log: int, span: range) -> list[int]:
    found = connection.execute(
        f"SELECT pos FROM {source} AND pos >= ? AND pos < ? ORDER BY pos",
        _stretch(log, span.start, span.stop),
    )
    base = log << INDEX_BITS
    return [pos - base for (pos,) in found]


def leaves(connection: apsw.Connection, log: int, start: int, stop: int) -> list[bytes]:
    """Return the leaf hashes of [start, stop)."""
    found = connection.execute(
        "SELECT leaf FROM log WHERE pos >= ? AND pos < ? ORDER BY pos", _stretch(log, start, stop)
    )
    return [row[0] for row in found]


def tile(connection: apsw.Connection, log: int, level: int, number: int) -> bytes | None:
    """Return the hashes of a complete tile."""
    hashes: bytes | None = connection.execute(
        "SELECT hashes FROM tiles WHERE pos = ?", (tile_pos(log, level, number),)
    ).get
    return hashes


def tile_roots(
    connection: apsw.Connection, log: int, level: int, start: int, stop: int
) -> list[bytes]:
    """Return the roots of the complete tiles [start, stop) of a level."""
    found = connection.execute(
        "SELECT root FROM tiles WHERE pos >= ? AND pos < ? ORDER BY pos",
        (tile_pos(log, level, start), tile_pos(log, level, stop)),
    )
    return [row[0] for row in found]


def resource_heads(
    connection: apsw.Connection, log: int, keys: Sequence[bytes]
) -> dict[bytes, ResourceHead]:
    """Return the heads that exist among `keys`."""
    found = connection.execute(
        "SELECT heads.key, idx, live FROM json_each(?) CROSS JOIN heads"
        " ON heads.number = ? AND heads.key = unhex(json_each.value)",
        (json.dumps([key.hex() for key in keys]), log),
    )
    return {key: ResourceHead(index, bool(live)) for key, index, live in found}


def claims(connection: apsw.Connection, log: int, wanted: Sequence[bytes]) -> dict[bytes, Claim]:
    """Return the claims that exist among `wanted`."""
    found = connection.execute(
        "SELECT claim, digest, idx FROM json_each(?) CROSS JOIN claims"
        " ON claims.number = ? AND claims.claim = unhex(json_each.value)",
        (json.dumps([claim.hex() for claim in wanted]), log),
    )
    return {row[0]: Claim(*row) for row in found}


def claims_of(connection: apsw.Connection, log: int, indexes: Iterable[int]) -> list[Claim]:
    """Return the claims that lead to entries at `indexes`."""
    found = connection.execute(
        "SELECT claim, digest, idx FROM claims"
        " WHERE number = ? AND idx IN (SELECT value FROM json_each(?))",
        (log, json.dumps(list(indexes))),
    )
    return [Claim(*row) for row in found]


def identity(connection: apsw.Connection, tenant: str, kind: str, id: str) -> IdentityRow | None:
    """Return one identity record."""
    row = connection.execute(
        "SELECT tenant, kind, id, doc FROM identity WHERE tenant = ? AND kind = ? AND id = ?",
        (tenant, kind, id),
    ).fetchone()
    return None if row is None else IdentityRow(*row)


def identities(connection: apsw.Connection, tenant: str | None, kind: str) -> list[IdentityRow]:
    """Return the records of a kind, of one tenant or of all, by tenant and id."""
    found = connection.execute(
        "SELECT tenant, kind, id, doc FROM identity"
        " WHERE kind = ?1 AND (?2 IS NULL OR tenant = ?2) ORDER BY tenant, id",
        (kind, tenant),
    )
    return [IdentityRow(*row) for row in found]


def find_identity(connection: apsw.Connection, namespace: str, text: str) -> IdentityRow | None:
    """Return the record that a lookup leads to."""
    row = connection.execute(
        "SELECT i.tenant, i.kind, i.id, i.doc FROM lookups AS l JOIN identity AS i"
        " USING (tenant, kind, id) WHERE l.namespace = ? AND l.text = ?",
        (namespace, text),
    ).fetchone()
    return None if row is None else IdentityRow(*row)


def scan_heads(
    connection: apsw.Connection, log: int, after: bytes, limit: int
) -> list[tuple[bytes, ResourceHead]]:
    """Return the next heads of a log by key."""
    found = connection.execute(
        "SELECT key, idx, live FROM heads WHERE number = ? AND key > ? ORDER BY key LIMIT ?",
        (log, after, limit),
    )
    return [(key, ResourceHead(index, bool(live))) for key, index, live in found]


def scan_claims(connection: apsw.Connection, log: int, after: bytes, limit: int) -> list[Claim]:
    """Return the next claims of a log."""
    found = connection.execute(
        "SELECT claim, digest, idx FROM claims WHERE number = ? AND claim > ?"
        " ORDER BY claim LIMIT ?",
        (log, after, limit),
    )
    return [Claim(*row) for row in found]


def scan_identity(
    connection: apsw.Connection, after: tuple[str, str, str] | None, limit: int
) -> list[IdentityWrite]:
    """Return the next identity records, with their lookups."""
    records: list[tuple[Any, ...]] = connection.execute(
        "SELECT tenant, kind, id, doc FROM identity"
        " WHERE ?1 IS NULL OR (tenant, kind, id) > (?1, ?2, ?3)"
        " ORDER BY tenant, kind, id LIMIT ?4",
        (*(after or (None, None, None)), limit),
    ).fetchall()
    return [
        IdentityWrite(tenant, kind, id, doc, _lookups(connection, tenant, kind, id))
        for tenant, kind, id, doc in records
    ]


def _lookups(
    connection: apsw.Connection, tenant: str, kind: str, id: str
) -> tuple[tuple[str, str], ...]:
    found = connection.execute(
        "SELECT namespace, text FROM lookups WHERE (tenant, kind, id) = (?, ?, ?)"
        " ORDER BY namespace, text",
        (tenant, kind, id),
    )
    return tuple((namespace, text) for namespace, text in found)


def _stretch(log: int, start: int, stop: int) -> tuple[int, int]:
    base = log << INDEX_BITS
    return base + start, base + max(start, stop)

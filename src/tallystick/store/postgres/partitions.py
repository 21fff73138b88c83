"""The stretches that tables of positions are partitioned into, made ahead of the longest log.

A stretch holds 2^22 positions of every tenant. The next one is made when a log has come into the
last there is, so that nobody ever waits for one that is needed at once; an empty table is attached,
which nobody who reads or writes waits for either.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import structlog
from psycopg import sql

from tallystick.errors import StoreBusy, for_operator
from tallystick.store.postgres.connection import Connection, Timeouts, connect, transaction
from tallystick.store.postgres.errors import translated

STRETCH = 1 << 22
TABLES = ("log", "lists", "places", "sources")
"""Tables with a position in their keys."""

_ENDS = """
SELECT parent.relname::text, pg_get_expr(part.relpartbound, part.oid)
FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
    JOIN pg_class AS parent ON parent.oid = inhparent
WHERE parent.relname = ANY(%s) AND parent.relnamespace = current_schema()::regnamespace
"""
_END = re.compile(r"TO \('?(\d+)'?\)")
_OPEN_END = re.compile(r"TO \(MAXVALUE\)")
_ENDLESS = 1 << 62
_LOCK = "LOCK TABLE migrations IN SHARE ROW EXCLUSIVE MODE"
_CREATE = "CREATE TABLE IF NOT EXISTS {part} (LIKE {table} INCLUDING ALL)"
_ATTACH = "ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ({start}) TO ({stop})"

_log = structlog.get_logger(__name__)


class Partitions:
    """Knows how far the stretches go, and makes more; safe to share between threads."""

    def __init__(self, url: str, timeouts: Timeouts) -> None:
        self._connect: Callable[[], Connection] = lambda: connect(
            url, name="partitions", timeouts=timeouts
        )
        # Held while stretches are made. The end only grows, and may be read without it.
        self._lock = threading.Lock()
        self._end = 0

    def require(self, size: int) -> None:
        """Make sure that entries below `size` have a place, and those of the next stretch too.

        Raises: StoreBusy, StoreFailed when they have none and none can be made.
        Cost: nothing but once a stretch.
        """
        if size + STRETCH <= self._end:
            return
        with self._lock:
            try:
                with translated(), self._connect() as connection:
                    self._end = end_of(connection)
                    if size + STRETCH > self._end:
                        self._end = grow(connection, size + STRETCH)
            except StoreBusy as error:
                if size > self._end:
                    raise
                _log.warning("partition_not_made_ahead", reason=for_operator(error))


def end_of(connection: Connection) -> int:
    """Return the position at which the stretches of some table end."""
    return min(_ends(connection).values())


def _ends(connection: Connection) -> dict[str, int]:
    ends = dict.fromkeys(TABLES, 0)
    for table, bound in connection.execute(_ENDS, (list(TABLES),)).fetchall():
        found = _END.search(bound)
        if found is not None:
            ends[table] = max(ends[table], int(found[1]))
        elif _OPEN_END.search(bound):
            # A log of the version before that has come so far goes on in its rest.
            ends[table] = _ENDLESS
    return ends


def grow(connection: Connection, end: int) -> int:
    """Make stretches up to a position; return where they end."""
    with transaction(connection):
        # One process at a time; what another one has made meanwhile is seen.
        connection.execute(_LOCK)
        for table, begin in _ends(connection).items():
            for start in range(begin, end, STRETCH):
                _add(connection, table, start)
        return end_of(connection)


def _add(connection: Connection, table: str, start: int) -> None:
    part = f"{table}_{start // STRETCH}"
    names = {
        "table": sql.Identifier(table),
        "part": sql.Identifier(part),
        "start": sql.Literal(start),
        "stop": sql.Literal(start + STRETCH),
    }
    attached = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(%s))", (part,)
    ).fetchall()
    if attached == [(False,)]:
        for command in (_CREATE, _ATTACH):
            connection.execute(sql.SQL(command).format(**names), prepare=False)

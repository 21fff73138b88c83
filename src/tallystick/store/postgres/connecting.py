"""Connections to PostgreSQL: how they are set up, pooled and replaced when they are lost.

Every connection is in autocommit mode; a transaction is begun and ended by name. Timeouts make
sure that a process that is stuck lets go of the tenant it holds within seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from psycopg_pool import ConnectionPool

Connection = psycopg.Connection[TupleRow]
Result = TypeVar("Result")

APPLICATION_NAME = "tallystick"
IDLE_IN_TRANSACTION_MS = 5_000
LOCK_WAIT_MS = 6_000
"""Longer than the holder of a lock may idle, so that whoever waits for a stuck one gets it."""
CONNECTION_WAIT_S = 5.0

_SETTINGS = """
SELECT set_config('application_name', %(name)s, false),
    set_config('lock_timeout', %(lock_ms)s, false),
    set_config('idle_in_transaction_session_timeout', %(idle_ms)s, false),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""

_KEEPALIVES: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def connect(url: str, *, name: str) -> Connection:
    """Return a connection of its own, for what is done rarely."""
    connection = psycopg.connect(url, autocommit=True, **_KEEPALIVES)
    set_up(connection, name=name, lock_wait_ms=LOCK_WAIT_MS)
    return connection


def set_up(connection: Connection, *, name: str, lock_wait_ms: int) -> None:
    """Give a new connection its name, its timeouts and its types."""
    # One integer type for all, so that a statement is prepared once whatever the number.
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    settings = {
        "name": f"{APPLICATION_NAME} {name}",
        "lock_ms": str(lock_wait_ms),
        "idle_ms": str(IDLE_IN_TRANSACTION_MS),
    }
    connection.execute(_SETTINGS, settings)


class Pool:
    """Some connections of one kind, shared by threads."""

    def __init__(self, url: str, *, name: str, size_max: int, lock_wait_ms: int) -> None:
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            kwargs={"autocommit": True, **_KEEPALIVES},
            min_size=1,
            max_size=size_max,
            timeout=CONNECTION_WAIT_S,
            configure=partial(set_up, name=name, lock_wait_ms=lock_wait_ms),
            name=name,
            open=True,
        )

    def take(self) -> Connection:
        """Take a connection that nobody else uses."""
        return self._pool.getconn()

    def give_back(self, connection: Connection) -> None:
        """Give a connection back; one that is lost or still inside a transaction is replaced."""
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.close()
        self._pool.putconn(connection)

    def replace_lost(self) -> None:
        """Look through the connections that wait and replace those that are lost."""
        self._pool.check()

    def run(self, use: Callable[[Connection], Result]) -> Result:
        """Return what `use` makes of a connection; once more if the connection turns out lost.

        `use` only reads.
        """
        for last in (False, True):
            connection = self.take()
            try:
                return use(connection)
            except psycopg.OperationalError:
                if last or not connection.broken:
                    raise
            finally:
                self.give_back(connection)
            # One lost connection means a server that went away, and the others with it.
            self.replace_lost()
        raise AssertionError("the second attempt returns or raises")

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._pool.close()


def fetch(connection: Connection, statement: bytes, values: dict[str, Any]) -> list[TupleRow]:
    """Return the rows of a prepared statement, in binary form."""
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(statement, values, prepare=True).fetchall()

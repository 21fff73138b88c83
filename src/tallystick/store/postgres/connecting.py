"""Connections to PostgreSQL: how they are set up, pooled and replaced when they are lost.

Every connection is in autocommit mode; a transaction is begun and ended by name. Timeouts make
sure that a process that is stuck lets go of the tenant it holds within seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from psycopg_pool import ConnectionPool

Connection = psycopg.Connection[TupleRow]
Result = TypeVar("Result")

APPLICATION_NAME = "tallystick"
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


class Timeouts(NamedTuple):
    """How long a stuck process may keep others from a tenant.

    Units: milliseconds. Waiting for a lock takes longer than its holder may idle, so that whoever
    waits for a stuck one gets it in the end.
    """

    idle_ms: int = 5_000
    lock_ms: int = 6_000


def connect(url: str, *, name: str) -> Connection:
    """Return a connection of its own, for what is done rarely."""
    connection = psycopg.connect(url, autocommit=True, **_KEEPALIVES)
    set_up(connection, name=name, timeouts=Timeouts())
    return connection


def set_up(connection: Connection, *, name: str, timeouts: Timeouts) -> None:
    """Give a new connection its name, its timeouts and its types."""
    # One integer type for all, so that a statement is prepared once whatever the number.
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    settings = {
        "name": f"{APPLICATION_NAME} {name}",
        "lock_ms": str(timeouts.lock_ms),
        "idle_ms": str(timeouts.idle_ms),
    }
    connection.execute(_SETTINGS, settings)


class Pool:
    """Some connections of one kind, shared by threads."""

    def __init__(self, url: str, *, name: str, size_max: int, timeouts: Timeouts) -> None:
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            kwargs={"autocommit": True, **_KEEPALIVES},
            min_size=1,
            max_size=size_max,
            timeout=CONNECTION_WAIT_S,
            configure=partial(set_up, name=name, timeouts=timeouts),
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

"""Connections to PostgreSQL: how they are set up, pooled and replaced when they are lost.

Every connection is in autocommit mode; a transaction is begun and ended by name. Timeouts make
sure that a process that is stuck lets go of the tenant it holds within seconds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from tallystick.errors import SettingsError, StoreBusy, StoreFailed
from tallystick.store.postgres import binary_arrays

# It reports the ends of connections that were lost; their users get an error anyway.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

Connection = psycopg.Connection[TupleRow]
Result = TypeVar("Result")

APPLICATION_NAME = "tallystick"
CONNECTION_WAIT_S = 5.0

_SETTINGS = """
SELECT set_config('application_name', %(name)s, false),
    set_config('lock_timeout', %(lock_ms)s, false),
    set_config('idle_in_transaction_session_timeout', %(idle_ms)s, false),
    set_config('statement_timeout', %(statement_ms)s, false),
    -- Statements that take no time are not worth compiling, whatever the planner expects of them.
    set_config('jit', 'off', false),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""

_URL_HINT = (
    "postgresql://user:password@host:port/name; in a password, % is written %25, "
    "/ is %2F, : is %3A and @ is %40"
)

_KEEPALIVES: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


class Timeouts(NamedTuple):
    """How long a stuck process may keep others from a tenant.

    Units: milliseconds. Waiting for a lock takes longer than its holder may idle, so that a
    process that waits for a stuck one gets it in the end.
    """

    idle_ms: int = 5_000
    lock_ms: int = 6_000
    statement_ms: int = 0
    """One statement, without end where it is 0."""


_PATIENT = Timeouts()


def connect(url: str, *, name: str, timeouts: Timeouts = _PATIENT) -> Connection:
    """Return a new connection with its name, its timeouts and its types.

    Raises: SettingsError for a URL that is none.
    """
    try:
        connection = psycopg.connect(url, autocommit=True, **_KEEPALIVES)
    except psycopg.ProgrammingError:
        # The driver's words quote the URL, its password included.
        raise SettingsError("the URL of the database cannot be read", hint=_URL_HINT) from None
    # One integer type for all, so that a statement is prepared once whatever the number.
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    binary_arrays.register(connection.adapters)
    settings = {
        "name": f"{APPLICATION_NAME} {name}",
        "lock_ms": str(timeouts.lock_ms),
        "idle_ms": str(timeouts.idle_ms),
        "statement_ms": str(timeouts.statement_ms),
    }
    try:
        connection.execute(_SETTINGS, settings)
    except BaseException:
        connection.close()
        raise
    return connection


class Pool:
    """Some connections of one kind, shared by threads.

    A connection is made when one is asked for and none is free: a database that went away is an
    error at once, and one that came back is used at once, with nothing going on in between.
    """

    def __init__(self, url: str, *, name: str, size_max: int, timeouts: Timeouts) -> None:
        self._connect = partial(connect, url, name=name, timeouts=timeouts)
        self._room = threading.BoundedSemaphore(size_max)
        # Guards what follows.
        self._lock = threading.Lock()
        self._free: list[Connection] = []
        self._closed = False

    def take(self) -> Connection:
        """Take a connection that nobody else uses.

        Raises: StoreBusy when all are in use for too long, StoreFailed once the pool is closed.
        """
        if not self._room.acquire(timeout=CONNECTION_WAIT_S):
            raise StoreBusy("all connections to the database are in use")
        try:
            with self._lock:
                if self._closed:
                    raise StoreFailed("the store is closed")
                if self._free:
                    return self._free.pop()
            return self._connect()
        except BaseException:
            self._room.release()
            raise

    def give_back(self, connection: Connection) -> None:
        """Give a connection back; one that is lost or inside a transaction is closed."""
        usable = connection.info.transaction_status == TransactionStatus.IDLE
        with self._lock:
            if usable and not self._closed:
                self._free.append(connection)
            else:
                connection.close()
        self._room.release()

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """Lend a connection for one block; where it turns out lost, the free ones go with it."""
        connection = self.take()
        try:
            yield connection
        finally:
            lost = connection.broken
            self.give_back(connection)
            if lost:
                self.replace_lost()

    def replace_lost(self) -> None:
        """Close every free connection: a lost one means a server that went away with them all."""
        with self._lock:
            free, self._free = self._free, []
        for connection in free:
            connection.close()

    def run(self, use: Callable[[Connection], Result]) -> Result:
        """Return what `use` makes of a connection; once more if the connection turns out lost.

        `use` only reads, or writes what may be written twice.
        """
        for last in (False, True):
            with self.lent() as connection:
                try:
                    return use(connection)
                except psycopg.OperationalError:
                    if last or not connection.broken:
                        raise
        raise AssertionError("the second attempt returns or raises")

    def close(self) -> None:
        """Close every connection that is free, and the others as they come back; idempotent."""
        with self._lock:
            self._closed = True
        self.replace_lost()


def fetch(connection: Connection, statement: bytes, values: dict[str, Any]) -> list[TupleRow]:
    """Return the rows of a prepared statement, in binary form."""
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(statement, values, prepare=True).fetchall()

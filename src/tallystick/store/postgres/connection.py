"""Connections to PostgreSQL: how they are set up, pooled and replaced when they are lost.

Every connection is in autocommit mode; a transaction is begun and ended by name. Timeouts make
sure that a process that is stuck lets go of the tenant it holds within seconds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from threading import Thread
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from tallystick.deadline import interrupted_by
from tallystick.errors import SettingsError, StoreBusy, StoreFailed
from tallystick.store.postgres import binary_arrays

# It reports the ends of connections that were lost; their users get an error anyway.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

Result = TypeVar("Result")

APPLICATION_NAME = "tallystick"
CONNECTION_WAIT_S = 5.0
_CANCEL_S = 5.0
_NODE_WAIT_MS = 5_000

_ALWAYS = {
    # Statements that take no time are not worth compiling, whatever the planner expects of them.
    "jit": "off",
    # Every statement has an index to go by. Where the planner knows nothing of a table yet, or what
    # it knows is of old, it would read all of it for less.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

_SURROUNDINGS = """
SELECT pg_backend_pid(), current_setting('synchronous_commit'),
    to_regclass('citus_tables') IS NOT NULL
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


class Connection(psycopg.Connection[TupleRow]):
    """A connection in autocommit mode that knows how its settings are to be made."""

    pooled: bool = False
    """Whether a pooler stands between, which lends a session for a transaction at a time."""
    sharded: bool = False
    """Whether the tables are on the nodes of a Citus, which know nothing of this session."""
    in_transaction: tuple[bytes, ...] = ()
    """What has to be said again at the beginning of each transaction."""
    cancelled: bool = False
    """Whether a statement of it was cancelled; the next one might be hit by that."""

    def cancel_soon(self) -> None:
        """Have the statement under way cancelled, waiting for nothing."""
        self.cancelled = True
        Thread(target=self._cancel, name="cancel", daemon=True).start()

    def _cancel(self) -> None:
        # It may have come to its end, or be lost, and its statement with it.
        with suppress(psycopg.Error):
            self.cancel_safe(timeout=_CANCEL_S)


def connect(url: str, *, name: str, timeouts: Timeouts = _PATIENT) -> Connection:
    """Return a new connection with its name, its timeouts and its types.

    Raises: SettingsError for a URL that is none.
    """
    named = f"{APPLICATION_NAME} {name}"
    try:
        connection = Connection.connect(url, autocommit=True, application_name=named, **_KEEPALIVES)
    except psycopg.ProgrammingError:
        # The driver's words quote the URL, its password included.
        raise SettingsError("the URL of the database cannot be read", hint=_URL_HINT) from None
    # One integer type for all, so that a statement is prepared once whatever the number.
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    binary_arrays.register(connection.adapters)
    try:
        _set_up(connection, timeouts)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: Connection, timeouts: Timeouts) -> None:
    """Make the settings: of the session where it is ours alone, else of each transaction."""
    # A pooler hands out numbers of its own for the sessions that it stands for.
    [(pid, synchronous, sharded)] = connection.execute(_SURROUNDINGS).fetchall()
    connection.pooled = pid != connection.info.backend_pid
    connection.sharded = sharded
    settings = {
        **_ALWAYS,
        "lock_timeout": str(timeouts.lock_ms),
        "idle_in_transaction_session_timeout": str(timeouts.idle_ms),
        "statement_timeout": str(timeouts.statement_ms),
        "synchronous_commit": "on" if synchronous == "off" else synchronous,
    }
    if connection.pooled:
        # Named statements belong to a session, and the next transaction may be in another.
        connection.prepare_threshold = None
    if connection.pooled or connection.sharded:
        connection.in_transaction = _set_local(connection, settings)
    if not connection.pooled:
        changes = b", ".join([b"set_config(%s, %s, false)"] * len(settings))
        values = [each for setting in settings.items() for each in setting]
        connection.execute(b"SELECT " + changes, values)


def _set_local(connection: Connection, settings: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return the statements that make settings for one transaction, on every node it reaches."""
    if connection.sharded:
        # A node that is away is to fail in time, not after half a minute.
        settings = {
            "citus.propagate_set_commands": "local",
            "citus.node_connection_timeout": str(_NODE_WAIT_MS),
            **settings,
        }
    return tuple(
        sql.SQL("SET LOCAL {} TO {}")
        .format(sql.Identifier(*name.split(".")), sql.Literal(value))
        .as_bytes(connection)
        for name, value in settings.items()
    )


def begin_settings(connection: Connection) -> None:
    """Make the settings of a transaction that was just begun; nothing of it is waited for in a
    pipeline."""
    for statement in connection.in_transaction:
        connection.execute(statement, prepare=False)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Open a transaction that has our settings; leaving the block commits it."""
    with connection.transaction():
        begin_settings(connection)
        yield


@contextmanager
def _settled(connection: Connection, snapshot: bool) -> Iterator[None]:
    """Have our settings in a block, whether they are those of the session or of a transaction."""
    if snapshot:
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            begin_settings(connection)
            yield
    elif connection.in_transaction:
        with transaction(connection):
            yield
    else:
        yield


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
        status = connection.info.transaction_status
        usable = status == TransactionStatus.IDLE and not connection.cancelled
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

    def run(self, use: Callable[[Connection], Result], *, snapshot: bool = False) -> Result:
        """Return what `use` makes of a connection; once more if the connection turns out lost.

        `use` only reads, or writes what may be written twice. Its statement is cancelled when
        nobody waits any longer for what this thread does. With `snapshot` all that it reads is of
        one moment.
        """
        for last in (False, True):
            with self.lent() as connection:
                try:
                    with interrupted_by(connection.cancel_soon), _settled(connection, snapshot):
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

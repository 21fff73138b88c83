"""What follows an erasure on PostgreSQL: the old versions of erased rows are vacuumed away.

A thread does it at once, or as soon as no old snapshot needs them; tables that wait for it are
noted in the database, so that it happens even if this process dies. Erased bytes may then still
stand in free space inside pages, in the write-ahead log, in archives and on replicas: that is the
horizon which `ErasureHorizon` reports.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import psycopg
import structlog
from psycopg import sql
from psycopg.errors import UndefinedTable

from tallystick.store.postgres.connection import Connection, connect
from tallystick.store.postgres.rows import from_bytes, select
from tallystick.store.postgres.statements import STATEMENTS

_RETRY_S = 5.0

_log = structlog.get_logger(__name__)


class ErasureHorizon(NamedTuple):
    """Where bytes may still stand that were erased and that no query returns."""

    unvacuumed: int
    """Tables whose erased rows an old snapshot still holds, or that are being vacuumed."""
    unscrubbed: int
    """Tables whose pages were not rewritten since."""
    is_archiving: bool
    standbys: list[str]
    slots: list[str]
    wal_size_max: str


class Cleaner:
    """Vacuums tables with erased rows, in a thread that starts when it is first woken."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()  # guards the two below
        self._thread: threading.Thread | None = None
        self._closed = False
        self._wanted = threading.Event()
        self._idle = threading.Event()

    def wake(self) -> None:
        """Look for tables with erased rows, now and until there are none to vacuum."""
        self._idle.clear()
        self._wanted.set()
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="cleaner", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        idle_s: float | None = None
        while True:
            self._wanted.wait(idle_s)
            self._wanted.clear()
            if self._closed:
                return
            try:
                if self._vacuum():
                    idle_s = None
                    self._idle.set()
                else:
                    idle_s = _RETRY_S
            except psycopg.Error as error:
                _log.warning("erased_rows_wait", error=str(error))
                idle_s = _RETRY_S

    def _vacuum(self) -> bool:
        """Vacuum what can be, and tell whether nothing is left."""
        with connect(self._url, name="cleaner") as connection:
            left = False
            for tenant, relation, xid, vacuumed, blocked in select(connection, "erased_relations"):
                if vacuumed:
                    continue
                _maintain(connection, "VACUUM (INDEX_CLEANUP ON) {}", relation)
                if blocked:
                    left = True
                else:
                    _forget(connection, "mark_vacuumed", tenant, relation, xid)
            return not left

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing is left to vacuum; tell whether that came to pass in time."""
        return self._idle.wait(timeout_s)

    def scrub(self) -> None:
        """Rewrite every table with erased rows; nobody else can use it meanwhile."""
        with connect(self._url, name="cleaner") as connection:
            for tenant, relation, xid, _, blocked in select(connection, "erased_relations"):
                _maintain(connection, "VACUUM (FULL) {}", relation)
                if not blocked:
                    _forget(connection, "forget_erasure", tenant, relation, xid)

    def close(self) -> None:
        """Stop the thread; what is left to do stays noted. Idempotent."""
        with self._lock:
            self._closed = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()


def _maintain(connection: Connection, command: str, relation: bytes) -> None:
    # Not prepared: a command of this kind stands alone and takes no parameters.
    table = from_bytes(relation)
    try:
        connection.execute(
            sql.SQL(command).format(sql.Identifier(*table.split("."))), prepare=False
        )
    except UndefinedTable:
        # A stretch of a log of the version before, beyond those that had names of their own.
        whole = sql.Identifier(table.rsplit("_", 1)[0])
        connection.execute(sql.SQL(command).format(whole), prepare=False)


def _forget(connection: Connection, statement: str, tenant: bytes, relation: Any, xid: str) -> None:
    values = {"tenant": tenant, "relation": relation, "xid": xid}
    connection.execute(STATEMENTS[statement], values)

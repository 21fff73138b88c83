"""States of streams in PostgreSQL: a lease in each stream's row lets one server send it."""

from __future__ import annotations

from datetime import timedelta
from importlib import resources
from typing import Any, Final

from tallystick.store.postgres.connection import Connection, Pool, Timeouts, fetch, transaction
from tallystick.store.postgres.errors import translated
from tallystick.store.postgres.migrate import require_current
from tallystick.store.postgres.rows import from_bytes, to_bytes
from tallystick.store.postgres.statements import load
from tallystick.store.stream_states import DELIVERIES, LEASE_S, Letter, Save, StateRow

STATEMENTS: Final = load(resources.files(__package__).joinpath("streams.sql").read_text("utf-8"))

_CONNECTIONS = 4
_LEASE = timedelta(seconds=LEASE_S)
_TIDY_EVERY = 100


class PostgresStreamStates:
    """States of streams in one database; see `store.stream_states` for what it promises.

    `owner` names this sender among those of all servers.
    """

    def __init__(self, url: str, owner: str) -> None:
        with translated():
            require_current(url)
        self._owner = owner
        self._pool = Pool(url, name="streams", size_max=_CONNECTIONS, timeouts=Timeouts())
        self._saves = 0

    def acquire(self, tenant: str, stream: str) -> bool:
        """Take the lease of a stream, or keep it."""
        return bool(self._read("acquire", **_of(tenant, stream), owner=self._owner, lease=_LEASE))

    def release(self, tenant: str, stream: str) -> None:
        """Give the lease of a stream back."""
        with translated(), self._pool.lent() as connection:
            _run(connection, "release", **_of(tenant, stream), owner=self._owner)

    def load(self, tenant: str, stream: str) -> bytes | None:
        """Return the state of a stream, if it has one."""
        found = self._read("state", **_of(tenant, stream))
        return found[0][0] if found else None

    def save(self, tenant: str, stream: str, save: Save) -> bool:
        """Write what changed in one transaction, while the lease is held."""
        of = _of(tenant, stream)
        with translated(), self._pool.lent() as connection, transaction(connection):
            values = {**of, "owner": self._owner, "lease": _LEASE, "doc": save.doc}
            if not fetch(connection, STATEMENTS["put_state"], values):
                return False
            for letter in save.settled:
                _run(connection, "settle_letter", **of, **_stop(letter))
            for letter in save.letters:
                _run(connection, "put_letter", **of, **letter._asdict())
            for doc in save.deliveries:
                _run(connection, "put_delivery", **of, doc=doc)
            self._saves += 1
            if self._saves % _TIDY_EVERY == 0:
                _run(connection, "tidy_deliveries", **of, count=DELIVERIES)
        return True

    def all(self) -> list[StateRow]:
        """Return the states of all streams."""
        rows = self._read("states")
        return [StateRow(from_bytes(tenant), *rest) for tenant, *rest in rows]

    def deliveries(self, tenant: str, stream: str, limit: int) -> list[bytes]:
        """Return the latest deliveries of a stream, latest first."""
        count = min(limit, DELIVERIES)
        rows = self._read("latest_deliveries", **_of(tenant, stream), count=count)
        return [doc for (doc,) in rows]

    def due(self, tenant: str, stream: str, now_ms: int, limit: int) -> list[Letter]:
        """Return letters that are to be tried now, those that wait longest first."""
        rows = self._read("due_letters", **_of(tenant, stream), now_ms=now_ms, count=limit)
        return [Letter(*row) for row in rows]

    def dead(self, tenant: str, stream: str, limit: int) -> list[Letter]:
        """Return dead letters, in the order of the log."""
        rows = self._read("dead_letters", **_of(tenant, stream), count=limit)
        return [Letter(*row) for row in rows]

    def counts(self, tenant: str, stream: str) -> tuple[int, int]:
        """Return how many letters wait, and how many are dead."""
        waiting, dead = self._read("letter_counts", **_of(tenant, stream))[0]
        return int(waiting), int(dead)

    def revive(self, tenant: str, stream: str, now_ms: int) -> None:
        """Let all dead letters be tried again, as if they had never been."""
        with translated(), self._pool.lent() as connection:
            _run(connection, "revive_letters", **_of(tenant, stream), now_ms=now_ms)

    def forget(self, tenant: str, stream: str) -> None:
        """Remove all that is kept of a stream."""
        with translated(), self._pool.lent() as connection, transaction(connection):
            for statement in ("forget_state", "forget_letters", "forget_deliveries"):
                _run(connection, statement, **_of(tenant, stream))

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._pool.close()

    def _read(self, statement: str, **values: Any) -> list[Any]:
        with translated():
            return self._pool.run(
                lambda connection: fetch(connection, STATEMENTS[statement], values)
            )


def _of(tenant: str, stream: str) -> dict[str, Any]:
    return {"tenant": to_bytes(tenant), "stream": stream}


def _stop(letter: Letter) -> dict[str, Any]:
    return {"stop": letter.stop, "stop_part": letter.stop_part}


def _run(connection: Connection, statement: str, **values: Any) -> None:
    connection.execute(STATEMENTS[statement], values, prepare=True)

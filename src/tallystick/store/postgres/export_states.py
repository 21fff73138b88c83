"""States of exports in PostgreSQL: a lease in each export's row lets one server write its file."""

from __future__ import annotations

from datetime import timedelta
from importlib import resources
from typing import Any, Final

from tallystick.store.export_states import LEASE_S
from tallystick.store.postgres.connection import Pool, Timeouts, fetch
from tallystick.store.postgres.errors import translated
from tallystick.store.postgres.rows import from_bytes, to_bytes
from tallystick.store.postgres.statements import load

STATEMENTS: Final = load(resources.files(__package__).joinpath("exports.sql").read_text("utf-8"))

_CONNECTIONS = 4
_LEASE = timedelta(seconds=LEASE_S)


class PostgresExportStates:
    """States of exports in one database; see `store.export_states` for what it promises.

    `owner` names this server among all.
    """

    def __init__(self, url: str, owner: str) -> None:
        self._owner = owner
        self._pool = Pool(url, name="exports", size_max=_CONNECTIONS, timeouts=Timeouts())

    def acquire(self, tenant: str, id: str) -> bool:
        """Take the lease of an export, or keep it."""
        return bool(self._read("acquire", tenant, id, owner=self._owner, lease=_LEASE))

    def release(self, tenant: str, id: str) -> None:
        """Give the lease of an export back."""
        self._run("release", tenant, id, owner=self._owner)

    def load(self, tenant: str, id: str) -> bytes | None:
        """Return the state of an export, if it has one."""
        found = self._read("state", tenant, id)
        return found[0][0] if found else None

    def save(self, tenant: str, id: str, doc: bytes) -> bool:
        """Write the state of an export, while the lease is held."""
        return bool(self._read("put_state", tenant, id, owner=self._owner, lease=_LEASE, doc=doc))

    def forget(self, tenant: str, id: str) -> None:
        """Remove the row of an export."""
        self._run("forget_state", tenant, id)

    def known(self) -> list[tuple[str, str]]:
        """Return tenant and id of each export that has a row."""
        with translated():
            rows = self._pool.run(lambda lent: fetch(lent, STATEMENTS["keys"], {}))
        return [(from_bytes(tenant), id) for tenant, id in rows]

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._pool.close()

    def _read(self, statement: str, tenant: str, id: str, **values: Any) -> list[Any]:
        asked = {"tenant": to_bytes(tenant), "export": id, **values}
        with translated():
            return self._pool.run(lambda lent: fetch(lent, STATEMENTS[statement], asked))

    def _run(self, statement: str, tenant: str, id: str, **values: Any) -> None:
        asked = {"tenant": to_bytes(tenant), "export": id, **values}
        with translated(), self._pool.lent() as connection:
            connection.execute(STATEMENTS[statement], asked, prepare=True)

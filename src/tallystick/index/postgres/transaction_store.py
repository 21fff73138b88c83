"""The store as one open transaction sees it: what following a log in that transaction reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tallystick.store.base import Claim, IdentityRow, LogRow, ResourceHead
from tallystick.store.postgres import rows as reading
from tallystick.store.postgres.connection import Connection
from tallystick.store.postgres.rows import to_bytes


class InsideStore:
    """Reads a log through a connection that may have written to it and not yet committed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, tenant: str, start: int, stop: int) -> list[LogRow]:
        """Return the entries [start, stop) that exist, in order."""
        return reading.rows(self._connection, to_bytes(tenant), start, stop)

    def rows_at(self, tenant: str, indexes: Iterable[int]) -> dict[int, LogRow]:
        """Return the entries at `indexes` that exist."""
        return reading.rows_at(self._connection, to_bytes(tenant), indexes)

    def resource_heads(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, ResourceHead]:
        """Return the heads that exist among `keys`."""
        return reading.resource_heads(self._connection, to_bytes(tenant), keys)

    def claims(self, tenant: str, claims: Sequence[bytes]) -> dict[bytes, Claim]:
        """Return the claims that exist among `claims`."""
        return reading.claims(self._connection, to_bytes(tenant), claims)

    def identity(self, tenant: str, kind: str, id: str) -> IdentityRow | None:
        """Return one identity record."""
        return reading.identity(self._connection, to_bytes(tenant), to_bytes(kind), to_bytes(id))

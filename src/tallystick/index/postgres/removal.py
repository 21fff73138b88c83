"""Takes out what stands in the lists for entries: before they are listed again, or for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tallystick.index.postgres.sql import execute, select
from tallystick.store.postgres.connection import Connection

_AT_ONCE = 4_096
_SMALL_TABLES = ("totals", "counts", "kinds", "resources", "children", "sources")


class Old(NamedTuple):
    """What stood in the lists for an entry."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    ms: int
    seen: int
    kind: int
    actor_id: int | None
    target_id: int | None
    terms: list[int]

    def numbers(self) -> list[int | None]:
        """Return the numbers of all its terms."""
        return [*self.terms, self.actor_id, self.target_id]


def take_out(connection: Connection, tenant: bytes, indexes: Sequence[int]) -> list[Old]:
    """Remove entries that are to be listed again, and return what stood in the lists."""
    found = select(connection, "old_rows", tenant=tenant, idx=indexes)
    _delete(connection, tenant, indexes)
    return [Old(*row) for row in found]


def remove_stale(connection: Connection, tenant: bytes, stop: int) -> None:
    """Remove some entries below `stop` that were listed under an older key; in the end, the rest.

    The rest are totals and resources: far fewer rows than entries.
    """
    found = select(connection, "stale_rows", tenant=tenant, stop=stop, limit=_AT_ONCE)
    indexes = [index for (index,) in found]
    if indexes:
        _delete(connection, tenant, indexes)
    stale = indexes[-1] if len(indexes) == _AT_ONCE else 0
    if not stale:
        for table in _SMALL_TABLES:
            execute(connection, f"clear_{table}", tenant=tenant)
    execute(connection, "set_stale", tenant=tenant, stale=stale)


def _delete(connection: Connection, tenant: bytes, indexes: Sequence[int]) -> None:
    execute(connection, "delete_places", tenant=tenant, idx=indexes)
    execute(connection, "delete_lists", tenant=tenant, idx=indexes)

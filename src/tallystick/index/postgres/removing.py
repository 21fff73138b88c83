"""Takes out what stands in the lists for entries: before they are listed anew, or for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tallystick.index.postgres.sql import execute, select
from tallystick.index.postgres.totals import Tally, tally
from tallystick.store.postgres.connecting import Connection

_AT_ONCE = 4_096
_SMALL_TABLES = ("totals", "kinds", "resources", "children", "sources")


class _Old(NamedTuple):
    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    ms: int
    seen: int
    kind: int


def take_out(connection: Connection, tenant: bytes, indexes: Sequence[int], totals: Tally) -> None:
    """Remove entries that are to be listed anew, and count them out."""
    found = select(connection, "old_rows", tenant=tenant, idx=indexes)
    tally(totals, [_Old(*row) for row in found], -1)
    _delete(connection, tenant, indexes)


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

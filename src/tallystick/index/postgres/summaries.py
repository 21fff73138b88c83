"""What is known of a resource together: its row, and where and when entries name it.

How many do is counted once and for all where they are many, as with terms: an entry counts once,
in whichever roles it names the resource.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tallystick.events.references import to_text
from tallystick.index.lists.resources import Identity
from tallystick.index.postgres.counts import Subject, count_of
from tallystick.index.postgres.resources import parents_of, resource_number
from tallystick.index.postgres.sql import select
from tallystick.index.postgres.tenant_lists import named
from tallystick.index.postgres.terms import Numbering
from tallystick.query.question import ResourceSummary
from tallystick.store.postgres.connection import Connection
from tallystick.store.postgres.rows import from_bytes

_SIGHTED = 1
_LATELY = 20_000
"""Entries in which the last one about a resource that many name is looked for."""


class SummaryExtent(NamedTuple):
    """Where and when a resource is named."""

    first_ms: int | None
    last_ms: int | None
    last_index: int | None
    count: int  # type: ignore[assignment]  # a tuple has a method of that name


class Summaries:
    """Summaries of the resources of one tenant, from the first `size` entries."""

    def __init__(self, tenant: bytes, size: int, number_of: Numbering, worth: int) -> None:
        self._tenant = tenant
        self._size = size
        self._number_of = number_of
        self._worth = worth
        self.long: list[Identity] = []
        """Resources that many entries name, and whose counts are not kept."""

    def of(self, connection: Connection, type: str, row: tuple[Any, ...]) -> ResourceSummary:
        """Return what a row and the lists know of a resource."""
        stored_id, name, document, parents = row
        id = from_bytes(stored_id)
        extent = self._extent(connection, (type, id))
        return ResourceSummary(
            type=type,
            id=id,
            name=None if name is None else from_bytes(name),
            document=document,
            parents=parents_of(parents),
            first_ms=extent.first_ms or 0,
            last_ms=extent.last_ms or 0,
            last_index=extent.last_index or 0,
            count=extent.count,
        )

    def subject(self, key: Identity) -> Subject:
        """Return what is counted of a resource."""
        value = to_text(*key)
        members = tuple(self._number_of(role, value) for role in ("actor", "target", "scope"))
        return Subject(resource_number(self._number_of, key), members)

    def by_sight(self, connection: Connection, key: Identity) -> dict[int, int]:
        """Return how many entries name a resource, by who sees them."""
        return dict(select(connection, "naming_by_sight", **self._place(key)))

    def _extent(self, connection: Connection, key: Identity) -> SummaryExtent:
        number = resource_number(self._number_of, key)
        kept = count_of(connection, self._tenant, number, _SIGHTED)
        if kept:
            values = {**self._place(key), "lately": self._size - _LATELY}
            members = list(self.subject(key).members)
            [(first_ms, last_ms, last_index)] = select(
                connection, "ends", **values, members=members
            )
            # One that nothing has named for long has few entries for its age: as quickly walked.
            if last_index is not None:
                return SummaryExtent(first_ms, last_ms, last_index, kept)
        [row] = select(connection, "extent", **self._place(key))
        extent = SummaryExtent(*row)
        if kept is None and extent.count >= self._worth:
            self.long.append(key)
        return extent

    def _place(self, key: Identity) -> dict[str, Any]:
        return {
            "tenant": self._tenant,
            "before": self._size,
            **named(self._number_of, key),
        }

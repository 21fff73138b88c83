"""A reader that answers nothing from an index that it finds damaged.

Every question goes to the reader below. Where an index contradicts itself on the way, it is made
again and the caller is told to come back; a failure that damage would explain has the index
checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tallystick.errors import FollowerBehind, Unexpected
from tallystick.events.event import View
from tallystick.followers.damage import IndexDamaged
from tallystick.query.aggregate import Aggregate, AggregateResult
from tallystick.query.expr import Expr
from tallystick.query.question import Find, Found, Plan, Reader, ResourceQuery, ResourceSummary


class GuardedReader:
    """Implements `reading.Reader` over another one; safe to share between threads."""

    def __init__(
        self,
        reader: Reader,
        damaged: Callable[[IndexDamaged], FollowerBehind],
        suspected: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._damaged = damaged
        self._suspected = suspected

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except IndexDamaged as error:
            raise self._damaged(error) from error
        except Unexpected:
            self._suspected()
            raise

    def find(self, tenant: str, question: Find, *, entry_bytes: int = 0) -> Found:
        """Return a page of entries."""
        with self._guard():
            return self._reader.find(tenant, question, entry_bytes=entry_bytes)

    def shows(self, question: Find, view: View) -> bool:
        """Tell whether a row found for a question may still be shown."""
        return self._reader.shows(question, view)

    def count(self, tenant: str, where: Expr, *, dialect: str = "native") -> int:
        """Return how many events match, exactly."""
        with self._guard():
            return self._reader.count(tenant, where, dialect=dialect)

    def aggregate(
        self, tenant: str, question: Find, requests: Sequence[Aggregate]
    ) -> Sequence[AggregateResult]:
        """Return one result a request over everything that the question matches."""
        with self._guard():
            return self._reader.aggregate(tenant, question, requests)

    def resource(self, tenant: str, type: str, id: str) -> ResourceSummary | None:
        """Return what is known of one resource."""
        with self._guard():
            return self._reader.resource(tenant, type, id)

    def resources(self, tenant: str, question: ResourceQuery) -> list[ResourceSummary]:
        """Return a page of resources."""
        with self._guard():
            return self._reader.resources(tenant, question)

    def history(self, tenant: str, type: str, id: str, *, limit: int, offset: int) -> list[int]:
        """Return the indexes of a resource's document entries, newest first."""
        with self._guard():
            return self._reader.history(tenant, type, id, limit=limit, offset=offset)

    def known_path(self, tenant: str, path: str) -> bool:
        """Tell whether any event ever had a value at the payload path."""
        with self._guard():
            return self._reader.known_path(tenant, path)

    def suggest_path(self, tenant: str, path: str) -> Sequence[str]:
        """Return the known paths nearest to one that is not."""
        with self._guard():
            return self._reader.suggest_path(tenant, path)

    def explain(self, tenant: str, question: Find) -> Plan:
        """Return which index would answer, and why."""
        with self._guard():
            return self._reader.explain(tenant, question)

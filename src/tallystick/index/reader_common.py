"""What the readers of every store do alike: plans, times of recording, and what the search sees."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tallystick.errors import InvalidQuery
from tallystick.events import entry
from tallystick.index.followers import SEARCH, VIEWS, Readers, search_of
from tallystick.index.query_plan import Unlisted, seen_names
from tallystick.query.question import Find, Plan
from tallystick.store.base import Store

if TYPE_CHECKING:
    from tallystick.index.search import SearchReader

LISTED = Plan(VIEWS, "exact terms and times, in an order that lists have")
AGGREGATED = Unlisted("aggregates read the fields of every match")


class Searching(Readers, Protocol):
    """A follower of the log that keeps a search index."""

    def wait(self, follower: str, tenant: str, dialect: str | None = None) -> int:
        """Wait until a follower has all of a tenant's log as of now; return that size.

        Raises: FollowerBehind, also when it does not yet know the rules of the dialect.
        """


def searched(searching: Searching, tenant: str, dialect: str | None) -> SearchReader:
    """Return the search index, once it has all of a tenant's log as of now.

    Raises: FollowerBehind.
    """
    while True:
        search = search_of(searching)
        searching.wait(SEARCH, tenant, dialect)
        # A generation that was swapped in meanwhile may not have come so far.
        if search is search_of(searching):
            search.refresh()
            return search


def recorded_before(store: Store, tenant: str, size: int, ms: int) -> int:
    """Return how many of the first `size` entries were recorded before a time.

    Cost: a point read a halving, since times of recording never decrease.
    """
    return bisect_left(range(size), ms, key=lambda index: recorded_ms(store, tenant, index))


def recorded_ms(store: Store, tenant: str, index: int) -> int:
    """Return when an entry was recorded; costs a point read."""
    (stored,) = store.entries(tenant, index, index + 1)
    return entry.recorded_ms_of(stored)


def seen_by_search(question: Find, why: Unlisted) -> Sequence[str]:
    """Return by which names the search knows what a question is about.

    Raises: InvalidQuery for a question about the log as recorded, which has lists only.
    """
    seen = seen_names(question)
    if seen is None:
        raise InvalidQuery(
            f"the log as recorded has lists only: {why.reason}",
            hint="ask for events instead of the log",
        )
    return seen

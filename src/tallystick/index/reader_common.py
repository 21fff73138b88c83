"""What the readers of every store do alike: plans, times of recording, and what the search sees."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tallystick import limits
from tallystick.errors import InvalidQuery
from tallystick.events import entry
from tallystick.index.followers import SEARCH, VIEWS, Readers, search_of
from tallystick.index.query_plan import Unlisted, joins, seen_names
from tallystick.query.question import Find, Plan
from tallystick.store.base import Store

if TYPE_CHECKING:
    from tallystick.index.search import SearchMoment, SearchReader

LISTED = Plan(VIEWS, "exact terms and times, in an order that lists have")
AGGREGATED = Unlisted("aggregates read the fields of every match")


class Searching(Readers, Protocol):
    """A follower of the log that keeps a search index."""

    def wait(
        self, follower: str, tenant: str, dialect: str | None = None, *, within: int = 0
    ) -> int:
        """Wait until a follower has a tenant's log as of now but for some entries; return its size.

        Raises: FollowerBehind, also when it does not yet know the rules of the dialect.
        """


def search_near(
    searching: Searching, tenant: str, dialect: str | None, *, within: int = 0
) -> tuple[SearchReader, int]:
    """Return the search index, once it has a tenant's log but for some entries, and its size.

    Raises: FollowerBehind.
    """
    while True:
        search = search_of(searching)
        size = searching.wait(SEARCH, tenant, dialect, within=within)
        # A generation that was swapped in meanwhile may not have come so far.
        if search is search_of(searching):
            return search, size


def searched(searching: Searching, tenant: str, question: Find) -> SearchMoment:
    """Return a tenant's documents once they are those of all of its log as of now.

    Raises: FollowerBehind.
    """
    if joins(question.sort):
        search, size = search_near(
            searching, tenant, question.dialect, within=limits.SEARCH_TAIL_ENTRIES
        )
        moment = search.moment_at(tenant, size)
        if moment is not None:
            return moment
    search, _ = search_near(searching, tenant, question.dialect)
    search.refresh()
    return search.moment(tenant)


def known_path(searching: Searching, tenant: str, path: str) -> bool:
    """Tell whether any event ever had a value at the payload path.

    What is known stays known: only for a path that is not, all of the log has to be in the index.
    """
    search = search_of(searching)
    search.refresh()
    return search.known_path(tenant, path) or committed(searching, tenant).known_path(tenant, path)


def committed(searching: Searching, tenant: str) -> SearchReader:
    """Return the search index once it has all of a tenant's log as of now."""
    search, _ = search_near(searching, tenant, None)
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

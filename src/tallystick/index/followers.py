"""The followers there are, as values. A new one is a file of its own and a line in `KINDS`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from tallystick.events.dialect_rules import Rules
from tallystick.followers.follow import Follower
from tallystick.followers.kind import FollowerKind, FollowerReader
from tallystick.index.lists.reader import ViewsReader
from tallystick.index.lists.writer import ViewsWriter
from tallystick.index.search.follower import SearchFollower
from tallystick.index.search.recall import Recall
from tallystick.index.stored_cursors import stored_cursors
from tallystick.settings import Settings
from tallystick.store.base import Store

if TYPE_CHECKING:
    from tallystick.index.search import SearchReader

VIEWS = "views"
SEARCH = "search"

KINDS = {
    VIEWS: "tallystick.index.followers:VIEWS_KIND",
    SEARCH: "tallystick.index.followers:SEARCH_KIND",
}
"""Where the kind of each follower is."""


def _write_search(folder: Path, store: Store, rules: Rules) -> Follower:
    # The library of the search index is large: a process that only keeps lists goes without.
    from tallystick.index.search import SearchWriter

    return SearchFollower(SearchWriter(folder), rules)


def _read_search(folder: Path, store: Store, rules: Rules) -> FollowerReader:
    from tallystick.index.search import SearchReader
    from tallystick.index.search.tail import SearchTails

    return SearchReader(folder, Recall(store, rules), SearchTails(store, rules))


VIEWS_KIND = FollowerKind(
    VIEWS,
    open=ViewsWriter,
    read=lambda folder, store, rules: ViewsReader(folder),
    lag_max=16_384,
    stored=stored_cursors("views.db", "SELECT tenant, next FROM tenants"),
    in_database=True,
)


def _where_settings_say(kind: FollowerKind, settings: Settings) -> FollowerKind:
    if settings.search is None:
        return kind
    # Its client is an extra that an index in the data folder does without.
    from tallystick.index.opensearch.kind import in_opensearch

    return in_opensearch(kind, settings)


SEARCH_KIND = FollowerKind(
    SEARCH,
    open=_write_search,
    read=_read_search,
    commits=True,
    lag_max=32_768,
    suspect=True,
    configure=_where_settings_say,
    stored=stored_cursors(
        "names.db",
        "SELECT tenant, iif(base = commits, before, after) FROM tenants, about",
    ),
)


class Readers(Protocol):
    """The process or thread that runs the followers, as far as a reader needs it."""

    def reader_of(self, follower: str) -> FollowerReader:
        """Return what reads a follower's current generation."""


def views_of(readers: Readers) -> ViewsReader:
    """Return the lists as they are now."""
    return cast(ViewsReader, readers.reader_of(VIEWS))


def search_of(readers: Readers) -> SearchReader:
    """Return the search index as it is now."""
    return cast("SearchReader", readers.reader_of(SEARCH))

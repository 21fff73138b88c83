"""Which followers there are, and how each is opened for writing and for reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.events.dialect_rules import Rules
from tallystick.followers.follow import Follower
from tallystick.index.lists.reader import ViewsReader
from tallystick.index.lists.writer import ViewsWriter
from tallystick.index.search.follower import SearchFollower
from tallystick.index.search.recall import Recall
from tallystick.store.base import Store

if TYPE_CHECKING:
    from tallystick.index.search import SearchReader

VIEWS = "views"
SEARCH = "search"
NAMES = (VIEWS, SEARCH)

COMMITTING = frozenset((SEARCH,))
"""Those that can be read only up to their last commit, which whoever waits has to ask for."""


def open_follower(name: str, folder: Path, store: Store, rules: Rules) -> Follower:
    """Open the follower `name` on its folder, which it fills if it is empty.

    Raises: StoreCorrupt for a folder that has to be made again.
    """
    if name == VIEWS:
        return ViewsWriter(folder, store, rules)
    # The library of the search index is large: a process that only keeps lists goes without.
    from tallystick.index.search import SearchWriter

    return SearchFollower(SearchWriter(folder), rules)


def open_views(folder: Path) -> ViewsReader:
    """Open the lists for reading."""
    return ViewsReader(folder)


def open_search(folder: Path, store: Store, rules: Rules) -> SearchReader:
    """Open the search index for reading."""
    from tallystick.index.search import SearchReader

    return SearchReader(folder, Recall(store, rules))

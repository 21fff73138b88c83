"""Opening the indexes of a data folder: what the composition root calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tallystick.index.inline import InlineFollowers, Progress
from tallystick.index.reader import IndexReader
from tallystick.index.rules import load_rules
from tallystick.index.supervisor import Command, SupervisedFollowers
from tallystick.reading import Rules
from tallystick.sequencer import CommitStats
from tallystick.store.base import LogHead, Store
from tallystick.store.sqlite import SqliteStore

FOLDER = "index"
RULES = "tallystick.dialects:rules"
"""Where the dialects' rules come from: a name, since indexes know no dialect."""


class Index:
    """The followers of a data folder and the reader over what they keep."""

    def __init__(
        self, store: Store, rules: Rules, followers: InlineFollowers | SupervisedFollowers
    ) -> None:
        self.reader = IndexReader(store, rules, followers)
        self._followers = followers

    def committed(self, heads: Sequence[LogHead], stats: CommitStats) -> None:
        """Tell the followers how far the logs have come; cheap, called after each commit."""
        self._followers.committed(heads)

    def lag(self) -> Mapping[str, int]:
        """Return by how many entries each follower is behind, over all tenants."""
        return self._followers.lag()

    def pressure_s(self) -> float:
        """Return how long a commit should wait so that followers keep up."""
        return self._followers.pressure_s()

    def rebuild(self, name: str, progress: Progress) -> None:
        """Make what a follower keeps from the beginning, beside what is served, and serve it.

        Raises: NotFound for a name that no follower has.
        """
        self._followers.rebuild(name, progress)

    def close(self) -> None:
        """Stop the followers and release files; idempotent."""
        self._followers.close()


def open_index(folder: Path, store: Store, *, child: bool, rules: str = RULES) -> Index:
    """Open the indexes of a data folder.

    With `child` a process of their own keeps them up to date; without, whoever reads does.
    Raises: StoreFailed.
    """
    loaded = load_rules(rules)
    root = folder / FOLDER
    if child and isinstance(store, SqliteStore):
        command = Command(store.path.absolute(), root.absolute(), rules)
        return Index(store, loaded, SupervisedFollowers(command, store, loaded))
    return Index(store, loaded, InlineFollowers(root, store, loaded))

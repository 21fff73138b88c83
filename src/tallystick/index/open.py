"""Opening the indexes of a data folder: what the composition root calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tallystick.data_folder import INDEX_FOLDER
from tallystick.errors import FollowerBehind
from tallystick.events.dialect_rules import Rules
from tallystick.followers.damage import Health, IndexDamaged
from tallystick.followers.inline import InlineFollowers, Progress
from tallystick.followers.kind import load_index_kind
from tallystick.followers.process import Command, Setup
from tallystick.followers.registry import load_rules
from tallystick.followers.shared import SharedFollowers
from tallystick.followers.supervisor import SupervisedFollowers
from tallystick.index.followers import KINDS
from tallystick.index.guarded import GuardedReader
from tallystick.index.reader import IndexReader
from tallystick.log.sequencer import CommitStats
from tallystick.query.question import Reader
from tallystick.settings import Settings
from tallystick.store.base import LogHead, Store

RULES = "tallystick.dialects:rules"
"""Where the dialects' rules come from: a name, since indexes know no dialect."""


class RunningFollowers(Protocol):
    """What keeps the indexes up to date."""

    def committed(self, heads: Sequence[LogHead]) -> None:
        """Learn how far logs have come."""

    def lag(self) -> Mapping[str, int]:
        """Return by how many entries each follower is behind."""

    def late(self) -> Sequence[str]:
        """Return the followers that do not answer reads yet; must not wait."""

    def overrun(self) -> bool:
        """Tell whether commits should wait."""

    def damaged(self, error: IndexDamaged) -> FollowerBehind:
        """Have an index made again that a read found damaged; return what the read is told."""

    def suspected(self) -> None:
        """Have checksums compared, after a failure that damage would explain."""

    def health(self) -> Mapping[str, Health]:
        """Return how each index is."""

    def rebuild(self, name: str, progress: Progress) -> None:
        """Make what a follower keeps from the beginning."""

    def close(self) -> None:
        """Stop following and release files."""


class Index:
    """The followers of a data folder and the reader over what they keep."""

    def __init__(self, reader: Reader, followers: RunningFollowers) -> None:
        self.reader: Reader = GuardedReader(reader, followers.damaged, followers.suspected)
        self._followers = followers
        self.names = tuple(KINDS)
        """What can be rebuilt, by name."""

    def committed(self, heads: Sequence[LogHead], stats: CommitStats) -> None:
        """Tell the followers how far the logs have come; cheap, called after each commit."""
        self._followers.committed(heads)

    def lag(self) -> Mapping[str, int]:
        """Return by how many entries each follower is behind, over all tenants."""
        return self._followers.lag()

    def late(self) -> Sequence[str]:
        """Return the followers that do not answer reads yet: none once they caught up."""
        return self._followers.late()

    def health(self) -> Mapping[str, Health]:
        """Return how each index is, and what happened to it."""
        return self._followers.health()

    def overrun(self) -> bool:
        """Tell whether commits should wait so that followers keep up."""
        return self._followers.overrun()

    def rebuild(self, name: str, progress: Progress) -> None:
        """Make what a follower keeps from the beginning, beside what is served, and serve it.

        Raises: NotFound for a name that no follower has.
        """
        self._followers.rebuild(name, progress)

    def close(self) -> None:
        """Stop the followers and release files; idempotent."""
        self._followers.close()


def open_index(
    folder: Path,
    store: Store,
    settings: Settings,
    *,
    child: bool,
    rules: str = RULES,
) -> Index:
    """Open the indexes of a data folder, whose store and search may be kept elsewhere.

    With `child` a process of their own keeps them up to date; without, each read does. A
    database keeps its lists itself.
    Raises: StoreFailed.
    """
    loaded, database = load_rules(rules), settings.database
    kinds = [
        reference
        for reference in KINDS.values()
        if database is None or not load_index_kind(reference, settings).in_database
    ]
    followers: SupervisedFollowers | InlineFollowers
    if child:
        run = SupervisedFollowers if database is None else SharedFollowers
        setup = Setup(Settings(database=database, search=settings.search))
        followers = run(Command(folder.absolute(), setup, rules), store, loaded, kinds)
    else:
        followers = InlineFollowers(folder / INDEX_FOLDER, store, loaded, kinds, settings)
    if database is None:
        return Index(IndexReader(store, loaded, followers), followers)
    return _open_on_database(store, loaded, followers)


def _open_on_database(
    store: Store, rules: Rules, searching: SupervisedFollowers | InlineFollowers
) -> Index:
    # Imported late: the driver is an extra that a folder does without.
    from tallystick.index.postgres.followers import open_lists
    from tallystick.store.postgres.store import PostgresStore

    assert isinstance(store, PostgresStore), f"there are no lists for {store.name}"
    return Index(*open_lists(store, rules, searching))


def fill_lists(database: str, progress: Progress, *, rules: str = RULES) -> int:
    """List what a database holds and has no lists of yet; return how many entries that were.

    Raises: SchemaMismatch, StoreBusy, StoreFailed.
    """
    from tallystick.index.postgres import followers as following

    return following.fill_lists(database, load_rules(rules), progress)

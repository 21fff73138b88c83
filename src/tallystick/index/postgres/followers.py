"""What follows the log on PostgreSQL: the search index of this server; lists need no following."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial

from tallystick.errors import FollowerBehind, NotFound
from tallystick.events.dialect_rules import Rules
from tallystick.followers.damage import Health, IndexDamaged
from tallystick.followers.inline import InlineFollowers, Progress
from tallystick.followers.supervisor import SupervisedFollowers
from tallystick.index.followers import SEARCH, VIEWS
from tallystick.index.postgres.reader import PostgresReader
from tallystick.index.postgres.sql import select
from tallystick.index.postgres.writer import Lists
from tallystick.store.base import LogHead
from tallystick.store.postgres.rows import from_bytes
from tallystick.store.postgres.store import PostgresStore, open_postgres

SearchFollowers = InlineFollowers | SupervisedFollowers


class PostgresFollowers:
    """The lists in the database and the search index in a folder, as the server sees them."""

    def __init__(self, store: PostgresStore, lists: Lists, searching: SearchFollowers) -> None:
        self._store = store
        self._lists = lists
        self._searching = searching

    def committed(self, heads: Sequence[LogHead]) -> None:
        """Tell the search how far logs have come."""
        self._searching.committed(heads)

    def lag(self) -> Mapping[str, int]:
        """Return by how many entries the search is behind, over all tenants."""
        return self._searching.lag()

    def late(self) -> Sequence[str]:
        """Return the search as long as it does not answer; lists are written with the batch."""
        return self._searching.late()

    def damaged(self, error: IndexDamaged) -> FollowerBehind:
        """Have the search made again that a read found damaged; return what the read is told."""
        return self._searching.damaged(error)

    def suspected(self) -> None:
        """Have the search's checksums compared."""
        self._searching.suspected()

    def health(self) -> Mapping[str, Health]:
        """Return how the search is; what befalls lists befalls the log beside them."""
        return self._searching.health()

    def overrun(self) -> bool:
        """Tell whether commits should wait for the search; lists are written with the batch."""
        return self._searching.overrun()

    def rebuild(self, name: str, progress: Progress) -> None:
        """Make lists or search again from the beginning.

        Raises: NotFound for a name that no follower has.
        """
        if name == SEARCH:
            self._searching.rebuild(name, progress)
        elif name == VIEWS:
            self._rebuild_lists(progress)
        else:
            raise NotFound(f"no such follower: {name!r}")

    def _rebuild_lists(self, progress: Progress) -> None:
        heads = self._store.log_heads()
        total, done = sum(head.size for head in heads), 0
        for head in heads:
            done += head.size
            upto = partial(_tell, progress, done, total)
            self._lists.rebuild(self._store, head.tenant, told=upto)
        self._store.loaded()

    def close(self) -> None:
        """Stop following and release files; idempotent."""
        self._searching.close()


def open_lists(
    store: PostgresStore, rules: Rules, searching: SearchFollowers
) -> tuple[PostgresReader, PostgresFollowers]:
    """Let a store write lists with its batches and return what reads them, beside a search."""
    lists = Lists(rules)
    store.extend_with(lists.write)
    reader = PostgresReader(store, lists, searching)
    return reader, PostgresFollowers(store, lists, searching)


def fill_lists(url: str, rules: Rules, progress: Progress) -> int:
    """List what a database holds and has no lists of yet; return how many entries that were.

    A slice a transaction: servers that are running go on writing. Raises: SchemaMismatch,
    StoreBusy, FollowerBehind when the lists are those of a newer program.
    """
    lists = Lists(rules)
    with closing(open_postgres(url)) as store:
        behind = [
            (from_bytes(tenant), int(missing))
            for tenant, missing in store.read(lambda connection: select(connection, "behind"))
        ]
        total, done = sum(missing for _, missing in behind), 0
        for tenant, missing in behind:
            done += missing
            lists.catch_up(store, tenant, told=partial(_tell, progress, done, total))
        if behind:
            store.loaded()
    return done


def _tell(progress: Progress, upto: int, total: int, left: int) -> None:
    progress(max(upto - left, 0), total)

"""A log on PostgreSQL with lists, for the same plain model as lists on SQLite."""

from __future__ import annotations

import os
import random
from typing import Any

import psycopg
from psycopg import sql

from tallystick.clock import ManualClock
from tallystick.index.postgres.reader import PostgresReader
from tallystick.index.postgres.writer import Lists
from tallystick.store.postgres.store import PostgresStore, open_postgres
from tests.index import world as worlds
from tests.index.world import TENANT, World
from tests.store.transactions import KEY
from tests.support.recording import Recorder

TABLES = ("lists", "places", "totals", "kinds", "resources", "children", "sources")


class PostgresWorld(World):
    """One tenant's log on PostgreSQL; `with_batch` tells whether lists are written with it, and
    `counts_worth` from how many entries on counts are kept."""

    def __init__(self, url: str, *, with_batch: bool = True, counts_worth: int = 2) -> None:
        self.url = url
        self.counts_worth = counts_worth
        self.clock = ManualClock()
        self._urandom = os.urandom
        os.urandom = random.Random(7).randbytes  # noqa: S311  # test data, the same in every run
        self.documents = {}
        self.with_batch = with_batch
        self.lists = Lists(worlds.rules(), slice_rows=7, counts_worth=self.counts_worth)
        self.store: PostgresStore = open_postgres(url)  # type: ignore[assignment]
        self.recorder = Recorder(self.store, KEY, self.clock)
        self._open()

    def _open(self) -> None:
        self.lists = Lists(worlds.rules(), slice_rows=7, counts_worth=self.counts_worth)
        if self.with_batch:
            self.store.extend_with(self.lists.write)
        self.reader = PostgresReader(self.store, self.lists, self)  # type: ignore[assignment]
        self.writer = self  # type: ignore[assignment]

    def wait(
        self, follower: str, tenant: str, dialect: str | None = None, *, within: int = 0
    ) -> int:
        """Bring the lists up."""
        assert follower == "views", "this world has lists only"
        if self.size():
            self.lists.catch_up(self.store, tenant)
        return self.size()

    def follow(self) -> None:
        """Bring the lists up."""
        self.wait("views", TENANT)

    def tidy(self) -> bool:
        """There is nothing to tidy."""
        return False

    def listed(self) -> int:
        """Return how far the lists have come, without bringing them up."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT lists_next FROM logs").fetchone()
        return 0 if row is None else int(row[0])

    def reopen(self) -> None:
        """Forget everything, as another process would."""
        self._open()

    def __enter__(self) -> PostgresWorld:
        return self

    def close(self) -> None:
        """Release everything."""
        os.urandom = self._urandom
        self.recorder.close()
        self.store.close()


def empty(url: str) -> str:
    """Remove everything from a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = current_schema()::regnamespace AND relname <> 'migrations'"
        ).fetchall()
        for (table,) in tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    return url


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return what stands in the tables of lists, in an order of their own.

    Which entries told something of a resource depends on how the log was cut into slices.
    """
    found: dict[str, list[tuple[Any, ...]]] = {}
    with psycopg.connect(url) as connection:
        for table in sorted({*TABLES} - {"sources"}):
            statement = sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))
            rows = connection.execute(statement).fetchall()
            found[table] = sorted(
                (
                    tuple(sorted(value) if isinstance(value, list) else value for value in row)
                    for row in rows
                ),
                key=repr,
            )
    # What is counted down to nothing stays, and so do places that a resource left.
    for table in ("totals", "children"):
        found[table] = [row for row in found[table] if row[-1]]
    return found

"""Where a store under test keeps its data, so that it can be opened again, by others too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Protocol

import apsw
import psycopg

from tallystick.dialects import rules
from tallystick.index.postgres.writer import Lists
from tallystick.store.base import Store
from tallystick.store.postgres.connection import Timeouts
from tallystick.store.postgres.store import PostgresStore, open_postgres
from tallystick.store.sqlite.store import open_sqlite

DEFAULT_TIMEOUTS = Timeouts()


class Place(Protocol):
    """One empty place for a store of one kind."""

    url: str
    """What a child process is told to open."""

    def open(self) -> Store:
        """Open the store there; more than once is fine."""

    def occurrences(self, needle: bytes) -> int:
        """Return how often bytes stand in what the store keeps on disk."""

    def reading_old_state(self) -> AbstractContextManager[None]:
        """Hold a snapshot of what is stored now, as a slow reader does."""


class SqlitePlace:
    """A data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = str(folder / "log.db")

    def open(self) -> Store:
        """Open the file in the folder."""
        return open_sqlite(Path(self.url))

    def occurrences(self, needle: bytes) -> int:
        """Count in every file of the folder."""
        return sum(path.read_bytes().count(needle) for path in self.folder.iterdir())

    @contextmanager
    def reading_old_state(self) -> Iterator[None]:
        """Hold a read transaction open."""
        connection = apsw.Connection(self.url)
        connection.execute("BEGIN")
        assert connection.execute("SELECT count(*) FROM log").get > 0
        try:
            yield
        finally:
            connection.close()


class PostgresPlace:
    """A database."""

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self) -> Store:
        """Open the database, as a server does: lists are written with every batch."""
        return open_with_lists(self.url)

    def occurrences(self, needle: bytes) -> int:
        """Count in every file of the tables, after the scrubbing that this store asks for."""
        with closing(open_postgres(self.url)) as store:
            store.scrub()
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            folder = connection.execute("SHOW data_directory").fetchone()
            paths = connection.execute(
                "SELECT pg_relation_filepath(oid) FROM pg_class"
                " WHERE relkind IN ('r', 't', 'i') AND oid >= 16384"
            ).fetchall()
        assert folder is not None
        files = [Path(folder[0]) / path for (path,) in paths]
        return sum(file.read_bytes().count(needle) for file in files)

    @contextmanager
    def reading_old_state(self) -> Iterator[None]:
        """Hold a snapshot open."""
        with psycopg.connect(self.url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT count(*) FROM logs")
            yield


def open_place(url: str) -> Store:
    """Open what `Place.url` names, in whatever process."""
    return open_with_lists(url) if url.startswith("postgresql:") else open_sqlite(Path(url))


def open_with_lists(url: str, timeouts: Timeouts = DEFAULT_TIMEOUTS) -> PostgresStore:
    """Open a store on PostgreSQL that lists what it stores, for all dialects."""
    return open_postgres(url, timeouts=timeouts, extension=Lists(rules()).write)


def check_lists(url: str) -> None:
    """Check that every log in a database is listed to its end, and counted once."""
    with psycopg.connect(url) as connection:
        for tenant, size, listed in connection.execute(
            "SELECT tenant, size, lists_next FROM logs WHERE size > 0"
        ).fetchall():
            rows = connection.execute(
                "SELECT count(*), count(DISTINCT idx) FROM lists WHERE tenant = %s", (tenant,)
            ).fetchone()
            totals = connection.execute(
                "SELECT axis, sum(n) FROM totals WHERE tenant = %s GROUP BY axis", (tenant,)
            ).fetchall()
            assert (listed, rows) == (size, (size, size))
            assert sorted(totals) == [(axis, size) for axis in range(3)]

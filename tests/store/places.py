"""Where a store under test keeps its data, so that it can be opened again, by others too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import apsw

from tallystick.store.base import Store
from tallystick.store.sqlite import open_sqlite


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


def open_place(url: str) -> Store:
    """Open what `Place.url` names, in whatever process."""
    opener: Callable[[], Store] = SqlitePlace(Path(url).parent).open
    return opener()

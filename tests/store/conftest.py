"""The contract suite runs on every store: `store` is one of each kind, empty at first.

Whatever a test wrote is checked from its bytes when the test ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.store.base import Store
from tests.store.store_fixtures import Place, PostgresPlace, SqlitePlace
from tests.store.transactions import KEY
from tests.support.check import check_log
from tests.support.recording import Recorder


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return an empty place for each kind of store."""
    if request.param == "sqlite":
        return SqlitePlace(tmp_path)
    return PostgresPlace(request.getfixturevalue("postgres_tables"))


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """Yield an open store."""
    store = place.open()
    yield store
    check_log(store, KEY)
    store.close()


@pytest.fixture
def recorder(store: Store) -> Iterator[Recorder]:
    """Yield what writes events through a sequencer."""
    recorder = Recorder(store, KEY)
    yield recorder
    recorder.close()

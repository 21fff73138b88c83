"""Fixtures of the index tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tallystick.store.postgres.store import open_postgres
from tests.index.postgres_world import PostgresWorld, empty
from tests.support.postgres import fresh_database


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[str]:
    """Yield a database that the examples of a test take turns with."""
    with fresh_database(postgres_url) as url:
        open_postgres(url).close()
        yield url


@pytest.fixture
def postgres_world(database: str) -> Iterator[PostgresWorld]:
    """Yield an empty world."""
    with PostgresWorld(empty(database)) as world:
        yield world

"""A node on each store whose clock tests set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.identity import acts
from tallystick.node.node import Node, open_node
from tallystick.settings import Settings

START_MS = 1_750_000_000_000

AHEAD_DAYS = 400
"""A clock set wrongly, but not ahead of a database's own: that one refuses each write."""


class SetClock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def node(request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock) -> Iterator[Node]:
    """Yield a node with one tenant and one event on each store."""
    database = None
    if request.param == "postgres":
        database = request.getfixturevalue("postgres_database")
    settings = Settings(database=database)
    opened = open_node(tmp_path / "data", settings, followers=False, clock=clock)
    _, act = acts.create_tenant("acme", server_name="x", now_ms=clock.now_ms())
    opened.ledger.administer("acme", act)
    yield opened
    opened.close()

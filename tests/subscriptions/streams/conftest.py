"""Worlds with streams, on both stores where that matters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.subscriptions.streams.world import World, open_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Serve an empty store with one tenant; its log is checked in the end."""
    with open_world(tmp_path / "data") as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def each_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Serve an empty store of either kind."""
    settings = {}
    if request.param == "postgres":
        settings["database"] = request.getfixturevalue("postgres_tables")
    with open_world(tmp_path / "data", **settings) as made:
        yield made

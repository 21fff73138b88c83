"""One server a store for all dialect tests of a session; each test takes a tenant of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live_server import LiveServer, open_server
from tests.support.postgres import fresh_database


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """Return a server with every dialect; its whole log is checked when the session ends."""
    folder: Path = tmp_path_factory.mktemp("server") / "data"
    if request.param == "sqlite":
        with open_server(folder) as live:
            yield live
        return
    with (
        fresh_database(request.getfixturevalue("postgres_url")) as url,
        open_server(folder, database=url) as live,
    ):
        yield live

"""One server for the tests of a module, on each store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.live_server import LiveServer, open_server
from tests.support.postgres import fresh_database


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))],
)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """Serve one store of each kind."""
    with ExitStack() as stack:
        settings: dict[str, Any] = {}
        if request.param == "postgres":
            url = request.getfixturevalue("postgres_url")
            settings["database"] = stack.enter_context(fresh_database(url))
        folder = tmp_path_factory.mktemp("follow") / "data"
        yield stack.enter_context(open_server(folder, **settings))

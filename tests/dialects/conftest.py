"""One server for all dialect tests of a session; each test takes a tenant of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import LiveServer, open_server


@pytest.fixture(scope="session", params=["sqlite"])
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server with every dialect; its whole log is checked when the session ends."""
    with open_server(tmp_path_factory.mktemp("server") / "data") as live:
        yield live

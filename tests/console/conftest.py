"""A server for the tests of the console, one a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.live_server import LiveServer, open_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve an empty store with one tenant; its log is checked in the end."""
    folder = tmp_path_factory.mktemp("console") / "data"
    with open_server(folder, streams_allow=("127.0.0.1/32",)) as live:
        yield live

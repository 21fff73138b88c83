"""A server for the tests of the native API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.live_server import LiveServer, open_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """Serve an empty store with one tenant; its log is checked in the end."""
    with open_server(tmp_path / "data") as live:
        yield live


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return a client with the admin key."""
    with server.http() as client:
        yield client

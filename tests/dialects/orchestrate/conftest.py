"""A client with a fresh application for every test."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from tallystick.identity.access import Scope
from tests.dialects.orchestrate.client import Api
from tests.support.live_server import LiveServer

EVERYTHING = (Scope.READ, Scope.WRITE, Scope.PURGE)


@pytest.fixture
def new_api(server: LiveServer) -> Callable[..., Api]:
    """Return a maker of clients: of a new application, or of one there is."""

    def make(*scopes: Scope, tenant: str | None = None) -> Api:
        name = tenant or f"app-{uuid4().hex[:12]}"
        if tenant is None:
            server.create_tenant(name)
        return Api(server.url, server.create_key(name, scopes or EVERYTHING), name)

    return make


@pytest.fixture
def api(new_api: Callable[..., Api]) -> Api:
    """Return a client that may read, write and purge in an application of its own."""
    return new_api()

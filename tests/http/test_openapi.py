"""The native API's document: every route is in it, nothing else is, and no request breaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from starlette.routing import Route

from tallystick.http.app import App
from tests.support.live_server import LiveServer, open_server
from tests.support.openapi_requests import schema_of

DOCUMENT: dict[str, Any] = json.loads(
    resources.files("tallystick.http").joinpath("openapi.json").read_bytes()
)
SCHEMA = schema_of(DOCUMENT)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve a few events."""
    with open_server(tmp_path_factory.mktemp("openapi") / "data") as server:
        with server.http() as http:
            for n in range(5):
                http.post("/v1/events", json={"kind": f"k.{n}", "data": {"n": n}})
        yield server


def test_the_route_table_equals_the_document(live: LiveServer) -> None:
    app = App(live.node, ())
    served = {
        (method, route.path.replace(":path}", "}"))
        for route in app.router.routes
        if isinstance(route, Route) and not route.path.startswith(("/oauth", "/token", "/console"))
        for method in route.methods or ()
        if method != "HEAD"
    } | {("POST", "/v1/events")}
    documented = {
        (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item
    }
    assert served == documented


def test_the_document_is_served_without_a_key(live: LiveServer) -> None:
    answer = httpx2.get(f"{live.url}/v1/openapi.json", timeout=30)
    assert answer.json() == DOCUMENT


@SCHEMA.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_made_from_the_document_is_a_server_error(
    case: schemathesis.Case[Any], live: LiveServer
) -> None:
    answer = case.call(base_url=live.url, headers={"Authorization": f"Bearer {live.admin_key}"})
    case.validate_response(answer, checks=[not_a_server_error])

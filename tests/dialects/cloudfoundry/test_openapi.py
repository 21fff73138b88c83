"""The OpenAPI document says what is served, and nothing that fits it upsets the server."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from tallystick.dialects.cloudfoundry import CLOUDFOUNDRY, style_of
from tallystick.errors import SettingsError
from tallystick.http.app import App
from tallystick.settings import Settings
from tests.dialects.cloudfoundry.conftest import DOCUMENT, Deployment
from tests.dialects.cloudfoundry.samples import resource
from tests.dialects.openapi import served
from tests.support.openapi_requests import schema_of

SCHEMA = schema_of(DOCUMENT.content)


def test_every_route_is_documented_and_every_documented_route_is_served(
    deployment: Deployment,
) -> None:
    app = App(deployment.server.node, (CLOUDFOUNDRY,))
    routes = CLOUDFOUNDRY.routes(app.services)
    assert served(routes, endings=("/",)) == DOCUMENT.operations()
    for route in routes:
        assert isinstance(route, Route)
        assert CLOUDFOUNDRY.owns(route.path)


def test_document_is_served(deployment: Deployment) -> None:
    answer = deployment.anonymous.get("/extensions/cloudfoundry/openapi.yaml")
    assert answer.status_code == 200
    assert answer.text.startswith("openapi: 3.1")


@pytest.fixture(scope="module")
def filled(server: object) -> Deployment:
    """Return a deployment with a few events, which requests made from the document are sent to."""
    from tests.support.live_server import LiveServer

    assert isinstance(server, LiveServer)
    made = Deployment(server)
    made.record(*(resource(f"event-{number}") for number in range(3)))
    made.close()
    return made


@SCHEMA.parametrize()
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_requests_made_from_the_document_get_documented_answers(
    case: schemathesis.Case[Any], filled: Deployment
) -> None:
    case.call_and_validate(
        base_url=filled.server.url,
        headers={"Authorization": f"bearer {filled.key}"},
        checks=[
            not_a_server_error,
            response_schema_conformance,
            status_code_conformance,
            content_type_conformance,
        ],
    )


@pytest.mark.parametrize(
    ("path", "owned"),
    [
        ("/", True), ("/v2", True), ("/v2/x", True), ("/v3/audit_events", True), ("/login", True),
        ("/info", True), ("/extensions/cloudfoundry/events", True),
        ("/v1/events", False), ("/v20", False), ("/events", False), ("/oauth/token", False),
        ("/extensions/onehub/events", False), ("/archivist/v2/assets", False),
    ],
)  # fmt: skip
def test_url_space(path: str, owned: bool) -> None:
    assert CLOUDFOUNDRY.owns(path) is owned


@pytest.mark.parametrize(
    "table", [{"time_zone": "Mars/Olympus"}, {"time_zone": 7}, {"actor_username": "yes"}]
)
def test_bad_setting_is_named(table: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"cloudfoundry.{next(iter(table))}"):
        style_of(Settings(cloudfoundry=table))

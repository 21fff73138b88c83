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

from tallystick.dialects.onehub import ONEHUB, common_settings
from tallystick.errors import SettingsError
from tallystick.http.app import App
from tallystick.settings import Settings
from tests.dialects.onehub.conftest import DOCUMENT, Share
from tests.dialects.openapi import served
from tests.support.live_server import LiveServer
from tests.support.openapi_requests import schema_of

SCHEMA = schema_of(DOCUMENT.content)


def test_every_route_is_documented_and_every_documented_route_is_served(
    server: LiveServer,
) -> None:
    found = ONEHUB.routes(App(server.node, (ONEHUB,)).services)
    assert served(found, ("/", ".json")) == DOCUMENT.operations()
    for route in found:
        assert isinstance(route, Route)
        assert ONEHUB.owns(route.path)


def test_the_document_is_served(share: Share) -> None:
    answer = share.anonymous.get("/extensions/onehub/openapi.yaml")
    assert answer.status_code == 200
    assert answer.text.startswith("openapi: 3.1")


@pytest.fixture(scope="module")
def filled(server: LiveServer) -> Share:
    """Return an account with a few events, which requests made from the document are sent to."""
    share = Share(server)
    for verb in ("upload", "read", "delete"):
        share.record(verb)
    share.close()
    return share


@SCHEMA.parametrize()
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_requests_made_from_the_document_get_documented_answers(
    case: schemathesis.Case[Any], filled: Share
) -> None:
    case.call_and_validate(
        base_url=filled.server.url,
        headers={"Authorization": filled.program.headers["authorization"]},
        checks=[
            not_a_server_error,
            response_schema_conformance,
            status_code_conformance,
            content_type_conformance,
        ],
        allow_redirects=False,
    )


@pytest.mark.parametrize(
    ("path", "owned"),
    [
        ("/activity", True),
        ("/activity/", True),
        ("/activity.json", True),
        ("/activity/x", True),
        ("/files/5/audit_trail", True),
        ("/files", True),
        ("/workspaces/5/files/6", True),
        ("/extensions/onehub/events", True),
        ("/activities", False),
        ("/filesystem", False),
        ("/events", False),
        ("/oauth/token", False),
        ("/v1/events", False),
        ("/extensions/kvass/events", False),
    ],
)
def test_url_space(path: str, owned: bool) -> None:
    assert ONEHUB.owns(path) is owned


@pytest.mark.parametrize("table", [{"own_events_only": 1}, {"public_clients": "cf"}])
def test_a_bad_setting_is_named(table: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"onehub.{next(iter(table))}"):
        common_settings(Settings(onehub=table))

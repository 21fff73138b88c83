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

from tallystick.dialects.kvass import KVASS
from tallystick.dialects.kvass.kinds import KINDS
from tallystick.http.app import App
from tests.dialects.kvass.conftest import DOCUMENT, Company
from tests.dialects.openapi import served
from tests.support.live_server import LiveServer
from tests.support.openapi_requests import schema_of

SCHEMA = schema_of(DOCUMENT.content)


def test_every_route_is_documented_and_every_documented_route_is_served(
    server: LiveServer,
) -> None:
    found = KVASS.routes(App(server.node, (KVASS,)).services)
    assert served(found, ("/",)) == DOCUMENT.operations()
    for route in found:
        assert isinstance(route, Route)
        assert KVASS.owns(route.path)


def test_the_document_is_served_and_lists_the_kinds(company: Company) -> None:
    answer = company.anonymous.get("/extensions/kvass/openapi.yaml")
    assert answer.status_code == 200
    assert answer.text.startswith("openapi: 3.1")
    assert DOCUMENT.content["components"]["schemas"]["Kind"]["enum"] == list(KINDS)


@pytest.fixture(scope="module")
def filled(server: LiveServer) -> Company:
    """Return a company with a few events, which requests made from the document are sent to."""
    company = Company(server)
    for kind in ("order.created", "order.updated", "order.cancelled"):
        company.record(kind)
    company.close()
    return company


@SCHEMA.parametrize()
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_requests_made_from_the_document_get_documented_answers(
    case: schemathesis.Case[Any], filled: Company
) -> None:
    case.call_and_validate(
        base_url=filled.server.url,
        headers={"X-Kvass-Api-Key": filled.service_key},
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
        ("/events", True),
        ("/events/", True),
        ("/events/search/query=order", True),
        ("/extensions/kvass/kinds", True),
        ("/eventsource", False),
        ("/v0/x/y/events/z", False),
        ("/v2/events", False),
        ("/extensions/onehub/events", False),
    ],
)
def test_url_space(path: str, owned: bool) -> None:
    assert KVASS.owns(path) is owned

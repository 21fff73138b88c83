"""The OpenAPI document and the route table are the same; nothing it can ask for breaks us."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from tallystick.dialects.orchestrate.routes import RESOURCES, match
from tests.dialects.openapi import Document
from tests.dialects.orchestrate.client import Api
from tests.dialects.orchestrate.conftest import EVERYTHING
from tests.support.live_server import LiveServer
from tests.support.openapi_requests import schema_of

DOCUMENT = Document("orchestrate")


def test_routes_equal_the_document() -> None:
    served = {
        (method, resource.template.replace("+}", "}"))
        for resource in RESOURCES
        for method in resource.handlers
    }
    assert served == DOCUMENT.operations()


def test_every_documented_path_is_matched_as_documented() -> None:
    for resource in RESOURCES:
        names = resource.template.replace("+}", "}").split("/")[2:]
        found, taken = match([name.strip("{}") for name in names])
        assert found is resource
        assert taken == [name.strip("{}") for name in names if name.startswith("{")]


schema = schema_of(DOCUMENT.content)


@schema.parametrize()
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
def test_generated_requests_never_break_the_server(
    case: schemathesis.Case[Any], fuzzed: Api
) -> None:
    response = case.call(base_url=fuzzed.url, headers={"Authorization": fuzzed.authorization})
    assert response.status_code < 500, response.text
    if response.content:
        assert isinstance(response.json(), dict)


@pytest.fixture(scope="module")
def fuzzed(server: LiveServer) -> Api:
    """Return a client whose application may be filled with anything."""
    server.create_tenant("fuzzed")
    return Api(server.url, server.create_key("fuzzed", EVERYTHING), "fuzzed")

"""The OpenAPI document says what is served, and nothing that fits it upsets the server."""

from __future__ import annotations

from collections.abc import Iterator
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

from tallystick.dialects.datatrails import DATATRAILS
from tallystick.dialects.datatrails.options import options_of
from tallystick.errors import SettingsError
from tests.dialects.datatrails.conftest import DOCUMENT, Account, app_of
from tests.dialects.openapi import served
from tests.support.live_server import LiveServer
from tests.support.openapi_requests import schema_of

SCHEMA = schema_of(DOCUMENT.content)


def test_every_route_is_documented_and_every_documented_route_is_served(account: Account) -> None:
    routes = DATATRAILS.routes(app_of(account.server).services)
    assert served(routes, endings=["/"]) == DOCUMENT.operations()
    for route in routes:
        assert isinstance(route, Route)
        assert DATATRAILS.owns(route.path)


def test_document_is_served(account: Account) -> None:
    answer = account.anonymous.get("/extensions/datatrails/openapi.yaml")
    assert answer.status_code == 200
    assert answer.text.startswith("openapi: 3.1")


@pytest.fixture(scope="module")
def filled(public_server: LiveServer) -> Iterator[Account]:
    """Return a tenant with a few events, to which requests made from the document are sent."""
    account = Account(public_server)
    for number in range(3):
        account.create(attributes={"n": str(number)}, trails=["Clouseau"])
    yield account
    account.close()


@SCHEMA.parametrize()
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_requests_made_from_the_document_get_documented_answers(
    case: schemathesis.Case[Any], filled: Account
) -> None:
    case.call_and_validate(
        base_url=filled.server.url,
        headers={"Authorization": f"Bearer {filled.key}"},
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
        ("/archivist", True), ("/archivist/v1/events", True), ("/archivist/x", True),
        ("/verifiabledata/merklelogs/v1", True), ("/extensions/datatrails/trails", True),
        ("/archivists", False), ("/v1/events", False), ("/", False), ("/oauth/token", False),
        ("/extensions/onehub/events", False), ("/extensions/datatrailsx/y", False),
    ],
)  # fmt: skip
def test_url_space(path: str, owned: bool) -> None:
    assert DATATRAILS.owns(path) is owned


@pytest.mark.parametrize(
    "table",
    [
        {"massif_height": 1}, {"massif_height": 18}, {"massif_height": "14"},
        {"events_per_second": 0}, {"events_per_second": "fast"},
        {"quotas": {"planets": 9}}, {"quotas": {"events": "many"}}, {"colour": "red"},
    ],
)  # fmt: skip
def test_bad_setting_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="datatrails"):
        options_of(table)

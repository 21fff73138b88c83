"""The OpenAPI documents say what is served, and nothing that fits them upsets the server.

Orchestrate routes by itself: `orchestrate/test_openapi.py` holds its document against its table.
"""

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

from tallystick.dialects import DIALECTS
from tallystick.dialects.base import Dialect
from tallystick.http.app import App
from tests.dialects.cloudfoundry.conftest import Deployment
from tests.dialects.cloudfoundry.samples import resource
from tests.dialects.datatrails.conftest import Account
from tests.dialects.kvass.conftest import Company
from tests.dialects.onehub.conftest import Share
from tests.dialects.openapi import Document, served
from tests.support.live_server import LiveServer, open_server
from tests.support.openapi_requests import schema_of

DOCUMENTS = {dialect.name: Document(dialect.name) for dialect in DIALECTS}
ENDINGS = {"onehub": ("/", ".json")}
ROUTED = [dialect for dialect in DIALECTS if dialect.name != "orchestrate"]

OWNED = {
    "orchestrate": ("/v0", "/v0/c/k", "/v0/x/y/events/z"),
    "kvass": ("/events", "/events/", "/events/search/query=order", "/extensions/kvass/kinds"),
    "datatrails": (
        "/archivist", "/archivist/v1/events", "/archivist/x", "/verifiabledata/merklelogs/v1",
        "/extensions/datatrails/trails", "/archivist/v2/assets",
    ),
    "cloudfoundry": (
        "/", "/v2", "/v2/x", "/v2/events", "/v3/audit_events", "/login", "/info",
        "/extensions/cloudfoundry/events",
    ),
    "onehub": (
        "/activity", "/activity/", "/activity.json", "/activity/x", "/files/5/audit_trail",
        "/files", "/workspaces/5/files/6", "/extensions/onehub/events",
    ),
}  # fmt: skip
"""Paths in the URL space of each dialect; they lie in no other's."""

NOBODYS = (
    "/v1/events", "/oauth/token", "/eventsource", "/archivists", "/v20", "/activities",
    "/filesystem", "/extensions/datatrailsx/y",
)  # fmt: skip

Case = schemathesis.Case[Any]
sparing = settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve every dialect."""
    with open_server(tmp_path_factory.mktemp("openapi") / "data") as live:
        yield live


@pytest.mark.parametrize("dialect", ROUTED, ids=lambda dialect: dialect.name)
def test_every_route_is_documented_and_every_documented_route_is_served(
    server: LiveServer, dialect: Dialect
) -> None:
    routes = dialect.routes(App(server.node, (dialect,)).services)
    found = served(routes, ENDINGS.get(dialect.name, ("/",)))
    assert found == DOCUMENTS[dialect.name].operations()
    for route in routes:
        assert isinstance(route, Route)
        assert dialect.owns(route.path)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_document_is_served(server: LiveServer, dialect: Dialect) -> None:
    with server.plain_http() as anybody:
        answer = anybody.get(f"/extensions/{dialect.name}/openapi.yaml")
    assert answer.status_code == 200
    assert answer.text.startswith("openapi: 3.1")


@pytest.mark.parametrize("path", [*NOBODYS, *(path for paths in OWNED.values() for path in paths)])
def test_path_lies_in_one_url_space(path: str) -> None:
    owners = [dialect.name for dialect in DIALECTS if dialect.owns(path)]
    assert owners == [name for name, paths in OWNED.items() if path in paths]


def check(case: Case, server: LiveServer, authorization: dict[str, str]) -> None:
    """Send a request made from a document; the answer is one that the document has."""
    case.call_and_validate(
        base_url=server.url,
        headers=authorization,
        allow_redirects=False,
        checks=[
            not_a_server_error,
            response_schema_conformance,
            status_code_conformance,
            content_type_conformance,
        ],
    )


@pytest.fixture(scope="module")
def kvass(server: LiveServer) -> Iterator[dict[str, str]]:
    """Yield the credential of a company with a few events."""
    company = Company(server)
    for kind in ("order.created", "order.updated", "order.cancelled"):
        company.record(kind)
    yield {"X-Kvass-Api-Key": company.service_key}
    company.close()


@schema_of(DOCUMENTS["kvass"].content).parametrize()
@sparing
def test_kvass_answers_as_documented(case: Case, server: LiveServer, kvass: dict[str, str]) -> None:
    check(case, server, kvass)


@pytest.fixture(scope="module")
def datatrails(server: LiveServer) -> Iterator[dict[str, str]]:
    """Yield the credential of a tenant with a few events."""
    account = Account(server)
    for number in range(3):
        account.create(attributes={"n": str(number)}, trails=["Clouseau"])
    yield {"Authorization": f"Bearer {account.key}"}
    account.close()


@schema_of(DOCUMENTS["datatrails"].content).parametrize()
@sparing
def test_datatrails_answers_as_documented(
    case: Case, server: LiveServer, datatrails: dict[str, str]
) -> None:
    check(case, server, datatrails)


@pytest.fixture(scope="module")
def cloudfoundry(server: LiveServer) -> Iterator[dict[str, str]]:
    """Yield the credential of a deployment with a few events."""
    deployment = Deployment(server)
    deployment.record(*(resource(f"event-{number}") for number in range(3)))
    yield {"Authorization": f"bearer {deployment.key}"}
    deployment.close()


@schema_of(DOCUMENTS["cloudfoundry"].content).parametrize()
@sparing
def test_cloudfoundry_answers_as_documented(
    case: Case, server: LiveServer, cloudfoundry: dict[str, str]
) -> None:
    check(case, server, cloudfoundry)


@pytest.fixture(scope="module")
def onehub(server: LiveServer) -> Iterator[dict[str, str]]:
    """Yield the credential of an account with a few events."""
    share = Share(server)
    for verb in ("upload", "read", "delete"):
        share.record(verb)
    yield {"Authorization": share.program.headers["authorization"]}
    share.close()


@schema_of(DOCUMENTS["onehub"].content).parametrize()
@sparing
def test_onehub_answers_as_documented(
    case: Case, server: LiveServer, onehub: dict[str, str]
) -> None:
    check(case, server, onehub)

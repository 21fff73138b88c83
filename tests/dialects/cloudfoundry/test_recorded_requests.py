"""Requests of clients in other languages, byte for byte as they were recorded.

Tokens, names and guids are filled in; everything else is as the client wrote it. Source: wire
specification of Cloud Foundry 12.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from tests.dialects import rawhttp
from tests.dialects.cloudfoundry.conftest import PASSWORD, SECRET, Deployment, guids
from tests.dialects.cloudfoundry.samples import Json, resource
from tests.dialects.rawhttp import Reply
from tests.support.live_server import LiveServer


class Recorded:
    """A deployment with an app, and how to send it what clients sent elsewhere."""

    def __init__(self, server: LiveServer) -> None:
        self.deployment = Deployment(server)
        self.login = self.deployment.user("auditor", ("tenant:*", "global_auditor"))
        self.client = self.deployment.client("exporter", "cloud_controller.global_auditor")
        place = {"organization_guid": "org-1", "space_guid": "space-1"}
        self.deployment.record(
            resource("o", type="audit.organization.create", actee="org-1",
                     actee_type="organization", actee_name="acme", **place),
            resource("s", type="audit.space.create", actee="space-1", actee_type="space",
                     actee_name="prod", **place),
            resource("a", type="audit.app.create", timestamp="2014-06-21T00:00:00Z", **place),
            resource("b", type="app.crash", timestamp="2014-06-22T00:00:00Z", **place),
        )  # fmt: skip
        self.token = str(self.deployment.token(self.login)["access_token"])

    def send(self, request: str, body: str = "") -> Reply:
        """Send a request with the host and the length of its body filled in."""
        host = self.deployment.server.url.removeprefix("http://")
        length = f"Content-Length: {len(body)}\n" if body else ""
        text = f"{request.strip()}\nHost: {host}\n{length}Connection: close\n\n{body}"
        return rawhttp.send(self.deployment.server.url, text)

    def get(self, target: str, agent: str, **headers: str) -> Json:
        """Send a GET with a token and return the JSON it is answered with."""
        lines = "".join(f"\n{name.replace('_', '-')}: {value}" for name, value in headers.items())
        reply = self.send(
            f"GET {target} HTTP/1.1\nUser-Agent: {agent}\nAccept: application/json\n"
            f"Authorization: bearer {self.token}{lines}"
        )
        assert reply.status == 200, reply.body
        answer: Json = reply.json()
        return answer


@pytest.fixture(scope="module")
def recorded(server: LiveServer) -> Iterator[Recorded]:
    """Return the deployment that the recorded requests are sent to."""
    made = Recorded(server)
    yield made
    made.deployment.close()


CLI_6 = "go-cli 6.53.0+8e2b70a4a.2020-10-01 / linux"
CLI_7 = "cf7/7.0.0+a4cd9ba2b.2020-06-26 (go1.13.12; amd64 linux)"
FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.mark.row("C-64", "C-65", "C-67", "C-68", "C-71", "C-75")
def test_command_line_client_6_logs_in_and_shows_an_app(recorded: Recorded) -> None:
    for path in ("/v2/info", "/", "/login"):
        reply = recorded.send(
            f"GET {path} HTTP/1.1\nUser-Agent: {CLI_6}\nAccept: application/json\nConnection: close"
        )
        assert reply.status == 200
    form = f"grant_type=password&password={quote_plus(PASSWORD)}&username={quote(recorded.login)}"
    reply = recorded.send(
        f"POST /oauth/token HTTP/1.1\nUser-Agent: {CLI_6}\nAccept: application/json\n"
        f"Authorization: Basic Y2Y6\n{FORM}",
        form,
    )
    assert reply.status == 200
    assert reply.json()["token_type"] == "bearer"
    assert reply.json()["access_token"].count(".") == 2
    [organization] = recorded.get("/v2/organizations?order-by=name&q=name:acme", CLI_6)["resources"]
    [space] = recorded.get(
        f"/v2/spaces?order-by=name&q=name:prod&q=organization_guid:{organization['metadata']['guid']}",
        CLI_6,
    )["resources"]
    [app] = recorded.get(
        f"/v2/spaces/{space['metadata']['guid']}/apps?q=name:shop&inline-relations-depth=1", CLI_6
    )["resources"]
    events = recorded.get(
        f"/v2/events?results-per-page=50&order-direction=desc&q=actee:{app['metadata']['guid']}",
        CLI_6,
    )
    assert guids(events["resources"]) == ["b", "a"]


@pytest.mark.row("C-1", "C-26")
def test_command_line_client_passes_a_path_untouched(recorded: Recorded) -> None:
    answer = recorded.get("/v2/events?q=type:app.crash", CLI_6, Content_Type="application/json")
    assert guids(answer["resources"]) == ["b"]


@pytest.mark.row("C-70")
def test_command_line_client_logs_in_as_a_program(recorded: Recorded) -> None:
    form = (
        f"client_id={recorded.client}&client_secret={quote_plus(SECRET)}"
        "&grant_type=client_credentials"
    )
    reply = recorded.send(f"POST /oauth/token HTTP/1.1\nUser-Agent: {CLI_6}\n{FORM}", form)
    assert reply.status == 200
    assert "refresh_token" not in reply.json()


@pytest.mark.row("C-66", "C-73", "C-75")
@pytest.mark.parametrize("extra", ["", "&page=1"])
def test_command_line_clients_7_and_8_show_an_app(recorded: Recorded, extra: str) -> None:
    for path in ("/", "/v3", "/login"):
        assert recorded.send(f"GET {path} HTTP/1.1\nUser-Agent: {CLI_7}").status == 200
    get = recorded.get
    [organization] = get("/v3/organizations?names=acme", CLI_7)["resources"]
    [space] = get(f"/v3/spaces?names=prod&organization_guids={organization['guid']}", CLI_7)[
        "resources"
    ]
    [app] = get(f"/v3/apps?names=shop&space_guids={space['guid']}", CLI_7)["resources"]
    events = get(f"/v3/audit_events?order_by=-created_at&target_guids={app['guid']}{extra}", CLI_7)
    assert guids(events["resources"]) == ["b", "a"]
    assert re.fullmatch(
        r"http://[^/]+/v3/audit_events\?order_by=-created_at&page=1&per_page=50&target_guids=app-1",
        events["pagination"]["first"]["href"],
    )


@pytest.mark.row("C-17", "C-20", "C-22", "C-27", "C-28", "C-31", "C-38")
@pytest.mark.parametrize(
    ("agent", "target", "found"),
    [
        ("Go-CF-client/1.1", "/v2/events?", ["o", "s", "a", "b"]),
        ("Go-http-client/1.1",
         "/v2/events?q=timestamp%3E2014-06-20T15%3A04%3A05Z&results-per-page=100", ["a", "b"]),
        ("Cloud Foundry Java Client",
         "/v2/events?q=timestamp%3E%3D2014-06-21T00%3A00%3A00Z&q=actee%20IN%20app-1,app-2"
         "&q=type:app.crash", ["b"]),
        ("Datadog",
         "/v2/events?q=type%20IN%20app.crash,audit.app.create&results-per-page=100"
         "&order-direction=desc&order-by=timestamp&page=1", ["b", "a"]),
        ("cfoundry", "/v2/events?q=timestamp%3E2014-06-20+16:59:59+-0700", ["a", "b"]),
        ("cfoundry", "/v2/events?q=timestamp>2014-06-21+00:18:46+UTC", ["b"]),
        ("guide", "/v2/events?q=timestamp>2014-01-01%2000:00:00-04:00;actee:space-1", ["s"]),
    ],
)  # fmt: skip
def test_other_clients_of_version_2(
    recorded: Recorded, agent: str, target: str, found: list[str]
) -> None:
    assert guids(recorded.get(target, agent)["resources"]) == found


@pytest.mark.row("C-70", "C-73")
def test_datadog_gets_its_token_by_get_and_polls_version_3(recorded: Recorded) -> None:
    basic = b64encode(f"{recorded.client}:{SECRET}".encode()).decode()
    reply = recorded.send(
        "GET /oauth/token?grant_type=client_credentials HTTP/1.1\n"
        f"User-Agent: python-requests/2.28.1\nAuthorization: Basic {basic}"
    )
    assert reply.status == 200
    events = recorded.get(
        "/v3/audit_events?types=app.crash%2Caudit.app.create&per_page=100"
        "&order_by=-created_at&page=1",
        "python-requests/2.28.1",
    )
    assert guids(events["resources"]) == ["b", "a"]
    for path in ("/v3/organizations?per_page=5000", "/v3/spaces?per_page=5000"):
        assert len(recorded.get(path, "python-requests/2.28.1")["resources"]) == 1


@pytest.mark.row("C-73")
def test_exporter_polls_the_last_minutes(recorded: Recorded) -> None:
    events = recorded.get(
        "/v3/audit_events?created_ats%5Bgt%5D=2014-06-20T23%3A59%3A59Z&order_by=-created_at"
        "&per_page=5000",
        "Go-CF-Client/3.0",
    )
    assert guids(events["resources"]) == ["b", "a"]
    assert events["pagination"]["next"] is None

"""The original clients, unmodified, against a real server: PyPI `cloudfoundry-client`, npm
`cf-client`, both `go-cfclient` and the Java client's `cloudfoundry-client-reactor`.

They log in, list, filter and page to the end; the first two go on after their token has expired.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from cloudfoundry_client.client import (  # type: ignore[import-untyped]  # comes without types
    CloudFoundryClient,
)
from cloudfoundry_client.errors import (  # type: ignore[import-untyped]  # comes without types
    InvalidStatusCode,
)
from oauth2_client.credentials_manager import (  # type: ignore[import-untyped]  # without types
    OAuthError,
)

from tests.dialects.cloudfoundry.clocks import SetClock
from tests.dialects.cloudfoundry.conftest import PASSWORD, SECRET, Deployment
from tests.dialects.cloudfoundry.samples import resource
from tests.support import golang, jvm, npm
from tests.support.live_server import open_server
from tests.support.needs import ROOT

NODE_CLIENT = ROOT / "tests" / "clients" / "cf"
GO_CLIENTS = ROOT / "tests" / "clients" / "cf-go"
JAVA_CLIENT = ROOT / "tests" / "clients" / "cf-java"
_ANSWER_S = 120


class Platform:
    """A deployment with events of two apps, on a server whose clock the test moves."""

    def __init__(self, deployment: Deployment, clock: SetClock) -> None:
        self.deployment = deployment
        self.clock = clock
        self.url = deployment.server.url
        self.login = deployment.user("auditor", ("tenant:*", "global_auditor"))
        types = ["audit.app.create", "app.crash", "audit.app.update", "audit.app.stop", "app.crash"]
        deployment.record(
            *(
                resource(
                    f"event-{number}",
                    type=type,
                    actee=f"app-{number % 2}",
                    timestamp=f"2014-06-{20 + number}T10:00:00Z",
                    organization={"entity": {"name": "acme"}},
                    space={"entity": {"name": "prod"}},
                )
                for number, type in enumerate(types)
            )
        )

    def expire_tokens(self) -> None:
        """Let an hour pass: every access token given so far is over, refresh tokens are not."""
        self.clock.ms += 3_600_000


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Return the platform that the clients of this module are pointed at."""
    clock = SetClock()
    with open_server(tmp_path_factory.mktemp("clients") / "data", clock=clock) as server:
        deployment = Deployment(server)
        yield Platform(deployment, clock)
        deployment.close()


@pytest.fixture
def client(platform: Platform) -> Iterator[Any]:
    """Return the Python client, logged in."""
    made = CloudFoundryClient(platform.url)
    made.init_with_user_credentials(platform.login, PASSWORD)
    yield made
    made._session.close()


def guids(entities: Any) -> list[str]:
    """Return the guids that the Python client yields, page after page."""
    return [
        entity["guid"] if "guid" in entity else entity["metadata"]["guid"] for entity in entities
    ]


ALL = [f"event-{number}" for number in range(5)]


@pytest.mark.row("C-1", "C-32", "C-48", "C-64", "C-68", "C-73")
def test_python_client_lists_to_the_end(client: Any) -> None:
    assert guids(client.v2.event.list(**{"results-per-page": 2})) == ALL
    assert client.v2.event.list().total_results == 5
    assert guids(client.v3.audit_events.list(per_page=2)) == ALL
    newest = {"order-direction": "desc", "order-by": ["timestamp", "id"], "results-per-page": 1}
    assert guids(client.v2.event.list(**newest)) == ALL[::-1]
    assert guids(client.v3.audit_events.list(order_by="-created_at", per_page=1)) == ALL[::-1]


@pytest.mark.row("C-15", "C-16", "C-17", "C-20", "C-22", "C-24", "C-73")
def test_python_client_filters(client: Any) -> None:
    assert guids(client.v2.event.list_by_type("app.crash")) == ["event-1", "event-4"]
    several = client.v2.event.list(type=["app.crash", "audit.app.create"], actee="app-0")
    assert guids(several) == ["event-0", "event-4"]
    between = {">": "2014-06-20T10:00:00-00:00", "<=": "2014-06-22T10:00:00Z"}
    assert guids(client.v2.event.list(timestamp=between)) == ["event-1", "event-2"]
    third = client.v3.audit_events
    assert guids(third.list(types=["app.crash", "audit.app.stop"], per_page=1)) == [
        "event-1", "event-3", "event-4"
    ]  # fmt: skip
    since = {"created_ats[gt]": "2014-06-22T10:00:00Z"}
    assert guids(third.list(**since)) == ["event-3", "event-4"]


@pytest.mark.row("C-62", "C-60", "C-74", "C-43")
def test_python_client_reads_one_event_and_follows_its_relations(client: Any) -> None:
    assert client.v2.event.get("event-3")["entity"]["actee"] == "app-1"
    assert client.v3.audit_events.get("event-3")["target"]["guid"] == "app-1"
    event = client.v2.event.get("event-3?inline-relations-depth=0")
    assert event.organization()["entity"]["name"] == "acme"
    with pytest.raises(InvalidStatusCode) as caught:
        client.v2.event.get("nope")
    assert caught.value.body["code"] == 230002
    with pytest.raises(InvalidStatusCode) as caught:
        client.v3.audit_events.get("nope")
    assert caught.value.body["errors"][0]["code"] == 10010


@pytest.mark.row("C-56", "C-69")
def test_python_client_renews_its_token_when_that_has_expired(
    client: Any, platform: Platform
) -> None:
    for ask in (client.v2.event.list, client.v3.audit_events.list):
        before = client._access_token
        platform.expire_tokens()
        assert guids(ask()) == ALL
        assert client._access_token != before


@pytest.mark.row("C-70")
def test_python_client_as_a_program_of_its_own(platform: Platform) -> None:
    id = platform.deployment.client("exporter", "cloud_controller.global_auditor")
    client = CloudFoundryClient(platform.url, client_id=id, client_secret=SECRET)
    client.init_with_client_credentials()
    assert guids(client.v2.event.list()) == ALL
    client._session.close()


@pytest.mark.row("C-72")
def test_python_client_is_told_of_a_wrong_password(platform: Platform) -> None:
    client = CloudFoundryClient(platform.url)
    with pytest.raises(OAuthError) as caught:
        client.init_with_user_credentials(platform.login, "wrong")
    assert (caught.value.status_code.value, caught.value.error) == (401, "unauthorized")


@pytest.mark.needs("node")
@pytest.mark.row("C-1", "C-17", "C-22", "C-24", "C-32", "C-65", "C-68", "C-69", "C-71", "C-75")
def test_node_client(platform: Platform) -> None:
    """It asks for `/v2/info`, logs in, lists, and renews its token after it has expired."""
    modules = npm.installed(NODE_CLIENT)
    command = ["node", str(NODE_CLIENT / "drive.js"), platform.url, platform.login, PASSWORD]
    environment = {**os.environ, "NODE_PATH": str(modules), "NODE_NO_WARNINGS": "1"}
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        first = process.stderr.readline()
        if first == "waiting\n":
            platform.expire_tokens()
        output, complaints = process.communicate("go on\n")
    assert process.returncode == 0, first + complaints
    told = json.loads(output)
    assert json.loads(told["refused"])["error"] == "unauthorized"
    assert told["user"] == platform.login
    assert told["all"] == {"total": 5, "guids": ALL}
    assert told["filtered"] == {"total": 3, "guids": ["event-1", "event-2", "event-4"]}
    assert told["newestFirst"] == {"total": 5, "guids": ALL[::-1]}
    assert (told["spaces"], told["organizations"]) == (["space-1"], ["org-1"])
    assert json.loads(told["expired"])["error_code"] == "CF-InvalidAuthToken"
    assert told["renewed"] == {"total": 5, "guids": ALL}


@pytest.mark.needs("go")
@pytest.mark.row("C-1", "C-22", "C-24", "C-32", "C-64", "C-65", "C-68", "C-73", "C-74", "C-75")
def test_go_clients(platform: Platform) -> None:
    """Version 3 of `go-cfclient`, and the one of its community that speaks version 2."""
    told = json.loads(output_of([str(golang.built(GO_CLIENTS)), platform.url], platform))
    assert "unauthorized" in told.pop("refused")
    assert "CF-ResourceNotFound" in told.pop("unknown")
    assert told == {
        "all": ALL,
        "newest first": ALL[::-1],
        "filtered": ["event-1", "event-3", "event-4"],
        "without": ["event-1", "event-3"],
        "one": ["event-3", "audit.app.stop", "app-1", "2014-06-23"],
        "organizations": ["acme"],
        "spaces": ["prod in org-1"],
        "apps": ["app-1 STARTED buildpack 2014", "app-0 STARTED buildpack 2014"],
        "empty": 0,
        "v2 all": ALL,
        "v2 filtered": ["event-1", "event-3"],
        "v2 total": 5,
        "v2 place": ["org-1", "space-1", "app-1"],
    }


@pytest.mark.needs("java")
@pytest.mark.row("C-1", "C-22", "C-24", "C-64", "C-65", "C-68", "C-73", "C-75")
def test_java_client(platform: Platform) -> None:
    address = urlsplit(platform.url)
    command = [*jvm.compiled(JAVA_CLIENT), str(address.hostname), str(address.port)]
    told = dict(line.split("\t") for line in output_of(command, platform).splitlines())
    assert told == {
        "stranger": "refused",
        "v2 name": "Tallystick",
        "v2 all": f"[{', '.join(ALL)}]",
        "v2 filtered": "[event-1, event-3]",
        "v2 since": "[event-3, event-4]",
        "v2 apps": "[app-1, app-0]",
        "v3 all": f"[{', '.join(ALL)}]",
        "v3 filtered": "[event-1, event-3, event-4]",
        "v3 organizations": "[acme]",
        "v3 spaces": "[prod]",
        "v3 app": "app-0 STARTED buildpack 2014",
        "v3 empty": "0",
    }


def output_of(command: list[str], platform: Platform) -> str:
    """Return what a program prints that is given the user's login and password last."""
    result = subprocess.run(
        [*command, platform.login, PASSWORD], capture_output=True, text=True, timeout=_ANSWER_S
    )
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    return result.stdout

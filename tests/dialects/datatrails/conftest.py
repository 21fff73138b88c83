"""An account for each test: a tenant of the shared server with an application of its own."""

from __future__ import annotations

import itertools
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.dialects.datatrails.quotas import RateLimit
from tallystick.http.app import App
from tallystick.identity.access import Scope
from tests.dialects.openapi import Document
from tests.support.live_server import LiveServer, open_server
from tests.support.postgres import fresh_database

Json = dict[str, Any]

DOCUMENT = Document("datatrails")
LOGS = "/verifiabledata/merklelogs/v1/mmrs"

# With three leaves a massif a few events fill several files.
HEIGHT = 3

_numbers = itertools.count(1)
# Making one for each client would take longer than most tests.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Account:
    """One tenant as its programs see it; every answer is held against the OpenAPI document."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.tenant = f"dt-{next(_numbers)}"
        self._opened: list[httpx2.Client] = []
        self.key = server.create_tenant(self.tenant)
        self.uuid = server.node.identity.tenant(self.tenant).uuid
        self.admin = self.http(self.key)
        self.anonymous = self.http(None)
        self.application: Json = self.admin.post(
            "/archivist/iam/v1/applications", json={"display_name": "an app"}
        ).json()
        self.app = self.http(self.token())

    def http(self, bearer: str | None) -> httpx2.Client:
        """Return a client with a bearer token or a key, or with none."""
        client = httpx2.Client(
            base_url=self.server.url,
            headers={} if bearer is None else {"Authorization": f"Bearer {bearer}"},
            event_hooks={"response": [DOCUMENT.check_answer]},
            verify=_NO_TLS,
            timeout=30,
        )
        self._opened.append(client)
        return client

    def close(self) -> None:
        """Close the clients."""
        for client in self._opened:
            client.close()

    def ask_token(self, **fields: str) -> httpx2.Response:
        """Ask for a token as the application, with some fields changed."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.application["client_id"],
            "client_secret": self.application["credentials"][0]["secret"],
        }
        return self.anonymous.post("/archivist/iam/v1/appidp/token", data=form | fields)

    def token(self) -> str:
        """Return a token of the application."""
        answer = self.ask_token()
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def key_with(self, *scopes: Scope) -> str:
        """Return a key with some scopes."""
        return self.server.create_key(self.tenant, scopes)

    def create(self, **members: Any) -> Json:
        """Record an event and return the answer."""
        answer = self.app.post("/archivist/v1/events", json=members)
        assert answer.status_code == 200, answer.text
        created: Json = answer.json()
        return created

    def read(self, identity: str) -> Json:
        """Return an event."""
        answer = self.app.get(f"/archivist/v1/{identity}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def confirmed(self, identity: str) -> Json:
        """Return an event once it is confirmed."""
        event: Json = eventually(
            lambda: self.read(identity), lambda event: event["confirmation_status"] == "CONFIRMED"
        )
        return event

    def search(self, filter: str = "", **members: Any) -> httpx2.Response:
        """Search events."""
        return self.app.post("/archivist/v1/events/search", json={"filter": filter, **members})

    def found(self, filter: str = "", **members: Any) -> list[str]:
        """Return the identities of the events that match, with the total checked."""
        answer = self.search(filter, **members)
        assert answer.status_code == 200, answer.text
        events = [event["identity"] for event in answer.json()["events"]]
        if not members:
            assert answer.headers["x-total-count"] == str(len(events))
        return events

    def upload(self, content: bytes, mime_type: str = "image/png") -> Json:
        """Upload a blob and return its record."""
        answer = self.app.post(
            "/archivist/v1/blobs", files={"file": ("filename", content, mime_type)}
        )
        assert answer.status_code == 200, answer.text
        record: Json = answer.json()
        return record

    def file(self, kind: str, number: int, *, ending: str, **headers: str) -> httpx2.Response:
        """Get a public file without credentials."""
        path = f"{LOGS}/tenant/{self.uuid}/0/{kind}/{number:016d}.{ending}"
        return self.anonymous.get(path, headers=headers)

    def massifs(self) -> list[bytes]:
        """Return all massif files."""
        answers = (self.file("massifs", number, ending="log") for number in itertools.count())
        found = itertools.takewhile(lambda answer: answer.status_code == 200, answers)
        return [answer.content for answer in found]

    def seal(self, number: int) -> bytes:
        """Return the seal of a massif."""
        answer = self.file("massifseals", number, ending="sth")
        assert answer.status_code == 200, answer.text
        return answer.content


def eventually(ask: Callable[[], Any], is_so: Callable[[Any], bool], limit_s: float = 60) -> Any:
    """Return what is answered once it is so."""
    until_s = time.monotonic() + limit_s
    while not is_so(answer := ask()):
        assert time.monotonic() < until_s, answer
    return answer


ON_BOTH_STORES = {"test_events", "test_searching", "test_iam", "test_imports"}
"""Modules whose tests run on PostgreSQL too; blobs and the public log there have one of theirs."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the tests of some modules run on both stores."""
    module = metafunc.module.__name__.rpartition(".")[2]
    if "public_server" in metafunc.fixturenames and module in ON_BOTH_STORES:
        metafunc.parametrize("public_server", ["sqlite", "postgres"], indirect=True)


@pytest.fixture(scope="session")
def public_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """Return a server whose massifs are small."""
    options: dict[str, Any] = {"datatrails": {"massif_height": HEIGHT}}
    with ExitStack() as stack:
        if getattr(request, "param", "sqlite") == "postgres":
            url = request.getfixturevalue("postgres_url")
            options["database"] = stack.enter_context(fresh_database(url))
        folder = tmp_path_factory.mktemp("datatrails") / "data"
        yield stack.enter_context(open_server(folder, **options))


@pytest.fixture
def account(public_server: LiveServer) -> Iterator[Account]:
    """Return a tenant of its own."""
    made = Account(public_server)
    yield made
    made.close()


@pytest.fixture
def stranger(public_server: LiveServer) -> Iterator[Account]:
    """Return another tenant on the same server."""
    made = Account(public_server)
    yield made
    made.close()


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Account]:
    """Return a tenant of a server that publishes nothing by itself."""
    from tallystick.dialects.datatrails import DATATRAILS

    quiet = DATATRAILS._replace(followers=())
    with open_server(
        tmp_path / "data", dialects=[quiet], datatrails={"massif_height": HEIGHT}
    ) as live:
        made = Account(live)
        yield made
        made.close()


class RateClock:
    """What rate limits go by in a test: a second passes when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def rate_clock(monkeypatch: pytest.MonkeyPatch) -> RateClock:
    """Return the clock of the rate limits of servers that are started from here on."""
    clock = RateClock()
    # The package has a function of the name of this module.
    routes = import_module("tallystick.dialects.datatrails.routes")
    monkeypatch.setattr(routes, "RateLimit", partial(RateLimit, seconds=clock))
    return clock


def app_of(server: LiveServer) -> App:
    """Return an application over the server's node, for what its services give."""
    from tallystick.dialects.datatrails import DATATRAILS

    return App(server.node, (DATATRAILS,))

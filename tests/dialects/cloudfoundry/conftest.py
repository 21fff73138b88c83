"""A deployment for each test: a tenant of the shared server, with its clients and users."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import httpx2
import pytest

from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.credentials import digest_of_secret
from tallystick.identity.records import ClientSecret, OAuthClient
from tests.dialects.cloudfoundry.samples import Json
from tests.dialects.openapi import Document
from tests.support.live_server import LiveServer

PASSWORD = "correct horse"
SECRET = "battery staple"

DOCUMENT = Document("cloudfoundry")

_numbers = itertools.count(1)


class Deployment:
    """One tenant as its platform's clients see it; every answer is held against OpenAPI."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.tenant = f"cf-{next(_numbers)}"
        self.key = server.create_tenant(self.tenant)
        self._opened: list[httpx2.Client] = []
        self.admin = self.http(self.key)
        self.anonymous = self.http(None)

    def http(self, bearer: str | None) -> httpx2.Client:
        """Return a client with a bearer credential, or with none."""
        client = httpx2.Client(
            base_url=self.server.url,
            headers={} if bearer is None else {"Authorization": f"bearer {bearer}"},
            event_hooks={"response": [DOCUMENT.check_answer]},
            timeout=30,
            # There is no TLS here, and loading certificates takes longer than a request.
            verify=False,
        )
        self._opened.append(client)
        return client

    def close(self) -> None:
        """Close the clients."""
        for client in self._opened:
            client.close()

    def record(self, *resources: Json) -> list[Json]:
        """Store events and return them as they are shown."""
        response = self.admin.post("/extensions/cloudfoundry/events", json=resources)
        assert response.status_code in (200, 201), response.text
        stored: list[Json] = response.json()["resources"]
        return stored

    def key_with(self, *scopes: Scope) -> str:
        """Return a key with some scopes."""
        return self.server.create_key(self.tenant, scopes)

    def user(self, login: str, *grants: tuple[str, str]) -> str:
        """Make a user with a password and grants, and return their login."""
        login = f"{login}@{self.tenant}"
        self.server.create_user(self.tenant, f"id-of-{login}", login=login, password=PASSWORD)
        for scope, role in grants:
            self.server.grant(self.tenant, f"id-of-{login}", scope, role)
        return login

    def client(self, id: str, *scopes: str, user: str | None = None) -> str:
        """Register an OAuth client and return its id."""
        node = self.server.node
        client = OAuthClient(
            id=f"{id}-{self.tenant}",
            tenant=self.tenant,
            created_ms=0,
            name=id,
            secrets=(ClientSecret(digest_of_secret(SECRET), 0),),
            scopes=scopes,
            user=user,
        )
        act = acts.create_client(client)
        node.ledger.administer(self.tenant, act)
        return client.id

    def token(self, login: str) -> Json:
        """Log a user in as the command line client does."""
        form = {"grant_type": "password", "username": login, "password": PASSWORD}
        response = self.anonymous.post("/oauth/token", data=form, auth=("cf", ""))
        assert response.status_code == 200, response.text
        issued: Json = response.json()
        return issued

    def as_user(self, login: str, *grants: tuple[str, str]) -> httpx2.Client:
        """Make a user and return a client with their token."""
        return self.http(self.token(self.user(login, *grants))["access_token"])


@pytest.fixture
def deployment(server: LiveServer) -> Iterator[Deployment]:
    """Return a tenant of its own."""
    made = Deployment(server)
    yield made
    made.close()


@pytest.fixture
def other_deployment(server: LiveServer) -> Iterator[Deployment]:
    """Return another tenant on the same server."""
    made = Deployment(server)
    yield made
    made.close()


Follow = Callable[[httpx2.Client, str], list[Json]]


def follow(client: httpx2.Client, path: str | None) -> list[Json]:
    """Return the events on a page and on all that follow it."""
    found: list[Json] = []
    while path is not None:
        response = client.get(path)
        assert response.status_code == 200, response.text
        page = response.json()
        found += page["resources"]
        path = page["next_url"]
    return found


def guids(resources: list[Json]) -> list[str]:
    """Return the guids of events of either version."""
    return [resource.get("guid") or resource["metadata"]["guid"] for resource in resources]

"""A file share for each test: a tenant of the shared server, with its users and their roles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tallystick.events.event import Draft, Json
from tallystick.identity import access, acts
from tallystick.identity.access import Scope
from tallystick.identity.credentials import digest_of_secret
from tallystick.identity.records import ClientSecret, OAuthClient
from tests.dialects.onehub.samples import act
from tests.dialects.openapi import Document
from tests.support.live_server import LiveServer

DOCUMENT = Document("onehub")
PASSWORD = "correct horse"

_numbers = itertools.count(1)


class Share:
    """One account as its users see it; every answer is held against OpenAPI."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.tenant = f"onehub-{next(_numbers)}"
        server.create_tenant(self.tenant)
        self._opened: list[httpx2.Client] = []
        key = server.create_key(self.tenant, (Scope.READ, Scope.WRITE))
        self.program = self.http(f"Bearer {key}")
        self.anonymous = self.http(None)

    def http(self, authorization: str | None) -> httpx2.Client:
        """Return a client with an Authorization header, or with none."""
        client = httpx2.Client(
            base_url=self.server.url,
            headers={} if authorization is None else {"Authorization": authorization},
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

    def user(self, id: str, *grants: tuple[str, str], **members: Any) -> httpx2.Client:
        """Make a user with roles and return a client with a token of theirs."""
        self.server.create_user(self.tenant, id, **members)
        for scope, role in grants:
            self.server.grant(self.tenant, id, scope, role)
        return self.http(f"Bearer {self.token(id)}")

    def token(self, id: str) -> str:
        """Return a token of a user, as the token endpoint would issue it."""
        node = self.server.node
        user = node.identity.user_by_alias(self.tenant, id)
        assert user is not None
        scopes = access.token_scopes(user.grants)
        return node.issuer.issue_for_user(user, client="cf", scopes=scopes).access_token

    def key(self, *scopes: str) -> str:
        """Return a key with some scopes."""
        return self.server.create_key(self.tenant, tuple(map(Scope, scopes)))

    def client(self, id: str, secret: str) -> str:
        """Register an OAuth client and return its id."""
        node = self.server.node
        client = OAuthClient(
            id=f"{id}-{self.tenant}",
            tenant=self.tenant,
            created_ms=0,
            name=id,
            secrets=(ClientSecret(digest_of_secret(secret), 0),),
        )
        act = acts.create_client(client)
        node.ledger.administer(self.tenant, act)
        return client.id

    def record(self, verb: str = "upload", **members: Any) -> Json:
        """Record an act on the seed's file, unless told otherwise, and return its event."""
        response = self.program.post("/extensions/onehub/events", json=act(verb, **members))
        assert response.status_code == 201, response.text
        event: Json = response.json()["event"]
        return event

    def append(self, *drafts: Draft) -> None:
        """Store events as another API would."""
        self.server.node.ledger.append(self.tenant, drafts)


@pytest.fixture
def share(server: LiveServer) -> Iterator[Share]:
    """Return an account of this test's own."""
    share = Share(server)
    yield share
    share.close()


def details(response: httpx2.Response) -> list[str]:
    """Return what the sentences of a page say, without markup, newest first."""
    assert response.status_code == 200, response.text
    return [plain(item["event"]["detail"]) for item in response.json()["items"]]


def plain(detail: str) -> str:
    """Return a sentence without its tags."""
    out: list[str] = []
    for part in detail.split("<"):
        out.append(part.rpartition(">")[2])
    return "".join(out)


def ids_of(response: httpx2.Response) -> list[int]:
    """Return the ids of a page."""
    assert response.status_code == 200, response.text
    return [item["event"]["id"] for item in response.json()["items"]]

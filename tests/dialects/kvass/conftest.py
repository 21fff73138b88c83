"""A company for each test: a tenant of the shared server, with its keys and users."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import jwt
import pytest

from tallystick.events.event import Draft, Event, Json
from tallystick.identity.access import Scope
from tests.dialects.kvass.samples import order
from tests.dialects.openapi import Document
from tests.support.live_server import LiveServer

DOCUMENT = Document("kvass")
SECRET = "a secret that the company shares with the server"

_numbers = itertools.count(1)


class Company:
    """One company as its administrators see it; every answer is held against OpenAPI."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        number = next(_numbers)
        self.tenant = f"kvass-{number}"
        self.hex = f"{number:024x}"
        server.create_tenant(self.tenant, aliases=(self.hex,))
        self._opened: list[httpx2.Client] = []
        self.key = server.create_key(self.tenant, (Scope.READ, Scope.WRITE))
        self.service_key = server.create_key(self.tenant, (Scope.READ, Scope.WRITE), service=True)
        self.service = self.http({"X-Kvass-Api-Key": self.service_key})
        self.anonymous = self.http({})

    def http(self, headers: dict[str, str]) -> httpx2.Client:
        """Return a client with some headers."""
        client = httpx2.Client(
            base_url=self.server.url,
            headers=headers,
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

    def trust(self, id: str = "company", **members: Any) -> None:
        """Register the secret that signs this company's JWTs."""
        settings = {"secret": SECRET, "admin_claim": "role", **members}
        self.server.save_key_set(self.tenant, id, **settings)

    def token(self, *, secret: str = SECRET, **claims: Any) -> str:
        """Return a JWT; it is an administrator's unless told otherwise."""
        told = {"sub": "john", "role": "admin", "exp": int(time.time()) + 600, **claims}
        kept = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(kept, secret, algorithm="HS256")

    def with_token(self, token: str, key: str | None = None) -> httpx2.Client:
        """Return a client with an API key and a bearer token."""
        return self.http({"X-Kvass-Api-Key": key or self.key, "Authorization": f"Bearer {token}"})

    def record(self, kind: str = "order.created", **members: Any) -> Json:
        """Record an event about the seed's order, unless told otherwise, and return it."""
        document = {"kind": kind, "object": order(), **members}
        answer = self.service.post("/extensions/kvass/events", json=document)
        assert answer.status_code == 201, answer.text
        event: Json = answer.json()
        return event

    def append(self, *drafts: Draft) -> None:
        """Store events as another API would."""
        self.server.node.ledger.append(self.tenant, drafts)

    def last(self) -> Event:
        """Return the latest entry of the company's log."""
        ledger = self.server.node.ledger
        return ledger.view_at(self.tenant, ledger.proofs.head(self.tenant).size - 1).first


@pytest.fixture
def company(server: LiveServer) -> Iterator[Company]:
    """Return a company of this test's own."""
    company = Company(server)
    yield company
    company.close()


def ids_of(answer: httpx2.Response) -> list[str]:
    """Return the ids of the events in an answer."""
    assert answer.status_code == 200, answer.text
    return [event["_id"]["$oid"] for event in answer.json()]


def oids(events: Sequence[Json]) -> list[str]:
    """Return the ids of events."""
    return [event["_id"]["$oid"] for event in events]


def total(answer: httpx2.Response) -> int:
    """Return the total that an answer tells of."""
    return int(answer.headers["x-pagination-total"])

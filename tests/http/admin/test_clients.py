"""Administration of OAuth clients: made, listed, deleted, and what they may take over."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.support.live_server import TENANT, LiveServer

BASE = f"/v1/admin/tenants/{TENANT}/clients"


def token(server: LiveServer, id: str, secret: str) -> httpx2.Response:
    """Ask for a token with a client's secret."""
    form = {"grant_type": "client_credentials", "client_id": id, "client_secret": secret}
    with server.plain_http() as anonymous:
        return anonymous.post("/oauth/token", data=form)


def test_client_gets_tokens_until_it_is_deleted(server: LiveServer, http: httpx2.Client) -> None:
    made = http.post(BASE, json={"name": "importer", "scopes": ["read"]})
    assert made.status_code == 201
    told = made.json()
    assert (told["name"], told["scope"], told["dialect"]) == ("importer", "read", None)
    issued = token(server, told["id"], told["secret"])
    assert issued.json()["scope"] == "read"
    with server.http(issued.json()["access_token"]) as program:
        assert program.get("/v1/events").status_code == 200
        assert program.post("/v1/events", json={"kind": "a"}).status_code == 403
        assert told["secret"] not in http.get(BASE).text
        assert http.request("DELETE", f"{BASE}/{told['id']}").status_code == 204
        assert program.get("/v1/events").status_code == 401
    assert token(server, told["id"], told["secret"]).status_code == 401
    assert http.request("DELETE", f"{BASE}/{told['id']}").status_code == 404


def test_id_and_secret_that_programs_have_can_be_taken_over(
    server: LiveServer, http: httpx2.Client
) -> None:
    id, secret = str(uuid4()), "b" * 64
    body = {"name": "old app", "id": id, "secret": secret, "dialect": "datatrails"}
    made = http.post(BASE, json=body).json()
    assert (made["id"], made["secret"], made["dialect"]) == (id, secret, "datatrails")
    assert token(server, id, secret).status_code == 200
    assert id in [client["id"] for client in http.get(BASE).json()["clients"]]
    assert http.post(BASE, json=body).status_code == 409


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": ""}, "/name"),
        ({"name": "a", "id": ""}, "/id"),
        ({"name": "a", "id": "a\nb"}, "/id"),
        ({"name": "a", "secret": "short"}, "/secret"),
        ({"name": "a", "dialect": "esperanto"}, "/dialect"),
        ({"name": "a", "user": "nobody"}, "/user"),
    ],
)
def test_bad_client_is_refused_by_name(
    http: httpx2.Client, body: dict[str, Any], path: str
) -> None:
    answer = http.post(BASE, json=body)
    assert answer.status_code == 400
    assert answer.json()["pointer"] == path


def test_clients_are_of_the_administrators_tenant_only(server: LiveServer) -> None:
    other = server.create_tenant(f"other-{uuid4().hex[:8]}")
    with server.http(other) as stranger:
        assert stranger.get(BASE).status_code == 404
        assert stranger.post(BASE, json={"name": "a"}).status_code == 404

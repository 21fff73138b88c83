"""Viewer tokens and the feed that they read: what they are for, and nothing else."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.records import ApiKey
from tests.support.live_server import TENANT, LiveServer, open_server


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> object:
    with open_server(tmp_path_factory.mktemp("feed") / "data") as server:
        events = [
            {
                "kind": "order.created",
                "actor": {"type": "user", "id": str(n % 2), "name": f"Person {n % 2}"},
                "target": {"type": "order", "id": str(n)},
                "scopes": [{"type": "shop", "id": "a:b"}],
                "data": {"secret": "none of their business"},
            }
            for n in range(50)
        ]
        with server.http() as http:
            http.post("/v1/events", json=events)
        yield server


def token(server: LiveServer, **wanted: object) -> str:
    with server.http() as http:
        answer = http.post("/v1/viewer-tokens", json=wanted)
    assert answer.status_code == 201, answer.text
    text: str = answer.json()["token"]
    return text


def feed(server: LiveServer, text: str, query: str = "", **headers: str) -> httpx2.Response:
    with server.plain_http() as http:
        return http.get(f"/v1/feed{query}", headers={"Authorization": f"Bearer {text}", **headers})


def test_a_token_reads_its_own_feed_page_by_page(live: LiveServer) -> None:
    text = token(live, actor="user:1")
    seen: list[str] = []
    query = "?limit=10&actor=user:1"
    while True:
        page = feed(live, text, query)
        assert page.status_code == 200
        assert page.headers["access-control-allow-origin"] == "*"
        assert page.headers["cache-control"] == "no-store"
        body = page.json()
        assert all("Person 1" in event["summary"]["text"] for event in body["events"])
        assert "none of their business" not in page.text
        seen += [event["id"] for event in body["events"]]
        if body["next"] is None:
            break
        query = f"?limit=10&cursor={body['next']}"
    assert len(seen) == len(set(seen)) == 25
    assert len(feed(live, token(live, scope="shop:a%3Ab")).json()["events"]) in (0, 20)
    assert len(feed(live, token(live, target="order:7")).json()["events"]) == 1


@pytest.mark.parametrize(
    "query", ["?actor=user:0", "?actor=user:2", "?target=order:1", "?scope=shop:1", "?actor=user"]
)
def test_whatever_else_is_not_there(live: LiveServer, query: str) -> None:
    assert feed(live, token(live, actor="user:1"), query).status_code == 404


def test_a_token_is_good_for_nothing_else(live: LiveServer) -> None:
    text = token(live, actor="user:1")
    for path in ("/v1/events", "/v1/checkpoint", "/v1/viewer-tokens", "/v2/events", "/activity"):
        with live.plain_http() as http:
            answer = http.get(path, headers={"Authorization": f"Bearer {text}"})
            assert answer.status_code in (401, 405), path
            assert "order.created" not in answer.text


def test_changed_made_up_and_other_tokens_are_refused(live: LiveServer) -> None:
    text = token(live, actor="user:1")
    body, _, mac = text.partition(".")
    for wrong in (
        live.admin_key,
        body,
        f"{body}.",
        f"{body[:-3]}AAA.{mac}",
        f"tlv_.{mac}",
        "x.y",
    ):
        answer = feed(live, wrong)
        assert answer.status_code == 401, wrong
        assert answer.headers["access-control-allow-origin"] == "*"
    with live.plain_http() as http:
        assert http.get("/v1/feed").status_code == 401
    assert feed(live, text, "?nonsense=1").status_code == 400
    assert feed(live, text, "?limit=101").status_code == 400
    assert feed(live, text, "?cursor=x").status_code == 400


def test_a_token_is_of_its_tenant(live: LiveServer) -> None:
    other = live.create_tenant("other")
    with live.http(other) as http:
        text = http.post("/v1/viewer-tokens", json={"actor": "user:1"}).json()["token"]
    assert feed(live, text).json()["events"] == []


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({}, "/target"),
        ({"actor": "user:1", "target": "order:1"}, "/target"),
        ({"actor": "user"}, "/actor"),
        ({"actor": "user:1", "expires_in": 3601}, "/expires_in"),
        ({"actor": "user:1", "expires_in": 0}, "/expires_in"),
        ({"actor": "user:1", "origin": "app.example"}, "/origin"),
        ({"actor": "user:1", "more": 1}, ""),
    ],
)
def test_what_a_token_is_for_is_said_plainly(
    live: LiveServer, wanted: dict[str, object], path: str
) -> None:
    with live.http() as http:
        answer = http.post("/v1/viewer-tokens", json=wanted)
    assert answer.status_code == 400
    assert path in answer.json()["pointer"]


def test_only_who_sees_everything_makes_tokens(live: LiveServer) -> None:
    with live.http(live.create_key(TENANT, [Scope.WRITE])) as writer:
        assert writer.post("/v1/viewer-tokens", json={"actor": "user:1"}).status_code == 403
    live.create_user(TENANT, "v", login="v", password="correct horse")
    live.grant(TENANT, "v", "workspace:1", "Viewer")
    with live.plain_http() as http:
        form = {"grant_type": "password", "username": "v", "password": "correct horse"}
        bearer = http.post("/oauth/token", data={**form, "client_id": "cf"}).json()["access_token"]
        answer = http.post(
            "/v1/viewer-tokens", json={"actor": "user:1"},
            headers={"Authorization": f"Bearer {bearer}"},
        )  # fmt: skip
        assert answer.status_code == 403


def test_a_token_ends_with_the_key_that_made_it(live: LiveServer) -> None:
    key = live.create_key(TENANT, [Scope.READ])
    with live.http(key) as http:
        text = http.post("/v1/viewer-tokens", json={"actor": "user:1"}).json()["token"]
    assert feed(live, text).status_code == 200
    principal = live.node.identity.principal_of_key(key)
    assert principal is not None
    assert principal.key is not None
    live.change(ApiKey, TENANT, principal.key, lambda known: acts.revoke_key(known, now_ms=1))
    assert feed(live, text).status_code == 401


def test_a_token_may_be_bound_to_an_origin(live: LiveServer) -> None:
    text = token(live, actor="user:1", origin="https://app.example")
    assert feed(live, text, Origin="https://app.example").status_code == 200
    assert feed(live, text, Origin="https://evil.example").status_code == 401


def test_a_browser_may_ask_from_another_host(live: LiveServer) -> None:
    with live.plain_http() as http:
        answer = http.options("/v1/feed", headers={"Origin": "https://app.example"})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == "Authorization"


def test_a_token_ends_with_its_time(tmp_path: Path) -> None:
    class Hand:
        ms = 1_790_000_000_000

        def now_ms(self) -> int:
            return self.ms

    clock = Hand()
    with open_server(tmp_path / "data", clock=clock) as server:
        text = token(server, actor="user:1", expires_in=60)
        assert feed(server, text).status_code == 200
        clock.ms += 60_000
        answer = feed(server, text)
        assert answer.status_code == 401
        assert answer.json()["type"].endswith("token_expired")

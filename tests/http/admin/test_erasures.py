"""Erasures through the native API: planning, erasing, what waits for a hold, and who may."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest

from tallystick.identity.access import Scope
from tests.support.live_server import TENANT, LiveServer

ERASURES = f"/v1/admin/tenants/{TENANT}/erasures"
HOLDS = f"/v1/admin/tenants/{TENANT}/holds"
WHO: dict[str, Any] = {"type": "user", "id": "481", "name": "Ada Canary"}


def record(http: httpx2.Client, **members: Any) -> str:
    """Record an event and return its path."""
    body = {"kind": "order.paid", "actor": WHO, "data": {"total": 5}, **members}
    return f"/v1/events/{http.post('/v1/events', json=body).json()['id']}"


def test_dry_run_says_what_would_go_and_changes_nothing(http: httpx2.Client) -> None:
    record(http)
    record(http, kind="order.sent")
    before = http.get("/v1/checkpoint").json()["size"]
    http.post(HOLDS, json={"id": "m-1", "query": "kind:order.sent", "reason": "matter"})
    answer = http.post(ERASURES, json={"subject": "user:481", "dry_run": True})
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "events": 2,
            "kinds": {"order.paid": 1, "order.sent": 1},
            "blocked": [{"hold": "m-1", "events": 1}],
        },
    )
    assert http.get("/v1/checkpoint").json()["size"] == before + 1
    assert http.get(ERASURES).json() == {"erasures": []}


def test_erased_person_is_found_nowhere(http: httpx2.Client) -> None:
    event = record(http)
    receipt = http.get(f"{event}/receipt").content
    assert http.get("/v1/events?actor=user:481").json()["events"] != []
    answer = http.post(ERASURES, json={"subject": "user:481", "reason": "letter 9"})
    assert answer.status_code == 201, answer.text
    done = answer.json()
    assert (done["state"], done["events"], done["erased"]) == ("done", 1, 1)
    assert (done["subject"], done["reason"]) == ("user:481", "letter 9")
    assert done["requested_by"].startswith("key:")
    assert http.get(f"{ERASURES}/{done['id']}").json() == done
    assert http.get(ERASURES).json() == {"erasures": [done]}
    assert http.get("/v1/events?actor=user:481").json()["events"] == []
    assert http.get("/v1/events?q=Canary").json()["events"] == []
    assert http.get("/v1/resources/user/481").status_code == 404
    shown = http.get(event).json()
    assert (shown["data"], shown.get("actor")) == ({"total": 5}, None)
    assert b"Canary" in receipt
    assert b"Canary" not in http.get(f"{event}/receipt").content
    assert http.get(f"{ERASURES}/none").status_code == 404


def test_held_part_goes_by_itself_once_the_hold_is_lifted(http: httpx2.Client) -> None:
    event = record(http)
    http.post(HOLDS, json={"id": "m-1", "query": "kind:order.paid", "reason": "matter"})
    answer = http.post(ERASURES, json={"subject": "user:481", "reason": "letter 9"})
    assert answer.status_code == 202, answer.text
    waiting = answer.json()
    assert (waiting["state"], waiting["erased"]) == ("pending", 0)
    assert waiting["blocked"] == [{"hold": "m-1", "events": 1}]
    assert http.get(event).json()["actor"]["name"] == "Ada Canary"
    http.post(f"{HOLDS}/m-1/lift", json={"reason": "settled"})
    deadline_s = time.monotonic() + 20
    while (state := http.get(f"{ERASURES}/{waiting['id']}").json()["state"]) != "done":
        assert time.monotonic() < deadline_s, state
        time.sleep(0.05)
    assert http.get(event).json().get("actor") is None


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"subject": "481", "reason": "r"}, 400, "/subject"),
        ({"subject": "user:481"}, 400, "/reason"),
        ({"subject": "user:481", "reason": "r", "sections": ["body"]}, 400, "/sections/0"),
        ({"subject": "user:481", "reason": "r", "paths": ["a..b"]}, 400, "/paths/0"),
        ({"subject": "user:481", "reason": "r", "from": "soon"}, 400, "/from"),
        ({"subject": "user:5", "reason": "r"}, 404, None),
    ],
)
def test_erasure_that_means_nothing_is_refused(
    http: httpx2.Client, body: dict[str, Any], status: int, path: str | None
) -> None:
    record(http)
    before = http.get("/v1/checkpoint").json()["size"]
    answer = http.post(ERASURES, json=body)
    assert (answer.status_code, answer.json().get("pointer")) == (status, path), answer.text
    assert http.get("/v1/checkpoint").json()["size"] == before


@pytest.mark.parametrize("scopes", [(Scope.READ, Scope.WRITE), (Scope.PURGE,)])
def test_key_without_the_scope_is_refused(server: LiveServer, scopes: tuple[Scope, ...]) -> None:
    with server.http(server.create_key(TENANT, scopes)) as client:
        body = {"subject": "user:481", "reason": "r"}
        assert client.post(ERASURES, json=body).status_code == 403
        assert client.get(ERASURES).status_code == 403

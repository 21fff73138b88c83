"""Retention through the native API: setting policies, running them, and who may."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tallystick.identity.access import Scope
from tests.support.live_server import TENANT, LiveServer

RETENTION = f"/v1/admin/tenants/{TENANT}/retention"


def keep(http: httpx2.Client, **members: Any) -> httpx2.Response:
    return http.post(RETENTION, json={"query": "*", "days": 0, **members})


def test_policy_is_set_listed_run_and_ended(http: httpx2.Client) -> None:
    for n in range(40):
        http.post("/v1/events", json={"kind": "view", "data": {"n": n}})
    made = keep(http, id="views", reason="contract 5")
    assert made.status_code == 201, made.text
    policy = made.json()
    assert (policy["days"], policy["floor"], policy["runs"]) == (0, None, 0)
    assert policy["set_by"].startswith("key:")
    assert http.get(RETENTION).json() == {"policies": [policy]}
    assert http.get(f"{RETENTION}/views").json() == policy
    planned = http.post(f"{RETENTION}/run", json={"dry_run": True}).json()
    assert (planned["events"], planned["policies"][0]["left"]) == (2, 38)
    done = http.post(f"{RETENTION}/run", json={}).json()
    assert {**done, "run": None} == {**planned, "run": None}
    assert len(http.get("/v1/events?limit=100").json()["events"]) == 38
    done = http.post(f"{RETENTION}/run", json={"policy": "views", "confirm": True}).json()
    assert done["events"] == 38
    assert http.get("/v1/events?limit=100&total=true").json()["events"] == []
    assert http.get(f"{RETENTION}/views").json()["removed"] == 40
    assert http.delete(f"{RETENTION}/views?reason=over").status_code == 204
    assert http.get(f"{RETENTION}/views").status_code == 404
    log = http.get("/v1/events?view=log&kind=policy.deleted").json()["events"]
    assert [event["data"] for event in log] == [{"reason": "over"}]


def test_shortened_policy_has_to_be_confirmed(http: httpx2.Client) -> None:
    keep(http, days=100, floor=10)
    assert keep(http, days=50, floor=10).status_code == 409
    assert keep(http, days=50, floor=10, confirm=True).status_code == 201
    assert http.delete(f"{RETENTION}/default").status_code == 409
    assert http.delete(f"{RETENTION}/default?confirm=true").status_code == 204


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"query": "(("}, 400), ({"days": None}, 400), ({"days": 3, "floor": 5}, 400),
        ({"unknown": 1}, 400), ({"days": "1"}, 400),
    ],
    ids=["query", "neither", "floor", "member", "text"],
)  # fmt: skip
def test_policy_that_means_nothing_is_refused(
    http: httpx2.Client, body: dict[str, Any], status: int
) -> None:
    answer = keep(http, **body)
    assert (answer.status_code, http.get(RETENTION).json()) == (status, {"policies": []})


def test_retention_is_for_administrators(server: LiveServer, http: httpx2.Client) -> None:
    assert http.post(f"{RETENTION}/run", json={"policy": "none"}).status_code == 404
    with server.http(server.create_key(TENANT, (Scope.PURGE, Scope.WRITE))) as purger:
        assert keep(purger).status_code == 403
        assert purger.post(f"{RETENTION}/run", json={}).status_code == 403
        assert purger.get(RETENTION).status_code == 403

"""Legal holds through the native API: placing, listing, lifting, and what they refuse."""

from __future__ import annotations

from typing import Any

import httpx2
import jwt
import pytest

from tallystick.events.event import Event, Op, Resource, View
from tallystick.identity.access import Scope
from tallystick.ledger.holds import Hold
from tests.support.live_server import TENANT, LiveServer

HOLDS = f"/v1/admin/tenants/{TENANT}/holds"
ORDER: dict[str, Any] = {
    "kind": "order.created", "target": {"type": "order", "id": "17"}, "data": {"total": 5},
    "occurred_at": "2026-03-01T00:00:00Z",
}  # fmt: skip


@pytest.fixture
def event(http: httpx2.Client) -> str:
    """Return the path of an event about an order."""
    return f"/v1/events/{http.post('/v1/events', json=ORDER).json()['id']}"


def place(http: httpx2.Client, **members: Any) -> dict[str, Any]:
    """Place a hold on the order and return it."""
    body = {"query": "target:order:17", "reason": "Smith v. Acme", **members}
    answer = http.post(HOLDS, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_held_event_is_refused_with_the_hold_and_a_way_out(http: httpx2.Client, event: str) -> None:
    hold = place(http, id="matter-1")
    before = http.get("/v1/checkpoint").json()["size"]
    for path, body in (("revise", {"data": {}}), ("retract", {}), ("retract", {"erase": True})):
        answer = http.post(f"{event}/{path}", json=body)
        assert answer.status_code == 409
        problem = answer.json()
        assert problem["type"] == "urn:tallystick:error:under_hold"
        assert problem["hold"] == hold["id"] == "matter-1"
        assert problem["hint"] == ("an administrator lifts it with: tallystick holds lift matter-1")
    assert http.get("/v1/checkpoint").json()["size"] == before
    assert http.get(event).json()["data"] == {"total": 5}
    assert http.post(f"{HOLDS}/matter-1/lift", json={"reason": "settled"}).status_code == 200
    assert http.post(f"{event}/retract", json={"erase": True}).status_code == 200


def test_hold_says_what_when_why_and_who(server: LiveServer, http: httpx2.Client) -> None:
    placed = place(http, **{"from": "2026-01-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"})
    assert placed["placed_by"]["type"] == "key"
    assert (placed["query"], placed["reason"]) == ("target:order:17", "Smith v. Acme")
    assert (placed["from"], placed["to"]) == (
        "2026-01-01T00:00:00.000Z", "2026-07-01T00:00:00.000Z"
    )  # fmt: skip
    assert placed.pop("count") == 0
    assert placed.pop("warning").startswith("no event matches")
    assert http.get(HOLDS).json() == {"holds": [placed]}
    lifted = http.post(f"{HOLDS}/{placed['id']}/lift", json={"reason": "settled"}).json()
    assert (lifted["active"], lifted["lift_reason"]) == (False, "settled")
    assert lifted["lifted_by"] == placed["placed_by"]
    assert http.get(HOLDS).json() == {"holds": []}
    assert http.get(f"{HOLDS}?all=true").json() == {"holds": [lifted]}
    again = http.post(f"{HOLDS}/{placed['id']}/lift", json={"reason": "settled"})
    assert again.status_code == 409


def test_holds_are_acts_in_the_log(http: httpx2.Client) -> None:
    hold = place(http)
    http.post(f"{HOLDS}/{hold['id']}/lift", json={"reason": "settled"})
    log = http.get("/v1/events?view=log&order=asc").json()["events"][2:]
    assert [(entry["kind"], entry["op"], entry["target"]["id"]) for entry in log] == [
        ("hold.placed", "system", hold["id"]), ("hold.lifted", "system", hold["id"])
    ]  # fmt: skip
    assert log[0]["data"] == {"query": "target:order:17", "reason": "Smith v. Acme"}
    assert log[1]["data"] == {"reason": "settled"}
    assert log[0]["actor"]["id"] == hold["placed_by"]["id"]
    assert http.get("/v1/events").json()["events"] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"reason": "r"}, "malformed"),
        ({"query": "*"}, "malformed"),
        ({"query": "*", "reason": " "}, "malformed"),
        ({"query": "*", "reason": "r", "id": ""}, "malformed"),
        ({"query": "*", "reason": "r", "until": "2026"}, "malformed"),
        ({"query": "*", "reason": "r", "from": "yesterday"}, "malformed"),
        (
            {"query": "*", "reason": "r", "from": "2026-02-01T00:00:00Z",
             "to": "2026-01-01T00:00:00Z"},
            "malformed",
        ),
        ({"query": "", "reason": "r"}, "invalid_query"),
        ({"query": "kind:(", "reason": "r"}, "invalid_query"),
        ({"query": "data.amount:=100", "reason": "r"}, "invalid_query"),
        ({"query": "data.amount>100", "reason": "r"}, "invalid_query"),
        ({"query": "kind:/pay/i", "reason": "r"}, "invalid_query"),
        ({"query": "occurred_at:/2026.*/", "reason": "r"}, "unsupported_operator"),
        ({"query": "knid:order.created", "reason": "r"}, "unsupported_field"),
    ],
    ids=[
        "no-query", "no-reason", "blank-reason", "empty-id", "unknown", "no-time", "backwards",
        "empty-query", "no-syntax", "equals", "bare-comparison", "flags", "times",
        "no-field",
    ],
)  # fmt: skip
def test_malformed_hold_is_refused(http: httpx2.Client, body: dict[str, Any], code: str) -> None:
    answer = http.post(HOLDS, json=body)
    assert (answer.status_code, answer.json()["type"]) == (400, f"urn:tallystick:error:{code}")
    assert http.get(HOLDS).json() == {"holds": []}


def test_only_an_administrator_of_the_tenant_has_a_say(
    server: LiveServer, http: httpx2.Client
) -> None:
    hold = place(http)
    lift = f"{HOLDS}/{hold['id']}/lift"
    purger = server.create_key(TENANT, (Scope.READ, Scope.WRITE, Scope.PURGE))
    for key, status in ((purger, 403), (server.create_tenant("other"), 404)):
        with server.http(key) as stranger:
            assert stranger.get(HOLDS).status_code == status
            body = {"query": "*", "reason": "r"}
            assert stranger.post(HOLDS, json=body).status_code == status
            assert stranger.post(lift, json={"reason": "r"}).status_code == status
    assert http.post(f"{HOLDS}/nothing/lift", json={"reason": "r"}).status_code == 404
    assert http.post(lift, json={"reason": ""}).status_code == 400
    (kept,) = http.get(HOLDS).json()["holds"]
    assert kept.items() <= hold.items()


def test_user_who_places_a_hold_is_named(server: LiveServer, http: httpx2.Client) -> None:
    server.create_user(TENANT, "7", login="counsel", name="Ada Counsel", password="correct horse")
    server.save_key_set(TENANT, "k", secret="s" * 32, issuer="https://i", admin_claim="role")
    claims = {"iss": "https://i", "sub": "7", "role": "admin", "exp": 1 << 40}
    token = jwt.encode(claims, "s" * 32, "HS256")
    with server.http(token) as counsel:
        hold = place(counsel)
    assert hold["placed_by"] == {"type": "user", "id": "7", "name": "Ada Counsel"}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("data.amount:>100", 2),
        ("data.amount:>=150 AND data.amount:<500", 1),
        ("data.amount:(>100 <=150)", 1),
        ("kind:/pay\\..*/", 3),
        ("data.note:/refund.*/ OR data.amount:>1000", 1),
        ("data.amount:>5000", 0),
    ],
)
def test_comparisons_and_expressions_hold_what_they_match(
    http: httpx2.Client, query: str, count: int
) -> None:
    body = [
        {"kind": "pay.made", "data": {"amount": n, "note": "Refund of it" if n == 50 else ""}}
        for n in (50, 150, 500)
    ]
    ids = [event["id"] for event in http.post("/v1/events", json=body).json()]
    found = http.get("/v1/events", params={"q": query, "total": "true"}).json()
    placed = place(http, query=query)
    assert placed["count"] == found["total"] == count
    assert ("warning" in placed) == (count == 0)
    statuses = [
        http.post(f"/v1/events/{id}/retract", json={"erase": True}).status_code for id in ids
    ]
    assert statuses.count(409) == count


def test_hold_that_is_no_longer_understood_holds_everything() -> None:
    hold = Hold(
        id="old", tenant=TENANT, query="data.amount:=100", reason="r", placed_ms=0,
        placed_by=Resource("key", "k"),
    )  # fmt: skip
    first = Event(
        tenant=TENANT, index=0, id="", kind="a", op=Op.RECORD, occurred_ms=0, recorded_ms=0,
        dialect="native",
    )  # fmt: skip
    assert hold.covering()(View(event=first, first=first, revision=0, revised_ms=0))

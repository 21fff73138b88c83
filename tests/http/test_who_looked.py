"""Who looked: reads through every API as entries of the log, for tenants that want them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tallystick.errors import StoreBusy
from tallystick.identity.access import Scope
from tests.support.live_server import TENANT, LiveServer

ADMIN = f"/v1/admin/tenants/{TENANT}"


def want(http: httpx2.Client, mode: str) -> None:
    answer = http.patch(ADMIN, json={"access_log": mode})
    assert (answer.status_code, answer.json()["access_log"]) == (200, mode)


def reads(server: LiveServer) -> list[dict[str, Any]]:
    """Return the entries that say who looked, once what waits was written."""
    server.node.reads.flush()
    size = server.node.ledger.proofs.head(TENANT).size
    views = server.node.ledger.views_at(TENANT, range(size)).values()
    return [
        {**view.first.data, "by": view.first.actor and view.first.actor.type}
        for view in views
        if view.first.kind == "access.read"
    ]


def record(http: httpx2.Client, n: int = 0) -> dict[str, Any]:
    body = {
        "kind": "order.paid", "actor": {"type": "user", "id": "481"},
        "target": {"type": "order", "id": str(n)}, "data": {"n": n},
    }  # fmt: skip
    made: dict[str, Any] = http.post("/v1/events", json=body).json()
    return made


@pytest.mark.parametrize("mode", ["off", "exports"])
def test_reads_leave_nothing_where_nobody_wants_it(
    server: LiveServer, http: httpx2.Client, mode: str
) -> None:
    record(http)
    if mode != "off":
        want(http, mode)
    http.get("/v1/events?q=paid")
    assert reads(server) == []


def test_reads_of_a_minute_are_one_entry_for_each_question(
    server: LiveServer, http: httpx2.Client
) -> None:
    server.node.reads._ledger.clock = server.node.clock  # one clock for all of it
    events = [record(http, n) for n in range(3)]
    want(http, "all")
    minute: Callable[[], int] = lambda: server.node.clock.now_ms() // 60_000  # noqa: E731
    while True:
        begun = minute()
        for _ in range(3):
            http.get("/v1/events?actor=user:481&limit=2")
        for event in events:
            http.get(f"/v1/events/{event['id']}")
            http.get(f"/v1/events/{event['id']}/receipt")
        http.get("/v1/events?q=nothing")
        http.get("/v1/resources/order/1")
        http.get("/v1/events/none")
        if minute() == begun:
            break
    found = reads(server)[-5:]
    first = events[0]["index"]
    assert {each["by"] for each in found} == {"key"}
    assert {each["query"]: (each["requests"], each["events"]) for each in found} == {
        "/v1/events/{id}": (3, 3),
        "/v1/events/{id}/receipt": (3, 3),
        "/v1/events?actor=user:481": (3, 6),
        "/v1/events?q=nothing": (1, 0),
        "/v1/resources/order/1": (1, 0),
    }
    single = next(each for each in found if each["query"] == "/v1/events/{id}")
    assert single["entries"] == [[first, first + 3]]
    assert single["range"] == [first, first + 3]
    assert len(reads(server)) == len(found), "reading the log in a test is no read of a client"


def test_every_api_is_recorded(server: LiveServer, http: httpx2.Client) -> None:
    record(http)
    want(http, "all")
    key = server.create_key(TENANT, (Scope.READ,))
    basic = {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}
    bearer = {"Authorization": f"Bearer {key}"}
    asked = {
        "/v0/order/0/events/order.paid": basic, "/activity": basic,
        "/archivist/v1/events": bearer, "/v2/events": bearer, "/v1/events": bearer,
    }  # fmt: skip
    answered = set()
    with server.plain_http() as plain:
        for path, headers in asked.items():
            if plain.get(path, headers=headers).status_code == 200:
                answered.add(path)
    assert {"/v0/order/0/events/order.paid", "/v1/events"} <= answered
    assert answered <= {each["query"] for each in reads(server)}


def test_strict_tenant_gets_no_read_without_its_entry(
    server: LiveServer, http: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(http)
    want(http, "strict")
    size = server.node.ledger.proofs.head(TENANT).size
    assert http.get("/v1/events?q=paid").status_code == 200
    entry = server.node.ledger.view_at(TENANT, size).first
    assert (entry.kind, entry.data["query"]) == ("access.read", "/v1/events?q=paid")

    def busy(*_: object, **__: object) -> None:
        raise StoreBusy("the disk is full")

    monkeypatch.setattr(server.node.ledger, "append_all", busy)
    refused = http.get("/v1/events?q=other")
    assert (refused.status_code, "order.paid" in refused.text) == (503, False)
    monkeypatch.undo()
    want(http, "off")


def test_erased_person_is_gone_from_what_was_asked(server: LiveServer, http: httpx2.Client) -> None:
    record(http)
    want(http, "all")
    http.get("/v1/events?actor=user:481")
    assert any("481" in each["query"] for each in reads(server))
    http.post(f"{ADMIN}/erasures", json={"subject": "user:481", "reason": "letter 9"})
    assert not any("481" in each.get("query", "") for each in reads(server))


def test_reviews_are_entries_and_what_is_left_is_reported(http: httpx2.Client) -> None:
    for n in range(10):
        record(http, n)
    reviews = f"{ADMIN}/reviews"
    size = http.get(reviews).json()["size"]
    assert http.get(reviews).json()["unreviewed"] == [[0, size]]
    made = http.post(reviews, json={"from": 2, "to": 5, "remark": "nothing found"})
    assert made.status_code == 201, made.text
    assert made.json()["reviewer"].startswith("key:")
    http.post(reviews, json={"from": 4, "to": 7, "remark": "nothing found"})
    told = http.get(reviews).json()
    assert told["unreviewed"] == [[0, 2], [7, size + 2]]
    assert [(each["from"], each["to"]) for each in told["reviews"]] == [(2, 5), (4, 7)]
    for wrong in ({"from": 5, "to": 5}, {"to": 10_000}, {"from": -1}):
        assert http.post(reviews, json={"remark": "r", **wrong}).status_code == 400
    assert http.post(reviews, json={"remark": " "}).status_code == 400

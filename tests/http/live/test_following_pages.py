"""Pages for pollers: in the order of the log, each event once, whoever writes meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.live_server import LiveServer


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return a client with the key of a tenant of this test's own."""
    with server.http(server.create_tenant(f"t{time.monotonic_ns()}")) as client:
        yield client


def follow(http: httpx2.Client, **params: Any) -> dict[str, Any]:
    """Return a page of the log."""
    answer = http.get("/v1/events", params={"follow": "true", **params})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def test_pages_follow_the_log_and_always_go_on(http: httpx2.Client) -> None:
    for n in range(5):
        http.post("/v1/events", json={"kind": f"k.{n % 2}", "data": {"n": n}})
    page = follow(http, limit=2)
    assert [event["data"]["n"] for event in page["events"]] == [0, 1]
    assert page["more"] is True
    rest = follow(http, cursor=page["next"])
    assert [event["data"]["n"] for event in rest["events"]] == [2, 3, 4]
    assert rest["more"] is False
    empty = follow(http, cursor=rest["next"])
    assert (empty["events"], empty["changes"], empty["next"]) == ([], [], rest["next"])
    odd = follow(http, kind="k.1", limit=1)
    assert [event["data"]["n"] for event in odd["events"]] == [1]
    listed = http.get("/v1/events", params={"sort": "index"}).json()["events"]
    assert page["events"] + rest["events"] == listed


def test_an_empty_page_moves_on_past_what_does_not_match(http: httpx2.Client) -> None:
    http.post("/v1/events", json=[{"kind": "other"}] * 50)
    page = follow(http, kind="wanted")
    assert page["events"] == []
    http.post("/v1/events", json={"kind": "wanted"})
    later = follow(http, kind="wanted", cursor=page["next"])
    assert len(later["events"]) == 1


def test_changes_stand_beside_the_events(http: httpx2.Client) -> None:
    made = [http.post("/v1/events", json={"kind": "k", "data": {"n": n}}).json() for n in range(3)]
    first = follow(http)
    paths = [f"/v1/events/{event['id']}" for event in made]
    http.post(f"{paths[0]}/revise", json={"data": {"n": 10}})
    http.post(f"{paths[1]}/retract", json={})
    http.post(f"{paths[2]}/retract", json={"erase": True})
    page = follow(http, cursor=first["next"])
    assert page["events"] == []
    assert [change["op"] for change in page["changes"]] == ["revise", "retract", "retract", "erase"]
    assert page["changes"][0]["event"]["data"] == {"n": 10}
    assert page["changes"][1]["notice"]["id"] == made[1]["id"]
    assert page["changes"][3]["notice"]["erased"] == ["data"]
    again = follow(http)
    assert [event["data"]["n"] for event in again["events"]] == [10]


def test_the_log_itself_can_be_followed(http: httpx2.Client) -> None:
    event = http.post("/v1/events", json={"kind": "k"}).json()
    http.post(f"/v1/events/{event['id']}/retract", json={})
    page = follow(http, view="log")
    assert [entry["op"] for entry in page["events"]][-2:] == ["record", "retract"]
    assert page["changes"] == []


@pytest.mark.parametrize("name", ["order", "sort", "offset", "total", "explain", "nonsense"])
def test_what_has_no_meaning_is_refused(http: httpx2.Client, name: str) -> None:
    answer = http.get("/v1/events", params={"follow": "true", name: "1"})
    assert answer.status_code == 400
    assert name in answer.text


def test_cursors_of_lists_and_of_the_log_are_not_taken_for_each_other(http: httpx2.Client) -> None:
    http.post("/v1/events", json=[{"kind": "k"}] * 3)
    listed = http.get("/v1/events", params={"limit": 1}).json()["next"]
    followed = follow(http, limit=1)["next"]
    for params in ({"follow": "true", "cursor": listed}, {"cursor": followed}):
        assert http.get("/v1/events", params=params).status_code == 400
    assert http.get("/v1/events", params={"follow": "perhaps"}).status_code == 400


def test_no_row_is_skipped_while_many_write(server: LiveServer, http: httpx2.Client) -> None:
    bearer = http.headers["authorization"].removeprefix("Bearer ")

    def write() -> None:
        with server.http(bearer) as client:
            for n in range(60):
                client.post(
                    "/v1/events", json=[{"kind": "k", "data": {"n": n}}] * 3
                ).raise_for_status()

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    indexes: list[int] = []
    cursor: dict[str, Any] = {}
    while True:
        writing = any(writer.is_alive() for writer in writers)
        page = follow(http, limit=7, **cursor)
        indexes += [event["index"] for event in page["events"]]
        # Asked before the page was read: what was written in between is on the next one.
        if not writing and not page["events"]:
            break
        cursor = {"cursor": page["next"]}
    assert len(indexes) == 540
    assert indexes == list(range(indexes[0], indexes[0] + 540))

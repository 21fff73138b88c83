"""One event with more member names than the search keeps apart: nobody's later fields are lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tallystick import limits
from tallystick.store.postgres.store import open_postgres
from tests.support.live_server import LiveServer, open_server
from tests.support.postgres import fresh_database

MEMBERS = 10_500
LATER = 30


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """Serve a log whose first event has all member names that are kept apart, and more."""
    settings: dict[str, Any] = {"query_seconds": 60.0}
    folder = tmp_path_factory.mktemp("names") / "data"
    if request.param == "postgres":
        with fresh_database(request.getfixturevalue("postgres_url")) as url:
            open_postgres(url).close()
            with open_server(folder, database=url, **settings) as server:
                fill(server)
                yield server
        return
    with open_server(folder, **settings) as server:
        fill(server)
        yield server


def fill(live: LiveServer) -> None:
    with live.http() as http:
        crowd = {f"m{n}": n for n in range(MEMBERS)}
        assert http.post("/v1/events", json={"kind": "a.crowd", "data": crowd}).status_code == 201
        later = [
            {
                "kind": "a.later",
                "data": {"late": {"amount": n, "name": f"fox {n % 3}", "when": "2026-01-02"}},
            }
            for n in range(LATER)
        ]
        assert http.post("/v1/events", json=later).status_code == 201


@pytest.fixture
def http(live: LiveServer) -> Iterator[httpx2.Client]:
    with live.http() as client:
        yield client


def amounts(http: httpx2.Client, **params: str) -> list[int]:
    answer = http.get("/v1/events", params={"limit": "100", "order": "asc", **params})
    assert answer.status_code == 200, answer.text
    return [event["data"]["late"]["amount"] for event in answer.json()["events"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("data.late.amount:7", [7]),
        ("data.late.amount:>27", [28, 29]),
        ("data.late.amount:[3 TO 5]", [3, 4, 5]),
        ('data.late.name:"fox 1" AND data.late.amount:<5', [1, 4]),
        ("data.late.name:fox", list(range(LATER))),
        ("data.late.name:/fox [12]/ AND data.late.amount:<4", [1, 2]),
        ("data.late.when:*", list(range(LATER))),
        ("kind:a.later AND NOT data.late.amount:>1", [0, 1]),
        ("fox", list(range(LATER))),
        ("data.m10499:10499 OR data.late.amount:2", None),
    ],
)
def test_fields_beyond_the_limit_are_searched(
    http: httpx2.Client, query: str, expected: list[int] | None
) -> None:
    if expected is None:
        page = http.get("/v1/events", params={"q": query}).json()
        assert [event["kind"] for event in page["events"]] == ["a.later", "a.crowd"]
    else:
        assert amounts(http, q=query) == expected


def test_fields_beyond_the_limit_are_sorted_and_counted(http: httpx2.Client) -> None:
    found = http.get(
        "/v1/events", params={"q": "kind:a.later", "sort": "-data.late.amount", "limit": "3"}
    )
    assert [event["data"]["late"]["amount"] for event in found.json()["events"]] == [29, 28, 27]
    facets = http.get("/v1/events/facets", params={"fields": "data.late.name"})
    assert facets.status_code == 200, facets.text
    rows = facets.json()["facets"]["data.late.name"]
    counts = {row["value"]: row["count"] for row in rows}
    assert counts == {"fox 0": 10, "fox 1": 10, "fox 2": 10}


def test_errors_about_fields_are_true(http: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = http.get("/v1/events", params={"q": "data.never:1"})
    assert missing.status_code == 400
    assert "no event has a field 'data.never'" in missing.json()["detail"]
    monkeypatch.setattr(limits, "SEARCH_CANDIDATES", LATER // 2)
    many = http.get("/v1/events", params={"q": "data.late.amount:>=0"})
    assert many.status_code == 400
    assert f"for {LATER // 2} events at most; more match" in many.json()["detail"]
    assert amounts(http, q="data.late.amount:7 AND index:<12") == [7]


def test_erasing_the_event_and_making_the_search_again_heals(live: LiveServer) -> None:
    admin = live.create_tenant("healed")
    with live.http(admin) as http:
        crowd = {f"m{n}": n for n in range(MEMBERS)}
        id = http.post("/v1/events", json={"kind": "a.crowd", "data": crowd}).json()["id"]
        late = {"kind": "a.later", "data": {"late": {"amount": 5}}}
        assert http.post("/v1/events", json=late).status_code == 201
        assert amounts(http, q="data.late.amount:5") == [5]
        assert http.post(f"/v1/events/{id}/retract", json={"erase": True}).status_code == 200
        # What was erased is a field of no event.
        gone = http.get("/v1/events", params={"q": "data.m17:17"})
        live.node.index.rebuild("search", lambda done, total: None)
        assert amounts(http, q="data.late.amount:5") == [5]
        gone = http.get("/v1/events", params={"q": "data.m17:17"})
        assert gone.status_code == 400, gone.text
        assert "no event has a field" in gone.json()["detail"]

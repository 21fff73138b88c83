"""Facets, histogram and the plan of a query: what a console draws beside a list."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.support.live_server import TENANT, LiveServer

DAY_MS = 86_400_000
NEW_YEAR_MS = 1_767_225_600_000


@pytest.fixture
def shop(http: httpx2.Client) -> httpx2.Client:
    """Return a client of a log with nine events on three days."""
    events = [
        {
            "kind": ("order.created", "order.paid", "user.created")[n % 3],
            "occurred_at": NEW_YEAR_MS + (n // 4) * DAY_MS,
            "actor": {"type": "user", "id": "ann" if n < 6 else "bob"},
            "target": {"type": "user" if n % 3 == 2 else "order", "id": str(n)},
            "data": {"total": n},
        }
        for n in range(9)
    ]
    assert http.post("/v1/events", json=events).status_code == 201
    return http


def facets(http: httpx2.Client, **params: Any) -> dict[str, dict[Any, int]]:
    """Return the counts by value of each field."""
    answer = http.get("/v1/events/facets", params=params)
    assert answer.status_code == 200, answer.text
    told = answer.json()["facets"]
    return {name: {row["value"]: row["count"] for row in rows} for name, rows in told.items()}


def test_facets_count_kinds_actors_and_types_of_targets(shop: httpx2.Client) -> None:
    assert facets(shop) == {
        "kind": {"order.created": 3, "order.paid": 3, "user.created": 3},
        "actor": {"user:ann": 6, "user:bob": 3},
        "target.type": {"order": 6, "user": 3},
    }


def test_facets_are_of_the_result_of_the_query(shop: httpx2.Client) -> None:
    found = facets(shop, kind="order.*", q="data.total:[3 TO *]", fields="kind,actor")
    assert found == {
        "kind": {"order.created": 2, "order.paid": 2},
        "actor": {"user:ann": 2, "user:bob": 2},
    }
    assert list(facets(shop, fields="actor", top=1)["actor"].items()) == [("user:ann", 6)]


def test_a_histogram_counts_by_calendar_interval(shop: httpx2.Client) -> None:
    told = shop.get("/v1/events/histogram", params={"interval": "day", "actor": "user:ann"})
    assert told.json() == {
        "interval": "day",
        "offset_minutes": 0,
        "buckets": [
            {"start": "2026-01-01T00:00:00.000Z", "count": 4},
            {"start": "2026-01-02T00:00:00.000Z", "count": 2},
        ],
    }
    west: dict[str, str | int] = {"interval": "year", "offset_minutes": -300}
    buckets = shop.get("/v1/events/histogram", params=west).json()["buckets"]
    assert [bucket["count"] for bucket in buckets] == [4, 5]


@pytest.mark.parametrize("q", [None, "data.n:*"], ids=["lists", "search"])
def test_days_of_a_zone_are_as_long_as_its_clocks_say(http: httpx2.Client, q: str | None) -> None:
    times = ("2025-03-09T04:30:00Z", "2025-03-10T04:30:00Z")
    http.post("/v1/events", json=[{"kind": "a", "occurred_at": t, "data": {"n": 1}} for t in times])
    params = {"interval": "day", "time_zone": "America/New_York", **({"q": q} if q else {})}
    told = http.get("/v1/events/histogram", params=params).json()
    assert told == {
        "interval": "day",
        "time_zone": "America/New_York",
        "buckets": [
            {"start": "2025-03-08T05:00:00.000Z", "local": "2025-03-08T00:00:00-05:00", "count": 1},
            {"start": "2025-03-10T04:00:00.000Z", "local": "2025-03-10T00:00:00-04:00", "count": 1},
        ],
    }


@pytest.mark.parametrize(
    ("path", "params", "pointer"),
    [
        ("facets", {"fields": ""}, "fields"),
        ("facets", {"fields": ",".join("abcdefghijk")}, "fields"),
        ("facets", {"top": "0"}, "top"),
        ("facets", {"interval": "day"}, "interval"),
        ("histogram", {"interval": "fortnight"}, "interval"),
        ("histogram", {"offset_minutes": "1441"}, "offset_minutes"),
        ("histogram", {"offset_minutes": "x"}, "offset_minutes"),
        ("histogram", {"time_zone": "Oslo"}, "time_zone"),
        ("histogram", {"time_zone": "../../etc/passwd"}, "time_zone"),
        ("histogram", {"time_zone": "UTC", "offset_minutes": "0"}, "offset_minutes"),
        ("facets", {"time_zone": "UTC"}, "time_zone"),
    ],
    ids=str,
)
def test_bad_parameters_are_named(
    http: httpx2.Client, path: str, params: dict[str, str], pointer: str
) -> None:
    answer = http.get(f"/v1/events/{path}", params=params)
    assert (answer.status_code, answer.json()["pointer"]) == (400, pointer)


@pytest.mark.parametrize(
    ("params", "index"),
    [
        ({"kind": "order.paid"}, "views"),
        ({"q": "data.total:[3 TO *]"}, "search"),
        ({"sort": "-data.total"}, "search"),
    ],
    ids=str,
)
def test_a_list_says_who_answers_it_and_why(
    shop: httpx2.Client, params: dict[str, str], index: str
) -> None:
    told = shop.get("/v1/events", params={**params, "explain": "true"}).json()
    assert told["plan"]["index"] == index
    assert told["plan"]["reason"]
    assert "plan" not in shop.get("/v1/events", params=params).json()


def test_a_query_that_does_not_parse_says_where(http: httpx2.Client) -> None:
    told = http.get("/v1/events", params={"q": "kind:(a b"}).json()
    assert told["type"].endswith(":invalid_query")
    assert isinstance(told["position"], int)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/v1/events", {}),
        ("/v1/events", {"q": "data.n:>0"}),
        ("/v1/events/facets", {"fields": "kind"}),
        ("/v1/events/histogram", {}),
    ],
)
def test_an_answer_as_indexed_says_how_far_it_is_complete(
    server: LiveServer, http: httpx2.Client, path: str, parameters: dict[str, str]
) -> None:
    http.post("/v1/events", json={"kind": "a.b", "data": {"n": 1}})
    head = server.node.store.log_head(TENANT)
    assert head is not None
    current = http.get(path, params=parameters)
    indexed = http.get(path, params=parameters | {"consistency": "indexed"})
    assert indexed.json() == current.json()
    assert indexed.headers["tally-complete-to"] == str(head.size)
    assert "tally-complete-to" not in current.headers
    wrong = http.get(path, params=parameters | {"consistency": "eventual"})
    assert wrong.status_code == 400
    assert wrong.json()["pointer"] == "consistency"

"""Search over HTTP: what is found, in which order, how it is told and paged."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest

from tests.dialects.orchestrate.client import Api

KATE = "/v0/users/kates-user-id"
LIKED = {"type": "liked", "page_title": "Photos from my trip"}


def found(api: Api, query: str, more: str = "", collection: str = "/users") -> Any:
    return api.page(f"/v0{collection}?query={quote(query)}{more}")


def keys(page: Any) -> list[str]:
    return [row["path"]["key"] for row in page["results"]]


@pytest.mark.row("O-63", "O-64", "O-65", "O-82")
def test_seeds_own_query_finds_what_was_just_written(api: Api) -> None:
    for n in range(5):
        api.put(f"{KATE}/events/timeline", LIKED)
        api.put(f"{KATE}/events/login", {"n": n})
        page = api.page("/v0/users?query=%40path.kind%3Aevent%20AND%20trip")
        assert (page["count"], page["total_count"]) == (n + 1, n + 1)
    (row, *_) = page["results"]
    listed = api.page(f"{KATE}/events/timeline")["results"]
    assert row["path"] in [event["path"] for event in listed]
    assert row.keys() == {"path", "value", "score", "reftime"}
    assert row["value"] == LIKED
    assert row["score"] > 0
    assert row["reftime"] == row["path"]["reftime"]


@pytest.fixture
def world(api: Api) -> Api:
    """Return a client of an application with items, events and relations."""
    people = {
        "steve": {"name": "Steve Kaliski", "location": "New York", "n": 3, "tags": ["a", "b"]},
        "david": {"name": "David Byrd", "location": "New York", "n": 1},
        "kelsey": {"name": "Kelsey Jarblenkins", "location": "Boston, MA", "n": 2.5, "ok": True},
    }
    for key, value in people.items():
        assert api.put(f"/v0/users/{key}", value).status == 201
    api.put("/v0/posts/first", {"name": "Steve's post"})
    for n, key in enumerate(people):
        api.post(f"/v0/users/{key}/events/activities/{1_000 + n}", {"name": f"{key} wrote", "n": n})
    api.put("/v0/users/steve/relation/likes/users/kelsey", {"foo": "bar"})
    api.put("/v0/users/kelsey/relation/likes/posts/first", {"bing": "bong"})
    return api


@pytest.mark.row("O-66", "O-67", "O-68", "O-73", "O-80")
def test_kinds_and_collections(world: Api) -> None:
    assert sorted(keys(found(world, "*"))) == ["david", "kelsey", "steve"]
    assert found(world, "@path.kind:*")["total_count"] == 8
    events = found(world, "@path.kind:event", "&sort=@path.timestamp:desc")
    assert keys(events) == ["kelsey", "david", "steve"]
    assert all(row["path"]["kind"] == "event" for row in events["results"])
    assert found(world, "@path.kind:(item event)")["total_count"] == 6
    both = found(world, "@path.kind:(item event) AND n:1", "&sort=@path.kind")
    assert [row["path"]["kind"] for row in both["results"]] == ["event", "item"]
    both = found(world, "@path.kind:(item event) AND n:1", "&sort=@path.kind:desc")
    assert [row["path"]["kind"] for row in both["results"]] == ["item", "event"]
    assert keys(found(world, "steve", collection="")) == ["first", "steve"] or keys(
        found(world, "steve", collection="")
    ) == ["steve", "first"]
    assert keys(found(world, "@path.collection:`posts`", collection="")) == ["first"]
    (edge,) = found(world, "@path.kind:relationship AND value.foo:bar", collection="")["results"]
    assert edge["path"] == {
        "kind": "relationship",
        "source": {"collection": "users", "key": "steve"},
        "destination": {"collection": "users", "key": "kelsey"},
        "relation": "likes",
        "ref": world.get("/v0/users/steve/relation/likes/users/kelsey").ref,
        "reftime": edge["reftime"],
    }
    query = "@path.source.key:kelsey AND @path.relation:likes AND @path.kind:relationship"
    (edge,) = found(world, query)["results"]
    assert edge["value"] == {"bing": "bong"}
    ref = world.get("/v0/users/david").ref
    assert keys(found(world, f"@path.ref:{ref}")) == ["david"]


@pytest.mark.row("O-69")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("location: New*", {"steve", "david"}),
        ('value.name:"Steve Kaliski"', {"steve"}),
        ("New York", {"steve", "david"}),
        ("location:(York AND NOT boston) AND name:david", {"david"}),
        ("n:[2 TO *]", {"steve", "kelsey"}),
        ("n:{1 TO 3}", {"kelsey"}),
        ("n:1", {"david"}),
        ("n:2.5", {"kelsey"}),
        ("ok:true", {"kelsey"}),
        ("tags:b", {"steve"}),
        ("name:*blenk*", {"kelsey"}),
        ("name:b?rd", {"david"}),
        ("location:`New York`", {"steve", "david"}),
        ("location:`New`", set()),
        ('"york new"~4', {"steve", "david"}),
        ("name:stewe~", {"steve"}),
        ("-york", {"kelsey"}),
        ("@path.key:david", {"david"}),
        ("@path.key:(david OR kelsey)", {"david", "kelsey"}),
        ("nothing:here", set()),
    ],
)
def test_lucene_finds(world: Api, query: str, expected: set[str]) -> None:
    page = found(world, query)
    assert set(keys(page)) == expected
    assert page["total_count"] == len(expected)


@pytest.mark.row("O-70", "O-77")
@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("value.name", "david kelsey steve"),
        ("value.name:desc", "steve kelsey david"),
        ("n:asc", "david kelsey steve"),
        ("value.n:dsc", "steve kelsey david"),
        ("key", "david kelsey steve"),
        ("@path.key:desc", "steve kelsey david"),
        ("value.location:asc,value.n:asc", "kelsey david steve"),
        ("value.location:desc,value.n:asc", "david steve kelsey"),
        ("@path.reftime", "steve david kelsey"),
        ("value.ok,key", "kelsey david steve"),
    ],
)
def test_sort_orders(world: Api, sort: str, expected: str) -> None:
    assert keys(found(world, "*", f"&sort={sort}")) == expected.split()
    assert sorted(keys(found(world, "*", "&sort=%3A("))) == ["david", "kelsey", "steve"]


@pytest.mark.row("O-70")
def test_random_order_is_kept_by_its_seed(api: Api) -> None:
    names = [f"k{n:02}" for n in range(20)]
    for name in names:
        api.put(f"/v0/users/{name}", {})

    def order(sort: str) -> list[str]:
        path = f"/v0/users?query=*&limit=7&sort={sort}"
        return [row["path"]["key"] for row in api.pages(path)]

    assert order("_random:1") == order("_random:1") != order("_random:2")
    assert sorted(order("_random:1")) == sorted(order("_random")) == names


@pytest.mark.row("O-65")
def test_better_matches_come_first(api: Api) -> None:
    api.put("/v0/users/long", {"text": "trip and many other words that are about nothing at all"})
    api.put("/v0/users/short", {"text": "trip"})
    api.put("/v0/users/twice", {"text": "trip trip"})
    page = found(api, "trip")
    scores = [row["score"] for row in page["results"]]
    assert keys(page)[-1] == "long"
    assert all(a >= b > 0 for a, b in pairwise(scores))
    boosted = found(api, "trip text:words^100")
    assert keys(boosted)[0] == "long"


@pytest.mark.row("O-71", "O-72")
def test_pages_follow_their_links_both_ways(world: Api) -> None:
    page = world.page("/v0/users?query=*&limit=1&offset=1&sort=key")
    assert keys(page) == ["kelsey"]
    assert page["total_count"] == 3
    assert page["next"] == "/v0/users?offset=2&query=*&limit=1&sort=key"
    assert page["prev"] == "/v0/users?offset=0&query=*&limit=1&sort=key"
    link = world.get("/v0/users?query=*&limit=1&offset=1&sort=key").headers["Link"]
    assert link == f'<{page["next"]}>; rel="next", <{page["prev"]}>; rel="prev"'
    echoed = world.page("/v0/users/?limit=2&query=%2A%3A%2A&sort=key")
    assert echoed["next"] == "/v0/users/?offset=2&limit=2&query=%2A%3A%2A&sort=key"
    assert "prev" not in echoed
    last = world.page("/v0/users?query=*&offset=2")
    assert last["prev"] == "/v0/users?offset=0&query=*"
    assert "next" not in last
    assert keys({"results": world.pages("/v0/users?query=*&limit=1&sort=key")}) == [
        "david", "kelsey", "steve",
    ]  # fmt: skip
    beyond = world.page("/v0/users?query=*&offset=7")
    assert (beyond["count"], beyond["total_count"]) == (0, 3)


@pytest.mark.row("O-71", "O-75")
def test_limit_zero_gives_totals_and_aggregates_only(world: Api) -> None:
    page = found(world, "*", "&limit=0&aggregate=value.n:stats,value.location:top_values")
    assert (page["count"], page["total_count"], page["results"]) == (0, 3, [])
    assert "next" not in page
    stats, top = page["aggregates"]
    assert stats["statistics"]["sum"] == 6.5
    assert (stats["aggregate_kind"], stats["field_name"], stats["value_count"]) == (
        "stats", "value.n", 3,
    )  # fmt: skip
    assert top["entries"][0] == {"value": "New York", "count": 2}


@pytest.mark.row("O-71", "O-77", "O-78")
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("query=", "search_param_invalid"),
        ("query=*&limit=101", "search_param_invalid"),
        ("query=*&limit=-1", "search_param_invalid"),
        ("query=*&offset=x", "search_param_invalid"),
        ("query=*&values=x", "search_param_invalid"),
        ("query=*&aggregate=x", "search_param_invalid"),
        ("query=:(", "search_query_malformed"),
        ("query=a%20AND", "search_query_malformed"),
        ("query=@path.huh:1", "search_query_malformed"),
        ("query=" + "a" * 9_000, "search_query_malformed"),
        ("query=" + "(" * 1_000, "search_query_malformed"),
    ],
)
def test_search_that_makes_no_sense_is_refused(api: Api, query: str, code: str) -> None:
    for path in ("/v0/users", "/v0"):
        reply = api.get(f"{path}?{query}")
        assert reply.code == (400, code)
        assert reply.json["details"]["info"]


@pytest.mark.row("O-77")
def test_malformed_query_is_told_with_its_position(api: Api) -> None:
    details = api.get("/v0/users?query=name:(a%20OR%20b").json["details"]
    assert details["query"] == "name:(a OR b"
    assert details["position"] == 5


@pytest.mark.row("O-78")
def test_unknown_collection_searches_to_zero(world: Api) -> None:
    assert found(world, "*", collection="/nowhere") == {
        "count": 0, "total_count": 0, "results": [],
    }  # fmt: skip


@pytest.mark.row("O-74", "O-27")
def test_values_are_filtered_or_left_out(world: Api) -> None:
    (row,) = found(world, "name:david", "&values=false")["results"]
    assert "value" not in row
    (row,) = found(world, "name:david", "&with_fields=value.name")["results"]
    assert row["value"] == {"name": "David Byrd"}
    (row,) = found(world, "name:david", "&without_fields=value.name,value.n")["results"]
    assert row["value"] == {"location": "New York"}


@pytest.mark.row("O-75")
def test_aggregates_over_events_and_items(api: Api) -> None:
    for n, value in enumerate([1.0, 1.0, "monkey", "monkey", "monkey", True, None]):
        api.put(f"/v0/c/k{n}", {"a": value, "when": f"2014-12-0{1 + n // 3}T05:15:21.123Z"})
    clauses = "value.a:top_values,value.a:range:*~1:1~2,value.when:time_series:day:%2B0100"
    top, ranges, series = found(api, "*", f"&limit=0&aggregate={clauses}", "/c")["aggregates"]
    assert [(e["value"], e["count"]) for e in top["entries"]] == [
        ("monkey", 3), (1, 2), (None, 1), (True, 1),
    ] or [(e["value"], e["count"]) for e in top["entries"]] == [
        ("monkey", 3), (1, 2), (True, 1), (None, 1),
    ]  # fmt: skip
    assert top["value_count"] == 7
    assert [bucket["count"] for bucket in ranges["buckets"]] == [0, 2]
    assert series["time_zone"] == "+0100"
    assert [(b["bucket"], b["count"]) for b in series["buckets"]] == [
        ("2014-12-01", 3), ("2014-12-02", 3), ("2014-12-03", 1),
    ]  # fmt: skip
    for day in (1, 1, 2):
        api.post(f"/v0/c/k/events/t/2014-12-0{day}T00:00:00Z", {})
    page = found(api, "@path.kind:event", "&aggregate=@path.timestamp:time_series:day", "/c")
    assert [b["count"] for b in page["aggregates"][0]["buckets"]] == [2, 1]


@pytest.mark.row("O-75", "O-68")
def test_aggregates_tell_of_a_path_what_its_rows_show(api: Api) -> None:
    for key in ("a", "b"):
        api.put(f"/v0/c/{key}", {})
    api.put("/v0/c/a/relation/likes/c/b", {})
    for type in ("t", "t", "u"):
        api.post(f"/v0/c/a/events/{type}/1400000000000", {})
    members = ("kind", "type", "collection", "key", "relation", "timestamp")
    clauses = ",".join(f"@path.{member}:top_values" for member in members)

    def told(query: str) -> list[Any]:
        page = found(api, query, f"&limit=0&aggregate={clauses}", "/c")
        return [
            {entry["value"]: entry["count"] for entry in aggregate["entries"]}
            for aggregate in page["aggregates"]
        ]

    assert told("@path.kind:*") == [
        {"event": 3, "item": 2, "relationship": 1},
        {"t": 2, "u": 1}, {"c": 5}, {"a": 4, "b": 1}, {"likes": 1}, {1400000000000: 3},
    ]  # fmt: skip
    assert told("*") == [{"item": 2}, {}, {"c": 2}, {"a": 1, "b": 1}, {}, {}]
    assert told("@path.kind:relationship") == [{"relationship": 1}, {}, {}, {}, {"likes": 1}, {}]
    assert told("@path.kind:nothing") == [{}] * 6
    clause = "&limit=0&aggregate=@path.kind:top_values:offset:1:limit:1,value.x:stats"
    first, _ = found(api, "@path.kind:*", clause, "/c")["aggregates"]
    assert (first["value_count"], first["entries"]) == (6, [{"value": "item", "count": 2}])


@pytest.mark.row("O-76")
def test_places_are_found_sorted_and_counted_by_distance(api: Api) -> None:
    for key, lon in (("far", 3.0), ("near", 0.5), ("here", 0.0), ("away", 50.0)):
        api.put(f"/v0/places/{key}", {"name": key, "where": {"lat": 0, "lon": lon}})
    near = "value.where:NEAR:{lat:0 lon:0 dist:500km}"
    aggregate = "&aggregate=value.where:distance:0~100:100~*"
    page = found(api, near, f"&sort=value.where:distance:asc{aggregate}", "/places")
    assert keys(page) == ["here", "near", "far"]
    assert [round(row["distance"]) for row in page["results"]] == [0, 56, 334]
    assert page["results"][0]["distance"] == 0
    assert "score" not in page["results"][0]
    assert page["aggregates"][0]["buckets"] == [
        {"min": 0.0, "max": 100.0, "count": 2}, {"min": 100.0, "count": 1},
    ]  # fmt: skip
    reverse = found(api, near, "&sort=where:distance:desc", "/places")
    assert keys(reverse) == ["far", "near", "here"]
    box = found(api, "where:IN:{north:1 south:-1 east:4 west:0.2}", "&sort=key", "/places")
    assert keys(box) == ["far", "near"]
    short = found(api, "where:NEAR:{ latitude:0 longitude:0.5 radius:1mi }", "", "/places")
    assert keys(short) == ["near"]
    api.put("/v0/spots/a", {"lat": 1.0, "lng": 1.0})
    assert keys(found(api, "value:NEAR:{lat:1 lon:1 dist:1m}", "", "/spots")) == ["a"]


@pytest.mark.row("O-63")
def test_revised_and_deleted_things_are_found_as_they_are_now(api: Api) -> None:
    path = api.post(f"{KATE}/events/timeline/5", LIKED).location
    api.put("/v0/users/kate", {"word": "before"})
    query = "@path.kind:event AND "
    api.put(path, {"word": "after"})
    api.put("/v0/users/kate", {"word": "after"})
    assert found(api, query + "trip")["total_count"] == 0
    assert found(api, query + "after")["total_count"] == 1
    assert found(api, "before")["total_count"] == 0
    assert found(api, "after")["total_count"] == 1
    ref = api.get(path).ref
    assert found(api, f"{query}@path.ref:{ref}")["total_count"] == 1
    reftime = api.get(path).json["reftime"]
    assert found(api, f"{query}@path.reftime:{reftime}")["total_count"] == 1
    api.delete(f"{path}?purge=true")
    api.delete("/v0/users/kate")
    assert found(api, "@path.kind:*")["total_count"] == 0


@pytest.mark.row("O-82")
def test_search_reads_every_write_before_it(api: Api) -> None:
    for n in range(30):
        api.put(f"/v0/users/k{n}", {"n": n})
        assert found(api, f"n:{n}")["total_count"] == 1

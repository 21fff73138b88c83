"""Relations over HTTP: putting, reading, walking and deleting them; and bulk import."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tallystick import limits
from tests.dialects.orchestrate.client import Api

NAMES = ("steve", "kelsey", "david")


@pytest.fixture
def friends(api: Api) -> Api:
    """Return a client of an application with three users."""
    for name in NAMES:
        assert api.put(f"/v0/users/{name}", {"name": name, "n": 1}).status == 201
    return api


def edge(source: str, kind: str, destination: str) -> str:
    return f"/v0/users/{source}/relation/{kind}/users/{destination}"


def reached(page: Any) -> list[str]:
    return [row["path"]["key"] for row in page["results"]]


@pytest.mark.row("O-79")
def test_relation_keeps_its_properties(friends: Api) -> None:
    path = edge("steve", "likes", "kelsey")
    put = friends.put(path, {"foo": "bar"})
    assert (put.status, put.location, put.body) == (201, path, b"")
    got = friends.get(path)
    assert (got.status, got.json, got.ref) == (200, {"foo": "bar"}, put.ref)
    assert friends.get(f"{path}?&with_fields=value.x").json == {}
    for empty in (b"", b"{}", b"null"):
        assert friends.put(path, empty).status == 201
        assert friends.get(path).json == {}
    assert friends.put(path, b"[1]").code == (400, "api_bad_request")


@pytest.mark.row("O-79")
def test_relation_needs_both_of_its_ends(friends: Api) -> None:
    for path, collection, key in (
        ("/v0/%3A(/steve/relation/knows/users/david", ":(", "steve"),
        (edge("nobody", "knows", "david"), "users", "nobody"),
        (edge("steve", "knows", "9999"), "users", "9999"),
    ):
        for reply in (friends.put(path, {}), friends.delete(f"{path}?purge=true")):
            assert reply.code == (404, "items_not_found")
            assert reply.json["details"]["items"] == [{"collection": collection, "key": key}]


@pytest.mark.row("O-79")
def test_missing_relation_has_an_error_of_its_own(friends: Api) -> None:
    reply = friends.get(edge("steve", "knows", "david"))
    assert reply.status == 404
    assert reply.json["message"] == "The requested graph relationship could not be found."
    assert reply.json["code"] != "items_not_found"


@pytest.mark.row("O-79")
def test_relation_is_put_under_conditions(friends: Api) -> None:
    path = edge("steve", "knows", "david")
    assert friends.put(path, {}, if_match='"ae3dfa4325abe21e"').status == 412
    first = friends.put(path, {"n": 1}, if_none_match='"*"')
    assert first.status == 201
    assert friends.put(path, {}, if_none_match='"*"').code == (412, "item_already_present")
    assert friends.put(path, {"n": 2}, if_match=f'"{first.ref}"').status == 201
    assert friends.put(path, {}, if_match=f'"{first.ref}"').code == (412, "item_version_mismatch")
    assert friends.get(path).json == {"n": 2}


@pytest.mark.row("O-79")
def test_walk_ends_at_the_items(friends: Api) -> None:
    friends.put(edge("steve", "friend", "kelsey"), {})
    friends.put(edge("kelsey", "friend", "david"), {})
    friends.put(edge("steve", "likes", "david"), {})
    page = friends.page("/v0/users/steve/relations/friend/friend")
    (row,) = page["results"]
    assert row["value"] == {"name": "david", "n": 1}
    assert (
        row["path"] == friends.page("/v0/users?startKey=david&endKey=david")["results"][0]["path"]
    )
    assert reached(friends.page("/v0/users/steve/relations/friend")) == ["kelsey"]
    assert reached(friends.page("/v0/users/steve/relations/likes")) == ["david"]
    assert reached(friends.page("/v0/users/david/relations/friend")) == []
    filtered = friends.page("/v0/users/steve/relations/friend?without_fields=value.n")
    assert filtered["results"][0]["value"] == {"name": "kelsey"}
    missing = friends.get("/v0/users/nobody/relations/friend")
    assert missing.code == (404, "items_not_found")
    assert friends.get("/v0/users/steve/relations" + "/friend" * 11).code == (
        400,
        "graph_param_invalid",
    )


@pytest.mark.row("O-79")
def test_walk_comes_in_pages(friends: Api) -> None:
    names = [f"u{n:02}" for n in range(12)]
    for name in names:
        friends.put(f"/v0/people/{name}", {})
        friends.put(f"/v0/users/steve/relation/knows/people/{name}", {})
    path = "/v0/users/steve/relations/knows"
    assert [row["path"]["key"] for row in friends.pages(path)] == names
    page = friends.page(f"{path}?limit=5&offset=5")
    assert page["next"] == f"{path}?offset=10&limit=5"
    assert page["prev"] == f"{path}?offset=0&limit=5"
    friends.delete("/v0/people/u03")
    assert len(friends.pages(path)) == 11


@pytest.mark.row("O-79")
def test_names_of_any_kind_do_not_mix_relations_up(friends: Api) -> None:
    for key in ("a", "a%2Fb", "a%2520", "a0"):
        friends.put(f"/v0/c/{key}", {"k": key})
    friends.put("/v0/c/a/relation/r/c/a%2Fb", {"n": 1})
    friends.put("/v0/c/a%2Fb/relation/r/c/a0", {"n": 2})
    friends.put("/v0/c/a0/relation/r/c/a%2520", {"n": 3})
    assert [row["value"]["k"] for row in friends.pages("/v0/c/a/relations/r")] == ["a%2Fb"]
    assert [row["value"]["k"] for row in friends.pages("/v0/c/a%2Fb/relations/r")] == ["a0"]
    assert friends.get("/v0/c/a0/relation/r/c/a%2520").json == {"n": 3}
    assert friends.get("/v0/c/a/relation/r/c/a0").status == 404


@pytest.mark.row("O-79")
def test_deleted_relation_is_gone_and_may_come_back(friends: Api) -> None:
    path = edge("steve", "friend", "kelsey")
    friends.put(path, {"n": 1})
    assert friends.delete(f"{path}?purge=true").status == 204
    assert friends.get(path).status == 404
    assert reached(friends.page("/v0/users/steve/relations/friend")) == []
    assert friends.delete(f"{path}?purge=true").status == 204
    assert friends.put(path, {"n": 2}, if_none_match='"*"').status == 201
    assert friends.delete(path).status == 204
    assert friends.get(path).status == 404


# Bulk

STREAM = "application/orchestrate-export-stream+json"


def bulk(api: Api, *operations: Any, glue: str = "") -> Any:
    text = glue.join(
        operation if isinstance(operation, str) else json.dumps(operation)
        for operation in operations
    )
    reply = api.post("/v0", text.encode(), content_type=STREAM)
    assert reply.status == 200, reply
    return reply.json


def item(key: str, **value: Any) -> dict[str, Any]:
    return {"path": {"collection": "users", "key": key, "kind": "item"}, "value": value}


@pytest.mark.row("O-81")
@pytest.mark.parametrize("glue", ["", "\n", " \r\n\t"])
def test_stream_of_all_kinds_is_stored(api: Api, glue: str) -> None:
    event = {"collection": "users", "key": "a", "kind": "event", "type": "t", "timestamp": 5}
    ends = {
        "source": {"collection": "users", "key": "a"},
        "destination": {"collection": "users", "key": "b"},
        "relation": "friends",
    }
    answer = bulk(
        api,
        {**ends, "value": {"best": True}},
        item("a", n=1),
        item("b"),
        {"path": event, "value": {"n": 2}},
        {"path": {**event, "kind": None} | {"kind": "event"}},
        glue=glue,
    )
    assert (answer["status"], answer["success_count"]) == ("success", 5)
    assert [r["operation_index"] for r in answer["results"]] == list(range(5))
    # The vendor's Java client cannot read an item in the result of a relation.
    assert answer["results"][0] == {"operation_index": 0, "status": "success"}
    first, _, stored, _ = (r["item"]["path"] for r in answer["results"][1:])
    assert api.get("/v0/users/a/relation/friends/users/b").json == {"best": True}
    assert first == api.page("/v0/users?limit=1")["results"][0]["path"]
    rows = api.page("/v0/users/a/events/t")["results"]
    assert stored == rows[1]["path"]
    assert [row["value"] for row in rows] == [{}, {"n": 2}]


@pytest.mark.row("O-81")
@pytest.mark.parametrize("spell", [str.upper, str.title, str.lower], ids=lambda f: f.__name__)
def test_kinds_are_taken_in_any_case(api: Api, spell: Callable[[str], str]) -> None:
    """The Java client writes the names of its enumeration, in capitals."""
    ends = {
        "source": {"collection": "users", "key": "a"},
        "destination": {"collection": "users", "key": "b"},
        "relation": "friends",
    }
    event = {"collection": "users", "key": "a", "type": "t"}
    answer = bulk(
        api,
        {"path": {"collection": "users", "key": "a", "kind": spell("item")}},
        {"path": {"collection": "users", "key": "b", "kind": None}},
        {"path": {**event, "kind": spell("event")}, "value": {"n": 1}},
        {"path": {**event, "kind": None}, "value": {"n": 2}},
        {"path": {**ends, "kind": spell("relationship")}, "value": {"best": 1}},
        {"path": {**ends, "relation": "rivals", "kind": None}, "value": {"best": 2}},
    )
    assert answer["status"] == "success", answer
    kinds = [result["item"]["path"]["kind"] for result in answer["results"][:4]]
    assert kinds == ["item", "item", "event", "event"]
    rows = api.page("/v0/users/a/events/t")["results"]
    assert [row["value"] for row in rows] == [{"n": 2}, {"n": 1}]
    assert api.get("/v0/users/a/relation/friends/users/b").json == {"best": 1}
    assert api.get("/v0/users/a/relation/rivals/users/b").json == {"best": 2}
    for kind, count in (("item", 2), ("event", 2), ("relationship", 2)):
        query = f"@path.kind:{spell(kind)}"
        assert api.page(f"/v0/users?query={query}")["total_count"] == count, query


@pytest.mark.row("O-81")
def test_bad_operation_spoils_no_other(api: Api) -> None:
    answer = bulk(api, item("user1"), {}, item("x" * 2_000), item("user2"))
    assert (answer["status"], answer["success_count"]) == ("partial", 2)
    assert [r["status"] for r in answer["results"]] == ["success", "failure", "failure", "success"]
    error = answer["results"][1]["error"]
    assert (error["message"], error["code"]) == (
        "The API request is malformed.",
        "api_bad_request",
    )
    assert error["details"]["info"] == "Can't read bulk operation from malformed JSON"
    assert answer["results"][2]["error"]["code"] == "request_too_large"
    assert [row["path"]["key"] for row in api.page("/v0/users")["results"]] == ["user1", "user2"]
    assert bulk(api, {}, {})["status"] == "failure"


@pytest.mark.row("O-81")
@pytest.mark.parametrize("rest", ['{"path": ', "]", "x", '{"a": NaN}', '{"a": 1e999}'])
def test_rest_that_cannot_be_told_apart_fails_as_one(api: Api, rest: str) -> None:
    answer = bulk(api, item("user1"), rest)
    assert (answer["status"], answer["success_count"], len(answer["results"])) == ("partial", 1, 2)


@pytest.mark.row("O-81")
def test_relation_to_nowhere_fails_alone(api: Api) -> None:
    here, nowhere = {"collection": "users", "key": "a"}, {"collection": "users", "key": "z"}
    answer = bulk(
        api, item("a"), {"source": here, "destination": nowhere, "relation": "r"},
        {"source": here, "destination": here, "relation": "r"},
    )  # fmt: skip
    assert [r["status"] for r in answer["results"]] == ["success", "failure", "success"]
    assert answer["results"][1]["error"]["details"]["items"] == [nowhere]


@pytest.mark.row("O-81")
def test_stream_beyond_its_limits_is_refused_whole(api: Api) -> None:
    assert bulk(api) == {"status": "success", "success_count": 0, "results": []}
    many = (json.dumps(item("a")) * (limits.BATCH_EVENTS + 1)).encode()
    assert api.post("/v0", many, content_type=STREAM).code == (413, "request_too_large")
    assert api.page("/v0/users")["count"] == 0


def moved(occurred_ms: int, ordinal: int, **value: Any) -> Any:
    path: dict[str, Any] = {"collection": "users", "key": "k", "kind": "event", "type": "t"}
    path["timestamp"] = occurred_ms
    return {"path": {**path, "ordinal": ordinal, "reftime": 1_400_000_000_000}, "value": value}


@pytest.mark.row("O-81", "O-46", "O-51")
def test_events_that_are_moved_in_are_found_by_the_names_they_had(api: Api) -> None:
    first = 618485351434448896
    stream = [moved(5, first + n, n=n) for n in range(4)]
    answer = bulk(api, *stream)
    assert [r["item"]["path"]["ordinal"] for r in answer["results"]] == [
        first + n for n in range(4)
    ]  # fmt: skip
    own = api.post("/v0/users/k/events/t/5", {"n": 4}).location
    for name in (str(first + 1), f"{first + 1:016x}"):
        assert api.get(f"/v0/users/k/events/t/5/{name}").json["value"] == {"n": 1}
    assert api.get(f"/v0/users/k/events/t/6/{first + 1}").status == 404
    assert api.get(own).json["value"] == {"n": 4}
    rows = api.pages("/v0/users/k/events/t?limit=1")
    assert [row["value"]["n"] for row in rows] == [4, 3, 2, 1, 0]
    bounded = api.page(f"/v0/users/k/events/t?startEvent=5/{first + 1}&beforeEvent=5/{first + 3}")
    assert [row["value"]["n"] for row in bounded["results"]] == [2, 1]
    beyond = api.page(f"/v0/users/k/events/t?endEvent=5/{first + 77}")
    assert beyond["count"] == 5
    # The same stream again stores nothing, a changed event under an old name is refused.
    assert bulk(api, *stream) == answer
    changed = bulk(api, moved(5, first, n="other"))
    assert changed["results"][0]["error"]["code"] == "write_conflict"
    path = f"/v0/users/k/events/t/5/{first}"
    assert api.put(path, {"n": "new"}).headers["Location"] == path
    assert api.delete(f"{path}?purge=true").status == 204
    assert api.get(path).status == 404


@pytest.mark.row("O-81", "O-58", "O-23")
@pytest.mark.parametrize("delete", ["event", "collection"])
def test_event_that_was_deleted_is_moved_in_once_more(api: Api, delete: str) -> None:
    ordinal = 618485351434448896
    path = f"/v0/users/k/events/t/5/{ordinal}"
    way = f"{path}?purge=true" if delete == "event" else "/v0/users?force=true"
    for value in (1, 1, 2):
        again = moved(5, ordinal, n=value)
        answer = bulk(api, again, again)
        assert answer["success_count"] == 2
        assert answer["results"][0]["item"] == answer["results"][1]["item"]
        assert api.get(path).json["value"] == {"n": value}
        assert api.page("/v0/users/k/events/t")["count"] == 1
        assert bulk(api, moved(5, ordinal, n=3))["status"] == "failure"
        assert api.delete(way).status == 204
        assert api.get(path).status == 404


def test_items_that_are_large_together_are_all_reached(friends: Api) -> None:
    names = [f"large{n}" for n in range(4)]
    for name in names:
        friends.put(f"/v0/users/{name}", {"text": name + "x" * 700_000})
        assert friends.put(edge("steve", "owns", name), {}).status == 201
    page = friends.get("/v0/users/steve/relations/owns?limit=3").json
    assert (page["count"], reached(page)) == (3, names[:3])
    assert [row["value"]["text"][:6] for row in page["results"]] == names[:3]
    assert page["next"] == "/v0/users/steve/relations/owns?offset=3&limit=3"

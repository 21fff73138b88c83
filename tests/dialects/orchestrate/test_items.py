"""Items over HTTP: values, versions, conditions, patches, deletion and lists by key."""

from __future__ import annotations

import json
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.dialects.orchestrate.client import Api

ITEM = "/v0/users/kate"
KATE = {"name": "Kate", "age": 30}


def keys(page: Any) -> list[str]:
    return [row["path"]["key"] for row in page["results"]]


@pytest.mark.row("O-11", "O-12")
def test_item_is_read_as_it_was_put(api: Api) -> None:
    put = api.put(ITEM, KATE)
    assert (put.status, put.body) == (201, b"")
    assert re.fullmatch(r"[0-9a-f]{16}", put.ref)
    assert put.location == f"{ITEM}/refs/{put.ref}"
    got = api.get(ITEM)
    assert (got.status, got.json, got.ref) == (200, KATE, put.ref)
    assert got.headers["Content-Location"] == put.location
    assert "Location" not in got.headers
    again = api.put(ITEM, {"name": "Kate"})
    assert again.status == 201
    assert api.get(ITEM).json == {"name": "Kate"}


@pytest.mark.row("O-24")
def test_head_is_a_get_without_its_body(api: Api) -> None:
    api.put(ITEM, KATE)
    ref = api.get(ITEM).ref
    for path in (ITEM, f"{ITEM}/refs/{ref}", "/v0/users", f"{ITEM}/events/t"):
        got, head = api.get(path), api.send("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        for name in ("ETag", "Content-Location", "Content-Length", "Content-Type"):
            assert head.headers[name] == got.headers[name]
    missing = api.send("HEAD", "/v0/users/nobody")
    assert (missing.status, missing.body) == (404, b"")


@pytest.mark.row("O-11")
def test_missing_item_is_told_by_name(api: Api) -> None:
    reply = api.get("/v0/users/no%2Fbody")
    assert reply.code == (404, "items_not_found")
    assert reply.json["details"]["items"] == [{"collection": "users", "key": "no/body"}]


@pytest.mark.row("O-13")
def test_post_makes_a_key_that_sorts_by_time(api: Api) -> None:
    made = [api.post("/v0/users", {"n": n}) for n in range(3)]
    for reply in made:
        assert reply.status == 201
        assert re.fullmatch(rf"/v0/users/[0-9a-f]{{16}}/refs/{reply.ref}", reply.location)
    found = [reply.location.split("/")[3] for reply in made]
    assert len(set(found)) == 3
    assert keys(api.page("/v0/users")) == sorted(found)
    assert api.post("/v0/users/", {"n": 4}).status == 201


@pytest.mark.row("O-14", "O-15")
def test_conditions_decide_who_may_write(api: Api) -> None:
    assert api.put(ITEM, KATE, if_match='"86754321"').code == (412, "item_version_mismatch")
    assert api.delete(ITEM, if_match='"86754321"').code == (412, "item_version_mismatch")
    first = api.put(ITEM, KATE, if_none_match='"*"')
    assert first.status == 201
    assert api.put(ITEM, {}, if_none_match='"*"').code == (412, "item_already_present")
    for bad in ("badetag", '"bad-ref"'):
        assert api.put(ITEM, {}, if_match=bad).code == (400, "item_ref_malformed")
    both = api.put(ITEM, {}, if_match=f'"{first.ref}"', if_none_match='"*"')
    assert both.code == (400, "api_bad_request")
    assert api.get(ITEM).json == KATE
    second = api.put(ITEM, {"n": 2}, if_match=f'"{first.ref}"')
    assert second.status == 201
    assert api.put(ITEM, {"n": 3}, if_match=f'"{first.ref}"').status == 412
    assert api.patch(ITEM, {"n": 3}, if_match=f'"{first.ref}"').status == 412
    assert api.delete(ITEM, if_match=f'"{first.ref}"').status == 412
    assert api.delete(ITEM, if_match=f'"{second.ref}"').status == 204
    assert api.put(ITEM, KATE, if_none_match='"*"').status == 201


@pytest.mark.row("O-14")
def test_of_many_conditional_writes_exactly_one_wins(api: Api) -> None:
    ref = api.put(ITEM, {"n": 0}).ref

    def write(n: int) -> int:
        return api.put(ITEM, {"n": n}, if_match=f'"{ref}"').status

    def create(n: int) -> int:
        return api.put("/v0/users/new", {"n": n}, if_none_match='"*"').status

    with ThreadPoolExecutor(16) as threads:
        written = list(threads.map(write, range(1, 33)))
        created = list(threads.map(create, range(32)))
    assert (written.count(201), written.count(412)) == (1, 31)
    assert (created.count(201), created.count(412)) == (1, 31)
    assert api.get(ITEM).json == {"n": written.index(201) + 1}


@pytest.mark.row("O-16")
def test_of_many_patches_none_is_lost(api: Api) -> None:
    api.put(ITEM, {"n": 0})

    def increment(_: int) -> int:
        return api.patch(ITEM, [{"op": "inc", "path": "n"}]).status

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(increment, range(32))) == {201}
    assert api.get(ITEM).json == {"n": 32}
    assert api.page(f"{ITEM}/refs?limit=100")["count"] == 33


@pytest.mark.row("O-16", "O-17", "O-18")
@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json-patch+json", [{"op": "add", "path": "x", "value": 1}],
         {**KATE, "x": 1}),
        ("application/merge-patch+json", {"age": None}, {"name": "Kate"}),
        ("application/merge-patch+json; charset=utf-8", {"age": 1}, {"name": "Kate", "age": 1}),
        ("application/json", [{"op": "remove", "path": "age"}], {"name": "Kate"}),
        ("application/json", {"age": None}, {"name": "Kate"}),
        ("", {"age": None}, {"name": "Kate"}),
    ],
)  # fmt: skip
def test_patch_is_read_by_its_type(
    api: Api, content_type: str, body: Any, expected: dict[str, Any]
) -> None:
    api.put(ITEM, KATE)
    reply = api.patch(f"{ITEM}?upsert=false", body, content_type=content_type)
    assert reply.status == 201
    assert reply.location == f"{ITEM}/refs/{reply.ref}"
    got = api.get(ITEM)
    assert (got.json, got.ref) == (expected, reply.ref)


@pytest.mark.row("O-16", "O-17")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json-patch+json", {"age": 1}),
        ("application/merge-patch+json", [{"op": "remove", "path": "age"}]),
        ("application/json", "x"),
        ("application/json", None),
        ("application/json-patch+json", [{"op": "huh", "path": "/x", "value": 1}]),
    ],
)
def test_patch_that_is_none_is_refused(api: Api, content_type: str, body: Any) -> None:
    api.put(ITEM, KATE)
    content = b"null" if body is None else body
    reply = api.patch(ITEM, content, content_type=content_type)
    assert reply.code == (400, "api_bad_request")
    assert api.get(ITEM).json == KATE


@pytest.mark.row("O-20")
def test_failed_patch_tells_which_operation_and_changes_nothing(api: Api) -> None:
    ref = api.put(ITEM, KATE).ref
    operations = [
        {"op": "add", "path": "x", "value": 1},
        {"op": "replace", "path": "/Huh", "value": "y"},
    ]
    reply = api.patch(ITEM, operations, content_type="application/json-patch+json")
    assert reply.code == (409, "patch_conflict")
    assert reply.json["details"]["op"] == operations[1]
    assert reply.json["details"]["opIndex"] == 1
    assert api.get(ITEM).ref == ref
    reply = api.patch(ITEM, [{"op": "test", "path": "name", "value": "Bob"}])
    assert reply.json["details"]["expected"] == "Bob"


@pytest.mark.row("O-19")
def test_upsert_creates_from_nothing_and_only_then(api: Api) -> None:
    for query in ("", "?upsert=false"):
        missing = api.patch(f"{ITEM}{query}", {"a": 1})
        assert missing.code == (404, "items_not_found")
    assert api.patch(ITEM, {"a": 1}, if_match='"86754321"').code == (404, "items_not_found")
    assert api.patch(ITEM, []).code == (404, "items_not_found")
    assert api.patch(f"{ITEM}?upsert=maybe", {"a": 1}).status == 400
    assert api.patch(f"{ITEM}?upsert=true", [{"op": "inc", "path": "n"}]).status == 201
    assert api.get(ITEM).json == {"n": 1}
    assert api.patch(f"{ITEM}?upsert=true", {"m": 2}).status == 201
    assert api.get(ITEM).json == {"n": 1, "m": 2}


@pytest.mark.row("O-21", "O-29", "O-30")
def test_delete_leaves_a_tombstone_and_readable_versions(api: Api) -> None:
    first, second = api.put(ITEM, {"n": 1}).ref, api.put(ITEM, {"n": 2}).ref
    assert (api.delete(ITEM).status, api.delete(ITEM).status) == (204, 204)
    assert api.get(ITEM).status == 404
    assert api.page("/v0/users")["count"] == 0
    for ref, n in ((first, 1), (second, 2)):
        version = api.get(f"{ITEM}/refs/{ref}")
        assert (version.status, version.json, version.ref) == (200, {"n": n}, ref)
        assert version.headers["Content-Location"] == f"{ITEM}/refs/{ref}"
    page = api.page(f"{ITEM}/refs?values=true")
    assert [row.get("value") for row in page["results"]] == [None, {"n": 2}, {"n": 1}]
    tombstone = page["results"][0]
    assert tombstone["path"]["tombstone"] is True
    assert "value" not in tombstone
    assert api.get(f"{ITEM}/refs/{tombstone['path']['ref']}").status == 404
    assert api.delete("/v0/users/nobody").status == 204
    api.put(ITEM, {"n": 3})
    assert api.page(f"{ITEM}/refs")["count"] == 4


@pytest.mark.row("O-22")
def test_purge_takes_the_whole_history_along(api: Api) -> None:
    refs = [api.put(ITEM, {"n": n}).ref for n in range(3)]
    assert api.delete(f"{ITEM}?purge=true").status == 204
    assert api.get(ITEM).status == 404
    for ref in refs:
        assert api.get(f"{ITEM}/refs/{ref}").status == 404
    assert api.get(f"{ITEM}/refs").code == (404, "items_not_found")
    assert api.delete(f"{ITEM}?purge=true").status == 204
    again = api.put(ITEM, {"n": 0})
    assert again.ref == refs[0]
    assert api.get(f"{ITEM}/refs/{refs[0]}").status == 200
    assert api.page(f"{ITEM}/refs")["count"] == 1
    assert api.get(f"{ITEM}/refs/{refs[1]}").status == 404


@pytest.mark.row("O-22")
def test_purge_after_a_delete_destroys_what_was_left(api: Api) -> None:
    ref = api.put(ITEM, {"secret": 1}).ref
    api.delete(ITEM)
    assert api.get(f"{ITEM}/refs/{ref}").status == 200
    assert api.delete(f"{ITEM}?purge=true", if_match=f'"{ref}"').status == 412
    assert api.delete(f"{ITEM}?purge=true").status == 204
    assert api.get(f"{ITEM}/refs").status == 404


@pytest.mark.row("O-29", "O-30", "O-31")
def test_history_is_newest_first_and_equal_values_have_equal_refs(api: Api) -> None:
    refs = [api.put(ITEM, {"n": n % 2}).ref for n in range(5)]
    assert len(set(refs)) == 2
    assert api.put("/v0/posts/other", {"n": 0}).ref == refs[0]
    page = api.page(f"{ITEM}/refs")
    assert [row["path"]["ref"] for row in page["results"]] == refs[::-1]
    for row in page["results"]:
        assert row.keys() == {"path", "reftime"}
        assert row["reftime"] == row["path"]["reftime"]
        assert (row["path"]["collection"], row["path"]["key"]) == ("users", "kate")
    middle = api.get(f"{ITEM}/refs?limit=2&offset=1&values=true")
    assert middle.json["next"] == f"{ITEM}/refs?offset=3&limit=2&values=true"
    assert middle.json["prev"] == f"{ITEM}/refs?offset=0&limit=2&values=true"
    assert middle.headers["Link"].count("rel=") == 2
    assert len(api.pages(f"{ITEM}/refs?limit=2")) == 5
    assert "prev" not in page
    assert "next" not in page
    assert api.get("/v0/users/nobody/refs").code == (404, "items_not_found")
    assert api.get(f"{ITEM}/refs/zz").code == (400, "item_ref_malformed")
    assert api.get(f"{ITEM}/refs/0000000000000000").code == (404, "items_not_found")
    assert api.get(f"{ITEM}/refs?limit=101").status == 400
    assert api.get(f"{ITEM}/refs?offset=-1").status == 400


# Lists


@pytest.mark.row("O-25", "O-28")
def test_list_is_by_key_and_looks_one_ahead(api: Api) -> None:
    names = [f"k{n:02}" for n in range(12)]
    for name in reversed(names):
        api.put(f"/v0/users/{name}", {"n": name})
    page = api.page("/v0/users")
    assert keys(page) == names[:10]
    assert page["next"] == "/v0/users?afterKey=k09&limit=10"
    (row,) = api.page("/v0/users?limit=1")["results"]
    assert row == {
        "path": {
            "collection": "users",
            "kind": "item",
            "key": "k00",
            "ref": api.get("/v0/users/k00").ref,
            "reftime": row["reftime"],
        },
        "value": {"n": "k00"},
        "reftime": row["reftime"],
    }
    assert "next" not in api.page("/v0/users?limit=12")
    for limit in (1, 5, 6, 12, 100):
        assert [r["path"]["key"] for r in api.pages(f"/v0/users?limit={limit}")] == names
    assert api.get("/v0/users?limit=101").code == (400, "search_param_invalid")


@pytest.mark.row("O-26")
def test_key_bounds_cut_where_they_say(api: Api) -> None:
    for name in "abcde":
        api.put(f"/v0/users/{name}", {})

    def found(query: str) -> str:
        return "".join(keys(api.page(f"/v0/users?{query}")))

    assert found("startKey=b") == "bcde"
    assert found("afterKey=b") == "cde"
    assert found("endKey=d") == "abcd"
    assert found("beforeKey=d") == "abc"
    assert found("startKey=b&endKey=d") == "bcd"
    assert found("afterKey=b&beforeKey=d") == "c"
    assert found("startKey=d&endKey=b") == ""
    assert found("startKey=bb&endKey=dd") == "cd"
    page = api.page("/v0/users?startKey=b&endKey=d&limit=2")
    assert page["next"] == "/v0/users?afterKey=c&limit=2&endKey=d"
    assert "".join(keys({"results": api.pages("/v0/users?startKey=b&endKey=d&limit=1")})) == "bcd"


@pytest.mark.row("O-27", "O-62")
def test_values_can_be_left_out_or_filtered(api: Api) -> None:
    api.put(ITEM, {"a": 1, "b": 2})
    (row,) = api.page("/v0/users?values=false")["results"]
    assert row.keys() == {"path", "reftime"}
    (row,) = api.page("/v0/users?with_fields=value.b")["results"]
    assert row["value"] == {"b": 2}
    assert api.get(f"{ITEM}?without_fields=value.b").json == {"a": 1}
    assert api.get("/v0/users?values=perhaps").code == (400, "search_param_invalid")


@pytest.mark.row("O-28")
def test_next_has_a_raw_at_sign_and_works_for_any_key(api: Api) -> None:
    names = ["byrd@bowery.io", "sjk@gmail.com", "a/b", "x y&z=1", "ü", "%41", "#?"]
    for name in names:
        api.put("/v0/users/" + "".join(f"%{byte:02X}" for byte in name.encode()), {"n": name})
    page = api.page("/v0/users?limit=1&startKey=b&values=false")
    assert page["next"] == "/v0/users?afterKey=byrd@bowery.io&limit=1&values=false"
    assert [row["value"]["n"] for row in api.pages("/v0/users?limit=1")] == sorted(names)


@pytest.mark.row("O-78")
def test_unknown_collection_is_empty(api: Api) -> None:
    assert api.get("/v0/nowhere").json == {"count": 0, "results": []}


def test_versions_that_are_large_together_are_all_sent(api: Api) -> None:
    refs = [api.put(ITEM, {"n": n, "text": "x" * 700_000}).ref for n in range(5)]
    path = f"{ITEM}/refs?values=true&limit=4"
    page = api.get(path).json
    assert json.loads(zlib.decompress(api.get(path, accept_encoding="gzip").body, 31)) == page
    assert [row["path"]["ref"] for row in page["results"]] == refs[:0:-1]
    assert [row["value"]["n"] for row in page["results"]] == [4, 3, 2, 1]
    assert page["count"] == 4
    assert page["next"] == f"{ITEM}/refs?offset=4&limit=4&values=true"

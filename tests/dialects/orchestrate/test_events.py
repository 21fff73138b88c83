"""Events over HTTP: creating, reading, changing, deleting and listing them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.dialects.orchestrate.client import Api

SERIES = "/v0/users/kates-user-id/events/timeline"
LIKED = {"type": "liked", "page_title": "Photos from my trip"}


def create(api: Api, timestamp: int | str = "", value: Any = LIKED, series: str = SERIES) -> str:
    """Create an event and return its path."""
    reply = api.post(f"{series}/{timestamp}" if timestamp != "" else series, value)
    assert reply.status == 201, reply
    return reply.location


def times(page: Any) -> list[int]:
    return [row["timestamp"] for row in page["results"]]


def texts(rows: list[Any]) -> list[Any]:
    return [row["value"]["n"] for row in rows]


@pytest.mark.row("O-32", "O-38", "O-39", "O-82")
def test_put_on_type_stores_and_says_nothing(api: Api) -> None:
    before = time.time_ns() // 1_000_000
    reply = api.put(SERIES, LIKED)
    assert (reply.status, reply.body) == (204, b"")
    assert "Location" not in reply.headers
    assert "ETag" not in reply.headers
    (row,) = api.page(SERIES)["results"]
    assert before <= row["timestamp"] <= time.time_ns() // 1_000_000
    assert row["path"] == {
        "collection": "users",
        "kind": "event",
        "key": "kates-user-id",
        "type": "timeline",
        "timestamp": row["timestamp"],
        "ordinal": row["ordinal"],
        "ref": row["path"]["ref"],
        "reftime": row["reftime"],
        "ordinal_str": f"{row['ordinal']:016x}",
    }
    assert row["value"] == LIKED


@pytest.mark.row("O-33")
def test_put_on_type_takes_a_timestamp(api: Api) -> None:
    assert api.put(f"{SERIES}?timestamp=1400000000000", LIKED).status == 204
    assert api.put(f"{SERIES}?timestamp=2014-05-13T16:53:21Z", LIKED).status == 204
    assert times(api.page(SERIES)) == [1400000001000, 1400000000000]
    assert api.put(f"{SERIES}?timestamp=soon", LIKED).code == (400, "api_bad_request")


@pytest.mark.row("O-34", "O-37")
def test_types_keys_and_collections_are_series_of_their_own(api: Api) -> None:
    others = [
        "/v0/users/kates-user-id/events/login",
        "/v0/users/other/events/timeline",
        "/v0/people/kates-user-id/events/timeline",
    ]
    for series in (SERIES, *others):
        create(api, 5, {"n": series}, series)
    for series in (SERIES, *others):
        assert texts(api.page(series)["results"]) == [series]
    assert api.get("/v0/users/kates-user-id").status == 404


@pytest.mark.row("O-34")
def test_colons_do_not_mix_series_up(api: Api) -> None:
    create(api, 5, {"n": 1}, "/v0/a:b/c/events/t")
    create(api, 5, {"n": 2}, "/v0/a/b:c/events/t")
    assert texts(api.page("/v0/a:b/c/events/t")["results"]) == [1]
    assert texts(api.page("/v0/a/b:c/events/t")["results"]) == [2]


@pytest.mark.row("O-35", "O-36", "O-50", "O-51", "O-52", "O-53")
def test_post_tells_where_and_which_version(api: Api) -> None:
    reply = api.post(f"{SERIES}/1400000000000", LIKED)
    assert (reply.status, reply.body) == (201, b"")
    prefix, _, ordinal = reply.location.rpartition("/")
    assert prefix == f"{SERIES}/1400000000000"
    assert ordinal.isdecimal()
    for form in (ordinal, f"{int(ordinal):016x}", f"{int(ordinal):016X}"):
        found = api.get(f"{prefix}/{form}")
        assert found.status == 200
        assert "Location" not in found.headers
        assert found.ref == reply.ref == found.json["path"]["ref"]
        assert list(found.json) == ["path", "value", "timestamp", "ordinal", "reftime"]
        assert found.json["value"] == LIKED
        assert found.json["ordinal"] == int(ordinal)
    assert api.post(SERIES, LIKED).ref == reply.ref


@pytest.mark.row("O-61")
@pytest.mark.parametrize(
    "spelling",
    ["1397070000000", "2014-04-09T19:00:00Z", "2014-04-09T19%3A00%3A00.000Z", "20140409T190000Z",
     "2014-04-09T21:00:00+02:00", "Wed,%2009%20Apr%202014%2012:00:00%20MST",
     "Wednesday,%2009-Apr-14%2019:00:00%20UTC", "Wed%20Apr%20%209%2019:00:00%202014"],
)  # fmt: skip
def test_every_spelling_names_the_same_event(api: Api, spelling: str) -> None:
    ordinal = create(api, spelling).rpartition("/")[2]
    assert api.get(f"{SERIES}/1397070000000/{ordinal}").status == 200
    assert api.get(f"{SERIES}/{spelling}/{ordinal}").status == 200


@pytest.mark.row("O-61")
@pytest.mark.parametrize("timestamp", ["yesterday", "99999999999999999", "-99999999999999", "1.5"])
def test_time_that_is_none_is_refused_and_stores_nothing(api: Api, timestamp: str) -> None:
    reply = api.post(f"{SERIES}/{timestamp}", LIKED)
    assert reply.code == (400, "api_bad_request")
    assert reply.json["details"]["path"] == "timestamp"
    assert api.page(SERIES)["count"] == 0


@pytest.mark.row("O-50")
@pytest.mark.parametrize(
    "path",
    ["timeline/1400000000000/999999", "timeline/1400000000000/0", "timeline/1/{}",
     "login/1400000000000/{}", "timeline/1400000000000/9223372036854775807"],
)  # fmt: skip
def test_missing_event_is_told_with_its_item(api: Api, path: str) -> None:
    ordinal = create(api, 1400000000000).rpartition("/")[2]
    reply = api.get(f"/v0/users/kates-user-id/events/{path.format(ordinal)}")
    assert reply.code == (404, "items_not_found")
    (item,) = reply.json["details"]["items"]
    assert (item["collection"], item["key"]) == ("users", "kates-user-id")


@pytest.mark.row("O-54", "O-53")
def test_update_keeps_the_identity_and_moves_the_version(api: Api) -> None:
    path = create(api, 1400000000000)
    before = api.get(path).json
    reply = api.put(path, {"n": 2})
    assert (reply.status, reply.body) == (204, b"")
    assert reply.location == path
    after = api.get(path)
    assert after.ref == reply.ref != before["path"]["ref"]
    assert after.json["value"] == {"n": 2}
    assert after.json["reftime"] >= before["reftime"]
    for name in ("timestamp", "ordinal"):
        assert after.json[name] == before[name]
    assert api.page(SERIES)["results"] == [after.json]


@pytest.mark.row("O-55", "O-59")
def test_update_and_delete_hold_to_their_condition(api: Api) -> None:
    path = create(api, 5)
    ref = api.get(path).ref
    stale = api.put(path, {"n": 1}, if_match='"86754321"')
    assert stale.code == (412, "item_version_mismatch")
    assert api.put(path, {"n": 1}, if_match='"bad-ref"').code == (400, "item_ref_malformed")
    assert api.patch(path, {"n": 1}, if_match='"86754321"').status == 412
    assert api.delete(f"{path}?purge=true", if_match='"86754321"').status == 412
    assert api.get(path).ref == ref
    updated = api.put(path, {"n": 1}, if_match=f'"{ref}"')
    assert updated.status == 204
    assert api.delete(f"{path}?purge=true", if_match=f'"{ref}"').status == 412
    gzipped = f'"{updated.ref}-gzip"'
    assert api.delete(f"{path}?purge=true", if_match=gzipped).status == 204
    assert api.get(path).status == 404
    assert api.delete(f"{path}?purge=true", if_match=gzipped).status == 412


@pytest.mark.row("O-55")
def test_if_none_match_means_nothing_for_an_event(api: Api) -> None:
    path = create(api, 5)
    assert api.put(path, {}, if_none_match='"*"').code == (400, "api_bad_request")


@pytest.mark.row("O-56")
def test_update_of_a_missing_event_is_not_found(api: Api) -> None:
    create(api, 5)
    for method in ("PUT", "PATCH"):
        reply = api.send(method, f"{SERIES}/5/77777", {"n": 1})
        assert reply.code == (404, "items_not_found")


@pytest.mark.row("O-57")
def test_patch_by_operations_and_by_merge(api: Api) -> None:
    path = create(api, 5, {"a": 1, "b": {"c": 2}})
    reply = api.patch(
        path, [{"op": "inc", "path": "a"}], content_type="application/json-patch+json"
    )
    assert (reply.status, reply.location) == (201, path)
    merged = api.patch(path, {"b": {"c": None}}, content_type="application/merge-patch+json")
    assert merged.status == 201
    found = api.get(path)
    assert found.json["value"] == {"a": 2, "b": {}}
    assert found.ref == merged.ref
    plain = api.patch(path, [{"op": "test", "path": "a", "value": 7}])
    assert plain.code == (409, "patch_conflict")
    assert plain.json["details"]["opIndex"] == 0


@pytest.mark.row("O-58", "O-60")
def test_delete_demands_purge_and_then_is_for_good(api: Api) -> None:
    path = create(api, 5)
    refused = api.delete(path)
    assert refused.code == (400, "api_bad_request")
    assert api.get(path).status == 200
    assert api.delete(f"{path}?purge=false").status == 400
    assert (api.delete(f"{path}?purge=true").status, api.get(path).status) == (204, 404)
    assert api.page(SERIES)["count"] == 0
    assert api.delete(f"{path}?purge=true").status == 204
    assert api.put(path, {}).status == 404


# Lists


@pytest.mark.row("O-40", "O-41", "O-42", "O-48", "O-49")
def test_list_is_newest_first_in_pages_of_ten(api: Api) -> None:
    for n in range(25):
        create(api, 1000 + n // 3, {"n": n})
    page = api.page(SERIES)
    assert page["count"] == 10
    assert texts(page["results"]) == list(range(24, 14, -1))
    last = page["results"][-1]
    assert page["next"] == (f"{SERIES}?limit=10&beforeEvent={last['timestamp']}/{last['ordinal']}")
    reply = api.get(SERIES)
    assert reply.headers["Link"] == f'<{page["next"]}>; rel="next"'
    assert "prev" not in page
    assert "ETag" not in reply.headers
    for limit in (1, 4, 7, 25, 100):
        assert texts(api.pages(f"{SERIES}?limit={limit}")) == list(range(24, -1, -1))
    assert "next" not in api.page(f"{SERIES}?limit=25")


@pytest.mark.row("O-42")
@pytest.mark.parametrize("limit", ["101", "0", "-1", "x"])
def test_limit_beyond_a_hundred_is_refused(api: Api, limit: str) -> None:
    reply = api.get(f"{SERIES}?limit={limit}")
    assert reply.code == (400, "event_param_invalid")


@pytest.mark.row("O-43", "O-44", "O-45", "O-46", "O-47")
def test_bounds_cut_where_they_say(api: Api) -> None:
    paths = [create(api, 1000 + n // 2, {"n": n}) for n in range(8)]
    third = paths[3].rpartition("/")[2]

    def found(query: str) -> list[Any]:
        rows = texts(api.page(f"{SERIES}?{query}")["results"])
        assert texts(api.pages(f"{SERIES}?limit=1&{query}")) == rows
        return rows

    assert found("startEvent=1001") == [7, 6, 5, 4, 3, 2]
    assert found("afterEvent=1001") == [7, 6, 5, 4]
    assert found("endEvent=1001") == [3, 2, 1, 0]
    assert found("beforeEvent=1001") == [1, 0]
    assert found(f"startEvent=1001/{third}") == [7, 6, 5, 4, 3]
    assert found(f"afterEvent=1001/{third}") == [7, 6, 5, 4]
    assert found(f"endEvent=1001/{third}") == [3, 2, 1, 0]
    assert found(f"beforeEvent=1001/{third}") == [2, 1, 0]
    assert found(f"beforeEvent=1001%2F{third}") == [2, 1, 0]
    assert found(f"beforeEvent=1001/{int(third):016x}") == [2, 1, 0]
    assert found("start=1001&end=1002") == [3, 2]
    assert found("startEvent=1001&endEvent=1002") == [5, 4, 3, 2]
    assert found("startEvent=1970-01-01T00:00:01.001Z&endEvent=1002") == [5, 4, 3, 2]
    assert found("startEvent=1003&endEvent=1001") == []
    assert found("startEvent=2000") == found("endEvent=999") == []


@pytest.mark.row("O-48")
def test_next_keeps_lower_bound_and_filters_and_drops_the_upper_one(api: Api) -> None:
    for n in range(4):
        create(api, 1000 + n, {"n": n, "x": n})
    query = "endEvent=1003&startEvent=1001&with_fields=value.n&limit=2&junk=1"
    page = api.page(f"{SERIES}/?{query}")
    last = page["results"][-1]
    assert page["next"] == (
        f"{SERIES}/?limit=2&beforeEvent=1002/{last['ordinal']}&startEvent=1001&with_fields=value.n"
    )
    assert [row["value"] for row in api.pages(f"{SERIES}/?{query}")] == [
        {"n": 3}, {"n": 2}, {"n": 1},
    ]  # fmt: skip


@pytest.mark.row("O-46", "O-48")
def test_page_that_ends_at_a_lower_bound_is_the_last(api: Api) -> None:
    ordinals = [create(api, 1000, {"n": n}).rpartition("/")[2] for n in range(4)]
    for bound, limit in (
        (f"startEvent=1000/{ordinals[1]}", 3),
        (f"afterEvent=1000/{ordinals[1]}", 2),
    ):
        page = api.page(f"{SERIES}?{bound}&limit={limit}")
        assert len(page["results"]) == limit
        assert "next" not in page
        assert "next" in api.page(f"{SERIES}?{bound}&limit={limit - 1}")


@pytest.mark.row("O-46")
def test_bound_that_is_none_is_refused(api: Api) -> None:
    for bound in ("startEvent=soon", "beforeEvent=5/x", "end=", f"endEvent=5/{1 << 63}"):
        reply = api.get(f"{SERIES}?{bound}")
        assert reply.code == (400, "event_param_invalid")
        assert reply.json["details"]["param"] == bound.partition("=")[0]


@pytest.mark.row("O-42")
def test_unknown_key_and_emptied_type_list_nothing(api: Api) -> None:
    assert api.get("/v0/nowhere/nobody/events/never").json == {"count": 0, "results": []}


@pytest.mark.row("O-62")
def test_fields_are_filtered_on_lists_and_single_events(api: Api) -> None:
    path = create(api, 5, {"a": 1, "b": {"c": 2, "d": 3}})
    assert api.get(f"{path}?with_fields=value.b.c").json["value"] == {"b": {"c": 2}}
    assert api.get(f"{path}?&without_fields=value.b").json["value"] == {"a": 1}
    (row,) = api.page(f"{SERIES}?with_fields=value.a,value.b&without_fields=value.b.d")["results"]
    assert row["value"] == {"a": 1, "b": {"c": 2}}
    assert row["path"]["ref"] == api.get(path).ref


@pytest.mark.row("O-52")
def test_numbers_survive_exactly(api: Api) -> None:
    text = b'{"n": 9007199254740993, "big": 123456789012345678901234567890, "f": 0.1, "z": 1.0}'
    path = api.post(SERIES, text).location
    assert api.get(path).json["value"] == json.loads(text)
    assert b"9007199254740993" in api.get(path).body


@pytest.mark.row("O-32")
@pytest.mark.parametrize("body", [b"", b"[]", b"1", b'"x"', b"null", b"{", b"{}{}", b"\xff{}"])
def test_value_that_is_no_object_is_refused(api: Api, body: bytes) -> None:
    for method in ("PUT", "POST"):
        reply = api.send(method, SERIES, body)
        assert reply.code == (400, "api_bad_request")
    assert api.page(SERIES)["count"] == 0

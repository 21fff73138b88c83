"""Storing events through `POST /v1/events`: one, an array, lines; retries; what is refused."""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import uuid
from typing import Any

import httpx2
import pytest

from tallystick import limits
from tallystick.identity.access import Scope
from tests.support.live_server import TENANT, LiveServer

Json = dict[str, Any]

FULL: Json = {
    "kind": "order.updated",
    "id": "0F0E8400-E29B-41D4-A716-446655440000",
    "occurred_at": "2014-06-19T17:18:46.5-07:00",
    "actor": {"type": "user", "id": "481", "name": "Matthew Anderson", "attributes": {"x": 1}},
    "target": {"type": "order", "id": "51Q4LN", "name": "Order"},
    "scopes": [{"type": "workspace", "id": "4137"}],
    "trails": ["Clouseau", "order/51Q4LN"],
    "data": {"total": 1200.0, "big": 2**70, "nul": "a\u0000b", "list": [1, 1.0, None, True]},
    "previous": {"total": 600.0},
    "original": {"system": "elsewhere", "id": 5},
}


RESOURCE: Json = {"type": "a", "id": "b"}
NESTED = json.loads("[" * limits.JSON_DEPTH + "]" * limits.JSON_DEPTH)


def lines(*events: object) -> str:
    return "\n".join(event if isinstance(event, str) else json.dumps(event) for event in events)


def append_lines(
    http: httpx2.Client, body: str, path: str = "/v1/events", **headers: str
) -> list[Json]:
    sent = {"Content-Type": "application/x-ndjson", **headers}
    answer = http.post(path, content=body, headers=sent)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def log_size(http: httpx2.Client) -> int:
    size: int = http.get("/v1/checkpoint").json()["size"]
    return size


def test_one_event_is_stored_and_answered_with_its_place(http: httpx2.Client) -> None:
    before = log_size(http)
    answer = http.post("/v1/events", json=FULL)
    assert answer.status_code == 201
    stored = answer.json()
    assert stored["id"] == FULL["id"].lower()
    assert stored["index"] == before == stored["revision"]
    assert stored["occurred_at"] == "2014-06-20T00:18:46.500Z"
    assert (stored["op"], stored["dialect"]) == ("record", "native")
    for member in ("kind", "actor", "target", "scopes", "trails", "data", "previous", "original"):
        assert stored[member] == FULL[member], member
    assert answer.headers["location"] == f"/v1/events/{stored['id']}"
    assert answer.headers["etag"] == f'"{stored["revision"]}"'
    shown = http.get(answer.headers["location"]).json()
    assert shown.pop("summary")["text"] == "Matthew Anderson updated order Order"
    assert shown == stored


def test_numbers_keep_their_type_and_members_their_order(http: httpx2.Client) -> None:
    body = '{"kind":"k","data":{"z":1200.0,"a":-1.0,"m":9007199254740993,"n":0.1}}'
    stored = http.post("/v1/events", content=body).json()
    shown = http.get(f"/v1/events/{stored['id']}").text
    assert '"data":{"z":1200.0,"a":-1.0,"m":9007199254740993,"n":0.1}' in shown


def test_an_array_is_stored_whole_or_not_at_all(http: httpx2.Client) -> None:
    before = log_size(http)
    answer = http.post("/v1/events", json=[{"kind": "a"}, {"kind": "b"}])
    assert answer.status_code == 201
    assert [event["index"] for event in answer.json()] == [before, before + 1]
    refused = http.post("/v1/events", json=[{"kind": "a"}, {"kind": ""}])
    assert refused.status_code == 400
    assert refused.json()["pointer"] == "/1/kind"
    assert log_size(http) == before + 2


def test_an_empty_array_stores_nothing(http: httpx2.Client) -> None:
    answer = http.post("/v1/events", json=[])
    assert (answer.status_code, answer.json()) == (201, [])


def test_each_line_has_an_outcome_of_its_own(http: httpx2.Client) -> None:
    before = log_size(http)
    answers = append_lines(
        http, lines({"kind": "a"}, "{", "", {"kind": "b", "surplus": 1}, {"kind": "c"})
    )
    assert [(answer["line"], answer["status"]) for answer in answers] == [
        (1, 201), (2, 400), (4, 400), (5, 201),
    ]  # fmt: skip
    assert [answer.get("index") for answer in answers] == [before, None, None, before + 1]
    assert answers[2]["error"]["detail"] == "unknown member 'surplus'"


def test_many_lines_are_stored_in_order(http: httpx2.Client) -> None:
    before = log_size(http)
    answers = append_lines(http, lines(*({"kind": "k", "data": {"n": n}} for n in range(2100))))
    assert [answer["index"] for answer in answers] == list(range(before, before + 2100))


def test_a_client_chosen_id_makes_a_retry_safe(http: httpx2.Client) -> None:
    first = http.post("/v1/events", json=FULL)
    size = log_size(http)
    again = http.post("/v1/events", json=FULL)
    assert again.status_code == 201
    assert again.json() == first.json()
    other = http.post("/v1/events", json={**FULL, "data": {}})
    assert other.status_code == 422
    assert other.json()["type"] == "urn:tallystick:error:idempotency_mismatch"
    assert log_size(http) == size


def test_an_idempotency_key_makes_a_retry_safe(http: httpx2.Client) -> None:
    headers = {"Idempotency-Key": "order 17 / attempt"}
    first = http.post("/v1/events", json={"kind": "k"}, headers=headers)
    size = log_size(http)
    assert http.post("/v1/events", json={"kind": "k"}, headers=headers).json() == first.json()
    assert http.post("/v1/events", json={"kind": "l"}, headers=headers).status_code == 422
    batch = [{"kind": "a"}, {"kind": "b"}]
    key = {"Idempotency-Key": "batch"}
    stored = http.post("/v1/events", json=batch, headers=key).json()
    assert http.post("/v1/events", json=batch, headers=key).json() == stored
    assert http.post("/v1/events", json=batch[:1], headers=key).status_code == 422
    assert log_size(http) == size + 2


def test_lines_sent_again_are_answered_as_known(http: httpx2.Client) -> None:
    body = lines({"kind": "a"}, {"kind": "b", "id": str(uuid.uuid4())})
    first = append_lines(http, body, **{"Idempotency-Key": "stream"})
    again = append_lines(http, body, **{"Idempotency-Key": "stream"})
    assert [answer["status"] for answer in again] == [200, 200]
    assert [(a["id"], a["index"]) for a in again] == [(a["id"], a["index"]) for a in first]


def test_an_idempotency_key_holds_in_every_form(http: httpx2.Client) -> None:
    key, event = "any form", {"kind": "k"}
    first = http.post("/v1/events", json=event, headers={"Idempotency-Key": key}).json()
    size = log_size(http)
    [line] = append_lines(http, lines(event), **{"Idempotency-Key": key})
    assert (line["status"], line["id"]) == (200, first["id"])
    [line] = append_lines(http, lines({"kind": "l"}), **{"Idempotency-Key": key})
    assert line["status"] == 422
    array = http.post("/v1/events", json=[event, event], headers={"Idempotency-Key": key})
    assert array.status_code == 422
    assert log_size(http) == size


def test_an_id_and_a_key_may_not_be_split_over_two_events(http: httpx2.Client) -> None:
    event = {"kind": "k", "id": str(uuid.uuid4())}
    http.post("/v1/events", json=event)
    again = http.post("/v1/events", json=event, headers={"Idempotency-Key": "new"})
    assert again.json()["id"] == event["id"]


def test_concurrent_retries_store_one_event(server: LiveServer, http: httpx2.Client) -> None:
    size = log_size(http)
    event = {"kind": "k", "id": str(uuid.uuid4())}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: http.post("/v1/events", json=event), range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["index"] for answer in answers}) == 1
    assert log_size(http) == size + 1


def test_diff_computes_previous_from_the_event_before_it(http: httpx2.Client) -> None:
    target = {"type": "order", "id": "1"}
    event = {"kind": "order.created", "target": target, "data": {"a": 1, "b": [1], "c": True}}
    first = http.post("/v1/events?diff=true", json=event).json()
    assert "previous" not in first
    changed = {"kind": "order.updated", "target": target, "data": {"a": 1, "b": [2], "d": None}}
    second = http.post("/v1/events?diff=true", json=changed).json()
    assert second["previous"] == {"b": [1], "c": True, "d": None}
    batch = [{**changed, "data": {"a": 2}}, {**changed, "data": {"a": 3}}]
    third, fourth = http.post("/v1/events?diff=true", json=batch).json()
    assert third["previous"] == {"a": 1, "b": [2], "d": None}
    assert fourth["previous"] == {"a": 2}


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize(
    ("query", "wrong"), [("diff=perhaps", "diff"), ("dif=true", "dif"), ("diff=true&x=", "x")]
)
def test_parameters_that_mean_nothing_are_refused(
    http: httpx2.Client, kind: str, query: str, wrong: str
) -> None:
    size = log_size(http)
    event = json.dumps({"kind": "order.created"})
    refused = http.post(f"/v1/events?{query}", content=event, headers={"Content-Type": kind})
    assert refused.status_code == 400
    assert refused.json()["pointer"] == wrong
    assert log_size(http) == size


def test_diff_is_refused_to_whoever_may_not_read_what_was_there(
    server: LiveServer, http: httpx2.Client
) -> None:
    event = {"kind": "order.created", "target": {"type": "order", "id": "1"}, "data": {"a": 1}}
    assert http.post("/v1/events", json=event).status_code == 201
    writing = server.create_key(TENANT, (Scope.WRITE,))
    size = log_size(http)
    with server.http(writing) as writer:
        refused = writer.post("/v1/events?diff=true", json={**event, "data": {}})
        assert refused.status_code == 403
        lined = {"Content-Type": "application/x-ndjson"}
        refused = writer.post("/v1/events?diff=true", content=lines(event), headers=lined)
        assert refused.status_code == 403
        assert refused.json()["role_needed"] == "read"
        assert log_size(http) == size
        assert writer.post("/v1/events", json=event).status_code == 201
    with server.http(server.create_key(TENANT, (Scope.READ, Scope.WRITE))) as both:
        told = both.post("/v1/events?diff=true", json={**event, "data": {}}).json()
    assert told["previous"] == {"a": 1}


def test_concurrent_diffs_chain_without_a_gap(http: httpx2.Client) -> None:
    """Every update sees exactly the state its predecessor in the log left."""
    target = {"type": "counter", "id": "1"}

    def update(n: int) -> Json:
        event = {"kind": "counter.set", "target": target, "data": {"n": n}}
        answer: Json = http.post("/v1/events?diff=true", json=event).json()
        return answer

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        stored = sorted(pool.map(update, range(24)), key=lambda event: event["index"])
    for before, after in itertools.pairwise(stored):
        assert after["previous"] == {"n": before["data"]["n"]}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"kind": 5}, "/kind"),
        ({"kind": ""}, "/kind"),
        ({"kind": "k", "id": "no uuid"}, "/id"),
        ({"kind": "k", "occurred_at": "yesterday"}, "/occurred_at"),
        ({"kind": "k", "occurred_at": "2023-02-30T00:00:00Z"}, "/occurred_at"),
        ({"kind": "k", "occurred_at": "0001-12-31T00:00:00Z"}, "/occurred_at"),
        ({"kind": "k", "occurred_at": 10**18}, "/occurred_at"),
        ({"kind": "k", "actor": {"type": "user"}}, "/actor"),
        ({"kind": "k", "target": {"type": "a", "id": 1}}, "/target/id"),
        ({"kind": "k", "data": []}, "/data"),
        ({"kind": "k", "scopes": [{"type": "a", "id": "b"}, 1]}, "/scopes/1"),
        ({"kind": "k", "unknown": 1}, "/unknown"),
        ({"kind": "k", "data": {"a": NESTED}}, "/data"),
    ],
)
def test_malformed_events_are_refused_where_they_are_wrong(
    http: httpx2.Client, body: Json, pointer: str
) -> None:
    size = log_size(http)
    answer = http.post("/v1/events", json=body)
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["pointer"] == pointer
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert log_size(http) == size


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nonsense", b"\xff\xfe", b'{"kind":"k","data":{"a":"\\ud800"}}',
        b'{"kind":"k","data":{"a":NaN}}', b'{"kind":"k","data":{"a":1e999}}',
        b'{"kind":"k","data":' + b'{"a":' * 70 + b"1" + b"}" * 70 + b"}",
        b'{"kind":"k","data":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(http: httpx2.Client, body: bytes) -> None:
    answer = http.post("/v1/events", content=body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:tallystick:error:malformed"


def test_limits_are_named(http: httpx2.Client) -> None:
    wide = "x" * (limits.NAME_BYTES + 1)
    for event in (
        {"kind": wide},
        {"kind": "k", "actor": {"type": "a", "id": "ü" * 600}},
        {"kind": "k", "scopes": [{"type": "s", "id": str(n)} for n in range(17)]},
        {"kind": "k", "trails": [str(n) for n in range(65)]},
        {"kind": "k", "data": {"a": "x" * limits.EVENT_BYTES}},
    ):
        answer = http.post("/v1/events", json=event)
        assert answer.status_code == 413
        assert answer.json()["limit"] in (1024, 16, 64, limits.EVENT_BYTES)


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(http: httpx2.Client) -> None:
    answer = http.post("/v1/events", content=iter([b"x" * 1_000_000] * 17), headers={"Expect": ""})
    assert answer.status_code == 413
    assert answer.json()["limit"] == limits.BATCH_BYTES


def test_names_may_be_any_unicode_up_to_the_limit(http: httpx2.Client) -> None:
    name = "‮<b>\u0000\r\n\u200f" + "ü" * 500
    event = {"kind": name, "target": {"type": name, "id": name, "name": name}, "trails": [name]}
    stored = http.post("/v1/events", json=event).json()
    shown = http.get(f"/v1/events/{stored['id']}").json()
    assert (shown["kind"], shown["target"], shown["trails"]) == (
        name, event["target"], [name],
    )  # fmt: skip
    listed = http.get("/v1/events", params={"trail": name}).json()["events"]
    assert [found["id"] for found in listed] == [stored["id"]]


def test_writing_needs_the_write_scope(server: LiveServer) -> None:
    reader = server.create_key(TENANT, (Scope.READ,))
    with server.http(reader) as http:
        answer = http.post("/v1/events", json={"kind": "k"})
    assert answer.status_code == 403
    assert answer.json()["role_needed"] == "write"


@pytest.mark.parametrize(
    ("wrong", "status", "pointer"),
    [
        ({"kind": "k" * 1025}, 413, "/kind"),
        ({"actor": {"type": "user", "id": "x" * 1025}}, 413, "/actor/id"),
        ({"scopes": [RESOURCE, {"type": "x" * 1025, "id": "1"}]}, 413, "/scopes/1/type"),
        ({"scopes": [RESOURCE] * 17}, 413, "/scopes"),
        ({"trails": ["a", "b" * 1025]}, 413, "/trails/1"),
        ({"occurred_at": 10**18}, 400, "/occurred_at"),
        ({"data": {"text": "x" * (1 << 20)}}, 413, ""),
    ],
    ids=["kind", "actor", "scope", "scopes", "trail", "time", "event"],
)
def test_what_is_too_much_is_pointed_at_alone_in_an_array_and_in_lines(
    http: httpx2.Client, wrong: Json, status: int, pointer: str
) -> None:
    event = {"kind": "k", **wrong}
    alone = http.post("/v1/events", json=event)
    assert (alone.status_code, alone.json().get("pointer", "")) == (status, pointer)
    for query in ("", "?diff=true"):
        batch = http.post(f"/v1/events{query}", json=[{"kind": "k"}, event])
        assert (batch.status_code, batch.json()["pointer"]) == (status, f"/1{pointer}")
    _, line = append_lines(http, lines({"kind": "k"}, event))
    assert (line["status"], line["error"].get("pointer", "")) == (status, pointer)


@pytest.mark.parametrize("body", ['{"kind": "k"}', '[{"kind": "k"}]', "lines"])
def test_a_bad_idempotency_key_is_refused_by_its_name(http: httpx2.Client, body: str) -> None:
    headers = {"Idempotency-Key": "k" * 1025}
    if body == "lines":
        body, headers["Content-Type"] = lines({"kind": "k"}), "application/x-ndjson"
    answer = http.post("/v1/events", content=body, headers=headers)
    assert (answer.status_code, answer.json()["pointer"]) == (400, "Idempotency-Key")


def test_diff_computes_previous_for_lines_too(http: httpx2.Client) -> None:
    def update(n: int) -> Json:
        return {"kind": "order.set", "target": {"type": "order", "id": "7"}, "data": {"n": n}}

    path = "/v1/events?diff=true"
    event_id = str(uuid.uuid4())
    first = append_lines(http, lines(update(1), update(2)), path)
    assert [answer["status"] for answer in first] == [201, 201]
    # One that is refused leaves the others, and what differs, alone.
    taken = {**update(8), "id": event_id}
    http.post("/v1/events", json={"kind": "k", "id": event_id})
    second = append_lines(http, lines(update(3), taken, "{", update(4)), path)
    assert [answer["status"] for answer in second] == [201, 422, 400, 201]
    stored = [answer["id"] for answer in (*first, *second) if answer["status"] == 201]
    told = [http.get(f"/v1/events/{id}").json().get("previous") for id in stored]
    assert told == [None, {"n": 1}, {"n": 2}, {"n": 3}]
    refused = http.post(
        "/v1/events?diff=perhaps",
        content=lines(update(5)),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert (refused.status_code, refused.json()["pointer"]) == (400, "diff")

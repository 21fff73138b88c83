"""One event in several spellings: stored once, answered again; digits finer than milliseconds."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.events import ids
from tallystick.events.entry import digest_of
from tallystick.events.event import Draft
from tallystick.log.idempotency import claim_of_id
from tests.http.native.test_append import append_lines, lines, log_size
from tests.support.live_server import TENANT, LiveServer

Json = dict[str, Any]

ID = "22222222-3333-4444-8555-66666666660a"
EVENT: Json = {
    "kind": "rt.e",
    "id": ID,
    "occurred_at": "2026-01-01T00:00:00Z",
    "actor": {"type": "user", "id": "1", "name": "Kim", "attributes": {"x": 1, "y": 2.5}},
    "target": {"type": "order", "id": "7"},
    "scopes": [{"type": "crew", "id": "red"}],
    "trails": ["t"],
    "data": {"total": 1200.0, "list": [1, {"a": 0, "b": 1}], "nothing": None},
    "original": {"system": "till", "n": 3},
}
RESPELT: list[Json] = [
    {"occurred_at": "2026-01-01T00:00:00.000Z"},
    {"occurred_at": "2026-01-01T00:00:00.000000000000Z"},
    {"occurred_at": "2026-01-01t00:00:00z"},
    {"occurred_at": "2026-01-01T01:00:00+01:00"},
    {"occurred_at": "2025-12-31T23:59:60Z"},
    {"occurred_at": 1767225600000},
    {"id": ID.upper()},
    {"data": {"nothing": None, "list": [1.0, {"b": 1, "a": 0}], "total": 1200}},
    {"actor": {"attributes": {"y": 2.5, "x": 1}, "name": "Kim", "id": "1", "type": "user"}},
    {"original": {"n": 3, "system": "till"}},
    {"previous": None},
]
OTHER: list[Json] = [
    {"occurred_at": "2026-01-01T00:00:00.001Z"},
    {"occurred_at": None},
    {"kind": "rt.f"},
    {"data": {"total": 1201}},
    {"data": None},
    {"actor": None},
    {"scopes": []},
    {"trails": ["u"]},
    {"original": None},
    {"previous": {}},
]


@pytest.mark.parametrize("form", ["one", "array", "line"])
def test_row_19_another_spelling_is_the_same_event(http: httpx2.Client, form: str) -> None:
    first = http.post("/v1/events", json=EVENT).json()
    size = log_size(http)
    for change in RESPELT:
        sent = {**EVENT, **change}
        if form == "line":
            [line] = append_lines(http, lines(sent))
            assert (line["status"], line["id"]) == (200, first["id"]), change
        else:
            answer = http.post("/v1/events", json=sent if form == "one" else [sent])
            assert answer.status_code == 201, change
            assert answer.json() == (first if form == "one" else [first])
    for change in OTHER:
        assert http.post("/v1/events", json={**EVENT, **change}).status_code == 422, change
    assert log_size(http) == size


@pytest.mark.parametrize("form", ["one", "array", "line"])
def test_row_19_a_key_takes_every_spelling_too(http: httpx2.Client, form: str) -> None:
    key = {"Idempotency-Key": "k"}
    event = {name: value for name, value in EVENT.items() if name != "id"}

    def send(change: Json) -> int:
        sent = {**event, **change}
        if form == "line":
            status: int = append_lines(http, lines(sent), **key)[0]["status"]
            return status
        answer = http.post("/v1/events", json=sent if form == "one" else [sent], headers=key)
        return answer.status_code

    assert send({}) == 201
    size = log_size(http)
    for change in RESPELT:
        if "id" not in change:
            assert send(change) in (200, 201), change
    assert {send(change) for change in OTHER} == {422}
    assert log_size(http) == size


@pytest.mark.parametrize("event", [EVENT, {"kind": "k"}, {"kind": "k", "id": str(uuid.uuid4())}])
def test_row_19_an_answer_of_the_server_sent_back_is_a_replay(
    http: httpx2.Client, event: Json
) -> None:
    """The answer to the write, the event as it is read, and the one in a list."""
    stored = http.post("/v1/events", json=event).json()
    size = log_size(http)
    [listed] = http.get("/v1/events").json()["events"]
    for answer in (stored, http.get(f"/v1/events/{stored['id']}").json(), listed):
        # A program that knows but one kind of number has made 1200.0 into 1200.
        answer = json.loads(json.dumps(answer).replace("1200.0", "1200"))
        again = http.post("/v1/events", json=answer)
        assert (again.status_code, again.json()) == (201, stored)
        [line] = append_lines(http, lines(answer))
        assert (line["status"], line["index"]) == (200, stored["index"])
        assert http.post("/v1/events?diff=true", json=[answer]).json() == [stored]
    assert log_size(http) == size


def test_row_19_an_answer_that_was_changed_or_is_of_elsewhere_is_refused(
    http: httpx2.Client,
) -> None:
    stored = http.post("/v1/events", json={"kind": "k", "data": {"a": 1}}).json()
    http.post("/v1/events", json={"kind": "k"})
    size = log_size(http)
    elsewhere = str(uuid.uuid4())
    for change, status in (
        ({"data": {"a": 2}}, 422),
        ({"dialect": "orchestrate"}, 422),
        ({"op": "system"}, 422),
        ({"index": stored["index"] + 1}, 400),
        ({"id": elsewhere}, 400),
        ({"id": None}, 400),
        ({"index": None}, 400),
    ):
        answer = http.post("/v1/events", json={**stored, **change})
        assert answer.status_code == status, change
    for name in ("op", "recorded_at", "receipt", "revision"):
        answer = http.post("/v1/events", json={"kind": "k", name: stored[name]})
        assert answer.status_code == 400
        assert answer.json()["pointer"] == f"/{name}"
    assert log_size(http) == size


def test_an_id_of_ours_stays_with_the_event_that_has_it(http: httpx2.Client) -> None:
    stored = http.post("/v1/events", json={"kind": "k", "data": {"a": 1}}).json()
    same = {name: stored[name] for name in ("id", "kind", "data", "occurred_at")}
    assert http.post("/v1/events", json=same).json() == stored
    assert http.post("/v1/events", json={**same, "kind": "l"}).status_code == 422
    foreign = ids.event_id(0, stored["index"], 1)
    assert http.post("/v1/events", json={**same, "id": foreign}).status_code == 201


def test_two_spellings_in_one_request_are_one_event(http: httpx2.Client) -> None:
    size = log_size(http)
    both = [EVENT, {**EVENT, "id": ID.upper(), "occurred_at": 1767225600000}]
    first, second = http.post("/v1/events", json=both).json()
    assert first == second
    assert log_size(http) == size + 1


def test_events_that_came_before_digests_were_of_values_are_still_known(
    server: LiveServer, http: httpx2.Client, tmp_path: Path
) -> None:
    """Older versions kept the digest of the text as it came: the entry itself decides then."""
    draft = Draft(kind="k", id=ID, occurred_ms=5, data={"b": 1, "a": 2})
    written = {"kind": "k", "id": ID, "occurred_at": 5, "data": draft.data}
    draft.claims = ((claim_of_id(ID), digest_of(written)),)
    server.node.ledger.append(TENANT, [draft])
    event = {"kind": "k", "id": ID, "occurred_at": 5, "data": {"a": 2, "b": 1}}
    assert append_lines(http, lines(event))[0]["status"] == 200
    assert append_lines(http, lines({**event, "data": {}}))[0]["status"] == 422


def test_row_17_digits_below_the_millisecond_are_kept_and_shown(http: httpx2.Client) -> None:
    """Within a millisecond events stand in the order of the log."""
    texts = ("2025-05-05T05:05:05.123900Z", "2025-05-05T05:05:05.123100Z")
    body = lines(*({"kind": "us.v", "occurred_at": text, "data": {}} for text in texts))
    assert [answer["status"] for answer in append_lines(http, body)] == [201, 201]
    events = http.get("/v1/events", params={"kind": "us.v", "order": "asc"}).json()["events"]
    assert [event["occurred_at"] for event in events] == ["2025-05-05T05:05:05.123Z"] * 2
    assert [event["original"] for event in events] == [{"occurred_at": text} for text in texts]


@pytest.mark.parametrize(
    ("given", "original", "kept"),
    [
        ("2025-05-05T05:05:05.123000Z", None, None),
        ("2025-05-05T05:05:05.12+00:00", None, None),
        ("2025-05-05T07:05:05.1234+02:00", None, {"occurred_at": "2025-05-05T07:05:05.1234+02:00"}),
        (
            "2025-05-05T05:05:05.1230000001Z",
            {"id": 5},
            {"occurred_at": "2025-05-05T05:05:05.1230000001Z", "id": 5},
        ),
        (
            "2025-05-05T05:05:05.1239Z",
            {"occurred_at": "the writer's own"},
            {"occurred_at": "the writer's own"},
        ),
    ],
)
def test_row_17_only_what_would_be_lost_is_kept(
    http: httpx2.Client, given: str, original: Json | None, kept: Json | None
) -> None:
    event = {"kind": "k", "occurred_at": given, "original": original}
    assert http.post("/v1/events", json=event).json().get("original") == kept


def test_members_that_are_null_are_as_if_left_out(http: httpx2.Client) -> None:
    names = ("id", "occurred_at", "actor", "target", "scopes", "trails", "data", "previous")
    stored = http.post("/v1/events", json={"kind": "k", **dict.fromkeys(names)})
    assert stored.status_code == 201
    assert stored.json()["data"] == {}


@pytest.mark.parametrize("text", ["٢٠٢٦-11-21T09:30:00Z", "2026-11-21T09:30:60Z"])
def test_rows_28_and_29_a_time_that_is_none_is_refused(http: httpx2.Client, text: str) -> None:
    answer = http.post("/v1/events", json={"kind": "tv.e", "occurred_at": text})
    assert (answer.status_code, answer.json()["pointer"]) == (400, "/occurred_at")
    assert http.get("/v1/events", params={"from": text}).status_code == 400

"""Streams through the native API: who may make them, what is refused, and what is never shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from tallystick import limits
from tallystick.identity.access import Scope
from tallystick.identity.replay import IdentityReplay, identity_differences
from tallystick.identity.streams import Stream
from tests.subscriptions.streams.receivers import FAILS, OK, Answer, Received, receiving
from tests.support.live_server import TENANT, LiveServer, open_server

STREAMS = f"/v1/admin/tenants/{TENANT}/streams"
HOOK: dict[str, Any] = {"name": "s", "sink": "webhook", "to": "https://receiver.example/in"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """Serve an empty store that may send to this machine; its log is checked in the end."""
    with open_server(tmp_path / "data", streams_allow=("127.0.0.1/32",)) as live:
        yield live


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return a client with the admin key."""
    with server.http() as client:
        yield client


def kinds(http: httpx2.Client) -> list[str]:
    """Return the kinds of the log's entries about streams, and see that they name it."""
    answer = http.get("/v1/events?view=log&order=asc&limit=1000&kind=stream.*").json()
    assert {(entry["op"], entry["target"]["id"]) for entry in answer["events"]} == {("system", "s")}
    return [entry["kind"] for entry in answer["events"]]


def test_every_act_is_an_entry_and_the_records_agree_with_them(
    server: LiveServer, http: httpx2.Client
) -> None:
    with receiving() as receiver:
        made = http.post(STREAMS, json=HOOK | {"to": receiver.url}).json()
        assert made["state"] == "active"
        assert http.post(f"{STREAMS}/s/pause", json={"reason": "night"}).status_code == 200
        assert http.post(f"{STREAMS}/s/resume").status_code == 200
        assert http.post(f"{STREAMS}/s/test").json()["delivered"] is True
        assert http.post(f"{STREAMS}/s/replay", json={"from": 0}).status_code == 200
        assert http.post(f"{STREAMS}/s/replay", json={"from": 0, "to": 2}).status_code == 200
        assert http.post(f"{STREAMS}/s/replay", json={"dead": True}).status_code == 200
        assert http.post(f"{STREAMS}/s/skip", json={"to": "now"}).status_code == 200
        assert http.post(f"{STREAMS}/s/rotate-secret").status_code == 200
        store = server.node.store
        head = store.log_head(TENANT)
        assert head is not None
        assert identity_differences(store, TENANT, head.size) == []
        assert http.delete(f"{STREAMS}/s").status_code == 204
    assert kinds(http) == [
        "stream.created", "stream.paused", "stream.resumed", "stream.tested", "stream.replayed",
        "stream.replayed", "stream.replayed", "stream.skipped", "stream.secret_rotated",
        "stream.deleted",
    ]  # fmt: skip
    (test,) = receiver.taken
    assert test.json["events"] == []
    assert test.json["notices"][0]["notice"] == "test"


@pytest.mark.parametrize(
    "change",
    [
        {"to": "https://attacker.example/"}, {"state": "active", "run": 9}, {"epoch": 9},
        {"filter": {"q": "*"}}, {"maker": {}}, {"salt": "00"},
    ],
)  # fmt: skip
def test_a_record_that_was_changed_behind_the_log_is_noticed(
    server: LiveServer, http: httpx2.Client, change: dict[str, Any]
) -> None:
    """As a hand in the database does it: the log tells otherwise."""

    http.post(STREAMS, json=HOOK)
    http.post(f"{STREAMS}/s/pause")
    store = server.node.store
    head = store.log_head(TENANT)
    assert head is not None
    (row,) = store.identities(TENANT, "stream")
    replay = IdentityReplay(TENANT, ("stream",))
    replay.advance(store, 0, head.size)
    assert list(replay.differences([row])) == []
    record = msgspec.json.decode(row.doc, type=dict[str, Any]) | change
    changed = row._replace(doc=msgspec.json.encode(record))
    assert len(list(replay.differences([changed]))) == 1
    assert len(list(replay.differences([]))) == 1


def test_only_administrators_of_the_tenant_have_streams(
    server: LiveServer, http: httpx2.Client
) -> None:
    assert http.post(STREAMS, json=HOOK).status_code == 201
    other = server.create_tenant("other")
    reader = server.create_key(TENANT, (Scope.READ, Scope.WRITE))
    calls = [("GET", STREAMS), ("POST", STREAMS), ("DELETE", f"{STREAMS}/s")]
    calls += [("GET", f"{STREAMS}/s{what}") for what in ("", "/deliveries", "/dead-letters")]
    acts = ("pause", "resume", "test", "replay", "skip", "rotate-secret")
    calls += [("POST", f"{STREAMS}/s/{act}") for act in acts]
    for key, status in ((other, 404), (reader, 403)):
        with server.http(key) as client:
            for method, path in calls:
                assert client.request(method, path, json={}).status_code == status, path
    with server.plain_http() as nobody:
        assert {nobody.request(method, path).status_code for method, path in calls} == {401}
    assert http.get(f"{STREAMS}/s").json()["state"] == "active"
    with server.http(other) as client:
        assert client.get("/v1/admin/tenants/other/streams").json() == {"streams": []}


def test_secrets_are_shown_once_and_stored_nowhere(
    server: LiveServer, http: httpx2.Client, tmp_path: Path
) -> None:
    headers = {"Authorization": "Bearer very-secret-token"}
    made = http.post(STREAMS, json=HOOK | {"headers": headers}).json()
    splunk = {"name": "splunk", "sink": "hec", "to": "https://splunk.example", "token": "hec-token"}
    assert http.post(STREAMS, json=splunk).status_code == 201
    told = http.get(STREAMS).text + http.get("/v1/events?view=log&limit=1000").text
    kept = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("ledger.db*"))
    for secret in (made["secret"], "very-secret-token", "hec-token"):
        assert secret not in told
        assert secret.encode() not in kept
    stream = server.node.identity.get(Stream, TENANT, "s")
    assert stream is not None
    assert stream.headers is not None


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": ""}, "/name"), ({"name": "a b"}, "/name"), ({"name": "x" * 65}, "/name"),
        ({"name": "../up"}, "/name"), ({"sink": "smoke"}, "/sink"), ({"mode": "fast"}, "/mode"),
        ({"to": "ftp://receiver.example"}, "/to"), ({"to": "https://u:p@receiver.example"}, "/to"),
        ({"token": "t"}, "/token"), ({"sink": "hec"}, "/token"),
        ({"headers": {"Host": "other"}}, "/headers"), ({"headers": {"a b": "c"}}, "/headers"),
        ({"headers": {"X": "a\r\nY: b"}}, "/headers"), ({"headers": {"X": "é"}}, "/headers"),
        ({"headers": {f"x-{n}": "1" for n in range(17)}}, "/headers"),
        ({"options": {"index": "audit"}}, "/options"),
        ({"sink": "hec", "token": "t", "options": {"fast": "yes"}}, "/options"),
        ({"filter": {"actor": ["nobody"]}}, "/actor"),
        ({"filter": {"from": "now"}}, "/filter/from"),
        ({"from": 10**6}, "/from"), ({"from": "yesterday"}, "/from"), ({"from": -1}, "/from"),
        ({"surprise": 1}, "/surprise"),
    ],
)  # fmt: skip
def test_what_could_not_be_sent_is_refused_at_once(
    http: httpx2.Client, changes: dict[str, Any], path: str
) -> None:
    answer = http.post(STREAMS, json=HOOK | changes)
    assert answer.status_code == 400, answer.text
    assert answer.json().get("pointer", "") == path, answer.text
    assert http.get(STREAMS).json() == {"streams": []}


def test_a_query_that_is_not_understood_is_refused(http: httpx2.Client) -> None:
    answer = http.post(STREAMS, json=HOOK | {"filter": {"q": "data.total:["}})
    assert (answer.status_code, answer.json()["type"]) == (
        400,
        "urn:tallystick:error:invalid_query",
    )


def test_a_name_is_taken_once_and_a_hundred_at_most(
    http: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAMS", 2)
    assert http.post(STREAMS, json=HOOK).status_code == 201
    assert http.post(STREAMS, json=HOOK).status_code == 409
    assert http.post(STREAMS, json=HOOK | {"name": "t"}).status_code == 201
    answer = http.post(STREAMS, json=HOOK | {"name": "u"})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "the tenant has 2 streams already",
    )


def test_acts_on_no_stream_are_404(http: httpx2.Client) -> None:
    for act in ("pause", "resume", "test", "skip", "rotate-secret"):
        assert http.post(f"{STREAMS}/none/{act}").status_code == 404
    assert http.post(f"{STREAMS}/none/replay", json={"from": 0}).status_code == 404
    assert http.delete(f"{STREAMS}/none").status_code == 404
    assert http.get(f"{STREAMS}/none/deliveries").status_code == 404


def test_a_test_tells_what_the_receiver_answers_and_keeps_none_of_it(http: httpx2.Client) -> None:
    answers = [OK, Answer(400, b"what is\nthis?", keeps=False), FAILS]

    def decide(number: int, received: Received) -> Answer:
        return answers[number]

    with receiving(decide) as receiver:
        http.post(STREAMS, json=HOOK | {"to": receiver.url})
        taken, refused, failed = (http.post(f"{STREAMS}/s/test").json() for _ in answers)
    assert (taken["delivered"], taken["status"]) == (True, 200)
    assert (refused["delivered"], refused["status"]) == (False, 400)
    assert refused["answer"] == "what is this?"
    assert failed["problem"] == "the receiver answered 500"
    assert http.get(f"{STREAMS}/s").json()["lag"] == 4
    assert http.get(f"{STREAMS}/s/deliveries").json() == {"deliveries": []}
    assert "what is" not in http.get("/v1/events?view=log&limit=1000").text


def test_a_test_dials_no_address_that_a_stream_may_not(http: httpx2.Client) -> None:
    http.post(STREAMS, json=HOOK | {"to": "https://169.254.169.254/latest/meta-data/"})
    outcome = http.post(f"{STREAMS}/s/test").json()
    assert outcome["delivered"] is False
    assert outcome["problem"] == (
        "169.254.169.254 may not be connected to: 169.254.169.254 is link-local"
    )


def test_a_stream_begins_where_it_is_told(http: httpx2.Client) -> None:
    for number in range(3):
        http.post("/v1/events", json={"kind": "k", "data": {"n": number}})
    entries = http.get("/v1/events?view=log&order=asc").json()["events"]
    size = len(entries)
    places = {"now": size, "start": 0, "at": 3, "time": entries[3]["recorded_at"]}
    made = {}
    for at, (name, place) in enumerate(places.items()):
        answer = http.post(STREAMS, json=HOOK | {"name": name, "from": place})
        assert answer.status_code == 201, answer.text
        made[name] = answer.json()["position"] - (at if place == "now" else 0)
    assert (made["now"], made["start"], made["at"]) == (size, 0, 3)
    assert made["time"] <= 3
    assert entries[made["time"]]["recorded_at"] == places["time"]

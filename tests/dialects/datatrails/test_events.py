"""Events over HTTP: what is stored and how it is shown, what is refused and in which shape."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tallystick import limits
from tallystick.events.event import Draft, Resource
from tallystick.identity.access import Scope
from tallystick.query.expr import Everything
from tests.dialects.datatrails.conftest import Account, Json, RateClock
from tests.support.live_server import open_server

SEED: Json = {
    "trails": ["Clouseau"],
    "attributes": {
        "arc_display_type": "Safety Conformance",
        "Safety Rating": "90",
        "inspector": "Clouseau",
    },
    "event_type": "Safety Conformance",
}
CREATE = "/archivist/v1/events"
# What curl sends where the seed forgets the @ in front of a file's name.
NO_FILE = "/tmp/search.json"  # noqa: S108  # the seed's own words


def post_text(account: Account, body: str | bytes, path: str = CREATE) -> Any:
    """Post a body as curl does without a content type of its own."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return account.app.post(path, content=body, headers=kind)


@pytest.mark.row("D-1", "D-2", "D-10", "D-20", "D-21", "D-22", "D-23", "D-24", "D-26")
def test_created_event_is_answered_as_the_seed_shows(account: Account) -> None:
    answer = account.app.post(CREATE, json=SEED)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    event = answer.json()
    assert list(event) == [
        "identity", "attributes", "trails", "event_type", "origin_tenant", "created_by",
        "created_at", "confirmation_status", "merklelog_commit",
    ]  # fmt: skip
    assert {name: event[name] for name in SEED} == SEED
    assert event["origin_tenant"] == f"tenant/{account.uuid}"
    assert event["created_by"] == account.application["client_id"]
    assert event["confirmation_status"] == "STORED"
    assert event["merklelog_commit"] == {"index": "0", "idtimestamp": ""}
    assert type(event["created_at"]) is int
    named = uuid.UUID(event["identity"].removeprefix("events/"))
    assert named.version == 7
    assert named.int >> 80 == event["created_at"]


@pytest.mark.row("D-34")
def test_event_is_read_by_its_identity_as_a_path(account: Account) -> None:
    created = account.create(**SEED)
    read = account.read(created["identity"])
    for name in set(created) - {"confirmation_status", "merklelog_commit"}:
        assert read[name] == created[name]


ATTRIBUTES: list[Json] = [
    {"foo": "bar", "empty": ""},
    {"dict": {"a": "1", "b": ""}, "none": {}},
    {"list": [{"a": "1"}, {"b": "2"}, {}], "no parts": []},
    {"Clé à molette": "日本語 ‮ right to left", "": "no name", "a.b": "dotted"},
    {"arc_display_type": "t", "arc_description": "d", "arc_gis_lat": "1", "arc_unheard_of": "x"},
    {"document_hash_value": "h", "document_version": "v4", "timestamp_declared": "2020"},
    {"arc_blob_hash_value": "9f" * 32, "arc_blob_hash_alg": "SHA256", "arc_file_name": "f"},
    {"markup": "<b>&amp;</b>\u2028", "control": "\t\n\r\x00\x1f\x7f", "headers": "a\r\nX: y"},
]


@pytest.mark.row("D-11", "D-12", "D-13", "D-14", "D-66", "D-68")
@pytest.mark.parametrize("attributes", ATTRIBUTES)
def test_attributes_come_back_as_they_were_sent(account: Account, attributes: Json) -> None:
    created = account.create(attributes=attributes)
    assert created["attributes"] == attributes
    assert account.read(created["identity"])["attributes"] == attributes


@pytest.mark.row("D-15", "D-16", "D-17")
def test_trails_keep_their_order_and_absent_members_are_empty(account: Account) -> None:
    trails = ["b", "a", "b", "Ünïcødé / slash", "x" * limits.NAME_BYTES]
    assert account.create(trails=trails)["trails"] == trails
    for members in ({}, {"attributes": None, "trails": None, "event_type": None}):
        created = account.create(**members)
        assert (created["attributes"], created["trails"], created["event_type"]) == ({}, [], "")


BROKEN: dict[str, str | bytes] = {
    "the seed's primary image with its trailing comma": json.dumps(SEED)[:-1] + ",\n}",
    "nothing": "",
    "a path instead of a file": NO_FILE,
    "an array": "[]",
    "not UTF-8": b"\xff{}",
    "a number as a value": '{"attributes": {"Safety Rating": 90}}',
    "a boolean as a value": '{"attributes": {"a": true}}',
    "null as a value": '{"attributes": {"a": null}}',
    "a list of strings": '{"attributes": {"a": ["b"]}}',
    "nested too deep": '{"attributes": {"a": {"b": {"c": "d"}}}}',
    "a backspace": '{"attributes": {"a": "\\b"}}',
    "a lone surrogate": '{"attributes": {"a": "\\ud800"}}',
    "trails in a string": '{"trails": "Clouseau"}',
    "a trail that is no string": '{"trails": [7]}',
    "an event type that is no string": '{"event_type": 7}',
    "an unknown member": '{"event-type": "a"}',
    "a trail too long": json.dumps({"trails": ["x" * 1025]}),
    "too many trails": json.dumps({"trails": ["x"] * 65}),
    "very deep": '{"attributes":' * 2000 + "{}" + "}" * 2000,
}


@pytest.mark.row("D-19", "D-58")
@pytest.mark.parametrize("what", BROKEN)
def test_broken_body_is_refused_and_nothing_stored(account: Account, what: str) -> None:
    answer = post_text(account, BROKEN[what])
    assert answer.status_code == 400
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    assert (body["code"], bool(body["message"])) == (3, True)
    assert account.found() == []


@pytest.mark.row("D-19", "D-37", "D-38")
def test_broken_search_of_the_seed_is_refused(account: Account) -> None:
    cut_off = '{\n  "filter": "event_type eq \'Safety Conformance\'",\n  "top": 2,\n  "skip": 2\n'
    for body in (cut_off, NO_FILE):
        for path in ("/archivist/v1/events/search", "/archivist/v1/events/search/"):
            assert post_text(account, body, path).status_code == 400


@pytest.mark.row("D-18")
def test_request_has_64_kilobytes_at_most(account: Account) -> None:
    room = limits.DATATRAILS_EVENT_BYTES - len('{"attributes": {"a": ""}}')
    whole = json.dumps({"attributes": {"a": "x" * room}})
    assert post_text(account, whole).status_code == 200
    larger = json.dumps({"attributes": {"a": "x" * (room + 1)}})
    answer = post_text(account, larger)
    assert answer.status_code == 400
    assert "65,536" in answer.json()["message"]


@pytest.mark.row("D-2", "D-3")
@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer", "Bearer nonsense", "Bearer a.b.c", "Bearer tlk_unknown", "Digest x", "x"],
)
def test_every_path_needs_a_good_token(account: Account, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    asked = [
        ("POST", CREATE), ("GET", f"{CREATE}/{uuid.uuid4()}"), ("POST", f"{CREATE}/search"),
        ("POST", "/archivist/v1/blobs"), ("GET", f"/archivist/v1/blobs/{uuid.uuid4()}"),
        ("GET", "/archivist/iam/v1/applications"), ("GET", "/archivist/v1/caps"),
        ("GET", "/archivist/v1/tenancies/self"), ("GET", "/extensions/datatrails/trails"),
        ("GET", f"/archivist/v2/attachments/events/{uuid.uuid4()}/{uuid.uuid4()}"),
    ]  # fmt: skip
    for method, path in asked:
        answer = account.anonymous.request(method, path, headers=headers, content=b"{}")
        assert answer.status_code == 401, path
        assert answer.json()["code"] == 16
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.row("D-35", "D-58")
@pytest.mark.parametrize(
    "name", ["c24f8597-0c31-447d-a11d-97412d57e80a", "xxxxxxxx", "..%2f..", "%00", "a" * 3000]
)
def test_unknown_event_is_not_found(account: Account, name: str) -> None:
    answer = account.app.get(f"{CREATE}/{name}")
    assert answer.status_code == 404
    assert answer.json()["code"] == 5


@pytest.mark.row("D-33")
def test_events_are_neither_changed_nor_deleted(account: Account) -> None:
    identity = account.create(**SEED)["identity"]
    for method in ("PUT", "PATCH", "DELETE", "POST"):
        answer = account.app.request(method, f"/archivist/v1/{identity}", content=b"{}")
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
        assert answer.json()["code"] == 12
    assert account.read(identity)["attributes"] == SEED["attributes"]


def test_unknown_path_is_answered_in_the_dialects_shape(account: Account) -> None:
    for path in ("/archivist/v2/assets", "/archivist/v1/sboms"):
        answer = account.app.get(path)
        assert answer.status_code == 404
        assert answer.json()["details"][0]["@type"].endswith("RequestInfo")
    # The storage service of the public log has a shape of its own.
    answer = account.app.get("/verifiabledata/x")
    assert answer.status_code == 404
    assert answer.headers["x-ms-error-code"] == "BlobNotFound"


def test_reader_may_not_write_and_writer_may_not_read(account: Account) -> None:
    identity = account.create(**SEED)["identity"]
    reader = account.http(account.key_with(Scope.READ))
    writer = account.http(account.key_with(Scope.WRITE))
    assert reader.post(CREATE, json=SEED).status_code == 403
    assert reader.post("/archivist/v1/blobs", files={"file": b"x"}).status_code == 403
    assert writer.get(f"/archivist/v1/{identity}").status_code == 403
    assert writer.post(f"{CREATE}/search", json={}).json()["code"] == 7


@pytest.mark.row("D-61")
def test_events_of_another_tenant_do_not_exist(account: Account, stranger: Account) -> None:
    event = account.confirmed(account.create(**SEED)["identity"])
    answer = stranger.app.get(f"/archivist/v1/{event['identity']}")
    unknown = stranger.app.get(f"/archivist/v1/events/{uuid.uuid4()}")
    assert answer.status_code == unknown.status_code == 404
    assert set(answer.json()) == set(unknown.json())
    for filter in ("", f"origin_tenant eq 'tenant/{account.uuid}'", "created_at gt 0"):
        assert stranger.found(filter) == []
    receipt = f"/extensions/datatrails/receipts/{event['identity']}"
    assert stranger.app.get(receipt).status_code == 404
    assert account.app.get(receipt).status_code == 200


def test_same_idempotency_key_stores_once(account: Account) -> None:
    headers = {"Idempotency-Key": "only once"}
    first = account.app.post(CREATE, json=SEED, headers=headers).json()
    assert account.app.post(CREATE, json=SEED, headers=headers).json() == first
    other = account.app.post(CREATE, json={"event_type": "other"}, headers=headers)
    assert other.status_code == 422
    assert account.found() == [first["identity"]]


def test_two_equal_events_are_two(account: Account) -> None:
    assert account.create(**SEED)["identity"] != account.create(**SEED)["identity"]
    assert len(account.found()) == 2


def test_user_with_a_role_sees_only_what_the_role_shows(account: Account) -> None:
    server = account.server
    server.create_user(account.tenant, "481", login=f"m@{account.tenant}", password="correct horse")
    server.grant(account.tenant, "481", "space:s1", "space_auditor")
    space, other = Resource("space", "s1"), Resource("space", "s2")
    drafts = [Draft(kind="k", scopes=(scope,)) for scope in (space, other)]
    server.node.ledger.append(account.tenant, drafts)
    form = {
        "grant_type": "password",
        "username": f"m@{account.tenant}",
        "password": "correct horse",
    }
    issued = account.anonymous.post("/oauth/token", data=form, auth=("cf", "")).json()
    user = account.http(issued["access_token"])
    shown = account.search("event_type eq 'k'").json()["events"]
    answer = user.post(f"{CREATE}/search", json={})
    assert answer.headers["x-total-count"] == "1"
    assert answer.json()["events"][0]["identity"] == shown[0]["identity"]
    assert user.get(f"/archivist/v1/{shown[0]['identity']}").status_code == 200
    assert user.get(f"/archivist/v1/{shown[1]['identity']}").status_code == 404


def test_retracted_event_stays_and_an_erased_one_is_empty(account: Account) -> None:
    ledger = account.server.node.ledger
    stored = ledger.append(
        account.tenant, [Draft(kind="k", data={"a": "b"}, trails=("t",)) for _ in range(2)]
    )
    for outcome, erase in zip(stored, (False, True), strict=True):
        ledger.retract(
            account.tenant, outcome.id, visible=Everything(), dialect="native", erase=erase
        )
    kept, gone = (account.read(f"events/{outcome.id}") for outcome in stored)
    assert kept["attributes"]["a"] == "b"
    assert "a" not in gone["attributes"]
    assert account.found("trails/any(t: t eq 't')") == [kept["identity"]]
    assert account.found("event_type eq 'k'") == [kept["identity"], gone["identity"]]


@pytest.mark.row("D-59")
def test_too_many_requests_are_told_when_to_come_back(
    tmp_path: Path, rate_clock: RateClock
) -> None:
    with open_server(tmp_path / "data", datatrails={"events_per_second": 2.0}) as server:
        account = Account(server)
        answers = [account.app.post(CREATE, json=SEED) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        reset_s = float(answers[2].headers["archivist-rate-limit-reset"])
        assert 0 < reset_s <= 0.5
        assert answers[2].json()["code"] == 8
        rate_clock.now_s += reset_s
        assert account.app.post(CREATE, json=SEED).status_code == 200
        # Another tenant has an allowance of its own.
        other = Account(server)
        assert other.app.post(CREATE, json=SEED).status_code == 200
        for made in (account, other):
            made.close()


@pytest.mark.row("D-9", "D-60")
def test_quotas_are_refused_as_payment_required(tmp_path: Path) -> None:
    quotas = {"events": 1, "blobs": 1, "applications": 2}
    with open_server(tmp_path / "data", datatrails={"quotas": quotas}) as server:
        account = Account(server)
        caps = "/archivist/v1/caps"
        assert account.app.get(caps, params={"service": "blobs"}).json() == {
            "caps": [{"resource_type": "blobs", "resource_remaining": "1"}]
        }
        account.create(**SEED)
        account.upload(b"x")
        account.admin.post("/archivist/iam/v1/applications", json={"display_name": "second"})
        left = account.app.get(caps).json()["caps"]
        assert [cap["resource_remaining"] for cap in left] == ["0", "0"]
        refused = [
            account.app.post(CREATE, json=SEED),
            account.app.post("/archivist/v1/blobs", files={"file": b"x"}),
            account.admin.post("/archivist/iam/v1/applications", json={"display_name": "third"}),
        ]
        for answer in refused:
            assert answer.status_code == 402
            body = answer.json()
            assert body["code"] == 12
            assert body["message"].endswith(": Payment Required")
            assert body["details"][0]["violations"][0]["subject"] == f"tenant/{account.uuid}"
        assert account.app.get(caps, params={"service": "assets"}).status_code == 400
        account.close()


def test_tenancy_is_told_to_its_own_only(account: Account, stranger: Account) -> None:
    own = account.app.get("/archivist/v1/tenancies/self").json()
    assert own["identity"] == f"tenant/{account.uuid}"
    path = f"/archivist/v1/tenancies/{account.uuid}:publicinfo"
    assert account.app.get(path).json() == own
    assert stranger.app.get(path).status_code == 404

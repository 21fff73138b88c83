"""The codec: requests as the seed sends them, answers as the seed prints them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.dialects.datatrails import wire
from tallystick.dialects.datatrails.wire import EventSearch, Status
from tallystick.errors import Malformed, RequestError, TooLarge
from tallystick.events import entry
from tallystick.events.event import Event, View
from tests.dialects.datatrails import logs, strategies

_SEED_EVENT = b"""{
  "trails": ["Clouseau"],
  "attributes": {
    "arc_display_type": "Safety Conformance",
    "Safety Rating": "90",
    "inspector": "Clouseau"
  },
  "event_type": "Safety Conformance"
}"""
_PRIMARY_IMAGE = {
    "arc_attribute_type": "arc_attachment",
    "arc_display_name": "arc_primary_image",
    "arc_blob_hash_value": "h1234567h",
    "arc_blob_identity": "blobs/b1234567-890b",
    "arc_blob_hash_alg": "SHA256",
    "arc_file_name": "conformance.pdf",
}


def _recorded(body: bytes, index: int = 9) -> View:
    draft = wire.decode_event(body, actor=logs.APP)
    entry.prepare(draft)
    return logs.view(
        logs.event(
            index,
            kind=draft.kind,
            trails=draft.trails,
            data=draft.data,
            actor=draft.actor,
            dialect=draft.dialect,
        )
    )


def _answer(body: bytes, status: Status = Status.STORED) -> dict[str, Any]:
    return wire.from_event(_recorded(body), tenant_uuid=logs.TENANT, status=status)


@pytest.mark.row("D-10", "D-11", "D-20", "D-21", "D-22", "D-23", "D-24", "D-26")
def test_seeds_create_request_gets_the_seeds_answer() -> None:
    view, answer = _recorded(_SEED_EVENT), _answer(_SEED_EVENT)
    assert list(answer.items()) == [
        ("identity", f"events/{view.first.id}"),
        (
            "attributes",
            {
                "inspector": "Clouseau",
                "arc_display_type": "Safety Conformance",
                "Safety Rating": "90",
            },
        ),
        ("trails", ["Clouseau"]),
        ("event_type", "Safety Conformance"),
        ("origin_tenant", f"tenant/{logs.TENANT}"),
        ("created_by", logs.APP.id),
        ("created_at", view.first.recorded_ms),
        ("confirmation_status", "STORED"),
        ("merklelog_commit", {"index": "0", "idtimestamp": ""}),
    ]
    millis = int(view.first.id.replace("-", "")[:12], 16)
    assert (view.first.id[14], millis) == ("7", answer["created_at"])


@pytest.mark.row("D-25", "D-27", "D-28", "D-29", "D-30", "D-31", "D-32")
@pytest.mark.parametrize("status", [Status.COMMITTED, Status.CONFIRMED])
def test_committed_event_has_both_commit_shapes(status: Status) -> None:
    answer = _answer(_SEED_EVENT, status)
    assert list(answer)[-3:] == ["confirmation_status", "merklelog_commit", "ledger_entry"]
    assert answer["confirmation_status"] == status.value
    idtimestamp = answer["merklelog_commit"]["idtimestamp"]
    assert answer["merklelog_commit"] == {"index": "16", "idtimestamp": idtimestamp}
    assert idtimestamp.endswith("000009")
    ledger_entry = answer["ledger_entry"]
    assert list(ledger_entry.items()) == [
        ("index", "16"),
        ("idtimestamp", idtimestamp),
        ("content_hash", ledger_entry["content_hash"]),
        ("hash_schema", "v0"),
        ("log_id", str(logs.TENANT)),
    ]
    assert (
        ledger_entry["content_hash"]
        == wire.searched(_recorded(_SEED_EVENT), str(logs.TENANT))["content_hash"]
    )


@pytest.mark.row("D-25")
def test_status_follows_the_sizes_of_the_public_log() -> None:
    statuses = [wire.status_of(i, committed=2, confirmed=1) for i in range(3)]
    assert statuses == [Status.CONFIRMED, Status.COMMITTED, Status.STORED]


@pytest.mark.row("D-12", "D-13", "D-14", "D-15", "D-65", "D-66", "D-68")
@pytest.mark.parametrize(
    "sent",
    [
        {"attributes": {"arc_primary_image": _PRIMARY_IMAGE}, "trails": ["Clouseau"]},
        {"attributes": {"document": _PRIMARY_IMAGE | {"arc_display_name": "document"}}},
        {"attributes": {"list": [{"a": "1"}, {"b": "2", "c": ""}, {}], "empty": []}},
        {"attributes": {"": "", "dict": {}, "a.b": "dots", "ключ и пробел": "значение"}},
        {"trails": ["z", "a", "z", ""]},
        {"attributes": {"arc_display_type": "x", "arc_unknown": "y", "arc_gis_lat": "1.5"}},
    ],
    ids=repr,
)
def test_attributes_and_trails_come_back_as_sent(sent: dict[str, Any]) -> None:
    answer = _answer(json.dumps(sent).encode())
    assert answer["attributes"] == sent.get("attributes", {})
    assert answer["trails"] == sent.get("trails", [])


@pytest.mark.row("D-16", "D-17")
@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"attributes":null,"trails":null,"event_type":null}', b'{"event_type":""}'],
)
def test_absent_members_are_shown_empty(body: bytes) -> None:
    answer = _answer(body)
    assert (answer["attributes"], answer["trails"], answer["event_type"]) == ({}, [], "")


@pytest.mark.row("D-18")
def test_request_beyond_64_kib_is_refused_naming_the_limit() -> None:
    frame = len(b'{"attributes":{"a":""}}')
    fits = b'{"attributes":{"a":"%b"}}' % (b"x" * (limits.DATATRAILS_EVENT_BYTES - frame))
    assert len(_answer(fits)["attributes"]["a"]) == 65_536 - frame
    with pytest.raises(TooLarge, match="65,536 bytes; this request has 65,537") as caught:
        wire.decode_event(fits + b" ", actor=None)
    assert (caught.value.limit, caught.value.actual) == (65_536, 65_537)


@pytest.mark.row("D-19")
@pytest.mark.parametrize(
    "body",
    [
        b'{"trails": ["Clouseau"], "event_type": "Safety Conformance",}',
        b'{"filter": "event_type eq \'x\'", "top": 2, "skip": 2\n',
        b"/tmp/search.json",
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"\xff",
        b'{"attributes":{"a":"\xff"}}',
        b'{"attributes":{"a":"\\ud800"}}',
        b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:40]),
)
@pytest.mark.parametrize(
    "decode",
    [wire.decode_search, lambda body: wire.decode_event(body[:65_000], actor=None)],
    ids=["search", "create"],
)
def test_broken_body_is_refused_as_malformed(decode: Any, body: bytes) -> None:
    with pytest.raises(Malformed):
        decode(body)


@pytest.mark.row("D-19")
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"attribute": {}}, "attribute"),
        ({"attributes": []}, "attributes"),
        ({"attributes": {"a": 1}}, "attributes.a"),
        ({"attributes": {"a": None}}, "attributes.a"),
        ({"attributes": {"Safety Rating": True}}, "attributes.Safety Rating"),
        ({"attributes": {"a": ["b"]}}, "attributes.a[0]"),
        ({"attributes": {"a": [{}, {"b": 1}]}}, "attributes.a[1].b"),
        ({"attributes": {"a": [[]]}}, "attributes.a[0]"),
        ({"attributes": {"a": {"b": {"c": "d"}}}}, "attributes.a.b"),
        ({"attributes": {"a": {"b": []}}}, "attributes.a.b"),
        ({"attributes": {"a": "\b"}}, "attributes.a"),
        ({"attributes": {"a\f": ""}}, "attributes"),
        ({"attributes": {"a": {"\b": ""}}}, "attributes.a"),
        ({"attributes": {"a": [{"b": "\f"}]}}, "attributes.a[0].b"),
        ({"trails": "a"}, "trails"),
        ({"trails": ["a", 1]}, "trails[1]"),
        ({"trails": ["\b"]}, "trails[0]"),
        ({"event_type": 1}, "event_type"),
        ({"event_type": "\f"}, "event_type"),
    ],
    ids=repr,
)
def test_member_of_the_wrong_kind_is_refused_with_its_path(body: Any, path: str) -> None:
    with pytest.raises(Malformed) as caught:
        wire.decode_event(json.dumps(body).encode(), actor=None)
    assert caught.value.path == path


@pytest.mark.parametrize("path", ["event_type", "trails[0]"])
def test_name_beyond_1024_bytes_is_refused_with_its_path(path: str) -> None:
    for length, too_long in ((512, False), (513, True)):
        name = "é" * length
        body = json.dumps({"event_type": name} if path == "event_type" else {"trails": [name]})
        if not too_long:
            wire.decode_event(body.encode(), actor=None)
            continue
        with pytest.raises(TooLarge) as caught:
            wire.decode_event(body.encode(), actor=None)
        assert caught.value.path == path


def test_last_of_two_equal_members_wins() -> None:
    answer = _answer(b'{"attributes":{"a":"1","a":"2"},"event_type":"x","event_type":"y"}')
    assert (answer["attributes"], answer["event_type"]) == ({"a": "2"}, "y")


@pytest.mark.row("D-36", "D-52", "D-53")
@pytest.mark.parametrize(
    ("body", "search"),
    [
        (b"{}", EventSearch("", 20, 0)),
        (b'{"filter":null,"top":null,"skip":null}', EventSearch("", 20, 0)),
        (b'{"filter": "a eq \'b\'", "top": 50, "skip": 7}', EventSearch("a eq 'b'", 50, 7)),
        (b'{"top": 0}', EventSearch("", 0, 0)),
    ],
)
def test_search_document_is_read(body: bytes, search: EventSearch) -> None:
    assert wire.decode_search(body) == search


@pytest.mark.row("D-52", "D-53")
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"top": 51}, "top"),
        ({"top": -1}, "top"),
        ({"top": "20"}, "top"),
        ({"top": 20.0}, "top"),
        ({"top": True}, "top"),
        ({"skip": -1}, "skip"),
        ({"skip": 1 << 63}, "skip"),
        ({"skip": 10**30}, "skip"),
        ({"filter": 5}, "filter"),
        ({"page_token": ""}, "page_token"),
    ],
    ids=repr,
)
def test_bad_search_member_is_refused_with_its_path(body: Any, path: str) -> None:
    with pytest.raises(Malformed) as caught:
        wire.decode_search(json.dumps(body).encode())
    assert caught.value.path == path


_BODIES = st.fixed_dictionaries(
    {
        "attributes": strategies.ATTRIBUTES,
        "trails": st.lists(strategies.NAMES, max_size=4),
        "event_type": strategies.NAMES,
    }
)


@given(_BODIES, st.sampled_from(Status))
def test_what_is_written_is_what_is_read(body: dict[str, Any], status: Status) -> None:
    first = _answer(json.dumps(body).encode(), status)
    assert {name: first[name] for name in body} == body
    again = {name: first[name] for name in ("attributes", "trails", "event_type")}
    assert _answer(json.dumps(again).encode(), status) == first


@given(strategies.EVENTS, st.sampled_from(Status))
def test_every_ordinary_event_is_shown_and_serializable(event: Event, status: Status) -> None:
    view = logs.view(event)
    assert wire.shows(view)
    answer = wire.from_event(view, tenant_uuid=logs.TENANT, status=status)
    assert json.loads(json.dumps(answer)) == answer
    derived = wire.derived(view, str(logs.TENANT))
    assert derived["created_by"] == answer["created_by"]
    if status is not Status.STORED:
        searched = wire.searched(view, str(logs.TENANT))
        assert searched == {"content_hash": answer["ledger_entry"]["content_hash"]}
    if "target_trail" in derived:
        assert answer["trails"] == [derived["target_trail"]]
    else:
        assert answer["trails"] == list(event.trails)


def test_retracted_event_is_shown_as_first_recorded() -> None:
    event = logs.event(4, dialect="native")
    view = View(event=event, first=event, revision=7, revised_ms=0, retracted=True)
    assert wire.shows(view)
    assert wire.from_event(view, tenant_uuid=logs.TENANT)["attributes"]["inspector"] == "Clouseau"


def test_revised_event_is_shown_as_first_recorded() -> None:
    first = logs.event(4, dialect="native", data={"a": "first"})
    later = logs.event(4, dialect="native", data={"a": "later"})
    view = View(event=later, first=first, revision=7, revised_ms=first.recorded_ms + 9)
    assert wire.from_event(view, tenant_uuid=logs.TENANT)["attributes"]["a"] == "first"


@given(st.binary(max_size=60))
def test_garbage_raises_only_our_errors(body: bytes) -> None:
    # Bytes may happen to be a JSON object such as {}; with a stray mark they never are.
    for garbage in (b"!" + body, b'{"attributes":' + body + b"!", b"!" + body + b"}"):
        with pytest.raises(RequestError):
            wire.decode_event(garbage, actor=None)
        with pytest.raises(RequestError):
            wire.decode_search(garbage)

"""What is sent, as programs that others wrote read it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.json_format import Parse  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.subscriptions.streams.receivers import OK, Answer, Received, receiving
from tests.subscriptions.streams.world import STREAMS, World, until

HOSTILE: dict[str, Any] = {
    "kind": "payé.\N{PARTY POPPER}", "actor": {"type": "user", "id": "1\x00\r\nX: y"},
    "target": {"type": "order", "id": "<b>\N{RIGHT-TO-LEFT OVERRIDE}"},
    "scopes": [{"type": "space", "id": "9"}], "occurred_at": "1969-12-31T23:59:59.250Z",
    "data": {"none": None, "yes": True, "whole": 7, "huge": 2**70, "real": 1.5,
             "list": [1, "a", [None]], "deep": {"x": {"y": "ü"}}},
}  # fmt: skip
PLAIN: dict[str, Any] = {"kind": "order.paid", "occurred_at": "2026-03-01T10:00:00.123Z"}
"""Two events that every sink has to carry."""


def sent(world: World, answer: Answer = OK, **members: Any) -> list[Received]:
    """Return what a receiver is sent of the two events."""
    with receiving(lambda number, received: answer) as receiver, world.sending():
        world.create(receiver.url.removesuffix("/in") + members.pop("path", ""), **members)
        assert world.http.post("/v1/events", json=[HOSTILE, PLAIN]).status_code == 201
        until(lambda: world.stream().get("delivered") == 2)
        return list(receiver.taken)


def shown(world: World) -> list[dict[str, Any]]:
    """Return the two events as `/v1/events` shows them."""
    answer = world.http.get("/v1/events?sort=index")
    return list(answer.json()["events"])


def test_a_webhook_is_what_standard_webhooks_verifies(world: World) -> None:
    (received,) = sent(world, path="/hook?x=1")
    assert received.path == "/hook?x=1"
    body = received.json
    assert body["events"] == shown(world)
    assert body["checkpoint"].startswith("localhost/")
    assert body["range"]["to"] - body["range"]["from"] == 3
    rotated = world.act("rotate-secret")
    verified = Webhook(rotated["secret"])
    with pytest.raises(WebhookVerificationError):
        verified.verify(received.body, received.headers)


def test_secrets_overlap_for_a_day(world: World) -> None:
    with receiving() as receiver, world.sending():
        old = world.create(receiver.url)
        new = world.act("rotate-secret")
        assert old["secret"] != new["secret"]
        assert old["public_key"] != new["public_key"]
        world.append(1)
        receiver.wait(lambda: len(receiver.taken) == 1)
        (received,) = receiver.taken
    for stream in (old, new):
        body = Webhook(stream["secret"]).verify(received.body, received.headers)
        assert body["stream"] == "s"
    # The asymmetric form: a public key is all that a receiver needs.
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode()
    signatures = received.headers["webhook-signature"].split(" ")
    assert [text.partition(",")[0] for text in signatures] == ["v1", "v1", "v1a", "v1a"]
    for stream, text in zip((new, old), signatures[2:], strict=True):
        raw = base64.b64decode(stream["public_key"].removeprefix("whpk_"))
        key = Ed25519PublicKey.from_public_bytes(raw)
        key.verify(base64.b64decode(text.partition(",")[2]), signed + received.body)
    assert "secret" not in world.stream()
    (entry,) = world.entries("stream.secret_rotated")
    assert old["secret"] not in json.dumps(entry)


def test_a_splunk_gets_its_envelope(world: World) -> None:
    success = Answer(200, b'{"text":"Success","code":0}')
    (received,) = sent(
        world, success, sink="hec", token="11111111-2222", options={"index": "audit"}
    )
    assert received.path == "/services/collector/event"
    assert received.headers["authorization"] == "Splunk 11111111-2222"
    first, second = (json.loads(line) for line in received.body.split(b"\n"))
    # The keys that Splunk documents, and no others; `fields` is flat, as it asks.
    assert set(first) == {"time", "host", "source", "sourcetype", "index", "event", "fields"}
    assert [first["event"], second["event"]] == shown(world)
    assert (first["time"], second["time"]) == (-0.75, 1772359200.123)
    assert (first["index"], first["sourcetype"]) == ("audit", "tallystick:event")
    for value in first["fields"].values():
        assert isinstance(value, str) or all(isinstance(each, str) for each in value)
    assert second["fields"]["kind"] == "order.paid"


def test_a_splunk_that_refuses_with_200_has_not_taken_it(world: World) -> None:
    codes = [b'{"text":"Server is busy","code":9}', b"hello"]

    def decide(number: int, received: Received) -> Answer:
        if number < len(codes):
            return Answer(200, codes[number], keeps=False)
        return Answer(200, b'{"text":"Success","code":0}')

    with receiving(decide) as receiver, world.sending():
        world.create(receiver.url, sink="hec", token="t")
        world.append(1)
        receiver.wait(lambda: len(receiver.taken) == 1, 60)
        until(lambda: world.stream()["problem"] is None)
        log = world.http.get(f"{STREAMS}/s/deliveries").json()["deliveries"]
    assert [entry.get("problem") for entry in log] == [
        None, "the answer does not come from a Splunk collector", "Splunk answered code 9"
    ]  # fmt: skip


def test_a_collector_parses_otlp(world: World) -> None:
    (received,) = sent(world, sink="otlp", headers={"api-key": "k"})
    assert (received.path, received.headers["api-key"]) == ("/v1/logs", "k")
    request = Parse(received.body, ExportLogsServiceRequest())
    (resource,) = request.resource_logs
    names = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert names["service.name"] == "tallystick"
    assert names["tallystick.tenant"] == "default"
    first, second = resource.scope_logs[0].log_records
    assert (second.event_name, second.severity_number) == ("order.paid", 9)
    assert second.time_unix_nano == 1_772_359_200_123_000_000
    # There is no time before 1970 in OTLP; the body has it.
    assert first.time_unix_nano == 0
    body = {item.key: item.value for item in first.body.kvlist_value.values}
    assert body["occurred_at"].string_value == HOSTILE["occurred_at"]
    data = {item.key: item.value for item in body["data"].kvlist_value.values}
    assert data["none"].WhichOneof("value") is None
    assert data["yes"].bool_value is True
    assert (data["whole"].int_value, data["real"].double_value) == (7, 1.5)
    assert data["huge"].string_value == str(2**70)
    assert data["list"].array_value.values[1].string_value == "a"


def test_what_a_collector_rejects_in_part_is_noted_and_not_sent_again(world: World) -> None:
    partial = b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}'
    assert len(sent(world, Answer(200, partial), sink="otlp")) == 1
    (entry,) = world.http.get(f"{STREAMS}/s/deliveries").json()["deliveries"]
    assert entry["note"] == "the collector rejected 2 records"


def test_the_cloudevents_sdk_reads_single_events(world: World) -> None:
    received = sent(world, sink="cloudevents", mode="parallel")
    events = [
        from_http_event(HTTPMessage(headers=each.headers, body=each.body)) for each in received
    ]
    by_id = {event.get_id(): event for event in events}
    for event in shown(world):
        read = by_id[event["id"]]
        assert read.get_specversion() == "1.0"
        assert read.get_type() == event["kind"]
        assert read.get_source() == "//localhost/v1/tenants/default"
        assert read.get_data() == event
        assert read.get_extension("tallystickindex") == str(event["index"])


def test_a_batch_of_cloudevents_is_an_array_of_them(world: World) -> None:
    (received,) = sent(world, sink="cloudevents")
    assert received.headers["content-type"].startswith("application/cloudevents-batch+json")
    structured = {"content-type": "application/cloudevents+json"}
    read = [
        from_http_event(HTTPMessage(headers=structured, body=json.dumps(each).encode()))
        for each in received.json
    ]
    assert [event.get_data() for event in read] == shown(world)
    subject = read[0].get_subject()
    assert subject is not None
    assert subject.isprintable()

"""The extension routes: events come in, once, whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.identity.access import Scope
from tests.dialects.cloudfoundry.conftest import Deployment, guids
from tests.dialects.cloudfoundry.samples import Json, resource

PATH = "/extensions/cloudfoundry/events"


def nested(levels: int) -> Json:
    """Return an object that many levels deep."""
    value: Json = {}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


def test_single_event_is_answered_as_it_will_be_shown(deployment: Deployment) -> None:
    answer = deployment.admin.post(PATH, json=resource())
    assert answer.status_code == 201
    assert answer.headers["x-tallystick-extension"] == "cloudfoundry"
    shown = deployment.admin.get(answer.json()["metadata"]["url"])
    assert shown.json() == answer.json()


def test_guid_and_time_of_writing_are_kept(deployment: Deployment) -> None:
    sent = resource("d9df3e10-a8c9-4484-bf67-10f0d9914dfb")
    sent["metadata"]["created_at"] = "2014-06-19T17:18:47-07:00"
    deployment.record(sent)
    shown = deployment.admin.get("/v2/events").json()["resources"][0]["metadata"]
    assert shown["guid"] == sent["metadata"]["guid"]
    assert shown["created_at"] == "2014-06-20T00:18:47Z"
    natively = deployment.admin.get(f"/v1/events/{shown['guid']}").json()
    assert natively["id"] == shown["guid"]


def test_same_event_again_is_stored_once(deployment: Deployment) -> None:
    first = deployment.admin.post(PATH, json=resource("event-1"))
    again = deployment.admin.post(PATH, json=resource("event-1"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    both = deployment.admin.post(PATH, json=[resource("event-1"), resource("event-2")])
    assert both.status_code == 201
    assert guids(both.json()["resources"]) == ["event-1", "event-2"]
    assert deployment.admin.get("/v2/events").json()["total_results"] == 2


def test_same_guid_with_another_event_is_refused_and_stores_nothing(
    deployment: Deployment,
) -> None:
    deployment.record(resource("event-1"))
    changed = resource("event-1", actee_name="another")
    answer = deployment.admin.post(PATH, json=[resource("event-2"), changed])
    assert (answer.status_code, answer.json()["code"]) == (422, 10008)
    assert guids(deployment.admin.get("/v2/events").json()["resources"]) == ["event-1"]


def test_guid_that_was_assigned_here_is_taken(deployment: Deployment) -> None:
    [assigned, other] = deployment.record(resource(), resource())
    for sent in (assigned, {**other, "metadata": assigned["metadata"]}):
        answer = deployment.admin.post(PATH, json=sent)
        assert (answer.status_code, answer.json()["code"]) == (422, 10008)
    assert guids(deployment.admin.get("/v2/events").json()["resources"]) == guids([assigned, other])


def test_idempotency_key(deployment: Deployment) -> None:
    headers = {"Idempotency-Key": "batch-7"}
    sent = [resource(), resource(type="app.crash")]
    first = deployment.admin.post(PATH, json=sent, headers=headers)
    again = deployment.admin.post(PATH, json=sent, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    other = deployment.admin.post(PATH, json=[resource(type="other")], headers=headers)
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        (resource(type=""), "(at /entity/type)"),
        ([resource(), resource(timestamp="soon")], "(at /1/entity/timestamp)"),
        ([resource(), resource(timestamp="9999-01-01T00:00:00Z")], "(at /1/entity/timestamp)"),
        ([resource(), {"entity": 7}], "(at /1/entity)"),
        (resource(metadata=nested(70)), "(at /entity/metadata)"),
        ([resource(), resource(metadata=nested(70))], "(at /1/entity/metadata)"),
        ({"metadata": {}}, "entity"),
        (resource("a/b"), "(at /metadata/guid)"),
    ],
)
def test_bad_event_is_refused_with_its_place_and_stores_nothing(
    deployment: Deployment, sent: Any, place: str
) -> None:
    answer = deployment.admin.post(PATH, json=sent)
    assert (answer.status_code, answer.json()["code"]) == (400, 1001)
    assert place in answer.json()["description"]
    assert deployment.admin.get("/v2/events").json()["total_results"] == 0


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[", b"\xff", b'"\\ud800"', b"[" * 100_000, b'{"entity":NaN}']
)
def test_body_that_is_no_json_is_refused(deployment: Deployment, content: bytes) -> None:
    answer = deployment.admin.post(PATH, content=content)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "CF-MessageParseError")


def test_empty_list_stores_nothing(deployment: Deployment) -> None:
    answer = deployment.admin.post(PATH, json=[])
    assert (answer.status_code, answer.json()) == (200, {"resources": []})


def test_body_over_the_limit_is_refused(deployment: Deployment) -> None:
    answer = deployment.admin.post(PATH, content=b" " * (16 * 1024 * 1024 + 1))
    assert answer.status_code == 413


def test_only_programs_and_administrators_record(deployment: Deployment) -> None:
    boss = deployment.as_user("boss", ("tenant:*", "admin"))
    program = deployment.http(deployment.key_with(Scope.WRITE))
    for client in (boss, program):
        assert client.post(PATH, json=resource()).status_code == 201
    reader = deployment.http(deployment.key_with(Scope.READ))
    developer = deployment.as_user("dev", ("space:space-1", "space_developer"))
    for client in (reader, developer):
        answer = client.post(PATH, json=resource())
        assert (answer.status_code, answer.json()["code"]) == (403, 10003)
    assert deployment.anonymous.post(PATH, json=resource()).status_code == 401
    assert deployment.admin.get("/v2/events").json()["total_results"] == 2


def test_position_of_an_import_is_asked_of_the_log(deployment: Deployment) -> None:
    def position(source: str) -> Json:
        answer = deployment.admin.get("/extensions/cloudfoundry/imports", params={"source": source})
        assert answer.headers["x-tallystick-extension"] == "cloudfoundry"
        found: Json = answer.json()
        return found

    assert position("api.example.com") == {
        "source": "api.example.com", "total_results": 0, "timestamp": None
    }  # fmt: skip
    events = [resource("b", timestamp="2014-06-21"), resource("a", timestamp="2014-06-20")]
    deployment.admin.post(PATH, json=events, params={"source": "api.example.com"})
    deployment.record(resource("c", timestamp="2014-06-22"))
    assert position("api.example.com") == {
        "source": "api.example.com", "total_results": 2, "timestamp": "2014-06-21T00:00:00Z"
    }  # fmt: skip
    assert position("other.example.com")["total_results"] == 0
    answer = deployment.admin.get("/extensions/cloudfoundry/imports")
    assert (answer.status_code, answer.json()["code"]) == (400, 10005)

"""Records of other systems as events: the real sets whole, odd ones refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tallystick.errors import Malformed
from tallystick.imports import cloudtrail, github, github_times


@pytest.mark.needs("data")
def test_every_cloudtrail_record_becomes_an_event(shared_data: Path) -> None:
    folder = shared_data / "data/aws-cloudtrail-invictus/CloudTrail"
    records = [
        r for f in sorted(folder.glob("*.json")) for r in json.loads(f.read_text())["Records"]
    ]
    events = [cloudtrail.to_event(record) for record in records]
    assert len({event["id"] for event in events}) == 2900
    assert [event["data"] for event in events] == records
    types = Counter(event.get("actor", {}).get("type") for event in events)
    assert types == {"IAMUser": 2748, "AssumedRole": 76, "AWSService": 34, None: 42}
    assert events[0]["kind"].count(".") == 1
    assert all(event["scopes"][0]["type"] == "aws:account" for event in events)


@pytest.mark.needs("data")
def test_every_github_payload_becomes_an_event(shared_data: Path) -> None:
    folder = shared_data / "data/github-webhooks-octokit/api.github.com"
    files = sorted(folder.rglob("*.json"))
    events = [github.to_event(f.parent.name, json.loads(f.read_text())) for f in files]
    assert len({event["id"] for event in events}) == 270
    assert sum("." in event["kind"] for event in events) == 239
    edited = [event for event in events if event["kind"] == "issues.edited"]
    assert edited
    assert all(set(event.get("previous", ())) <= set(event["data"]["changes"]) for event in edited)
    assert sum("actor" in event for event in events) > 250


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        {},
        {"eventID": "x"},
        {"eventID": "57ee9c71-d76d-431f-8511-142f00000000"},
        {
            "eventID": "57ee9c71-d76d-431f-8511-142f00000000",
            "eventTime": "soon",
            "eventSource": "a",
            "eventName": "b",
        },
    ],
)
def test_odd_cloudtrail_records_are_refused(record: object) -> None:
    with pytest.raises(Malformed):
        cloudtrail.to_event(record)


def test_odd_github_payloads_are_refused() -> None:
    with pytest.raises(Malformed):
        github.to_event("issues", [])
    with pytest.raises(Malformed):
        github.to_event("../issues", {})


def test_the_same_payload_has_the_same_id_whatever_the_order_of_its_members() -> None:
    first = github.to_event("push", {"a": 1, "b": {"c": 2, "d": 3}})
    second = github.to_event("push", {"b": {"d": 3, "c": 2}, "a": 1})
    assert first["id"] == second["id"] != github.to_event("fork", {"a": 1})["id"]


REPOSITORY = {
    "id": 7002, "full_name": "acme/till", "created_at": 1600000000,
    "updated_at": "2025-01-05T08:00:00Z", "pushed_at": 1749550000,
}  # fmt: skip

AT, LATER, NEVER = "2025-06-10T10:10:10Z", "2025-06-10T10:10:11Z", "0001-01-01T00:00:00Z"


def of(action: str, member: str, **times: str) -> dict[str, object]:
    """Return a payload of an action on an object with times."""
    return {"action": action, member: times}


@pytest.mark.parametrize(
    ("event_type", "payload", "expected"),
    [
        ("push", {"head_commit": {"timestamp": "2025-06-01T12:00:00+02:00"}}, 1749550000000),
        (
            "star",
            {"action": "created", "starred_at": "2025-06-10T10:10:10Z"},
            "2025-06-10T10:10:10Z",
        ),
        ("star", {"action": "deleted", "starred_at": None}, None),
        ("watch", {"action": "started"}, None),
        ("create", {"ref": "main"}, None),
        ("delete", {"ref": "main"}, None),
        ("label", {"action": "created", "label": {"id": 1}}, None),
        ("check_run", of("completed", "check_run", started_at="1", completed_at=AT), AT),
        ("check_run", of("rerequested", "check_run", started_at=AT), None),
        ("workflow_job", of("queued", "workflow_job", created_at=AT, started_at=LATER), AT),
        ("status", {"updated_at": "2025-06-10T10:10:10+00:00"}, "2025-06-10T10:10:10+00:00"),
        ("release", of("published", "release", created_at=LATER, published_at=AT), AT),
        ("issues", of("closed", "issue", updated_at=LATER, closed_at=AT), AT),
        ("issue_comment", of("deleted", "comment", updated_at=AT), None),
        ("package", of("published", "package", updated_at=NEVER, created_at=AT), AT),
        ("brand_new", of("made", "brand_new", updated_at=AT), AT),
        ("brand_new", of("made", "brand_new"), None),
        ("brand_new", of("deleted", "brand_new", updated_at=AT), None),
    ],
)  # fmt: skip
def test_row_3_a_webhook_has_the_time_of_its_own_event(
    event_type: str, payload: dict[str, object], expected: str | int | None
) -> None:
    payload = {**payload, "repository": REPOSITORY}
    assert github_times.occurred_at(event_type, payload) == expected
    event = github.to_event(event_type, payload)
    assert event.get("occurred_at") == expected
    assert ("time" in event["original"]) is (expected is None)


@pytest.mark.needs("data")
def test_row_3_the_repository_tells_the_time_of_pushes_and_of_itself_alone(
    shared_data: Path,
) -> None:
    folder = shared_data / "data/github-webhooks-octokit/api.github.com"
    timeless: Counter[str] = Counter()
    for file in sorted(folder.rglob("*.json")):
        payload, event_type = json.loads(file.read_text()), file.parent.name
        found = github_times.occurred_at(event_type, payload)
        timeless[event_type] += found is None
        without = {name: value for name, value in payload.items() if name != "repository"}
        if event_type == "push":
            assert found == payload["repository"]["pushed_at"] * 1000
        elif event_type not in ("repository", "public"):
            assert github_times.occurred_at(event_type, without) == found, file
    assert sum(timeless.values()) == 70
    assert timeless["issues"] == 1, "of a deleted issue nothing tells when it was deleted"
    assert timeless["pull_request"] == 0


def test_a_delivery_as_the_api_lists_it_names_its_type() -> None:
    delivery = {"event": "star", "request": {"headers": {}, "payload": {"action": "created"}}}
    assert github.delivery_of(delivery) == ("star", {"action": "created"})
    assert github.delivery_of({"request": {}}) is None
    assert github.delivery_of([]) is None


def test_row_8_a_record_of_the_audit_log_has_its_time_and_actor() -> None:
    record = {"@timestamp": 1655872622832, "action": "git.clone", "actor": "kim", "actor_id": 7}
    assert github.is_audit_record(record)
    assert not github.is_audit_record({"action": "created", "repository": REPOSITORY})
    event = github.audit_event(record)
    assert event["kind"] == "git.clone"
    assert event["actor"] == {"type": "user", "id": "7", "name": "kim"}
    assert event["occurred_at"] == 1655872622832
    assert event["id"] == github.audit_event(dict(reversed(record.items())))["id"]
    with pytest.raises(Malformed):
        github.audit_event({"_document_id": "x", "action": "git.clone"})

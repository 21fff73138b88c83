"""Records of other systems as events: the real sets whole, odd ones refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tallystick.errors import Malformed
from tallystick.imports import cloudtrail, github


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

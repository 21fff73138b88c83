"""Streams of objects: files named by what is in them, in places that an operator chose."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from py_ocsf_models.events.base_event import BaseEvent  # type: ignore[import-untyped]
from py_ocsf_models.objects.metadata import Metadata  # type: ignore[import-untyped]

from tallystick.errors import SettingsError
from tallystick.subscriptions.streams import carriers
from tallystick.subscriptions.streams.sinks import objects
from tallystick.subscriptions.streams.stretches import BatchBounds
from tests.subscriptions.streams.receivers import Answer, Received, receiving
from tests.subscriptions.streams.world import STREAMS, World, open_world, until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Serve a store with two destinations: a folder, and one that cannot be written."""
    places = {
        "archive": {"url": f"file://{tmp_path}/archive%20of%20events"},
        "nowhere": {"url": "file:///dev/null/nowhere"},
    }
    with open_world(tmp_path / "data", streams_destinations=places) as made:
        yield made


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let objects be small, and wait for more only shortly."""
    bounds = BatchBounds(messages=1_000, octets=20_000, linger_ms=300)
    monkeypatch.setattr(carriers, "OBJECT", bounds)


def test_objects_hold_everything_in_order(world: World, tmp_path: Path) -> None:
    with world.sending():
        made = world.create("archive", sink="objects")
        world.append(130)
        until(lambda: world.stream().get("delivered") == 130)
    written = (tmp_path / "archive of events").rglob("*.gz")
    files = sorted(written, key=lambda file: int(file.name.split("-")[2]))
    assert {file.parent.name for file in files} == {"s"}
    assert {file.parent.parent.name for file in files} == {"default"}
    lines = [line for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    events = [msgspec.json.decode(line) for line in lines]
    assert [event["data"]["number"] for event in events] == list(range(130))
    assert len(files) > 2
    assert not list((tmp_path / "archive of events").rglob("*.new"))
    assert "secret" not in made


def test_objects_may_hold_ocsf(world: World, tmp_path: Path) -> None:
    with world.sending():
        world.create("archive", sink="objects", options={"format": "ocsf"})
        ids = world.append(3)
        until(lambda: world.stream().get("delivered") == 3)
        world.http.post(f"/v1/events/{ids[1]}/retract", json={}).raise_for_status()
        until(lambda: world.stream().get("delivered") == 4)
    files = sorted((tmp_path / "archive of events").rglob("*.ocsf.ndjson.gz"), key=os.path.getmtime)
    lines = [line for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    events = [msgspec.json.decode(line) for line in lines]
    for event in events:
        BaseEvent.model_validate(event)
        Metadata.model_validate(event["metadata"])
    assert [event["unmapped"]["id"] for event in events] == [*ids, ids[1]]
    assert events[-1]["activity_name"] == "retract"
    body = {"name": "t", "sink": "objects", "to": "archive", "options": {"format": "xml"}}
    refused = world.http.post(STREAMS, json=body)
    assert (refused.status_code, "ndjson, ocsf" in refused.text) == (400, True)


def test_a_retry_writes_the_same_object(world: World, tmp_path: Path) -> None:
    with world.sending():
        world.create("archive", sink="objects")
        world.append(5)
        until(lambda: world.stream().get("delivered") == 5)
        (file,) = (tmp_path / "archive of events").rglob("*.gz")
        before = file.read_bytes()
        # As a server that was killed after writing it, and before it noted that.
        first = msgspec.json.decode(gzip.decompress(before).splitlines()[0])["index"]
        world.act("replay", {"from": first, "to": first + 5})
        until(lambda: world.stream().get("delivered") == 10)
    files = sorted((tmp_path / "archive of events").rglob("*.gz"), key=os.path.getmtime)
    assert files[-1].read_bytes() == before


def test_a_destination_is_named_and_never_given(world: World, tmp_path: Path) -> None:
    for to in ("elsewhere", f"file://{tmp_path}", "s3://bucket", "../archive"):
        body = {"name": "s", "sink": "objects", "to": to}
        answer = world.http.post(STREAMS, json=body)
        assert (answer.status_code, answer.json()["detail"]) == (
            400, f"unknown destination {to!r}"
        )  # fmt: skip
    body = {"name": "s", "sink": "objects", "to": "archive", "mode": "parallel"}
    assert world.http.post(STREAMS, json=body).status_code == 400


def test_a_place_that_cannot_be_written_is_a_problem_of_the_stream(world: World) -> None:
    with world.sending():
        world.create("nowhere", sink="objects")
        world.append(1)
        until(lambda: world.stream().get("problem") is not None)
        stream = world.stream()
    assert (stream["problem"], stream["state"]) == ("NotADirectoryError", "active")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "url begins with one of"),
        ({"url": "https://bucket"}, "url begins with one of"),
        ({"url": "s3://bucket"}, "has no credentials"),
        ({"url": "s3://bucket", "region": "eu-west-1"}, "has no credentials"),
        ({"url": "gs://bucket"}, "has no credentials"),
        ({"url": "az://container"}, "has no credentials"),
    ],
)
def test_an_object_store_is_never_written_with_the_machines_rights(
    table: dict[str, Any], says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        objects.Destination("archive", table)


def test_credentials_in_the_environment_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AZURE_STORAGE_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.setenv(name, "ambient")
    objects.drop_ambient_credentials()
    assert not [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]


def test_an_s3_is_written_to_with_the_credentials_of_its_destination() -> None:
    def decide(number: int, received: Received) -> Answer:
        return Answer(headers=(("ETag", '"1"'),))

    puts: list[tuple[str, str]] = []
    with receiving(decide) as receiver:
        receiver.on_put = lambda received: puts.append(
            (received.path, received.headers["authorization"])
        )
        place = objects.Destination(
            "archive",
            {
                "url": "s3://bucket/prefix", "endpoint": f"http://127.0.0.1:{receiver.port}",
                "access_key_id": "AKIAOFTHISPLACE", "secret_access_key": "s", "region": "eu",
                "allow_http": "true",
            },
        )  # fmt: skip
        place.put("default/s/1-2.ndjson.gz", b"content")
    ((path, authorization),) = puts
    assert path == "/bucket/prefix/default/s/1-2.ndjson.gz"
    assert "Credential=AKIAOFTHISPLACE/" in authorization

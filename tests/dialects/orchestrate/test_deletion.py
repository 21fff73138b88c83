"""What deletion means in a store that does not forget: retraction, erasure, and what stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from tallystick.dialects.orchestrate import collection
from tallystick.errors import StoreFailed
from tallystick.identity.access import Scope
from tallystick.query.question import Find, Found, Reader
from tallystick.tlog.receipt import verify_receipt
from tests.dialects.orchestrate.client import Api
from tests.support.live_server import LiveServer

SERIES = "/v0/users/kate/events/timeline"
SECRET = {"password": "hunter2"}


def log_of(server: LiveServer, tenant: str) -> list[Any]:
    """Return every entry of an application's log, as the native API shows it."""
    with server.http(server.create_key(tenant, (Scope.READ,))) as native:
        return list(native.get("/v1/events?view=log&order=asc&limit=1000").json()["events"])


@pytest.mark.row("O-58")
def test_deleted_event_is_retracted_and_its_content_destroyed(server: LiveServer, api: Api) -> None:
    path = api.post(SERIES, SECRET).location
    api.put(path, {**SECRET, "n": 2})
    assert "hunter2" in json.dumps(log_of(server, api.tenant))
    assert api.delete(f"{path}?purge=true").status == 204
    log = log_of(server, api.tenant)
    assert "hunter2" not in json.dumps(log)
    told = [entry for entry in log if entry["op"] != "system"]
    assert [entry["op"] for entry in told] == ["record", "revise", "retract", "erase"]
    assert told[1]["subject"] == told[2]["subject"] == told[0]["id"]
    server.check_log()


@pytest.mark.row("O-22")
def test_purged_item_is_destroyed_with_all_its_versions(server: LiveServer, api: Api) -> None:
    for n in range(3):
        api.put("/v0/users/kate", {**SECRET, "n": n})
    api.delete("/v0/users/kate")
    assert "hunter2" in json.dumps(log_of(server, api.tenant))
    assert api.delete("/v0/users/kate?purge=true").status == 204
    assert "hunter2" not in json.dumps(log_of(server, api.tenant))
    server.check_log()


@pytest.mark.row("O-58")
def test_event_of_another_api_is_shown_and_not_changed(server: LiveServer, api: Api) -> None:
    with server.http(server.create_key(api.tenant, (Scope.WRITE,))) as native:
        event = {"kind": "timeline", "target": {"type": "users", "id": "kate"}, "data": {"n": 1}}
        assert native.post("/v1/events", json=event).status_code == 201
    (row,) = api.page(SERIES)["results"]
    assert row["value"] == {"n": 1}
    path = f"{SERIES}/{row['timestamp']}/{row['ordinal']}"
    assert api.get(path).json["path"] == row["path"]
    for reply in (api.put(path, {}), api.patch(path, {}), api.delete(f"{path}?purge=true")):
        assert reply.code == (409, "write_conflict")
    assert api.delete("/v0/users?force=true").status == 204
    assert api.get(path).json["value"] == {"n": 1}


@pytest.mark.row("O-23")
def test_collection_goes_whole_and_alone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "DELETE_CHUNK", 3)
    for n in range(7):
        api.put(f"/v0/users/u{n}", {"n": n})
        api.post(f"/v0/users/u{n}/events/t/{n}", {"n": n})
        api.put(f"/v0/posts/p{n}", {})
    api.put("/v0/users/u1/relation/wrote/posts/p1", {})
    api.put("/v0/posts/p1/relation/by/users/u1", {})
    api.put("/v0/posts/p1/relation/next/posts/p2", {})
    api.post("/v0/posts/p1/events/t/5", {})
    ref = api.get("/v0/users/u1").ref
    assert api.delete("/v0/users").code == (400, "api_bad_request")
    assert api.delete("/v0/users?force=false").status == 400
    assert api.delete("/v0/users?force=true").status == 204
    assert api.page("/v0/users")["count"] == 0
    for n in range(7):
        assert api.page(f"/v0/users/u{n}/events/t")["count"] == 0
    assert api.page("/v0/posts?limit=100")["count"] == 7
    assert api.page("/v0/posts/p1/relations/next")["count"] == 1
    assert api.get("/v0/posts/p1/relation/by/users/u1").status == 404
    assert api.page("/v0/posts/p1/events/t")["count"] == 1
    # What was deleted with the collection stays in the log, readable by its ref.
    assert api.get(f"/v0/users/u1/refs/{ref}").json == {"n": 1}
    assert api.delete("/v0/users?force=true").status == 204
    assert api.delete("/v0/nowhere?force=true").status == 204


def test_every_write_is_proven_by_a_receipt(server: LiveServer, api: Api) -> None:
    index = int(api.post(SERIES, {"n": 1}).location.rpartition("/")[2]) - 1
    with server.http(server.create_key(api.tenant, (Scope.READ,))) as native:
        (event,) = native.get("/v1/events").json()["events"]
        receipt = verify_receipt(native.get(f"/v1/events/{event['id']}/receipt").content)
    assert (event["index"], receipt.index) == (index, index)
    assert receipt.sections["data"] == {"n": 1}


def test_collection_whose_events_cannot_be_written_is_told_so(
    server: LiveServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        api.post(SERIES, {"n": n})

    def full() -> NoReturn:
        raise StoreFailed("the disk is full; nothing was stored")

    with monkeypatch.context() as broken:
        broken.setattr(server.node.store, "transaction", full)
        assert api.delete("/v0/users?force=true").status == 503
    assert api.page(SERIES)["count"] == 3
    assert api.delete("/v0/users?force=true").status == 204
    assert api.page(SERIES)["count"] == 0


class Overtaken:
    """A reader whose answers are old when they arrive: something happened since."""

    def __init__(self, reader: Reader, happens: Callable[[], object]) -> None:
        self._reader = reader
        self._happens = happens

    def find(self, tenant: str, question: Find, *, entry_bytes: int = 0) -> Found:
        """Answer, and let the rest happen before the answer is read, once."""
        found = self._reader.find(tenant, question)
        happens, self._happens = self._happens, lambda: None
        happens()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


@pytest.mark.parametrize(
    "path",
    [
        "/v0/users/kate/events/timeline?limit=1",
        "/v0/users/kate/events/timeline",
        "/v0/users?query=@path.kind:*",
        "/v0/users?query=@path.kind:*&limit=1",
        "/v0/users?query=@path.kind:*&sort=_random:1",
    ],
    ids=["first", "list", "search", "best", "random"],
)
def test_what_is_purged_while_it_is_listed_is_left_out(
    server: LiveServer, api: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = api.post("/v0/users/kate/events/timeline/1", {"n": 1}).location
    gone = api.post("/v0/users/kate/events/timeline/2", {"n": 2}).location
    api.put("/v0/users/paul", {"n": 3})
    assert api.page(path)["results"]

    def purge() -> None:
        for purged in (gone, "/v0/users/paul"):
            assert api.delete(f"{purged}?purge=true").status == 204

    ledger = server.node.ledger
    monkeypatch.setattr(ledger, "_reader", Overtaken(ledger._reader, purge))
    assert [row["value"] for row in api.page(path)["results"]] == [api.get(kept).json["value"]]

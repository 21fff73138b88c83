"""Legal holds over this API: every deletion and change of what is held is refused whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tallystick.dialects.orchestrate import collection
from tallystick.identity.access import Scope
from tests.dialects.orchestrate.client import Api, Reply
from tests.dialects.orchestrate.test_deletion import log_of
from tests.support.live_server import LiveServer

SERIES = "/v0/users/kate/events/timeline"
REFUSED = (409, "under_legal_hold")


class Counsel:
    """An administrator who places and lifts holds."""

    def __init__(self, http: httpx2.Client, tenant: str) -> None:
        self._path = f"/v1/admin/tenants/{tenant}/holds"
        self._http = http

    def place(self, query: str) -> str:
        """Place a hold and return its id."""
        answer = self._http.post(self._path, json={"query": query, "reason": "a matter"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def lift(self, id: str) -> None:
        """Lift a hold."""
        answer = self._http.post(f"{self._path}/{id}/lift", json={"reason": "over"})
        assert answer.status_code == 200, answer.text


@pytest.fixture
def counsel(server: LiveServer, api: Api) -> Iterator[Counsel]:
    """Return the administrator of the application."""
    with server.http(server.create_key(api.tenant, (Scope.ADMIN,))) as http:
        yield Counsel(http, api.tenant)


def story(server: LiveServer, tenant: str) -> list[Any]:
    """Return the entries of a log, without those of administration."""
    return [entry for entry in log_of(server, tenant) if entry["op"] != "system"]


def test_held_event_is_neither_changed_nor_purged(
    server: LiveServer, api: Api, counsel: Counsel
) -> None:
    path = api.post(SERIES, {"n": 1}).location
    hold = counsel.place("target:users:kate")
    before = story(server, api.tenant)
    merge = "application/merge-patch+json"
    for reply in (
        api.put(path, {"n": 2}),
        api.patch(path, {"n": 2}, content_type=merge),
        api.delete(f"{path}?purge=true"),
        api.delete("/v0/users?force=true"),
    ):
        assert reply.code == REFUSED
        assert reply.json["message"] == "The item or event is under a legal hold."
        assert reply.json["details"]["hold"] == hold
        assert f"tallystick holds lift {hold}" in reply.json["details"]["hint"]
    assert story(server, api.tenant) == before
    assert api.get(path).json["value"] == {"n": 1}
    counsel.lift(hold)
    assert api.delete(f"{path}?purge=true").status == 204
    server.check_log()


def test_held_item_takes_new_versions_and_is_not_deleted(
    server: LiveServer, api: Api, counsel: Counsel
) -> None:
    ref = api.put("/v0/users/kate", {"n": 1}).ref
    hold = counsel.place("target:users:kate")
    assert api.put("/v0/users/kate", {"n": 2}).status == 201
    for query in ("", "?purge=true"):
        assert api.delete(f"/v0/users/kate{query}").code == REFUSED
    assert api.get(f"/v0/users/kate/refs/{ref}").json == {"n": 1}
    assert api.get("/v0/users/kate").json == {"n": 2}
    counsel.lift(hold)
    assert api.delete("/v0/users/kate?purge=true").status == 204


def test_purge_of_an_item_is_refused_for_one_held_version(
    server: LiveServer, api: Api, counsel: Counsel
) -> None:
    first = api.put("/v0/users/kate", {"n": 1}).ref
    counsel.place("data.n:1")
    api.put("/v0/users/kate", {"n": 2})
    assert api.delete("/v0/users/kate?purge=true").code == REFUSED
    assert api.get(f"/v0/users/kate/refs/{first}").json == {"n": 1}


def test_held_relation_stays(api: Api, counsel: Counsel) -> None:
    for key in ("kate", "lee"):
        api.put(f"/v0/users/{key}", {})
    path = "/v0/users/kate/relation/friend/users/lee"
    api.put(path, {"since": 2014})
    hold = counsel.place('target.type:"relation:friend"')
    for query in ("", "?purge=true"):
        assert api.delete(f"{path}{query}").code == REFUSED
    assert api.delete("/v0/users?force=true").code == REFUSED
    assert api.get("/v0/users/kate").status == 200
    counsel.lift(hold)
    assert api.delete(path).status == 204


@pytest.mark.parametrize("held", ["target:users:u6", "target:users:u0 AND kind:t"])
def test_collection_with_something_held_goes_not_even_in_part(
    server: LiveServer, api: Api, counsel: Counsel, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """The held thing is in the last of several steps that a deletion takes."""
    monkeypatch.setattr(collection, "DELETE_CHUNK", 2)
    for n in range(7):
        api.put(f"/v0/users/u{n}", {"n": n})
        api.post(f"/v0/users/u{n}/events/t", {"n": n})
    hold = counsel.place(held)
    before = story(server, api.tenant)
    assert api.delete("/v0/users?force=true").code == REFUSED
    assert story(server, api.tenant) == before
    assert api.page("/v0/users")["count"] == 7
    counsel.lift(hold)
    assert api.delete("/v0/users?force=true").status == 204
    assert api.page("/v0/users")["count"] == 0


def test_hold_placed_while_a_collection_goes_keeps_what_is_left(
    server: LiveServer, api: Api, counsel: Counsel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "DELETE_CHUNK", 2)
    for n in range(6):
        api.post(f"/v0/users/u{n}/events/t", {"n": n})
    retract_each = server.node.ledger.retract_each

    def once(*args: Any, **kwargs: Any) -> Any:
        outcomes = retract_each(*args, **kwargs)
        monkeypatch.setattr(server.node.ledger, "retract_each", retract_each)
        counsel.place("*")
        return outcomes

    monkeypatch.setattr(server.node.ledger, "retract_each", once)
    reply: Reply = api.delete("/v0/users?force=true")
    assert reply.code == REFUSED
    left = sum(api.page(f"/v0/users/u{n}/events/t")["count"] for n in range(6))
    assert left == 4


def test_hold_on_something_else_stands_in_nobodys_way(api: Api, counsel: Counsel) -> None:
    path = api.post(SERIES, {"n": 1}).location
    api.put("/v0/users/kate", {})
    counsel.place("target:users:lee")
    assert api.delete(f"{path}?purge=true").status == 204
    assert api.delete("/v0/users/kate?purge=true").status == 204
    assert api.delete("/v0/users?force=true").status == 204

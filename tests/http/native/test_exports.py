"""Exports over HTTP: pinned, taken up, and what a reader may see."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from tallystick.identity.access import Scope
from tests.support.live_server import TENANT, LiveServer


def rows(answer: httpx2.Response) -> list[dict[str, Any]]:
    """Return the rows of an answer."""
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.content.splitlines()]


def test_an_export_is_pinned_and_goes_on(server: LiveServer, http: httpx2.Client) -> None:
    http.post("/v1/events", json=[{"kind": f"k.{n % 2}", "data": {"n": n}} for n in range(10)])
    before = http.get("/v1/checkpoint").json()
    whole = http.get("/v1/events/export")
    size = whole.headers["x-tallystick-size"]
    assert (int(size), whole.headers["x-tallystick-root"]) == (before["size"], before["root"])
    assert [row["data"]["n"] for row in rows(whole)] == list(range(10))
    http.post("/v1/events", json={"kind": "k.1"})
    again = http.get("/v1/events/export", params={"size": size})
    assert again.content == whole.content
    assert "x-tallystick-root" not in again.headers
    at = rows(whole)[3]["index"] + 1
    rest = http.get("/v1/events/export", params={"size": size, "start": at})
    assert rows(rest) == rows(whole)[4:]
    odd = http.get("/v1/events/export", params={"size": size, "q": "kind:k.1"})
    assert [row["data"]["n"] for row in rows(odd)] == [1, 3, 5, 7, 9]
    assert http.get("/v1/events/export", params={"size": "999999"}).status_code == 409
    assert http.head("/v1/events/export").headers["x-tallystick-size"] != size


def test_a_restricted_reader_exports_what_the_list_shows(
    server: LiveServer, http: httpx2.Client
) -> None:
    for workspace in ("1", "2"):
        scopes = [{"type": "workspace", "id": workspace}]
        http.post("/v1/events", json={"kind": "k", "scopes": scopes})
    server.create_user(TENANT, "ann")
    server.grant(TENANT, "ann", "workspace:1", "Viewer")
    issued = server.node.issuer.issue_for_user(
        server.user(TENANT, "ann"), client="cf", scopes=("cloud_controller.read",)
    )
    with server.http(issued.access_token) as ann:
        exported = rows(ann.get("/v1/events/export"))
        listed = ann.get("/v1/events").json()["events"]
        assert [row["id"] for row in exported] == [event["id"] for event in listed]
        assert len(exported) == 1
    with server.http(server.create_key(TENANT, (Scope.WRITE,))) as writer:
        assert writer.get("/v1/events/export").status_code == 403


def test_what_is_not_understood_is_refused(http: httpx2.Client) -> None:
    for name in ("sort", "order", "limit", "offset", "cursor", "format", "key"):
        answer = http.get("/v1/events/export", params={name: "1"})
        assert answer.status_code == 400, name

"""Exports in the console: asked for from a search, fetched, deleted, and seen by few."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator

import httpx2
import msgspec
import pytest

from tallystick.identity.access import Scope
from tests.console.people import csrf_in, show, signed_in
from tests.support.live_server import TENANT, LiveServer

PAGE = "/console/exports"


@pytest.fixture(scope="module")
def person(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return an administrator of a log with a few events."""
    events = [
        {
            "kind": "order.created",
            "occurred_at": f"2026-01-01T0{n}:00:00Z",
            "scopes": [{"type": "workspace", "id": str(n % 2)}],
            "data": {"n": n},
        }
        for n in range(6)
    ]
    with server.http() as http:
        assert http.post("/v1/events", json=events).status_code == 201
    with signed_in(server) as person:
        yield person


def ask(person: httpx2.Client, query: str, form: str = "ndjson") -> httpx2.Response:
    csrf = csrf_in(person.get(PAGE).text)
    return person.post(PAGE, data={"csrf": csrf, "query": query, "format": form})


def content_of(person: httpx2.Client) -> str:
    """Wait for the latest export; return the address of its file."""
    for _ in range(200):
        page = person.get(PAGE).text
        found = re.search(r'href="(/console/exports/[0-9a-f]+/content)"', page)
        if found is not None and "data-moving" not in page:
            return found[1]
        time.sleep(0.05)
    raise AssertionError("no export was written")


def test_a_search_is_exported_and_the_file_is_what_it_finds(
    server: LiveServer, person: httpx2.Client
) -> None:
    listed = html.unescape(person.get("/console?q=data.n%3A%3E2&from=2026-01-01T00:00").text)
    link = re.search(r'href="(/console/exports\?[^"]+)"', listed)
    assert link is not None
    form = html.unescape(person.get(link[1]).text)
    assert "data.n:>2" in form
    assert "2026-01-01T00:00:00.000Z" in form
    query = re.search(r'name="query" value="([^"]*)"', form)
    assert query is not None
    assert ask(person, query[1]).status_code == 303
    address = content_of(person)
    answer = person.get(address)
    assert "attachment" in answer.headers["content-disposition"]
    rows = [msgspec.json.decode(line) for line in answer.text.splitlines()]
    assert [row["data"]["n"] for row in rows] == [3, 4, 5]
    part = person.get(address, headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, answer.content[:10])
    assert "requested export" in re.sub(r"<[^>]+>", "", person.get(PAGE).text)
    deleted = person.post(
        address.replace("/content", "/delete"), data={"csrf": csrf_in(person.get(PAGE).text)}
    )
    assert deleted.status_code == 303
    assert person.get(address).status_code == 404


def test_an_export_holds_what_its_maker_sees_and_is_nobody_elses(
    server: LiveServer, person: httpx2.Client
) -> None:
    server.create_user(TENANT, "half", login="half", password="correct horse")
    server.grant(TENANT, "half", "workspace:1", "Viewer")
    with server.plain_http() as viewer, server.plain_http() as other:
        show(viewer, login="half", password="correct horse")
        assert ask(viewer, "q=kind%3Aorder.*").status_code == 303
        address = content_of(viewer)
        rows = [msgspec.json.decode(line) for line in viewer.get(address).text.splitlines()]
        assert [row["data"]["n"] for row in rows] == [1, 3, 5]
        show(other, key=server.create_key(TENANT, [Scope.READ]))
        assert "No exports yet" in other.get(PAGE).text
        assert other.get(address).status_code == 404
        csrf = csrf_in(other.get(PAGE).text)
        gone = other.post(address.replace("/content", "/delete"), data={"csrf": csrf})
        assert gone.status_code == 404
        assert "half" in person.get(PAGE).text


@pytest.mark.parametrize(
    ("query", "form"), [("", "pdf"), ("q=kind%3A(", "csv"), ("range=2y", "csv")]
)
def test_what_cannot_be_exported_is_refused(person: httpx2.Client, query: str, form: str) -> None:
    answer = ask(person, query, form)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text

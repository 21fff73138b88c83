"""Data that an earlier version wrote still opens: a data folder and a PostgreSQL database.

`tests/fixtures/before_rooms` holds both as that version left them, with what it said of them: see
the README there.
"""

from __future__ import annotations

import json
import lzma
import tarfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from tallystick.tlog.note import Verifier
from tallystick.tlog.receipt import verify_receipt
from tests.cli.program import run, told
from tests.support.live_server import LiveServer, open_server
from tests.support.needs import ROOT

FIXTURES = ROOT / "tests/fixtures/before_rooms"
TENANT = "default"
MASSIF_HEIGHT = 4


class Kept:
    """One place that an earlier version left, and what that version said of it."""

    def __init__(self, name: str, home: Path, database: str | None) -> None:
        self.said: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
        self.folder = home / "data"
        self.database = database
        with tarfile.open(FIXTURES / f"{name}.tar.xz") as tar:
            tar.extractall(home, filter="data")

    def arguments(self) -> tuple[str, ...]:
        """Return the options of a command that works on this place."""
        there = ("--data", str(self.folder))
        return there if self.database is None else (*there, "--database", self.database)


@pytest.fixture(params=["folder", pytest.param("database", marks=pytest.mark.needs("postgres"))])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    """Return the place as it was left."""
    name = str(request.param)
    if name == "folder":
        return Kept(name, tmp_path, None)
    url = str(request.getfixturevalue("postgres_database"))
    with psycopg.connect(url) as connection:
        connection.execute(lzma.decompress((FIXTURES / "database.sql.xz").read_bytes()))
    run("migrate", "--database", url)
    return Kept(name, tmp_path, url)


@pytest.fixture
def server(kept: Kept) -> Iterator[LiveServer]:
    """Serve the place; its log is checked in the end."""
    with open_server(
        kept.folder,
        tenant=None,
        database=kept.database,
        datatrails={"massif_height": MASSIF_HEIGHT},
    ) as live:
        yield live


def listed(http: httpx2.Client, **params: str) -> list[dict[str, Any]]:
    """Return every event of a list, however many pages that takes."""
    events: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = http.get("/v1/events", params={**params, **cursor, "limit": "7"})
        assert answer.status_code == 200, answer.text
        events += answer.json()["events"]
        if answer.json().get("next") is None:
            return events
        cursor = {"cursor": answer.json()["next"]}


def test_fsck_finds_nothing(kept: Kept) -> None:
    report = told("fsck", *kept.arguments())
    assert report["clean"], report
    assert report["logs"] == len(kept.said["tenants"])
    assert report["entries"] == sum(said["size"] for said in kept.said["tenants"].values())
    assert min(report["erased"], report["blobs"], report["claims"], report["public_leaves"]) > 0


def test_lists_and_searches_say_what_they_said(kept: Kept, server: LiveServer) -> None:
    for said in kept.said["tenants"].values():
        with server.http(said["key"]) as http:
            assert [event["id"] for event in listed(http)] == said["events"]
            log = listed(http, view="log", order="asc")
            assert [[event["kind"], event["op"]] for event in log] == said["log"]
            assert (
                sorted(event["id"] for event in listed(http, view="log", q="kind:*e*"))
                == (said["search"])
            )
    with server.http(kept.said["tenants"][TENANT]["key"]) as http:
        totals = listed(http, q="data.total:[10 TO 20]")
    assert [event["id"] for event in totals] == kept.said["totals"] != []


def test_heads_stand_and_receipts_verify(kept: Kept, server: LiveServer) -> None:
    for said in kept.said["tenants"].values():
        with server.http(said["key"]) as http:
            checkpoint = http.get("/v1/checkpoint").json()
            key = Verifier.parse(said["verifier_key"])
            assert [checkpoint[name] for name in ("size", "root")] == [said["size"], said["root"]]
            for event_id in said["events"][:3]:
                now = verify_receipt(
                    http.get(f"/v1/events/{event_id}/receipt").content, verifier=key
                )
                assert now.entry["id"] == event_id
        if said["receipt"] is not None:
            before = verify_receipt(said["receipt"], verifier=key)
            assert before.entry["id"] == said["events"][0]


def test_log_goes_on_where_it_was(kept: Kept, server: LiveServer) -> None:
    said = kept.said["tenants"][TENANT]
    with server.http(said["key"]) as http:
        added = http.post("/v1/events", json={"kind": "order.created", "data": {"total": 15}})
        assert added.status_code == 201, added.text
        before = http.post(
            "/v1/events", json={"kind": "k.once"}, headers={"Idempotency-Key": "only-once"}
        )
        assert before.json()["index"] < said["size"], before.text
        other = http.post(
            "/v1/events", json={"kind": "k"}, headers={"Idempotency-Key": "only-once"}
        )
        assert other.status_code == 422, other.text
        assert http.get("/v1/checkpoint").json()["size"] == said["size"] + 1
        found = [event["id"] for event in listed(http, q="data.total:[10 TO 20]")]
        assert set(found) == {*kept.said["totals"], added.json()["id"]}


def test_erasures_and_holds_stay(kept: Kept, server: LiveServer) -> None:
    with server.http(kept.said["tenants"][TENANT]["key"]) as http:
        assert http.get(f"/v1/events/{kept.said['retracted']}").status_code == 404
        assert http.get(f"/v1/events/{kept.said['erased']}").status_code == 404
        assert http.get(f"/v1/events/{kept.said['revised']}").json()["data"] == {"n": 100}
        holds = http.get(f"/v1/admin/tenants/{TENANT}/holds").json()["holds"]
        assert [hold["id"] for hold in holds] == ["matter-1"]
        refused = http.post(f"/v1/events/{kept.said['held']}/retract", json={})
        assert (refused.status_code, refused.json()["hold"]) == (409, "matter-1")


def test_users_and_blobs_are_known(kept: Kept, server: LiveServer) -> None:
    login = {"grant_type": "password", **kept.said["user"]}
    form = {"grant_type": "password", "username": login["login"], "password": login["password"]}
    basic = {"Authorization": f"Basic {b64encode(b'cf:').decode()}"}
    with server.plain_http(**basic) as http:
        token = http.post("/oauth/token", data=form)
        assert token.status_code == 200, token.text
    with server.http(token.json()["access_token"]) as http:
        assert http.get("/v1/events").status_code == 200
    blob = kept.said["blob"]
    with server.http(kept.said["tenants"][blob["tenant"]]["key"]) as http:
        content = http.get(blob["path"], headers={"Accept": "*/*"})
        assert content.status_code == 200, content.text


def test_search_is_made_again(kept: Kept) -> None:
    run("rebuild", "search", *kept.arguments())

"""How far an index came, read from its files before anybody opens them to write."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import apsw
import httpx2
import pytest

from tallystick.followers.kind import load_index_kind
from tallystick.index.followers import KINDS
from tallystick.settings import Settings
from tests.cli.program import served
from tests.support.live_server import TENANT, open_server

EVENTS = 30


@pytest.mark.parametrize("name", KINDS)
def test_stored_cursors_are_where_the_index_stopped(tmp_path: Path, name: str) -> None:
    with open_server(tmp_path / "data") as live, live.http() as http:
        for _ in range(EVENTS):
            http.post("/v1/events", json={"kind": "a.b", "data": {"text": "pebble"}})
        assert len(http.get("/v1/events?q=pebble&limit=100").json()["events"]) == EVENTS
        assert len(http.get("/v1/events?limit=100").json()["events"]) == EVENTS
        head = live.node.store.log_head(TENANT)
        assert head is not None
    assert load_index_kind(KINDS[name], Settings()).stored(generation(tmp_path, name)) == {
        TENANT: head.size
    }


@pytest.mark.parametrize("name", KINDS)
def test_reading_them_touches_nothing_that_a_kill_left_behind(tmp_path: Path, name: str) -> None:
    process, said = served("--data", str(tmp_path / "data"), own_group=True)
    bearer = {"Authorization": f"Bearer {said['key']}"}
    with httpx2.Client(base_url=said["url"], headers=bearer, timeout=60, verify=False) as http:
        events = [{"kind": "a.b", "data": {"text": "pebble"}}] * EVENTS
        assert http.post("/v1/events", json=events).status_code == 201
        while http.get("/v1/events?q=pebble").status_code == 503:
            pass
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    folder = generation(tmp_path, name)
    before = content(folder)
    assert any(path.name.endswith("-wal") and size for path, (size, _) in before.items())
    stored = load_index_kind(KINDS[name], Settings()).stored(folder)
    assert all(position <= EVENTS + 10 for position in stored.values())
    assert content(folder) == before


@pytest.mark.parametrize("damage", [b"", b"no database at all", b"SQLite format 3\0" + bytes(4096)])
@pytest.mark.parametrize("name", KINDS)
def test_what_cannot_be_read_says_nothing(tmp_path: Path, name: str, damage: bytes) -> None:
    stored = load_index_kind(KINDS[name], Settings()).stored
    assert stored(tmp_path) == {}
    for file in ("views.db", "names.db"):
        (tmp_path / file).write_bytes(damage)
    assert stored(tmp_path) == {}


def test_a_text_where_a_number_belongs_says_nothing(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "views.db"))
    connection.execute("CREATE TABLE tenants (tenant, next); INSERT INTO tenants VALUES ('a', 'b')")
    connection.close()
    assert load_index_kind(KINDS["views"], Settings()).stored(tmp_path) == {}


def generation(tmp_path: Path, name: str) -> Path:
    [folder] = [
        path for path in (tmp_path / "data" / "index" / name).iterdir() if path.name.isdecimal()
    ]
    return folder


def content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_size, path.read_bytes()) for path in sorted(folder.rglob("*"))
            if path.is_file()}  # fmt: skip

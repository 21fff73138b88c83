"""A public log that was made of entries which the log has no more: kept, and made again by hand."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tallystick.identity.access import Scope
from tests.cli.program import run
from tests.dialects.datatrails.conftest import eventually
from tests.support.live_server import TENANT, LiveServer, open_server

APPLICATIONS = "/archivist/iam/v1/applications"


def publish(live: LiveServer, count: int) -> None:
    """Record events and wait until they are published and sealed."""
    with live.http() as http:
        for _ in range(count):
            assert http.post("/v1/events", json={"kind": "a.b"}).status_code == 201
    eventually(lambda: is_published(live), lambda done: done)


def is_published(live: LiveServer) -> bool:
    head = live.node.store.log_head(TENANT)
    cursor = live.node.public_files.cursor(TENANT)
    assert head is not None
    return cursor is not None and cursor.leaves == cursor.sealed == head.size


def files_of(live: LiveServer) -> tuple[bytes | None, bytes]:
    seal = live.node.public_files.seal(TENANT, 0)
    assert seal is not None
    return live.node.public_files.read(TENANT, 0), seal.data


@pytest.fixture
def set_back(tmp_path: Path) -> Path:
    """Return a folder whose ledger was brought back alone, beneath what was published."""
    folder = tmp_path / "data"
    with open_server(folder) as live:
        with live.http() as http:
            app = {"display_name": "app"}
            assert http.post(APPLICATIONS, json=app).status_code == 200
        publish(live, 3)
    shutil.copy(folder / "ledger.db", tmp_path / "ledger.db")
    with open_server(folder, tenant=None) as live:
        live.admin_key = live.create_key(TENANT, (Scope.ADMIN,))
        publish(live, 4)
        live_files = files_of(live)
    (tmp_path / "published").write_bytes(live_files[0] or b"")
    (tmp_path / "seal").write_bytes(live_files[1])
    shutil.copy(tmp_path / "ledger.db", folder / "ledger.db")
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (folder / name).unlink(missing_ok=True)
    return folder


def test_a_public_log_of_another_history_is_kept_and_made_again(
    set_back: Path, tmp_path: Path
) -> None:
    options = ("--data", str(set_back))
    assert "public log of tenant" in run("fsck", *options, code=3).stdout
    accepted = run("restore", "--accept", "the ledger of noon", *options, code=3)
    assert "tallystick public-log remake" in accepted.stderr
    keep = tmp_path / "kept"
    command = ("public-log", "remake", "--keep", str(keep), "--reason", "disk lost")
    told = json.loads(run(*command, *options, "--json").stdout)
    assert told["kept"] == ["0000000000000000.log", "0000000000000000.sth"]
    content = (keep / "0000000000000000.log").read_bytes()
    assert content == (tmp_path / "published").read_bytes()
    assert (keep / "0000000000000000.sth").read_bytes() == (tmp_path / "seal").read_bytes()
    with open_server(set_back, tenant=None) as live:
        live.admin_key = live.create_key(TENANT, (Scope.ADMIN,))
        publish(live, 1)
        entry = remade_entry(live)
        assert entry["reason"] == "disk lost"
        assert entry["leaves"] == told["leaves"]
        assert entry["files"]["0000000000000000.log"] == hashlib.sha256(content).hexdigest()
        made, _ = files_of(live)
        assert made is not None
        # What both histories have was published with the same bytes.
        assert made != content
    run("fsck", *options)
    refused = run(
        *command[:-4], "--keep", str(tmp_path / "other"), "--reason", "x", *options, code=1
    )
    assert "agrees with its log" in refused.stderr
    assert not (tmp_path / "other").exists()


def remade_entry(live: LiveServer) -> dict[str, Any]:
    with live.http() as http:
        [event] = http.get("/v1/events?view=log&kind=publiclog.remade").json()["events"]
    data: dict[str, Any] = event["data"]
    return data

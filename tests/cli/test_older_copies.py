"""A folder whose ledger is gone, or older than it was, or was restored on purpose."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import program, run, told
from tests.support.live_server import open_server

BESIDE = ["log.key", "heads", "blobs", "index", "datatrails.db", "ledger.db-wal"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a stopped data folder with some events."""
    folder = tmp_path / "data"
    run("tenants", "create", "default", "--data", str(folder))
    run("demo", "--events", "20", "--data", str(folder))
    return folder


def copy_of(folder: Path) -> Path:
    """Return a copy of the ledger, set aside."""
    aside = folder.parent / "aside.db"
    shutil.copyfile(folder / "ledger.db", aside)
    return aside


def bring_back(aside: Path, folder: Path) -> None:
    shutil.copyfile(aside, folder / "ledger.db")


@pytest.mark.parametrize("state", ["missing", "empty"])
def test_folder_whose_ledger_is_gone_is_refused_by_name(folder: Path, state: str) -> None:
    (folder / "ledger.db").unlink()
    if state == "empty":
        (folder / "ledger.db").touch()
    for command in (["serve", "--port", "0"], ["tenants", "list"], ["tenants", "create", "new"]):
        refused = program(*command, "--data", str(folder), code=1)
        assert "has log.key but no ledger.db" in refused.stderr
    assert not (folder / "ledger.db").exists() or state == "empty"


@pytest.mark.parametrize("name", BESIDE)
def test_whatever_stands_beside_a_ledger_tells_that_it_is_gone(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    left = folder / name
    if "." in name:
        folder.mkdir()
        left.write_text("x")
    else:
        left.mkdir(parents=True)
        (left / "something").write_text("x")
    refused = run("tenants", "list", "--data", str(folder), code=1)
    assert f"has {name} but no ledger.db" in refused.stderr


def test_new_log_is_begun_beside_what_is_left_only_when_asked(folder: Path) -> None:
    (folder / "ledger.db").unlink()
    from tallystick.node.node import open_node
    from tallystick.settings import Settings

    node = open_node(folder, Settings(), followers=False, new=True)
    assert node.problems == []
    assert node.store.log_heads() == []
    node.close()
    refused = program("serve", "--new", "--port", "0", "--data", str(folder), code=1)
    assert "already has a ledger.db" in refused.stderr


def test_ledger_without_its_key_is_refused_and_gets_none(folder: Path) -> None:
    (folder / "log.key").unlink()
    for command in (["serve", "--port", "0"], ["tenants", "list"]):
        assert "holds no log.key" in program(*command, "--data", str(folder), code=1).stderr
    assert not (folder / "log.key").exists()


@pytest.mark.parametrize("place", ["folder", "elsewhere"])
def test_older_copy_is_read_and_not_written_to(folder: Path, tmp_path: Path, place: str) -> None:
    settings: dict[str, Any] = (
        {} if place == "folder" else {"remembered_heads": str(tmp_path / "elsewhere")}
    )
    aside = copy_of(folder)
    with open_server(folder, tenant=None, **settings) as server:
        key = server.create_key("default", ("admin",))  # type: ignore[arg-type]
        with server.http(key) as http:
            assert http.post("/v1/events", json={"kind": "later"}).status_code == 201
    bring_back(aside, folder)
    if place == "elsewhere":
        shutil.rmtree(folder / "heads")
    with open_server(folder, tenant=None, **settings) as server, server.plain_http() as http:
        ready = http.get("/readyz")
        assert ready.status_code == 503
        assert "it has 21 entries, but 23 were signed" in ready.json()["reason"]
        assert server.node.ledger.proofs.head("default").size == 21
    env = {} if place == "folder" else {"TALLYSTICK_REMEMBERED_HEADS": str(tmp_path / "elsewhere")}
    refused = run("append", "--data", str(folder), stdin='{"kind": "k"}', code=1, env=env)
    assert "this is an older copy" in refused.stderr + refused.stdout


def test_log_that_went_on_elsewhere_is_noticed(folder: Path) -> None:
    """Another continuation of an older copy is longer, and still not what was signed."""
    aside = copy_of(folder)
    run("demo", "--events", "5", "--data", str(folder))
    kept = folder.parent / "heads"
    shutil.copytree(folder / "heads", kept)
    bring_back(aside, folder)
    shutil.rmtree(folder / "heads")
    run("demo", "--events", "50", "--data", str(folder))
    shutil.rmtree(folder / "heads")
    kept.rename(folder / "heads")
    with open_server(folder, tenant=None) as server, server.plain_http() as http:
        assert "are not the ones that" in http.get("/readyz").json()["reason"]


def test_state_that_was_brought_back_is_accepted_on_purpose(folder: Path) -> None:
    aside = copy_of(folder)
    run("demo", "--events", "5", "--data", str(folder))
    bring_back(aside, folder)
    done = told("restore", "--accept", "snapshot of Monday", "--data", str(folder))
    assert done["clean"]
    [entry] = restorations(folder)
    assert entry == {
        "backup": "snapshot of Monday", "size": 21, "remembered_size": 26,
        "recorded_ms": entry["recorded_ms"],
    }  # fmt: skip
    assert told("demo", "--events", "3", "--data", str(folder)) == {"stored": 3}
    assert "clean" in run("fsck", "--data", str(folder)).stdout


def test_restored_backup_says_where_it_comes_from(folder: Path, tmp_path: Path) -> None:
    backup = tmp_path / "night.tar"
    env = {"TALLYSTICK_REMEMBERED_HEADS": str(tmp_path / "elsewhere")}
    run("backup", str(backup), "--data", str(folder), env=env)
    run("demo", "--events", "5", "--data", str(folder), env=env)
    restored = tmp_path / "restored"
    run("restore", str(backup), "--data", str(restored), env=env)
    [entry] = restorations(restored)
    assert (entry["backup"], entry["size"], entry["remembered_size"]) == ("night.tar", 21, 26)
    assert len(entry["sha256"]) == 64
    run("demo", "--events", "5", "--data", str(restored), env=env)


def test_nothing_is_accepted_that_is_damaged(folder: Path) -> None:
    import apsw

    connection = apsw.Connection(str(folder / "ledger.db"))
    connection.execute("UPDATE logs SET size = size - 1")
    connection.close()
    found = run("restore", "--accept", "what I have", "--data", str(folder), code=3)
    assert "DIFFERENCE" in found.stdout
    assert restorations(folder) == []


def test_log_that_is_gone_from_the_store_is_missed(folder: Path) -> None:
    import apsw

    connection = apsw.Connection(str(folder / "ledger.db"))
    for table in ("logs", "log", "tiles", "heads", "claims", "identity", "lookups"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608  # the names stand right above
    connection.close()
    refused = program("serve", "--port", "0", "--data", str(folder), code=1)
    assert "remembers a log that is not in this store" in refused.stderr


def restorations(folder: Path) -> list[dict[str, Any]]:
    """Return what the entries say that tell of a restored log."""
    with open_server(folder, tenant=None, checked=False) as server:
        reader = server.node.store
        rows = [row for head in reader.log_heads() for row in reader.rows(head.tenant, 0, 10**6)]
        from tallystick.log.views import events_of

        return [event.data for event in events_of("default", rows) if event.kind == "log.restored"]

"""Going on after a log cannot be extended: a new log whose entry 0 says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tallystick.errors import Conflict, StoreCorrupt
from tallystick.events.event import Draft
from tallystick.tlog.checkpoint import open_checkpoint
from tallystick.tlog.note import Verifier
from tests.cli.program import run, told
from tests.support.live_server import open_server


@pytest.fixture
def data(tmp_path: Path) -> tuple[str, str]:
    data = ("--data", str(tmp_path / "data"))
    run("tenants", "create", "default", *data)
    run("demo", "--events", "20", *data)
    return data


def test_lost_key_is_succeeded_by_a_log_that_says_so(data: tuple[str, str]) -> None:
    folder = Path(data[1])
    old_key = Verifier.parse(told("keys", "log", *data)["verifier_key"])
    (folder / "log.key").unlink()
    refused = run("tenants", "succeed", "default", "next", "--reason", "x", *data, code=1)
    assert "holds no log.key" in refused.stderr
    made = told(
        "tenants", "succeed", "default", "next", "--reason", "disk lost", "--lost-key", *data
    )
    continued = made["continues"]
    checkpoint = open_checkpoint(continued["checkpoint"], [old_key], continued["origin"])
    assert checkpoint.size == continued["size"]
    assert made["origin"] != continued["origin"]
    with open_server(folder, tenant=None, checked=False) as live, live.http(made["key"]) as http:
        assert live.node.problems == []
        assert http.get("/readyz").status_code == 200
        first = http.get("/v1/events", params={"view": "log", "sort": "index"}).json()["events"][0]
        assert first["kind"] == "tenant.created"
        assert first["data"]["continues"] == continued
        assert continued["reason"] == "disk lost"
        assert http.post("/v1/events", json={"kind": "a"}).status_code == 201
        with pytest.raises(Conflict, match="has ended"):
            live.node.ledger.append("default", [Draft(kind="a", dialect="native")])
        assert live.node.ledger.proofs.head("default").size == continued["size"]


def test_log_is_succeeded_once_and_stays_readable(data: tuple[str, str]) -> None:
    told("tenants", "succeed", "default", "next", "--reason", "a restore lost entries", *data)
    again = run("tenants", "succeed", "default", "third", "--reason", "x", *data, code=1)
    assert "continues that of 'default' already" in again.stderr
    unknown = run("tenants", "succeed", "nobody", "third", "--reason", "x", *data, code=1)
    assert "no log of a tenant 'nobody'" in unknown.stderr
    assert run("fsck", *data).stdout.startswith("clean")
    events = told("events", "list", "--tenant", "default", *data)
    assert events
    refused = run("keys", "create", "--scope", "read", "--tenant", "default", *data, code=1)
    assert "has ended" in refused.stderr
    demo = run("demo", "--events", "2", "--tenant", "default", *data, code=1)
    assert "0 events stored" in demo.stdout
    assert "2 events refused" in demo.stderr
    assert "has ended" in demo.stderr


def test_older_copy_than_a_mirror_is_not_written_to(tmp_path: Path, data: tuple[str, str]) -> None:
    """The mirror stands elsewhere; the data folder was set back with all that it remembers."""
    folder, mirror = Path(data[1]), tmp_path / "mirror"
    shutil.copytree(folder, tmp_path / "older")
    run("demo", "--events", "3", *data)
    run("publish", str(mirror), *data)
    with open_server(folder, tenant=None, mirrors=(str(mirror),)) as live:
        assert live.node.problems == []
    with open_server(tmp_path / "older", tenant=None, mirrors=(str(mirror),)) as live:
        (problem,) = live.node.problems
        assert "this is an older copy" in problem
        assert str(mirror) in problem
        with pytest.raises(StoreCorrupt, match="older copy"):
            live.node.ledger.append("default", [Draft(kind="a", dialect="native")])

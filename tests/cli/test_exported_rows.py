"""Exported lines are verified with a bundle, or with the receipts that they carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import run, told
from tests.support.live_server import open_server

EVENT = {
    "kind": "order.created",
    "occurred_at": "2026-01-02T03:04:05.678Z",
    "actor": {"type": "user", "id": "1", "name": "A"},
    "target": {"type": "order", "id": "2"},
    "scopes": [{"type": "shop", "id": "3"}],
    "trails": ["t"],
    "data": {"n": 1},
    "previous": {"n": 0},
}
CHANGES: dict[str, Any] = {
    "id": "018f6b5e-7a00-7000-8000-000000000481", "kind": "order.paid", "op": "document",
    "occurred_at": "2026-01-02T03:04:05.679Z", "recorded_at": "2020-01-01T00:00:00Z",
    "actor": {"type": "user", "id": "1", "name": "B"}, "target": None, "scopes": [],
    "trails": ["t", "u"], "data": {"n": 2}, "previous": None, "original": {"id": 1},
    "dialect": "kvass",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with lines, lines with receipts, a bundle and the log's key."""
    folder = tmp_path_factory.mktemp("rows")
    options = ("--data", str(folder / "data"))
    with open_server(folder / "data") as live, live.http() as http:
        for n in range(3):
            stored = http.post("/v1/events", json=EVENT | {"data": {"n": n}}).json()
        http.post(
            f"/v1/events/{stored['id']}/revise", json={"data": {"n": "revised"}}
        ).raise_for_status()
        events = http.get("/v1/events?proof=inline").json()["events"]
        lines = "".join(json.dumps(event) + "\n" for event in events)
        (folder / "inline.ndjson").write_text(lines)
    run("export", "--kind", "order.*", "--out", str(folder / "rows.ndjson"), *options)
    run("export", "--kind", "order.*", "--bundle", str(folder / "rows.zip"), *options)
    (folder / "log.vkey").write_text(run("keys", "log", *options).stdout)
    return folder


def test_lines_are_proven_by_a_bundle(files: Path) -> None:
    key = (files / "log.vkey").read_text().strip()
    given = (str(files / "rows.ndjson"), "--with", str(files / "rows.zip"))
    found = told("verify", *given, "--key", key)
    assert (found["lines"], found["key_pinned"], found["not_proven"]) == (3, True, [])
    assert "not pinned" in run("verify", *given).stdout
    alone = run("verify", str(files / "rows.ndjson"), code=3)
    assert "line 1: it has no receipt and is in no bundle" in alone.stderr
    assert "verify --with FILE" in alone.stderr


@pytest.mark.parametrize("name", ["rows.ndjson", "inline.ndjson"])
@pytest.mark.parametrize("member", [*CHANGES, "leaf_hash"])
def test_any_member_that_was_changed_is_named(
    files: Path, tmp_path: Path, name: str, member: str
) -> None:
    rows = [json.loads(line) for line in (files / name).read_text().splitlines()]
    if member == "leaf_hash":
        rows[1][member] = "00" * 32
    else:
        assert rows[1].get(member) != CHANGES[member]
        rows[1][member] = CHANGES[member]
    changed = tmp_path / "changed.ndjson"
    changed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused = run("verify", str(changed), "--with", str(files / "rows.zip"), code=3)
    assert f"line 2: {member} contradicts" in refused.stderr


def test_what_only_the_server_says_is_named(files: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (files / "inline.ndjson").read_text().splitlines()]
    found = told("verify", str(files / "inline.ndjson"))
    # One event was revised: its receipt is of the event as it was first.
    assert {"data", "revision"} <= set(found["not_proven"])
    rows[0]["remark"] = "x"
    extra = tmp_path / "extra.ndjson"
    extra.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "remark" in told("verify", str(extra))["not_proven"]


def test_bundle_that_is_damaged_proves_nothing(files: Path, tmp_path: Path) -> None:
    data = bytearray((files / "rows.zip").read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(data)
    given = (str(files / "rows.ndjson"), "--with", str(damaged))
    assert "the bundle is invalid" in run("verify", *given, code=3).stderr

"""`tallystick export`: files that are whole, killed and taken up again, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from tests.cli.program import TALLYSTICK, run, served

COUNT = 12_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with many events, in texts that are hard to split into lines."""
    folder = tmp_path_factory.mktemp("export")
    run("tenants", "create", "acme", "--data", str(folder))
    lines = (
        json.dumps({"kind": f"k.{n % 3}", "data": {"n": n, "text": "a\u2028b\u0085c\nd"}},
                   ensure_ascii=False)
        for n in range(COUNT)
    )  # fmt: skip
    run("append", "--data", str(folder), "--json", stdin="\n".join(lines))
    return folder


def test_an_export_says_that_it_is_whole(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.ndjson"
    run("export", "--data", str(folder), "--kind", "k.1", "--out", str(out))
    manifest = json.loads((tmp_path / "events.ndjson.manifest.json").read_text())
    body = out.read_bytes()
    assert manifest["complete"] is True
    assert manifest["sha256"] == hashlib.sha256(body).hexdigest()
    assert manifest["rows"] == body.count(b"\n") == COUNT // 3
    first, last = (json.loads(body.split(b"\n")[at]) for at in (0, -2))
    assert (manifest["first_index"], manifest["last_index"]) == (first["index"], last["index"])
    assert first["data"]["text"] == "a\u2028b\u0085c\nd"
    assert list(tmp_path.glob("*.part*")) == []
    printed = run("export", "--data", str(folder), "--kind", "k.1")
    assert printed.stdout_bytes == body
    run("export", "--data", str(folder), "--out", str(out), code=1)


def test_parquet_is_made_of_all_rows(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.parquet"
    arguments = ("--data", str(folder), "--kind", "k.1", "--format", "parquet")
    run("export", *arguments, "--out", str(out))
    manifest = json.loads((tmp_path / "events.parquet.manifest.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert manifest["bytes"] == out.stat().st_size
    assert pyarrow.parquet.read_table(out).num_rows == manifest["rows"] == COUNT // 3
    assert list(tmp_path.glob("*.part*")) == []
    assert run("export", *arguments).stdout_bytes == out.read_bytes()


def test_killed_and_taken_up_again_an_export_has_the_same_bytes(
    folder: Path, tmp_path: Path
) -> None:
    """Events that come meanwhile are not in it."""
    server, _ = served("--data", str(folder))
    try:
        whole, broken = tmp_path / "whole.csv", tmp_path / "broken.csv"
        run("export", "--data", str(folder), "--format", "csv", "--out", str(whole))
        command = ["export", "--data", str(folder), "--format", "csv", "--out", str(broken)]
        process = subprocess.Popen([str(TALLYSTICK), *command])
        note = tmp_path / "broken.csv.part.json"
        until_s = time.monotonic() + 30
        while not note.exists() and process.poll() is None:
            assert time.monotonic() < until_s
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not broken.exists()
        run("append", "--data", str(folder), "--json", stdin='{"kind": "late"}')
        run("export", "--data", str(folder), "--format", "ecs", "--out", str(broken), code=1)
        run(*command)
        assert broken.read_bytes() == whole.read_bytes()
        assert not note.exists()
    finally:
        os.kill(server.pid, signal.SIGTERM)
        server.communicate(timeout=30)

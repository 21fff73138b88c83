"""Imports from the command line: cut off and run again, with records that are none."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from uuid import UUID

from tests.cli.program import TALLYSTICK, run, told
from tests.support.live_server import LiveServer, open_server


def record(n: int) -> dict[str, object]:
    """Return a CloudTrail record."""
    return {
        "eventID": str(UUID(int=n, version=4)),
        "eventTime": "2023-07-10T11:42:18Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": "GetCallerIdentity",
        "userIdentity": {"type": "IAMUser", "userName": "bert-jan"},
    }


def write(path: Path, records: list[object]) -> Path:
    """Write a log file of CloudTrail."""
    path.write_text(json.dumps({"Records": records}))
    return path


def stored(server: LiveServer) -> int:
    """Return how many events there are."""
    with server.http() as http:
        total: int = http.get("/v1/events?limit=1&total=true").json()["total"]
    return total


def test_an_import_that_was_killed_goes_on_when_it_is_run_again(tmp_path: Path) -> None:
    """The second file is a pipe that nobody writes to: there the first run stands still."""
    first = write(tmp_path / "1.json", [record(n) for n in range(1200)])
    second = tmp_path / "2.json"
    os.mkfifo(second)
    with open_server(tmp_path / "data") as server:
        reach = ("--url", server.url, "--key", server.admin_key)
        command = [str(TALLYSTICK), "import", "cloudtrail", str(first), str(second), *reach]
        cut_off = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        until_s = time.monotonic() + 60
        while stored(server) < 1000:
            assert cut_off.poll() is None
            assert time.monotonic() < until_s
        cut_off.kill()
        cut_off.communicate()
        assert stored(server) == 1000
        second.unlink()
        write(second, [record(n) for n in range(1100, 1500)])
        again = told("import", "cloudtrail", str(first), str(second), *reach)
        # A hundred records are in both files.
        assert again == {"stored": 500, "already_there": 1100, "skipped": 0}
        assert stored(server) == 1500


def test_malformed_records_are_reported_and_skipped(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    write(files / "a.json", [{}, 7, {**record(1), "eventTime": "soon"}, record(2)])
    (files / "b.json").write_text('{"Records": [')
    write(files / "c.json", [record(n) for n in range(3, 6)])
    with open_server(tmp_path / "data") as server:
        reach = ("--url", server.url, "--key", server.admin_key)
        done = run("import", "cloudtrail", str(files), *reach)
    assert done.stdout == "4 stored, 0 already there, 4 skipped\n"
    for place in ("a.json record 1: ", "a.json record 3: ", "b.json: "):
        assert f"skipped {place}" in done.stderr

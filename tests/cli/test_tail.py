"""`tallystick tail` as a process: what it prints, that it connects again, how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tallystick.cli.tail import _since
from tallystick.client.client import Client
from tests.cli.program import TALLYSTICK, run, served, told


def test_a_stretch_counts_back_from_now() -> None:
    now_ms = time.time() * 1000
    assert abs(now_ms - 7_200_000 - int(_since("2h"))) < 10_000
    assert _since("2026-11-30T00:00:00Z") == "2026-11-30T00:00:00Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data folder with a tenant."""
    run("tenants", "create", "acme", "--data", str(tmp_path))
    return tmp_path


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start a tail on the server of a folder."""
    command = [str(TALLYSTICK), "tail", "--data", str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines_of(output: IO[str] | None, count: int) -> list[str]:
    """Return the next lines of a process."""
    assert output is not None
    return [output.readline() for _ in range(count)]


@pytest.fixture
def server(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Serve the folder."""
    process, _ = served("--data", str(folder))
    yield process
    process.terminate()
    process.communicate(timeout=30)


def append(folder: Path, **event: Any) -> None:
    """Store an event through the server of a folder."""
    with Client(control_socket=folder / "control.sock", tenant="acme") as client:
        client.append(event)


def test_a_tail_prints_events_and_ends_when_interrupted(
    folder: Path, server: subprocess.Popen[str]
) -> None:
    append(folder, kind="order.created", actor={"type": "user", "id": "7", "name": "An\x1b[31mn"})
    tail = start(folder, "--since", "1h", "--kind", "order.*")
    (first,) = lines_of(tail.stdout, 1)
    assert "order.created" in first
    assert "\x1b" not in first
    append(folder, kind="other")
    append(folder, kind="order.paid")
    (second,) = lines_of(tail.stdout, 1)
    assert "order.paid" in second
    tail.send_signal(signal.SIGINT)
    _, errors = tail.communicate(timeout=30)
    assert (tail.returncode, errors) == (130, "")


def test_a_tail_connects_again_after_a_kill_and_misses_nothing(folder: Path) -> None:
    first, _ = served("--data", str(folder))
    tail = start(folder, "--json", "--since", "1h")
    append(folder, kind="k")
    (line,) = lines_of(tail.stdout, 1)
    seen = [json.loads(line)["event"]["index"]]
    append(folder, kind="k")
    first.kill()
    first.communicate(timeout=30)
    second, _ = served("--data", str(folder))
    try:
        append(folder, kind="last")
        while True:
            (line,) = lines_of(tail.stdout, 1)
            event = json.loads(line)["event"]
            seen.append(event["index"])
            if event["kind"] == "last":
                break
        assert seen == list(range(seen[0], seen[0] + len(seen)))
    finally:
        tail.kill()
        tail.communicate(timeout=30)
        second.terminate()
        second.communicate(timeout=30)


def test_what_the_server_refuses_ends_a_tail(folder: Path, server: subprocess.Popen[str]) -> None:
    refused = run("tail", "--data", str(folder), "-q", "(((", code=1)
    assert "tallystick:" in refused.stderr
    refused = run("tail", "--data", str(folder), "--cursor", "x", code=1)
    assert "cursor" in refused.stderr
    append(folder, kind="k")
    line = told("tail", "--data", str(folder), "--since", "1h", "--limit", "1")
    assert (line["op"], line["event"]["kind"]) == ("record", "k")

"""The README's tour in a clean folder, with the real data, through the installed command."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.dialects.datatrails.conftest import eventually
from tests.support import needs

TALLYSTICK = str(Path(sys.executable).with_name("tallystick"))
README = needs.ROOT / "README.md"


class Tour:
    """A terminal in a clean folder, beside a server started as the README says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [TALLYSTICK, "serve", "--data", "./tallystick-data", "--demo", "--port", "0"]
        self.server = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.server.stdout is not None
        self.url = self.server.stdout.readline().split()[-1]
        self.key = self.server.stdout.readline().split()[-1]
        self.environment = {**os.environ, "PATH": f"{Path(TALLYSTICK).parent}:{os.environ['PATH']}"}

    def read(self, path: str) -> Any:
        """Return what the server answers, asked again while its lists are behind."""
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx2.Client(base_url=self.url, headers=headers, timeout=60) as http:
            return eventually(
                lambda: http.get(path), lambda answer: answer.status_code == 200
            ).json()

    def run(self, *args: str) -> str:
        """Run `tallystick` in the folder and return what it prints."""
        return subprocess.run(
            [TALLYSTICK, *args], cwd=self.folder, env=self.environment, check=True,
            stdout=subprocess.PIPE, text=True, timeout=120,
        ).stdout  # fmt: skip


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Tour]:
    """Start the server, and stop it as Ctrl-C does."""
    tour = Tour(tmp_path)
    yield tour
    tour.server.send_signal(signal.SIGINT)
    tour.server.communicate(timeout=60)
    assert tour.server.returncode == 0


@pytest.mark.needs("data")
def test_the_tour_works_on_the_real_data(tour: Tour, shared_data: Path) -> None:
    """Record, import 2,900 records, read them back, prove one offline, check the store."""
    headers = {"Authorization": f"Bearer {tour.key}"}
    event = {"kind": "order.created", "actor": {"type": "user", "id": "481", "name": "Alice"}}
    stored = httpx2.post(f"{tour.url}/v1/events", json=event, headers=headers, timeout=60).json()
    listed = tour.read("/v1/events?kind=order.*&limit=1&total=true")
    assert listed["events"][0]["id"] == stored["id"]
    cloudtrail = str(shared_data / "data" / "aws-cloudtrail-invictus")
    assert tour.run("import", "cloudtrail", cloudtrail).startswith("2900 stored, 0 already")
    assert tour.run("import", "cloudtrail", cloudtrail).startswith("0 stored, 2900 already")
    github = str(shared_data / "data" / "github-webhooks-octokit")
    assert tour.run("import", "github", github).startswith("270 stored, 0 already there, 0 sk")
    total = tour.read("/v1/events?limit=1&total=true")["total"]
    assert total == 500 + 1 + 2900 + 270
    asked = {command[0]: json.loads(tour.run(*command, "--json")) for command in _questions()}
    assert {event["actor"]["name"] for event in asked["events"]} == {"bert-jan"}
    assert all(event["kind"].startswith("sts.") for event in asked["search"])
    assert [len(events) for events in asked.values()] == [3, 3]
    record = _first_record(Path(cloudtrail))
    shown = json.loads(tour.run("events", "get", record["eventID"]))
    assert shown["data"] == record
    tour.run("receipt", record["eventID"], "--out", "receipt.json")
    vkey = tour.run("keys", "log").strip()
    assert "key         pinned" in tour.run("verify", "receipt.json", "--key", vkey)
    assert tour.run("fsck").startswith("clean: 1 logs")


def _questions() -> list[list[str]]:
    """Return what the README asks the imported events, as arguments."""
    commands = re.findall(
        r"^\$ tallystick ((?:events list|search) .*)", README.read_text("utf-8"), re.M
    )
    return [shlex.split(command) for command in commands]


def _first_record(folder: Path) -> dict[str, str]:
    file = sorted((folder / "CloudTrail").glob("*.json"))[0]
    record: dict[str, str] = json.loads(file.read_text())["Records"][0]
    return record


def test_the_readme_names_exactly_two_commands_to_start() -> None:
    start = README.read_text("utf-8").split("## Start", 1)[1].split("##", 1)[0]
    block = start.split("```sh\n", 1)[1].split("```", 1)[0]
    assert [line.split("#")[0].strip() for line in block.strip().splitlines()] == [
        "make run", "make test",
    ]  # fmt: skip

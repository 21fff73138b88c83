"""Two servers of one database, both real: one does each piece of work, the other takes over."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.data_folder import KEY_FILE
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.node.node import open_node
from tallystick.settings import Settings
from tests.faults.test_streams_kill import numbers, until_ready
from tests.subscriptions.streams.receivers import free_port, receiving
from tests.support.live_server import TENANT

pytestmark = pytest.mark.needs("postgres")

PATIENCE_S = 60
STREAMS = f"/v1/admin/tenants/{TENANT}/streams"


class _Pair:
    """Two data folders with one key, for one database."""

    def __init__(self, folder: Path, database: str) -> None:
        self.database = database
        self.folders = [folder / "a", folder / "b"]
        node = open_node(self.folders[0], Settings(database=database), followers=False)
        _, act = acts.create_tenant(TENANT, server_name="localhost", now_ms=1)
        node.ledger.administer(TENANT, act)
        _, self.key, act = acts.create_key(TENANT, (Scope.ADMIN,), now_ms=1)
        node.ledger.administer(TENANT, act)
        node.close()
        self.folders[1].mkdir(mode=0o700)
        shutil.copy(self.folders[0] / KEY_FILE, self.folders[1] / KEY_FILE)

    @contextmanager
    def served(self, at: int) -> Iterator[tuple[httpx2.Client, subprocess.Popen[bytes]]]:
        """Run one of the servers until the block ends."""
        port = free_port()
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("tallystick")), "serve",
             "--data", str(self.folders[at]), "--port", str(port)],
            env={
                **os.environ,
                "TALLYSTICK_STREAMS_ALLOW": "127.0.0.0/8",
                "TALLYSTICK_DATABASE": self.database,
            },
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        headers = {"Authorization": f"Bearer {self.key}"}
        url = f"http://127.0.0.1:{port}"
        try:
            with httpx2.Client(base_url=url, headers=headers, timeout=60, verify=False) as http:
                until_ready(http, process)
                yield http, process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def append(http: httpx2.Client, count: int, first: int) -> None:
    events = [{"kind": "k", "data": {"number": first + n, "text": "x" * 50}} for n in range(count)]
    assert http.post("/v1/events", json=events).status_code == 201


def finished(http: httpx2.Client, id: str) -> dict[str, Any]:
    end_s = time.monotonic() + PATIENCE_S
    while True:
        job: dict[str, Any] = http.get(f"/v1/exports/{id}").raise_for_status().json()
        if job["state"] == "done":
            return job
        assert job["state"] in ("queued", "running"), job
        assert time.monotonic() < end_s, job
        time.sleep(0.05)


def content(http: httpx2.Client, job: dict[str, Any]) -> bytes:
    """Return the file of a job, which this server may have to make first."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        answer = http.get(job["content"])
        if answer.status_code == 200:
            return answer.content
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), answer.text
        assert time.monotonic() < end_s
        time.sleep(0.1)


def test_another_server_takes_over(tmp_path: Path, postgres_database: str) -> None:
    """The one that sends the stream and writes the export is killed with all its processes."""
    pair = _Pair(tmp_path, postgres_database)
    with receiving() as receiver, ExitStack() as stack:
        first, process = stack.enter_context(pair.served(0))
        body = {"name": "s", "sink": "webhook", "to": receiver.url, "mode": "ordered"}
        assert first.post(STREAMS, json=body).status_code == 201
        append(first, 50, 0)
        receiver.wait(lambda: len(receiver.events()) == 50, PATIENCE_S)
        second, _ = stack.enter_context(pair.served(1))
        append(second, 5_000, 50)
        receiver.wait(lambda: len(receiver.events()) == 5_050, PATIENCE_S)

        # What one server wrote, the other one answers and makes for itself.
        job = first.post("/v1/exports", json={"format": "csv"}).json()
        done = finished(second, job["id"])
        body_of = {content(first, done), content(second, done)}
        assert [hashlib.sha256(each).hexdigest() for each in body_of] == [done["sha256"]]
        stored = first.get("/v1/events?view=log&kind=export.created").json()["events"]
        assert [entry["data"]["count"] for entry in stored] == [5_050]

        half = first.post("/v1/exports", json={"format": "ecs"}).json()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        killed_s = time.monotonic()
        append(second, 50, 5_050)
        receiver.wait(lambda: len(receiver.events()) >= 5_100, PATIENCE_S)
        taken_over_s = time.monotonic() - killed_s
        ecs = finished(second, half["id"])
        assert hashlib.sha256(content(second, ecs)).hexdigest() == ecs["sha256"]
        assert ecs["count"] == 5_050
    print(f"the stream was taken over after {taken_over_s:.1f} s")
    assert numbers(receiver) == list(range(5_100))
    assert receiver.most_under_way == 1

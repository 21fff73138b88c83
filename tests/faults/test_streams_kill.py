"""Streams of a server that is killed: nothing is missing, and nothing out of order."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.node.node import open_node
from tallystick.settings import Settings
from tests.subscriptions.streams.receivers import (
    CLOSES,
    FAILS,
    GARBAGE,
    HANGS_UP,
    OK,
    Answer,
    Received,
    Receiver,
    free_port,
    receiving,
)
from tests.support.live_server import TENANT, check_node

ROUNDS = int(os.environ.get("TALLYSTICK_TEST_STREAM_KILLS", "2"))
BATCHES = 4
EVENTS = 40
STREAMS = f"/v1/admin/tenants/{TENANT}/streams"


class ServedFolder:
    """A data folder whose server is a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with_tenant = open_node(folder, Settings(), followers=False)
        _, act = acts.create_tenant(TENANT, server_name="localhost", now_ms=1)
        with_tenant.ledger.administer(TENANT, act)
        _, self.key, act = acts.create_key(TENANT, (Scope.ADMIN,), now_ms=1)
        with_tenant.ledger.administer(TENANT, act)
        with_tenant.close()

    @contextmanager
    def served(self) -> Iterator[tuple[httpx2.Client, subprocess.Popen[bytes]]]:
        """Run the server; whatever is left of it when the block ends is killed."""
        port = free_port()
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("tallystick")), "serve", "--data", str(self.folder),
             "--port", str(port)],
            env={**os.environ, "TALLYSTICK_STREAMS_ALLOW": "127.0.0.0/8"},
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

    def check(self) -> None:
        """Verify what the folder holds."""
        node = open_node(self.folder, Settings(), followers=False)
        try:
            check_node(node)
            assert node.problems == []
        finally:
            node.close()


def until_ready(http: httpx2.Client, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + 60
    while True:
        try:
            if http.get("/v1/checkpoint").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < end_s, "the server does not answer"
        time.sleep(0.05)


def numbers(receiver: Receiver) -> list[int]:
    return [event["data"]["number"] for event in receiver.events()]


@pytest.mark.parametrize("mode", ["ordered", "parallel"])
def test_a_killed_server_goes_on_where_it_was(tmp_path: Path, mode: str) -> None:
    folder = ServedFolder(tmp_path / "data")
    chance = random.Random(17)  # noqa: S311
    faults = (FAILS, GARBAGE, HANGS_UP, CLOSES)

    def decide(number: int, received: Received) -> Answer:
        # Parallel streams try again after five seconds at the earliest.
        share = 0.1 if mode == "ordered" else 0.02
        return chance.choice(faults) if chance.random() < share else OK

    appended: list[int] = []
    with receiving(decide) as receiver:
        for round in range(ROUNDS):
            with folder.served() as (http, process):
                if round == 0:
                    create(http, receiver.url, mode)
                append(http, appended)
                seen = len(receiver.taken)
                receiver.wait(lambda seen=seen: len(receiver.taken) > seen, 60)  # type: ignore[misc]
                # All processes at once, or the server alone, whose others then end by themselves.
                if round % 2:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
        with folder.served() as (http, process):
            receiver.wait(lambda: len(set(numbers(receiver))) == len(appended), 120)
            process.terminate()
            assert process.wait(30) == 0
    assert set(numbers(receiver)) == set(appended)
    if mode == "ordered":
        check_order(receiver)
    folder.check()


def create(http: httpx2.Client, to: str, mode: str) -> None:
    body = {"name": "s", "sink": "webhook", "to": to, "mode": mode}
    assert http.post(STREAMS, json=body).status_code == 201


def append(http: httpx2.Client, appended: list[int]) -> None:
    for _ in range(BATCHES):
        first = len(appended)
        events: list[dict[str, Any]] = [
            {"kind": "thing.done", "data": {"number": number}}
            for number in range(first, first + EVENTS)
        ]
        assert http.post("/v1/events", json=events).status_code == 201
        appended += range(first, first + EVENTS)


def check_order(receiver: Receiver) -> None:
    """See that batches came in the order of the log, each again only right after itself."""
    ids = [received.headers["webhook-id"] for received in receiver.attempts]
    first_seen = list(dict.fromkeys(ids))
    assert [id for at, id in enumerate(ids) if at == 0 or ids[at - 1] != id] == first_seen
    bodies: dict[str, list[int]] = {}
    for received in receiver.attempts:
        found = [event["index"] for event in received.json["events"]]
        assert bodies.setdefault(received.headers["webhook-id"], found) == found
    indexes = [index for id in first_seen for index in bodies[id]]
    assert indexes == sorted(indexes)
    assert len(set(indexes)) == len(indexes)

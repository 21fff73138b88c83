"""A question ends in time, and with its client."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tallystick import deadline
from tallystick.errors import QueryTooSlow
from tallystick.index.followers import SEARCH
from tallystick.ledger.ledger import Ledger
from tests.support.live_server import LiveServer, open_server

MEMBERS = 10_000
HEAVY_EVENTS = 100
SEARCHED = {"q": "data.text:pebble"}


class Endless:
    """Stands for the answer to a question that takes for ever, step by step."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.ended = threading.Event()

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.began.set()
        try:
            while True:
                deadline.check()
                time.sleep(0.01)
        finally:
            self.ended.set()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveServer]:
    with bounded(tmp_path, 0.3) as server:
        yield server


@contextmanager
def bounded(tmp_path: Path, query_seconds: float) -> Iterator[LiveServer]:
    """Serve with a bound on questions, without the processes that would take long to start."""
    with open_server(tmp_path / "data", query_seconds=query_seconds) as server:
        server.node.followers = True
        yield server


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Endless:
    endless = Endless()
    monkeypatch.setattr(Ledger, "find", endless)
    return endless


def test_a_question_without_end_is_refused_and_its_thread_is_free(
    live: LiveServer, endless: Endless
) -> None:
    with live.http() as http:
        answer = http.get("/v1/events")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:tallystick:error:query_too_slow"
    assert answer.headers["retry-after"] == "1"
    assert endless.ended.wait(10)


def test_who_asks_is_answered_even_if_a_step_takes_long(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(Ledger, "find", lambda *args, **options: go_on.wait(30))
    try:
        with live.http() as http:
            assert http.get("/v1/events").status_code == 503
    finally:
        go_on.set()


def test_a_question_ends_with_its_client(tmp_path: Path, endless: Endless) -> None:
    with bounded(tmp_path, 600.0) as live:
        head = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {live.admin_key}\r\n"
        address = urlsplit(live.url)
        with socket.create_connection((address.hostname, address.port), 30) as stream:
            stream.sendall(f"{head}\r\n".encode())
            assert endless.began.wait(10)
            assert not endless.ended.is_set()
        assert endless.ended.wait(10)


def test_a_thread_without_a_question_is_never_stopped() -> None:
    deadline.check()
    assert not deadline.is_abandoned()
    assert deadline.at_most(5.0) == 5.0


def test_a_question_that_waited_too_long_for_a_thread_is_not_begun() -> None:
    began: list[int] = []
    with pytest.raises(QueryTooSlow):
        deadline.Deadline(0.0).run(lambda: began.append(1))
    assert began == []


def test_a_tenant_of_many_member_names_holds_up_no_other_search(tmp_path: Path) -> None:
    with open_server(tmp_path / "data", followers=True, checked=False) as live:
        light = live.create_tenant("light")
        with live.http() as heavy, live.http(light) as http:
            http.post("/v1/events", json={"kind": "a.b", "data": {"text": "pebble"}})
            while http.get("/v1/events", params=SEARCHED).status_code == 503:
                pass
            assert _found(http) == 1
            heavy.post(
                "/v1/events",
                content=b"\n".join(map(_large_event, range(HEAVY_EVENTS))),
                headers={"Content-Type": "application/x-ndjson"},
            )
            for count in (2, 3):
                http.post("/v1/events", json={"kind": "a.b", "data": {"text": "pebble"}})
                assert _found(http) == count
                behind = live.node.index.lag()[SEARCH]
                assert behind > 0, "the heavy tenant was waited for"


def _found(http: Any) -> int:
    answer = http.get("/v1/events", params=SEARCHED)
    assert answer.status_code == 200, answer.text
    return len(answer.json()["events"])


def _large_event(number: int) -> bytes:
    data = {f"m{number}_{member}": 1 for member in range(MEMBERS)}
    return json.dumps({"kind": "big.one", "data": data}).encode()

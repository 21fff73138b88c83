"""A real server process, large events, clients that stand still: memory stays within bounds."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.cli.program import served
from tests.support.postgres import fresh_database

EVENTS = 300
EVENT_CHARS = 1_000_000
FOLLOWING_S_MAX = 120
BATCH = 15
GROWTH_MAX_BYTES = 96 * 1024 * 1024
"""A third of what is read: a page, its text, a slice for each reader, and what the allocator keeps.
"""
STALLED = 4


class Server:
    """A server process with large events, and what it takes of memory."""

    def __init__(self, pid: int, url: str, key: str) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._clear = Path(f"/proc/{pid}/clear_refs")
        self.url = url
        self.key = key
        self.bearer = {"Authorization": f"Bearer {key}"}
        self.http = httpx2.Client(base_url=url, headers=self.bearer, timeout=120, verify=False)
        wanted = {"scopes": ["admin"], "service": True}
        made = self.http.post("/v1/admin/tenants/default/keys", json=wanted)
        self.service_key = made.json()["key"]
        self.before = 0

    def watch(self) -> None:
        """Measure from here on."""
        self._clear.write_text("5")
        self.before = self._bytes("VmRSS")

    def growth_bytes(self) -> int:
        """Return by how much memory was larger at most than when it was measured first."""
        return self._bytes("VmHWM") - self.before

    def _bytes(self, name: str) -> int:
        lines = self._status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024

    def await_answer(self, path: str) -> None:
        """Ask until the followers have caught up with what was stored at once."""
        give_up_s = time.monotonic() + FOLLOWING_S_MAX
        while (status := self.http.get(path).status_code) == 503:
            assert time.monotonic() < give_up_s, path
            time.sleep(0.2)
        assert status == 200, (path, status)

    def fill(self) -> None:
        """Store the events; four dialects show each."""
        for first in range(0, EVENTS, BATCH):
            batch = [self._event(n) for n in range(first, first + BATCH)]
            assert self.http.post("/v1/events", json=batch).status_code in (200, 201)

    @staticmethod
    def _event(n: int) -> dict[str, Any]:
        return {
            "kind": "order.created",
            "actor": {"type": "user", "id": "1", "name": "ann"},
            "target": {"type": "order", "id": f"{n:03}", "name": "an order"},
            "data": {"n": n, "text": "x" * EVENT_CHARS},
        }


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serve a store with 300 MB of events."""
    data = ["--data", str(tmp_path_factory.mktemp("memory") / "data")]
    if request.param == "sqlite":
        yield from serving(data)
        return
    with fresh_database(request.getfixturevalue("postgres_url")) as url:
        yield from serving([*data, "--database", url])


def serving(options: list[str]) -> Iterator[Server]:
    process, said = served(*options)
    try:
        made = Server(process.pid, said["url"], said["key"])
        made.fill()
        # What every kind of read needs once is not what a long answer takes; the followers may need
        # a while for what was stored at once.
        for path in ("/v1/events?limit=1", "/v3/audit_events?per_page=1", "/v1/events?q=unheard"):
            made.await_answer(path)
        yield made
        made.http.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def check_growth(server: Server) -> None:
    growth = server.growth_bytes()
    assert growth < GROWTH_MAX_BYTES, f"{growth / 1e6:.0f} MB"


def numbers(rows: list[Any]) -> list[int]:
    assert all(len(row["text"]) == EVENT_CHARS for row in rows)
    return [row["n"] for row in rows]


def test_pages_with_cursors_end_early_and_miss_nothing(server: Server) -> None:
    server.watch()
    seen: list[int] = []
    sizes: list[int] = []
    params = {"limit": "1000", "order": "asc", "total": "true"}
    while True:
        page = server.http.get("/v1/events", params=params).json()
        assert page["total"] == EVENTS
        seen += numbers([event["data"] for event in page["events"]])
        sizes.append(len(page["events"]))
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert seen == list(range(EVENTS))
    assert min(sizes) >= 1
    assert max(sizes) <= 4
    check_growth(server)


def test_the_log_as_recorded_is_paged_alike(server: Server) -> None:
    server.watch()
    page = server.http.get("/v1/events?view=log&limit=1000").json()
    assert 1 <= len(page["events"]) <= 4
    assert page["next"] is not None
    check_growth(server)


def test_kvass_sends_the_whole_page(server: Server) -> None:
    server.watch()
    headers = {"X-Kvass-Api-Key": server.service_key}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=120, verify=False) as http:
        answer = http.get("/events?size=1000")
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Pagination-Total"] == str(EVENTS)
    assert len({row["_id"]["$oid"] for row in answer.json()}) == EVENTS
    check_growth(server)


@pytest.mark.parametrize("pretty", ["true", "false"])
def test_cloud_foundry_sends_whole_pages(server: Server, pretty: str) -> None:
    server.watch()
    seen: list[str] = []
    url: str | None = f"/v2/events?results-per-page=100&pretty={pretty}"
    while url is not None:
        page = server.http.get(url).json()
        assert page["total_results"] == EVENTS
        assert len(page["resources"]) == 100
        seen += [row["entity"]["actee"] for row in page["resources"]]
        url = page["next_url"]
        url = url and f"{url}&pretty={pretty}"
    assert sorted(seen) == [f"{n:03}" for n in range(EVENTS)]
    check_growth(server)


def test_cloud_foundry_3_sends_whole_pages(server: Server) -> None:
    server.watch()
    seen: list[str] = []
    for page in range(1, 4):
        found = server.http.get(f"/v3/audit_events?per_page=100&page={page}").json()
        seen += [row["target"]["guid"] for row in found["resources"]]
    assert sorted(seen) == [f"{n:03}" for n in range(EVENTS)]
    check_growth(server)


def test_datatrails_sends_whole_pages(server: Server) -> None:
    server.watch()
    seen: list[str] = []
    for skip in range(0, EVENTS, 50):
        asked = {"top": 50, "skip": skip}
        answer = server.http.post("/archivist/v1/events/search", json=asked)
        assert answer.headers["x-total-count"] == str(EVENTS)
        seen += [event["identity"] for event in answer.json()["events"]]
    assert len(set(seen)) == EVENTS
    check_growth(server)


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_orchestrate_searches_send_whole_pages(server: Server, coding: str) -> None:
    server.watch()
    seen: list[int] = []
    auth = httpx2.BasicAuth(server.key, "")
    headers = {"Accept-Encoding": coding}
    for offset in range(0, EVENTS, 100):
        url = f"/v0/order?query=@path.kind:event&limit=100&offset={offset}"
        answer = server.http.get(url, auth=auth, headers=headers)
        assert answer.status_code == 200, answer.text[:500]
        page = answer.json()
        assert page["count"] == len(page["results"]) == 100
        assert page["total_count"] == EVENTS
        seen += numbers([row["value"] for row in page["results"]])
    assert sorted(seen) == list(range(EVENTS))
    check_growth(server)


VERSIONS = 100


def test_orchestrate_sends_all_versions_of_an_item(server: Server) -> None:
    auth = httpx2.BasicAuth(server.key, "")
    for n in range(VERSIONS):
        value = {"n": n, "text": "x" * EVENT_CHARS}
        assert server.http.put("/v0/papers/1", auth=auth, json=value).status_code == 201
    server.watch()
    url = f"/v0/papers/1/refs?values=true&limit={VERSIONS}"
    with server.http.stream("GET", url, auth=auth) as answer:
        assert answer.status_code == 200
        assert sum(map(len, answer.iter_bytes())) > VERSIONS * EVENT_CHARS
    check_growth(server)


def test_what_a_search_reads_is_never_in_memory_together(server: Server) -> None:
    """The order of two fields is worked out over events that are read."""
    server.watch()
    for _ in range(3):
        answer = server.http.get(
            "/v0/order?query=*&sort=value.n:asc,value.m:asc", auth=(server.key, "")
        )
        assert answer.status_code in (200, 503), answer.text[:300]
    check_growth(server)


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/v1/events?limit=1000", "Authorization: Bearer "),
        ("/events?size=1000", "X-Kvass-Api-Key: "),
        ("/v2/events?results-per-page=100", "Authorization: Bearer "),
    ],
)
def test_readers_that_stand_still_hold_little(server: Server, path: str, header: str) -> None:
    server.watch()
    parts = urlsplit(server.url)
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{header}{server.service_key}\r\n\r\n"
    stalled = [socket.create_connection((parts.hostname, parts.port)) for _ in range(STALLED)]
    try:
        for reader in stalled:
            reader.sendall(request.encode())
            assert reader.recv(12) == b"HTTP/1.1 200"
        time.sleep(2)
        # Others are served meanwhile.
        assert len(json.loads(server.http.get("/v1/events?limit=1").content)["events"]) == 1
    finally:
        for reader in stalled:
            reader.close()
    check_growth(server)

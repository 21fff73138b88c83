"""A long answer ends with the credential that it is for: tried on sockets that read slowly."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.credentials import digest_of_secret
from tallystick.identity.records import ApiKey
from tests.support.live_server import TENANT, LiveServer, open_server

EVENTS = 32
EVENT_CHARS = 1_000_000
PAGE_BYTES = 64 * 1024 * 1024
"""So large that one page with a cursor has all events."""


class Asked(NamedTuple):
    """A request whose answer is long."""

    method: str
    path: str
    header: str = "Authorization: Bearer {key}"
    body: str = ""


ANSWERS = {
    "list": Asked("GET", "/v1/events?limit=1000"),
    "page of a follower": Asked("GET", "/v1/events?follow=true&limit=1000"),
    "export": Asked("GET", "/v1/events/export"),
    "live tail": Asked("GET", "/v1/events/stream?since=2001-01-01T00:00:00Z"),
    "kvass": Asked("GET", "/events?size=1000", "X-Kvass-Api-Key: {key}"),
    "cloud foundry": Asked("GET", "/v2/events?results-per-page=100"),
    "datatrails search": Asked("POST", "/archivist/v1/events/search", body='{"top": 50}'),
}
LINES = 150_000
OUTCOMES = Asked(
    "POST",
    "/v1/events",
    "Authorization: Bearer {key}\r\nContent-Type: application/x-ndjson",
    '{"kind": "a.b"}\n' * LINES,
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("long") / "data"
    with open_server(folder, page_bytes=PAGE_BYTES) as server:
        with server.http() as http:
            for first in range(0, EVENTS, 10):
                batch = [event(n) for n in range(first, first + 10)]
                assert http.post("/v1/events", json=batch).status_code == 201
        yield server


def event(n: int) -> dict[str, object]:
    return {
        "kind": "order.created",
        "actor": {"type": "user", "id": "1", "name": "ann"},
        "target": {"type": "order", "id": str(n), "name": "an order"},
        "data": {"n": n, "text": "x" * EVENT_CHARS},
    }


def new_key(live: LiveServer, tenant: str = TENANT) -> tuple[str, Callable[[], None]]:
    secret = live.create_key(tenant, (Scope.ADMIN,), service=True)
    digest = digest_of_secret(secret)
    [known] = [key for key in live.node.identity.list(ApiKey, tenant) if key.digest == digest]

    def revoke() -> None:
        now_ms = live.node.clock.now_ms()
        live.change(ApiKey, tenant, known.id, lambda key: acts.revoke_key(key, now_ms=now_ms))

    return secret, revoke


@contextmanager
def begun(live: LiveServer, asked: Asked, key: str) -> Iterator[socket.socket]:
    """Ask, and take the first bytes of the answer."""
    url = urlsplit(live.url)
    lines = [
        f"{asked.method} {asked.path} HTTP/1.1",
        f"Host: {url.netloc}",
        asked.header.format(key=key),
        f"Content-Length: {len(asked.body)}",
        "Connection: close",
    ]
    with socket.socket() as connection:
        # What lies in buffers on the way was sent before the revocation.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect((url.hostname, url.port))
        connection.sendall("\r\n".join([*lines, "", asked.body]).encode())
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        yield connection


def rest_of(connection: socket.socket) -> bytes:
    parts: list[bytes] = []
    try:
        while part := connection.recv(1 << 20):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_cut_after_the_revocation(live: LiveServer, name: str) -> None:
    asked = ANSWERS[name]
    key, revoke = new_key(live)
    if name != "live tail":
        # Without a revocation it is whole, however slowly it is read; a live tail has no end.
        with begun(live, asked, key) as connection:
            time.sleep(0.2)
            assert len(rest_of(connection)) > EVENTS * EVENT_CHARS
    with begun(live, asked, key) as connection:
        time.sleep(0.2)
        revoke()
        rest = rest_of(connection)
    assert len(rest) < EVENTS * EVENT_CHARS / 2
    # What is sent in chunks ends with an empty one where it is whole.
    assert name == "live tail" or not rest.endswith(b"0\r\n\r\n")


def test_lines_are_not_stored_once_the_credential_is_revoked(live: LiveServer) -> None:
    """The server waits until the outcomes are taken, and looks again before it stores more."""
    live.create_tenant("lines")
    key, revoke = new_key(live, "lines")
    before = size_of(live)
    with begun(live, OUTCOMES, key) as connection:
        time.sleep(1)
        revoke()
        rest = rest_of(connection)
    outcomes = [line for line in rest.split(b"\n") if line.startswith(b'{"line"')]
    last = json.loads(outcomes[-1])
    assert last["status"] == 401
    assert size_of(live) - before - 1 == last["line"] - 1 < LINES


def size_of(live: LiveServer) -> int:
    head = live.node.store.log_head("lines")
    assert head is not None
    return head.size

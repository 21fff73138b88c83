"""The name in a request's Host header stands in answers only where it is one of the server's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialects.rawhttp import Reply, send
from tests.support.live_server import LiveServer, open_server

PAGES = ("/", "/v2/info", "/v3", "/login")


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveServer]:
    with open_server(
        tmp_path / "data", server_name="log.example", allowed_hosts=("Events.example",)
    ) as server:
        yield server


def get(live: LiveServer, path: str, *lines: str, version: str = "1.1") -> Reply:
    head = "\n".join([f"GET {path} HTTP/{version}", *lines, "Connection: close"])
    return send(live.url, head + "\n\n")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil", "[::2]"]
)
def test_a_stranger_s_name_stands_in_no_link(live: LiveServer, path: str, host: str) -> None:
    reply = get(live, path, f"Host: {host}", f"X-Forwarded-Host: {host}")
    assert reply.status == 200
    assert host.encode() not in reply.body
    assert b"http://log.example:" in reply.body


@pytest.mark.parametrize(
    "host", ["localhost:9", "127.0.0.1", "[::1]:8", "LOG.example", "events.EXAMPLE:443"]
)
def test_a_name_of_the_server_stands_in_links(live: LiveServer, host: str) -> None:
    assert f"http://{host}".encode() in get(live, "/", f"Host: {host}").body


def test_the_external_url_stands_in_all_links(tmp_path: Path) -> None:
    with open_server(tmp_path / "data", external_url="https://events.example/") as live:
        reply = get(live, "/v2/info", "Host: localhost")
    assert reply.json()["token_endpoint"] == "https://events.example"


@pytest.mark.parametrize("path", ["/healthz", "/v1/events", "/v0/crew", "/v2/info", "/events"])
@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Host: localhost", "Host: localhost"),
        ("Host: localhost", "host: evil.example"),
        ("Host: user@evil.example",),
        ("Host: a b",),
        ("Host: localhost:x",),
        ("Host: evil.example/path",),
    ],
    ids=str,
)
def test_a_request_without_one_good_host_is_refused(
    live: LiveServer, path: str, lines: tuple[str, ...]
) -> None:
    assert get(live, path, *lines).status == 400


def test_http_1_0_needs_no_host(live: LiveServer) -> None:
    assert get(live, "/healthz", version="1.0").status == 200

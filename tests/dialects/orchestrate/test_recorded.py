"""Requests of clients in languages we do not run, replayed byte for byte over a bare socket.

`clients/recorded` holds what each of them sends: request line, headers in their order, body. What
the client needs of the answer is expected beside it.
"""

from __future__ import annotations

import gzip
import http.client
import socket
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tallystick.dialects import transcript
from tallystick.dialects.transcript import Exchange, RecordedAnswer
from tests.dialects.orchestrate.client import Api

RECORDED = sorted((Path(__file__).parent / "clients" / "recorded").glob("*.http"))


def request_bytes(exchange: Exchange, known: Mapping[str, str]) -> bytes:
    """Return the very bytes that the client sends."""
    body = transcript.filled(exchange.body, known).encode()
    if ("Content-Encoding", "gzip") in exchange.headers:
        body = gzip.compress(body)
    known = {**known, "length": str(len(body))}
    lines = [f"{exchange.method} {transcript.filled(exchange.target, known)} HTTP/1.1"]
    lines += [f"{name}: {transcript.filled(value, known)}" for name, value in exchange.headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def replay(
    connection: socket.socket, exchange: Exchange, known: Mapping[str, str]
) -> RecordedAnswer:
    """Send a request and return its answer, unpacked."""
    connection.sendall(request_bytes(exchange, known))
    response = http.client.HTTPResponse(connection, method=exchange.method)
    response.begin()
    body = response.read()
    headers = transcript.headers_of(response)
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return RecordedAnswer(response.status, headers, body)


@pytest.mark.row("O-1", "O-2", "O-4", "O-5", "O-7", "O-8", "O-10", "O-13", "O-15", "O-18", "O-20")
@pytest.mark.row("O-32", "O-33", "O-36", "O-46", "O-47", "O-48", "O-58", "O-71", "O-72", "O-79")
@pytest.mark.row("O-81")
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_requests_get_what_their_client_needs(api: Api, path: Path) -> None:
    known = {
        "basic": b64encode(f"{api.key}:".encode()).decode(),
        "bare": b64encode(api.key.encode()).decode(),
    }
    url = urlsplit(api.url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as connection:
        for exchange in transcript.parse(path.read_text("utf-8"), path.name):
            answer = replay(connection, exchange, known)
            if not exchange.answer and answer.status == 201:
                assert answer.body == b""
            try:
                transcript.compare(exchange, answer, known)
            except transcript.AnswerDifference as difference:
                pytest.fail(f"{path.name}:{exchange.line}:\n{difference}")

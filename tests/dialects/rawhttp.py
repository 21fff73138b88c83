"""Requests byte for byte over a socket, as recorded or printed."""

from __future__ import annotations

import json
import socket
from http.client import HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Reply(NamedTuple):
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


def send(url: str, request: str) -> Reply:
    """Send a request as it is written, lines ended as HTTP wants, and return the answer."""
    head, _, body = request.partition("\n\n")
    text = head.strip("\n").replace("\n", "\r\n") + "\r\n\r\n" + body
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(text.encode())
        response = HTTPResponse(connection, method=request.split(maxsplit=1)[0])
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, response.read())

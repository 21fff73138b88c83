"""A plain client: sends exactly the bytes it is given and shows exactly what comes back."""

from __future__ import annotations

import http.client
import json
from base64 import b64encode
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2

from tests.dialects.openapi import Document

DOCUMENT = Document("orchestrate")


class Reply(NamedTuple):
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def ref(self) -> str:
        """The ref that the ETag holds."""
        return self.headers["ETag"].strip('"')

    @property
    def location(self) -> str:
        """Where what was written is."""
        return self.headers["Location"]

    @property
    def code(self) -> tuple[int, str]:
        """Status and error code."""
        return self.status, self.json["code"]


class Api:
    """One key's view of a server."""

    def __init__(self, url: str, key: str, tenant: str) -> None:
        self.url = url
        self.key = key
        self.tenant = tenant
        self.authorization = "Basic " + b64encode(f"{key}:".encode()).decode()

    def send(self, method: str, path: str, body: Any = None, /, **headers: str) -> Reply:
        """Send one request; a body that is not bytes goes as JSON.

        Names of headers have underscores for dashes.
        """
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Authorization": self.authorization, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        url = urlsplit(self.url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in sent.items():
                if value:
                    connection.putheader(name, value)
            if content is not None:
                connection.putheader("Content-Length", str(len(content)))
            connection.endheaders(content)
            response = connection.getresponse()
            reply = Reply(response.status, response.headers, response.read())
        finally:
            connection.close()
        _check(httpx2.Request(method, self.url + path), reply)
        return reply

    def get(self, path: str, **headers: str) -> Reply:
        """Send a GET."""
        return self.send("GET", path, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Reply:
        """Send a PUT."""
        return self.send("PUT", path, body, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        """Send a POST."""
        return self.send("POST", path, body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Reply:
        """Send a PATCH with a plain JSON type unless told otherwise."""
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Reply:
        """Send a DELETE."""
        return self.send("DELETE", path, **headers)

    def page(self, path: str) -> Any:
        """Return the page at a path."""
        reply = self.get(path)
        assert reply.status == 200, reply
        assert reply.json["count"] == len(reply.json["results"])
        return reply.json

    def pages(self, path: str) -> list[Any]:
        """Return all rows from a path on, following the links."""
        rows: list[Any] = []
        while True:
            reply = self.get(path)
            assert reply.status == 200, reply
            rows += reply.json["results"]
            following = reply.json.get("next")
            if following is None:
                assert "next" not in reply.headers.get("Link", "")
                return rows
            assert f'<{following}>; rel="next"' in reply.headers["Link"]
            path = following


def _check(request: httpx2.Request, reply: Reply) -> None:
    """Hold an answer against the OpenAPI document."""
    DOCUMENT.check_answer(
        httpx2.Response(
            reply.status, headers=reply.headers.items(), content=reply.body, request=request
        )
    )

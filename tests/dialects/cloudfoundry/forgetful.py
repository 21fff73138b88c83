"""A controller that forgets: version 2 events over HTTP, its oldest rows gone between requests."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tallystick.dialects.cloudfoundry import timestamps
from tests.dialects.cloudfoundry.samples import Json


class Forgetful(ThreadingHTTPServer):
    """Serves `rows`; before each answer `forgets` of the oldest rows are deleted.

    It is an old one: there is nothing at `/`, so that clients have to ask `/v2/info`.
    """

    daemon_threads = True

    def __init__(self, rows: list[Json], *, forgets: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rows = sorted(rows, key=lambda row: str(row["entity"]["timestamp"]))
        self.forgets = forgets
        self.refusals: list[tuple[int, dict[str, str]]] = []
        """Answers that are given before any other, the first first."""
        self.tokens = 0
        self.forms: list[dict[str, list[str]]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def page(self, query: dict[str, list[str]]) -> Json:
        """Return a page as a controller of 2014 makes it."""
        del self.rows[: self.forgets]
        rows = self.rows
        for condition in filter(None, query.get("q", [""])[-1].split(";")):
            operator = ">=" if ">=" in condition else "<"
            bound = timestamps.from_text(condition.partition(operator)[2])
            rows = [
                row
                for row in rows
                if (timestamps.from_text(row["entity"]["timestamp"]) >= bound) is (operator == ">=")
            ]
        size, page = int(query["results-per-page"][0]), int(query["page"][0])
        return {
            "total_results": len(rows),
            "resources": rows[(page - 1) * size : page * size],
        }


class _Handler(BaseHTTPRequestHandler):
    server: Forgetful

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/v2/info":
            self._answer(200, {"authorization_endpoint": self.server.url, "version": 2})
        elif parts.path != "/v2/events":
            self._answer(404, {"code": 10000})
        elif self.server.refusals:
            status, headers = self.server.refusals.pop(0)
            self._answer(status, {"code": 1000, "error_code": "CF-InvalidAuthToken"}, headers)
        elif self.headers["authorization"] != f"bearer token-{self.server.tokens}":
            self._answer(401, {"code": 1000, "error_code": "CF-InvalidAuthToken"})
        else:
            self._answer(200, self.server.page(parse_qs(parts.query)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.forms.append(parse_qs(body))
        self.server.tokens += 1
        token = {"access_token": f"token-{self.server.tokens}", "refresh_token": "again"}
        self._answer(200, token)

    def _answer(self, status: int, value: Json, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(controller: Forgetful) -> Iterator[Forgetful]:
    """Serve until the block ends."""
    thread = threading.Thread(target=lambda: controller.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield controller
    finally:
        controller.shutdown()
        thread.join()
        controller.server_close()

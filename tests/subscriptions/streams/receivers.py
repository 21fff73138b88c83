"""Receivers of streams on real sockets: they keep what they are sent, and fail as they are told."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec


class Received(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


class Answer(NamedTuple):
    """What a receiver says: a status and a body, or raw bytes, or nothing before it closes."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    raw: bytes | None = None
    keeps: bool = True
    """Whether the request counts as taken."""


OK = Answer()
FAILS = Answer(500, b"no", keeps=False)
GONE = Answer(410, b"", keeps=False)
GARBAGE = Answer(raw=b"\x16\x03\x01 this is not HTTP\r\n\r\n", keeps=False)
CLOSES = Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", keeps=True)
HANGS_UP = Answer(raw=b"", keeps=False)


class Receiver:
    """A receiver that answers what `decide` says of each request, counted from 0."""

    def __init__(self, decide: Callable[[int, Received], Answer]) -> None:
        self.decide = decide
        self.attempts: list[Received] = []
        self.taken: list[Received] = []
        self.on_put: Callable[[Received], None] = lambda received: None
        self.under_way = 0
        self.most_under_way = 0
        self._lock = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are one packet, as of any real server.
            wbufsize = -1

            def do_POST(self) -> None:
                receiver._handle(self)

            def do_PUT(self) -> None:
                receiver._handle(self)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/in"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        headers = {name.lower(): value for name, value in handler.headers.items()}
        received = Received(handler.path, headers, handler.rfile.read(length))
        if len(received.body) < length:
            # Its sender was killed midway: nobody takes half a request.
            handler.close_connection = True
            return
        if handler.command == "PUT":
            self.on_put(received)
        with self._lock:
            number = len(self.attempts)
            self.attempts.append(received)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            self._lock.notify_all()
        answer = self.decide(number, received)
        with self._lock:
            self.under_way -= 1
            if answer.keeps:
                self.taken.append(received)
            self._lock.notify_all()
        if answer.raw is not None:
            handler.wfile.write(answer.raw)
            handler.wfile.flush()
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)

    def wait(self, is_so: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until something is so, which requests make so."""
        with self._lock:
            assert self._lock.wait_for(is_so, seconds), f"{len(self.attempts)} requests came"

    def events(self) -> list[dict[str, Any]]:
        """Return the events of all deliveries that were taken, as a webhook has them."""
        return [event for received in self.taken for event in received.json["events"]]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextlib.contextmanager
def receiving(
    decide: Callable[[int, Received], Answer] = lambda number, received: OK,
) -> Iterator[Receiver]:
    """Yield a receiver that answers what `decide` says of each request."""
    receiver = Receiver(decide)
    try:
        yield receiver
    finally:
        receiver.close()


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

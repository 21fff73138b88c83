"""A reader of server-sent events for tests: parses as the standard says, in a thread of its own.

Source: WHATWG HTML, server-sent events, interpreting an event stream.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple

import httpx2

from tallystick.client.event_stream import lines_of

WAIT_S = 60.0


class Received(NamedTuple):
    """An event that was dispatched, with the last event id as it was then."""

    id: str
    event: str
    data: dict[str, Any]


class Tail:
    """Reads a live tail until it ends or is closed."""

    def __init__(
        self, http: httpx2.Client, last_id: str | None = None, /, **params: str | list[str]
    ) -> None:
        headers = {} if last_id is None else {"Last-Event-ID": last_id}
        self._http = http
        self._sent = http.build_request(
            "GET", "/v1/events/stream", params=params, headers=headers, timeout=WAIT_S
        )
        self.received: list[Received] = []
        self.last_id = ""
        self.ids = 0
        """How many id lines came."""
        self.retry_ms: int | None = None
        self.headers: Mapping[str, str] = {}
        self.status = 0
        self.problem: dict[str, Any] = {}
        self.ended = threading.Event()
        self._begun = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="tail")
        self._response: httpx2.Response | None = None

    def __enter__(self) -> Tail:
        self._thread.start()
        assert self._begun.wait(WAIT_S), "no answer"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._response is not None and not self.ended.is_set():
            # The reading thread sits in a read: only the socket's end wakes it.
            stream = self._response.extensions["network_stream"].get_extra_info("socket")
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)

    def wait(self, count: int, within_s: float = WAIT_S) -> list[Received]:
        """Wait until so many events came, and return all."""
        until_s = time.monotonic() + within_s
        with self._changed:
            while len(self.received) < count:
                left_s = until_s - time.monotonic()
                if left_s <= 0 or self.ended.is_set():
                    break
                self._changed.wait(left_s)
            assert len(self.received) >= count, f"{len(self.received)} of {count} events came"
            return list(self.received)

    def wait_for_ids(self, count: int) -> None:
        """Wait until so many id lines came."""
        until_s = time.monotonic() + WAIT_S
        while self.ids < count:
            assert time.monotonic() < until_s, "no id came"
            time.sleep(0.01)

    def _run(self) -> None:
        try:
            self._response = response = self._http.send(self._sent, stream=True)
            self.headers, self.status = response.headers, response.status_code
            if response.status_code != 200:
                self.problem = json.loads(response.read())
                return
            event, data = "", ""
            for line in lines_of(response.iter_bytes()):
                event, data = self._take(line.decode(), event, data)
        except (httpx2.HTTPError, OSError):
            pass
        finally:
            if self._response is not None:
                self._response.close()
            self.ended.set()
            self._begun.set()
            with self._changed:
                self._changed.notify_all()

    def _take(self, line: str, event: str, data: str) -> tuple[str, str]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                if data:
                    with self._changed:
                        got = Received(self.last_id, event or "message", json.loads(data))
                        self.received.append(got)
                        self._changed.notify_all()
                self._begun.set()
                return "", ""
            case "id":
                self.last_id = value
                self.ids += 1
            case "event":
                return value, data
            case "data":
                return event, data + value
            case "retry":
                self.retry_ms = int(value)
        return event, data

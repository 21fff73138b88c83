"""Asking one question after another on one connection, and how long answers took."""

from __future__ import annotations

import json
import socket
import time
from itertools import cycle
from typing import Any, NamedTuple

from bench.scale.questions import Question
from bench.scale.rival import Rival
from bench.servers import KEY

_ROUNDS = 400
_SECONDS = 4.0
_RIVAL_SECONDS = 3.0
_PATIENCE_MS = 60_000.0


class Latencies(NamedTuple):
    """Median and 99th percentile in milliseconds, over some answers."""

    p50: float
    p99: float
    answers: int


class Asker:
    """One keep-alive connection that costs little beside the server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, target: str, *, patience_ms: float = _PATIENCE_MS) -> tuple[float, bytes]:
        """Return how long an answer took in milliseconds, and its body.

        Who is told to come again does so at once, and all of that counts.
        Raises: SystemExit for anything but a 200 in the end.
        """
        started_s = time.perf_counter()
        while True:
            status, body = self._ask(target)
            took_ms = (time.perf_counter() - started_s) * 1000
            if status == 200:
                return took_ms, body
            if status != 503 or took_ms > patience_ms:
                raise SystemExit(f"{target} was answered {status}: {body[:500]!r}")

    def _ask(self, target: str) -> tuple[int, bytes]:
        request = f"GET {target} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        self._socket.sendall(request.encode())
        answer = self._socket.recv(1 << 18)
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._socket.recv(1 << 18)
        head = answer[:end].lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        while len(answer) < end + 4 + length:
            answer += self._socket.recv(1 << 18)
        return int(head[9:12]), answer[end + 4 :]

    def json(self, target: str) -> Any:
        """Return an answer."""
        return json.loads(self.get(target)[1])

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def cursor_at(asker: Asker, depth: int) -> str:
    """Return the cursor of the page behind `depth` events."""
    return str(asker.json(f"/v1/events?limit=1&offset={depth - 1}")["next"])


def check(asker: Asker, rival: Rival, question: Question) -> None:
    """Ask everything once, and see that both find the same number of events where they must.

    Raises: SystemExit: the time of a wrong answer is worth nothing.
    """
    for variant in question.variants:
        if variant.counted is None:
            asker.get(variant.target)
            continue
        found = asker.json(f"{variant.target}{'' if 'total=' in variant.target else '&total=true'}")
        sql = f"SELECT count(*) FROM events WHERE {variant.counted}"
        ((wanted,),) = rival.rows(sql, variant.values)
        if found["total"] != wanted:
            raise SystemExit(f"{variant.target} finds {found['total']}, SQLite {wanted}")


def measure(asker: Asker, question: Question, seconds: float = _SECONDS) -> Latencies:
    """Ask the variants of a question in turn."""
    took_ms: list[float] = []
    until_s = time.perf_counter() + seconds
    for variant in cycle(question.variants):
        took_ms.append(asker.get(variant.target)[0])
        if len(took_ms) >= _ROUNDS or time.perf_counter() > until_s:
            break
    return _latencies(took_ms)


def measure_rival(rival: Rival, question: Question) -> Latencies:
    """Ask SQLite each variant twice, and time the second answer, as far as time allows."""
    took_ms: list[float] = []
    until_s = time.perf_counter() + _RIVAL_SECONDS
    for variant in question.variants:
        rival.took_ms(variant.sql, variant.values)
        took_ms.append(rival.took_ms(variant.sql, variant.values))
        if time.perf_counter() > until_s:
            break
    return _latencies(took_ms)


def _latencies(took_ms: list[float]) -> Latencies:
    took_ms.sort()
    last = len(took_ms) - 1
    return Latencies(took_ms[last // 2], took_ms[min(last, int(len(took_ms) * 0.99))], last + 1)

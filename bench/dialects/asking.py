"""Requests as clients of the dialects send them, and what it takes to answer them.

A figure is taken in rounds by the load generator in a process of its own, with one connection and
one request at a time unless told otherwise. Requests differ from each other, so that no answer is
merely remembered.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bench import load
from bench.dialects import world
from bench.servers import KEY

ROUNDS = 3
ROUND_S = 2.0

Headers = Mapping[str, str]

PROGRAM = {"Authorization": f"Bearer {KEY}"}
BASIC = {"Authorization": f"Basic {b64encode(f'{KEY}:'.encode()).decode()}"}
SERVICE = {"X-Kvass-Api-Key": KEY}


class Answer(NamedTuple):
    """One whole answer."""

    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.body)


class Figure(NamedTuple):
    """A latency in milliseconds, over all rounds, beside the one wanted for the median."""

    name: str
    p50: float
    p99: float
    wanted: float | None

    @property
    def missed(self) -> bool:
        """Tell whether the median is above the one wanted."""
        return self.wanted is not None and self.p50 >= self.wanted


def request(method: str, target: str, headers: Headers, body: str = "") -> str:
    """Return a whole HTTP request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: bench"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    return "\r\n".join(lines) + f"\r\n\r\n{body}"


def ask(
    port: int, method: str, target: str, headers: Headers, body: str | None = None
) -> Answer:  # fmt: skip
    """Send one request and return the answer.

    Raises: SystemExit unless it is a success.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, target, body, dict(headers))
    response = connection.getresponse()
    answer = Answer(response.headers, response.read())
    connection.close()
    if not 200 <= response.status < 300:
        raise SystemExit(f"{method} {target} answered {response.status}: {answer.body[:500]!r}")
    return answer


def token_of(port: int, login: str) -> Headers:
    """Return the credentials of a user who signed in, as `cf` and Onehub's clients do."""
    form = {
        "grant_type": "password", "client_id": "cf", "client_secret": "",
        "username": login, "password": world.PASSWORD,
    }  # fmt: skip
    return _token(port, "/oauth/token", form)


def token_of_application(port: int, number: int = 0) -> Headers:
    """Return the credentials of a tenant's application, as DataTrails' clients get them."""
    form = {
        "grant_type": "client_credentials",
        "client_id": world.application_id(number),
        "client_secret": KEY,
    }
    return _token(port, "/archivist/iam/v1/appidp/token", form)


def _token(port: int, path: str, form: Headers) -> Headers:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask(port, "POST", path, headers, urlencode(form)).json()
    return {"Authorization": f"Bearer {answer['access_token']}"}


def measure(
    name: str, port: int, requests: Sequence[str], *, total: int, wanted: float | None = None
) -> Figure:
    """Measure pages, print what they cost with the raw rounds, and return the figure."""
    load.run_apart(port, requests, connections=1, seconds=0.3)
    rounds = [load.run_apart(port, requests, connections=1, seconds=ROUND_S) for _ in range(ROUNDS)]
    p50 = statistics.median(one["p50"] for one in rounds)
    p99 = statistics.median(one["p99"] for one in rounds)
    figure = Figure(name, p50, p99, wanted)
    raw = " ".join(f"{one['p50']:.2f}/{one['p99']:.2f}" for one in rounds)
    told = "" if wanted is None else f"  (p50 wanted: < {wanted:g})"
    print(f"{name:50} total {total:>9,}  p50 {p50:7.2f}  p99 {p99:7.2f} ms  rounds {raw}{told}")
    return figure


def print_load_average() -> None:
    """Print what else the machine does: figures mean little without it."""
    print("load average: " + " ".join(f"{value:.2f}" for value in os.getloadavg()))

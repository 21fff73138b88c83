"""Measures the console's pages: `python -m bench.console --events 1000000`.

Fills a folder (kept and used again with --folder), signs in over HTTP and asks for each page some
times: the median and 95th percentile of the time until the last byte, and the size. The list is
then asked for once more while charts that group every event hold all the room that charts have.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import http.client
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from bench.scale.__main__ import serving
from bench.scale.events import Generator, data_folder
from bench.scale.filling import fill
from bench.servers import KEY

ROUNDS = 20
CHARTS = 8
"""Charts that are asked for at once: twice the room that they have."""

_FRAGMENT = {"X-Tallystick-Fragment": "1"}


class Measured(NamedTuple):
    """What a page costs."""

    name: str
    status: int
    median_ms: float
    p95_ms: float
    octets: int


class Person:
    """Somebody who is signed in, over one connection kept alive."""

    def __init__(self, port: int, cookie: str | None = None) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookies: dict[str, str] = {}
        if cookie is None:
            self._sign_in()
        else:
            self._cookies["tallystick_session"] = cookie

    @property
    def cookie(self) -> str:
        """The cookie of the session."""
        return self._cookies["tallystick_session"]

    def get(self, target: str, headers: Mapping[str, str] = {}) -> tuple[int, bytes]:
        """Return status and body of a page."""
        return self._ask("GET", target, None, headers)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _sign_in(self) -> None:
        _, page = self.get("/console/sign-in")
        proof = re.search(rb'name="proof" value="([^"]+)"', page)
        assert proof is not None
        form = urlencode({"proof": proof[1].decode(), "key": KEY})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        status, _ = self._ask("POST", "/console/sign-in", form, kind)
        assert status == 303, status

    def _ask(
        self, method: str, target: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        cookie = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        self._http.request(method, target, body, {**headers, "Cookie": cookie})
        answer = self._http.getresponse()
        content = answer.read()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self._cookies[key] = rest.partition(";")[0]
        return answer.status, content


def pages(person: Person) -> dict[str, str]:
    """Return addresses of pages by name, as the log that is measured has them."""
    _, listed = person.get("/console")
    event = re.search(rb'class="told" href="([^"]+)"', listed)
    assert event is not None
    _, shown = person.get(event[1].decode())
    resource = re.search(rb'href="(/console/resource[^"]+)"', shown)
    assert resource is not None
    kind = re.search(rb'q=(kind%3A[^"&]+)', listed)
    assert kind is not None
    search = kind[1].decode()
    return {
        "events, latest 50": "/console",
        "events of one kind": f"/console?q={search}",
        "events, a word": "/console?q=authorized",
        "events, two columns": "/console?columns=actor,target",
        "chart": "/console/events/chart",
        "chart of one kind": f"/console/events/chart?q={search}",
        "chart grouped by kind": "/console/events/chart?group=kind",
        "facets": "/console/events/facets",
        "facets of one kind": f"/console/events/facets?q={search}",
        "completion of a value": "/console/events/complete?q=kind:&at=5",
        "one event with its proof": event[1].decode(),
        "resource with its state": html.unescape(resource[1].decode()),
        "log": "/console/log",
        "exports": "/console/exports",
        "keys": "/console/admin/keys",
        "streams": "/console/admin/streams",
        "erasures": "/console/admin/erasures",
    }


def measure(person: Person, name: str, target: str) -> Measured:
    """Return what a page costs; the first answer is not counted."""
    headers = _FRAGMENT if "/events/c" in target or "/events/f" in target else {}
    status, body = person.get(target, headers)
    times_ms = []
    for _ in range(ROUNDS):
        started_s = time.perf_counter()
        status, body = person.get(target, headers)
        times_ms.append((time.perf_counter() - started_s) * 1000)
    found = Measured(name, status, statistics.median(times_ms), _p95(times_ms), len(body))
    print(f"{name:40} {found.median_ms:8.1f} {found.p95_ms:8.1f}", file=sys.stderr, flush=True)
    return found


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[max(0, round(len(values) * 0.95) - 1)]


@contextlib.contextmanager
def charts_in_the_way(port: int, cookie: str) -> Iterator[None]:
    """Ask for charts that look at every event, over and over, until the block ends."""
    stopping = threading.Event()

    def ask() -> None:
        person = Person(port, cookie)
        while not stopping.is_set():
            person.get("/console/events/chart?group=actor", _FRAGMENT)
        person.close()

    threads = [threading.Thread(target=ask) for _ in range(CHARTS)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def report(found: Sequence[Measured], events: int) -> str:
    """Return the table."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    lines = [
        f"{events:,} events; load average {load}; {ROUNDS} requests a page",
        "",
        "| page | median ms | p95 ms | KiB |",
        "|---|---|---|---|",
    ]
    for one in found:
        note = "" if one.status == 200 else f" ({one.status})"
        lines.append(
            f"| {one.name}{note} | {one.median_ms:.0f} | {one.p95_ms:.0f} |"
            f" {one.octets / 1024:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Fill, ask, report."""
    parser = argparse.ArgumentParser(prog="bench.console", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="kept and used again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tallystick-console-") as scratch:
        folder = (arguments.folder or Path(scratch)) / "data"
        folder.parent.mkdir(parents=True, exist_ok=True)
        fill(folder, Generator(data_folder()), arguments.events, print)
        with serving(folder) as port:
            person = Person(port)
            found = [measure(person, name, at) for name, at in pages(person).items()]
            with charts_in_the_way(port, person.cookie):
                blocked = "events, latest 50, charts in the way"
                found.append(measure(person, blocked, "/console"))
            person.close()
    print(report(found, arguments.events))


if __name__ == "__main__":
    main()

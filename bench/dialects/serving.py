"""The server under measurement, and waiting until its followers have caught up."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

from bench import servers
from bench.dialects.asking import ask, token_of_application

_LAG = re.compile(r'tallystick_follower_lag_entries\{follower="(\w+)"\} (\S+)')
_SEARCH = "/archivist/v1/events/search"


@contextlib.contextmanager
def server(folder: Path) -> Iterator[int]:
    """Serve a folder until the block ends; its port is given."""
    port = servers.free_port()
    command = [servers.TALLYSTICK, "serve", "--data", str(folder), "--port", str(port)]
    with servers.running(command, port):
        yield port


def wait_until_followed(port: int) -> None:
    """Wait until lists, search and the public log have all events, and tell how long each took."""
    started_s = time.monotonic()
    behind = {"views", "search"}
    while behind:
        lag = dict(_LAG.findall(ask(port, "GET", "/metrics", {}).body.decode()))
        for name in sorted(name for name in behind if float(lag[name]) == 0):
            print(f"{name} had all after {time.monotonic() - started_s:,.0f} s")
            behind.remove(name)
        time.sleep(0.5)
    application = token_of_application(port)

    def search(**asked: object) -> tuple[int, str]:
        answer = ask(port, "POST", _SEARCH, application, json.dumps(asked))
        events = answer.json()["events"]
        return int(answer.headers["x-total-count"]), str(events[0]["confirmation_status"])

    total, _ = search(top=1)
    while search(top=1, skip=total - 1)[1] != "CONFIRMED":
        time.sleep(0.5)
    print(f"the public log had all after {time.monotonic() - started_s:,.0f} s")

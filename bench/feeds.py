"""Pages of Onehub and Kvass over many events: `python -m bench.feeds --events 1000000`.

Half of the events are acts on files in 10,000 workspaces, half are business events. A user with a
role in twenty workspaces reads the feed without their own events, a service account pages through
a class of kinds with its total. One client, one request at a time; latencies in milliseconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

from bench.servers import KEY, TALLYSTICK, free_port, running
from tallystick import credentials, identity
from tallystick.access import Grant, Scope
from tallystick.event import Draft, Resource
from tallystick.identity import User
from tallystick.node import Node, open_node
from tallystick.settings import Settings

TENANT = "bench"
WORKSPACES = 10_000
READ_WORKSPACES = 20
USERS = 2_000
READER = "7"
LOGIN, PASSWORD = "reader", "a password of the bench"
TARGET_MS = 10.0

_BATCH = 5_000
_ROUNDS = 300
_VERBS = ("read", "read", "read", "download", "upload", "update", "delete")
_CLASSES = ("order", "invoice", "payment", "product")


def drafts(seed: int = 1) -> Iterator[Draft]:
    """Yield acts on files and business events in turn, for ever."""
    chance = random.Random(seed)  # noqa: S311  # the same events every time
    at_ms = 1_700_000_000_000
    while True:
        at_ms += chance.randrange(2_000)
        user = chance.randrange(USERS)
        workspace, file = chance.randrange(WORKSPACES), chance.randrange(200_000)
        yield Draft(
            kind=f"file.{chance.choice(_VERBS)}",
            occurred_ms=at_ms,
            actor=Resource("user", str(user), f"User {user}"),
            target=Resource("file", str(file), f"report-{file}.pdf"),
            scopes=(Resource("workspace", str(workspace), f"Workspace {workspace}"),),
            data={"size": chance.randrange(10_000_000)},
            dialect="onehub",
        )
        name = chance.choice(_CLASSES)
        object_id = f"{chance.randrange(100_000):024x}"
        yield Draft(
            kind=f"{name}.created",
            occurred_ms=at_ms,
            target=Resource(name, object_id),
            data={"_id": {"$oid": object_id}, "total_amount": chance.random() * 1000, "note": ""},
            dialect="kvass",
        )


def fill(node: Node, events: int) -> float:
    """Make the tenant, its reader and its events; return events a second."""
    now_ms = node.clock.now_ms()
    _, act = identity.create_tenant(TENANT, server_name="localhost", now_ms=now_ms)
    node.ledger.administer(TENANT, act)
    scopes = (Scope.READ, Scope.WRITE)
    _, _, act = identity.create_key(TENANT, scopes, now_ms=now_ms, secret=KEY, service=True)
    node.ledger.administer(TENANT, act)
    grants = tuple(Grant(f"workspace:{n * 17}", "Viewer") for n in range(READ_WORKSPACES))
    reader = User(
        id=READER,
        tenant=TENANT,
        created_ms=now_ms,
        login=LOGIN,
        password=credentials.hash_password(PASSWORD),
        grants=grants,
    )
    node.ledger.administer(TENANT, identity.create_user(reader))
    source, stored, started = drafts(), 0, time.perf_counter()
    while stored < events:
        batch = list(islice(source, min(_BATCH, events - stored)))
        node.ledger.append(TENANT, batch)
        stored += len(batch)
    return events / (time.perf_counter() - started)


class Client:
    """One connection to the server, with headers."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = headers

    def get(self, target: str) -> tuple[float, bytes, str | None]:
        """Return how long an answer took in ms, its body, and the total among its headers."""
        started = time.perf_counter()
        self._connection.request("GET", target, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        took_ms = (time.perf_counter() - started) * 1000
        if response.status != 200:
            raise SystemExit(f"{target} answered {response.status}: {body[:500]!r}")
        return took_ms, body, response.headers["X-Pagination-Total"]


def token(port: int) -> str:
    """Return a token of the reader."""
    form = {
        "grant_type": "password", "client_id": "cf", "client_secret": "",
        "username": LOGIN, "password": PASSWORD,
    }  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/oauth/token", urlencode(form), headers)
    answer = json.loads(connection.getresponse().read())
    return str(answer["access_token"])


def measure(name: str, client: Client, target: str, rounds: int = _ROUNDS) -> float:
    """Print what a page costs and return its median in ms."""
    _, body, total = client.get(target)
    if total is None:
        total = str(json.loads(body)["total_entries"])
    found = sorted(client.get(target)[0] for _ in range(rounds))
    median = found[len(found) // 2]
    last = found[int(len(found) * 0.99)]
    print(f"{name:48} total {int(total):>9,}  p50 {median:7.2f}  p99 {last:7.2f}")
    return median


def pages(port: int, events: int) -> bool:
    """Measure all pages; tell whether those with a target met it."""
    reader = Client(port, {"Authorization": f"Bearer {token(port)}"})
    service = Client(port, {"X-Kvass-Api-Key": KEY})
    program = Client(port, {"Authorization": f"Bearer {KEY}"})
    asked = ",".join(str(n * 17) for n in range(READ_WORKSPACES))
    targets = [
        measure("feed of 20 workspaces, filter_self", reader, "/activity?filter_self=true"),
        measure("kvass class with its total", service, "/events/search?query=order&size=10"),
    ]
    measure("feed of the account", program, "/activity")
    measure("20 workspaces of the account", program, f"/activity?workspaces={asked}")
    deep = min(10_000, events // 2 // 30)
    measure(f"feed, page {deep:,}", program, f"/activity?page={deep}", rounds=50)
    measure(f"kvass, page {deep:,}", service, f"/events?page={deep}&size=30", rounds=50)
    return max(targets) < TARGET_MS


def main() -> None:
    """Fill a folder, serve it, and measure pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as scratch:
        folder, port = Path(scratch) / "data", free_port()
        node = open_node(folder, Settings(port=port), followers=False)
        rate = fill(node, events)
        node.close()
        print(f"{events:,} events stored, {rate:,.0f} a second")
        command = [TALLYSTICK, "serve", "--data", str(folder), "--port", str(port)]
        with running(command, port):
            while not _has_caught_up(port):
                time.sleep(1)
            met = pages(port, events)
    print(f"target of {TARGET_MS:g} ms {'met' if met else 'MISSED'}")


def _has_caught_up(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/events?size=1", headers={"X-Kvass-Api-Key": KEY})
    return connection.getresponse().status == 200


if __name__ == "__main__":
    main()

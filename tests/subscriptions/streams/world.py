"""A server with streams: its routes on a socket, and senders beside it in this process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

from tallystick.clock import SystemClock
from tallystick.subscriptions.streams.keeper import StreamsKeeper
from tallystick.subscriptions.streams.opening import open_states, services_of
from tallystick.subscriptions.streams.senders import Senders
from tests.support.live_server import TENANT, LiveServer, open_server

STREAMS = f"/v1/admin/tenants/{TENANT}/streams"
LOCAL = ("127.0.0.0/8",)


class World:
    """A live server, a client with an admin key, and what sends its streams."""

    def __init__(self, live: LiveServer, http: httpx2.Client, folder: Path) -> None:
        self.live = live
        self.http = http
        self.folder = folder

    def start_senders(self, owner: str = "one") -> Senders:
        """Return senders at work, as the process beside a server has them."""
        node = self.live.node
        states = open_states(self.folder, node.settings, owner)
        services = services_of(
            node.store,
            states,
            node.settings,
            key=node.key,
            clock=SystemClock(),
            identity=node.follower_services.fresh_identity(),
        )
        senders = Senders(services)
        node.commit_listeners.append(
            lambda heads, stats: senders.committed([head.tenant for head in heads])
        )
        return senders

    @contextlib.contextmanager
    def sending(self, owner: str = "one") -> Iterator[Senders]:
        """Send streams until the block ends."""
        senders = self.start_senders(owner)
        try:
            yield senders
        finally:
            senders.close()

    @contextlib.contextmanager
    def keeping(self, owner: str = "one") -> Iterator[StreamsKeeper]:
        """Yield what tells the log of streams, without a process of its own."""
        node = self.live.node
        states = open_states(self.folder, node.settings, owner)
        keeper = StreamsKeeper(node.ledger, states, owner)
        try:
            yield keeper
        finally:
            keeper.close()
            states.close()

    def create(self, to: str, name: str = "s", **members: Any) -> dict[str, Any]:
        """Make a stream and return it."""
        body = {"name": name, "sink": "webhook", "to": to, **members}
        answer = self.http.post(STREAMS, json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def stream(self, name: str = "s") -> dict[str, Any]:
        """Return a stream as it is now."""
        return dict(self.http.get(f"{STREAMS}/{name}").json())

    def act(
        self, act: str, body: dict[str, Any] | None = None, *, name: str = "s", status: int = 200
    ) -> dict[str, Any]:
        """Do something with a stream and return it."""
        answer = self.http.post(f"{STREAMS}/{name}/{act}", json=body or {})
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def append(self, count: int, first: int = 0, **members: Any) -> list[str]:
        """Append events that carry numbers from `first` on, and return their ids."""
        events = [
            {"kind": "thing.done", "data": {"number": first + at}, **members} for at in range(count)
        ]
        answer = self.http.post("/v1/events", json=events)
        assert answer.status_code == 201, answer.text
        return [event["id"] for event in answer.json()]

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Return the log's entries of a kind."""
        answer = self.http.get(f"/v1/events?view=log&order=asc&limit=1000&kind={kind}")
        return list(answer.json()["events"])


def until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    end_s = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end_s, "it did not come to pass"
        time.sleep(0.02)


@contextlib.contextmanager
def open_world(folder: Path, **settings: Any) -> Iterator[World]:
    """Serve a folder with one tenant."""
    settings.setdefault("streams_allow", LOCAL)
    with open_server(folder, **settings) as live, live.http() as http:
        yield World(live, http, folder)

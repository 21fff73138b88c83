"""Folders filled with generated events: made once, kept, and used again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bench.scale.events import CHUNK, Generator
from bench.servers import KEY
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.node.node import Node, open_node
from tallystick.settings import Settings

TENANT = "bench"

_BATCH = 5_000


def fill(folder: Path, generator: Generator, events: int, tell: Callable[[str], None]) -> None:
    """Bring a folder to at least `events` events, without following them."""
    node = open_node(folder, Settings(), followers=False)
    try:
        stored = _stored(node)
        if not stored:
            _set_up(node)
        # Two acts of administration are in the log before the first event.
        first = max(_stored(node) - 2, 0)
        if first >= events:
            return
        # A chunk that a kill cut short is generated from its beginning.
        first -= first % CHUNK
        started_s = time.perf_counter()
        batch = []
        for number, event in enumerate(generator.events(first, events - first), first + 1):
            batch.append(event.draft())
            if len(batch) == _BATCH or number == events:
                node.ledger.append(TENANT, batch)
                batch = []
            if number % 500_000 == 0 or number == events:
                rate = (number - first) / (time.perf_counter() - started_s)
                tell(f"{number:,} events stored, {rate:,.0f} a second")
    finally:
        node.close()


def _stored(node: Node) -> int:
    head = node.store.log_head(TENANT)
    return 0 if head is None else head.size


def _set_up(node: Node) -> None:
    now_ms = node.clock.now_ms()
    _, act = acts.create_tenant(TENANT, server_name="localhost", now_ms=now_ms)
    node.ledger.administer(TENANT, act)
    scopes = (Scope.READ, Scope.WRITE, Scope.ADMIN)
    _, _, act = acts.create_key(TENANT, scopes, now_ms=now_ms, secret=KEY, service=True)
    node.ledger.administer(TENANT, act)


def size_bytes(folder: Path) -> int:
    """Return how many bytes the files in a folder have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

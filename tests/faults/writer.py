"""A writer process for fault tests: it appends numbered events until it is told to stop, or killed.

It is told what to do by one JSON argument and says on its standard output, one line each, what it
was acknowledged (`+ tenant index number`) and what was refused (`- class message`). What is refused
is sent again, with the same claim, until it is acknowledged. It stops when its input ends.
"""

from __future__ import annotations

import mmap
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog

from tallystick.clock import SystemClock
from tallystick.errors import StoreBusy, StoreFailed, TallystickError
from tallystick.events.entry import prepare
from tallystick.events.event import Draft
from tallystick.log.keys import open_log_key
from tallystick.log.sequencer import Accepted, Item, Sequencer, Work
from tallystick.store.base import Store, Writer
from tests.store.store_fixtures import open_place
from tests.support.faulty_store import Fault, FaultyStore
from tests.support.recording import draft, order, origin_of

SHARD_FAULTS = (
    # A row that a shard on its way has in both places; nothing was committed.
    Fault(StoreBusy("a shard is being moved", again=True), persists=False),
    # The node went away before the commit, or with its answer.
    Fault(StoreBusy("the connection to the remote node failed"), persists=False),
    Fault(StoreBusy("the connection to the remote node failed"), persists=True),
)

OPEN_ATTEMPTS = 300
OPEN_WAIT_S = 0.1


class Orders(msgspec.Struct, frozen=True):
    """What a writer process is to do."""

    url: str
    key: str
    name: str
    tenants: tuple[str, ...] = ("one", "two")
    in_flight: int = 32
    clock_offset_ms: int = 0
    fault_rate: float = 0.0
    shard_rate: float = 0.0
    """How often a commit fails as it does when a shard moves, or the node that has it is away."""
    seed: int = 0
    mark: str | None = None
    """A file whose first byte is 1 while a commit is under way."""


class SkewedClock(SystemClock):
    """A clock that is wrong by a fixed amount."""

    def __init__(self, offset_ms: int) -> None:
        self._offset_ms = offset_ms

    def now_ms(self) -> int:
        """Return the wrong time."""
        return super().now_ms() + self._offset_ms


class MarkedStore:
    """A store that marks, for whoever looks on from outside, when it commits."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        with Path(path).open("r+b") as file:
            self._mark = mmap.mmap(file.fileno(), 1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Open a transaction that is marked from the end of its block to the end of its commit."""
        try:
            with self._store.transaction() as writer:
                yield writer
                self._mark[0] = 1
        finally:
            self._mark[0] = 0


class NumberedWriter:
    """Keeps a number of works in flight."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._store = open_store(orders)
        key = open_log_key(Path(orders.key), "log.test")
        self._sequencer = Sequencer(self._store, key, SkewedClock(orders.clock_offset_ms))
        self._free: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._stop = threading.Event()

    def run(self) -> None:
        """Write until the input ends, then until everything is acknowledged."""
        threading.Thread(target=self._await_end, daemon=True).start()
        in_flight, number = 0, 0
        while in_flight or not self._stop.is_set():
            while in_flight < self._orders.in_flight and not self._stop.is_set():
                self._submit(number)
                number += 1
                in_flight += 1
            again = self._free.get()
            if again is None:
                in_flight -= 1
            else:
                self._submit(again)
        self._sequencer.close()
        self._store.close()
        say("done")

    def _await_end(self) -> None:
        sys.stdin.read()
        self._stop.set()

    def _submit(self, number: int) -> None:
        tenants = self._orders.tenants
        tenant = tenants[number % len(tenants)]
        item = Item(prepare(self._draft(number)), origin=origin_of(tenant))
        work = Work(tenant, [item], lambda done: self._settle(number, done))
        try:
            self._sequencer.submit(work)
        except TallystickError as error:
            work.fail(error)
            self._settle(number, work)

    def _draft(self, number: int) -> Draft:
        name = f"{self._orders.name}-{number}"
        claim = (b"k" + name.encode(), sha256(name.encode()).digest())
        return draft(data={"number": name}, target=order(str(number % 50)), claims=(claim,))

    def _settle(self, number: int, work: Work) -> None:
        outcome = work.outcomes[0]
        if isinstance(outcome, Accepted):
            say(f"+ {work.tenant} {outcome.index} {self._orders.name}-{number}")
            self._free.put(None)
        else:
            say(f"- {type(outcome).__name__} {outcome.message}")
            self._free.put(number)


def open_store(orders: Orders) -> Store:
    """Open the store, made to fail and marked as the orders say."""
    store = open_patiently(orders.url)
    if orders.fault_rate or orders.shard_rate:
        chance = random.Random(orders.seed)  # noqa: S311  # to be repeated, not kept secret

        def draw() -> Fault | None:
            drawn = chance.random()
            if drawn < orders.shard_rate:
                return chance.choice(SHARD_FAULTS)
            if drawn >= orders.shard_rate + orders.fault_rate:
                return None
            error = chance.choice([StoreBusy("made up"), StoreFailed("made up"), OSError()])
            return Fault(error, persists=chance.random() < 0.5)

        store = FaultyStore(store, draw).store
    if orders.mark is not None:
        store = cast(Store, MarkedStore(store, orders.mark))
    return store


def open_patiently(url: str) -> Store:
    """Open a store that may be away just now."""
    for _ in range(OPEN_ATTEMPTS):
        try:
            return open_place(url)
        except StoreBusy:
            time.sleep(OPEN_WAIT_S)
    return open_place(url)


def say(line: str) -> None:
    """Write a line at once and whole."""
    os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    # Standard output is for what `say` says.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    sys.setswitchinterval(0.0005)
    NumberedWriter(msgspec.json.decode(sys.argv[1], type=Orders)).run()

"""The checker: writers, followers and random faults on one store, and what must hold throughout.

What is acknowledged is present exactly once; indexes are dense; a follower gets every entry once
and in order; a checkpoint is never older than one seen before, nor newer than what can be read;
whoever was acknowledged finds the event from every process; no fault makes the store cry wolf.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self, TypeVar

import msgspec

from tallystick.errors import Pushback, StoreFailed
from tallystick.log.keys import LogKey
from tallystick.store.base import LogRow, Store
from tests.faults.processes import Acknowledged, WriterProcess
from tests.faults.writer import Orders
from tests.support.check import check_log

Result = TypeVar("Result")

TENANTS = ("one", "two", "three")
FOLLOWERS_PER_TENANT = 2
RETRY_S = 60
ENOUGH = 600
PATIENCE_S = 0.02

EXPECTED_REFUSALS = {"StoreBusy", "StoreFailed", "SequencerFull"}
"""What writers may be told under faults; anything else is a false alarm."""


class Follower:
    """Follows one tenant's log from its start, on a store of its own."""

    def __init__(self, open_store: Callable[[], Store], tenant: str) -> None:
        self._open_store = open_store
        self._tenant = tenant
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.numbers: list[str] = []
        self.failure: BaseException | None = None
        self._thread.start()

    def _run(self) -> None:
        store = patiently(self._open_store)
        try:
            self._follow(store)
        except BaseException as error:
            self.failure = error
        finally:
            store.close()

    def _follow(self, store: Store) -> None:
        seen_size = 0
        while True:
            stopping = self._stop.is_set()
            head = patiently(lambda: store.log_head(self._tenant))
            size = 0 if head is None else head.size
            assert size >= seen_size, f"the head went back from {seen_size} to {size}"
            assert head is None or f"\n{size}\n" in head.checkpoint, "the checkpoint is of old"
            seen_size = size
            start = len(self.numbers)
            rows = patiently(partial(store.rows, self._tenant, start, start + 2_000))
            indexes = [row.index for row in rows]
            assert indexes == list(range(start, start + len(rows))), "entries were skipped"
            self.numbers += [number_of(row.sections) for row in rows]
            assert len(self.numbers) >= min(size, start + 2_000), "a head came before its entries"
            if stopping and not rows:
                return
            self._stop.wait(PATIENCE_S)

    def stop(self) -> None:
        """Stop following, having seen everything there is."""
        self._stop.set()
        self._thread.join()

    def finish(self) -> list[str]:
        """Return what was seen, once everything was."""
        self.stop()
        if self.failure is not None:
            raise self.failure
        return self.numbers


class Checker:
    """One run: start, let faults happen, finish, check."""

    def __init__(
        self, open_store: Callable[[], Store], key: LogKey, writers: Sequence[Orders], seed: int
    ) -> None:
        self.chance = random.Random(seed)  # noqa: S311  # to be repeated, not kept secret
        self._open_store = open_store
        self._key = key
        self._store = open_store()
        self._acknowledged: dict[str, Acknowledged] = {}
        self._lock = threading.Lock()
        self._refused: Counter[str] = Counter()
        self._started = 0
        self.failures: list[str] = []
        self.writers = [self._start(orders) for orders in writers]
        self._followers = [
            (tenant, Follower(open_store, tenant))
            for tenant in TENANTS
            for _ in range(FOLLOWERS_PER_TENANT)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.discard()
        for _tenant, follower in self._followers:
            follower.stop()
        self._store.close()

    def _start(self, orders: Orders) -> WriterProcess:
        self._started += 1
        name = f"{orders.name.split('.')[0]}.{self._started}"
        return WriterProcess(
            msgspec.structs.replace(orders, name=name, tenants=TENANTS, seed=self._started),
            self._hear,
        )

    def _hear(self, told: Acknowledged) -> None:
        with self._lock:
            before = self._acknowledged.setdefault(told.number, told)
            heard = len(self._acknowledged)
        if before != told:
            self.failures.append(f"{told} was acknowledged before as {before}")
        if heard % 20 == 0:
            # Another process than the writer's: it too must know of the event by now.
            head = patiently(lambda: self._store.log_head(told.tenant))
            if head is None or head.size <= told.place:
                self.failures.append(f"{told} cannot be seen by others")

    def replace(self, writer: WriterProcess) -> None:
        """Kill a writer and start another in its place."""
        writer.kill()
        self._refused += writer.refused
        self.writers[self.writers.index(writer)] = self._start(writer.orders)

    def run(self, faults: Sequence[Callable[[], None]], for_s: float, every_s: float) -> None:
        """Let a random fault happen now and then, for some time, until enough was written.

        Writers that were just started are waited for: on a busy machine they would be killed again
        before they have come to write anything.
        """
        left_s = for_s
        while left_s > 0:
            self._wait_for_writers(1)
            began_s = time.monotonic()
            time.sleep(min(self.chance.uniform(0, 2 * every_s), left_s))
            self.chance.choice(faults)()
            left_s -= time.monotonic() - began_s
        self._wait_for_writers(ENOUGH)

    def _wait_for_writers(self, count: int) -> None:
        for writer in self.writers:
            writer.wait_for(count)

    def finish(self) -> int:
        """Let everybody finish, check everything and return how much was acknowledged."""
        for writer in self.writers:
            writer.finish()
            self._refused += writer.refused
        numbers = {
            tenant: [number_of(r.sections) for r in self._rows(tenant)] for tenant in TENANTS
        }
        for where, follower in self._followers:
            assert follower.finish() == numbers[where]
        assert not self.failures, self.failures[:5]
        for number, times in Counter(n for each in numbers.values() for n in each).items():
            assert times == 1, f"{number} is stored {times} times"
        for told in self._acknowledged.values():
            assert numbers[told.tenant][told.place] == told.number
        assert self._refused.keys() <= EXPECTED_REFUSALS, self._refused
        check_log(self._store, self._key)
        print(f"{len(self._acknowledged)} acknowledged, refused {dict(self._refused)}")
        return len(self._acknowledged)

    def _rows(self, tenant: str) -> list[LogRow]:
        return self._store.rows(tenant, 0, 10**9)


def number_of(sections: Sequence[bytes | None]) -> str:
    """Return the number that a writer gave an event."""
    return str(msgspec.json.decode((sections[3] or b"")[16:])["number"])


def patiently(read: Callable[[], Result]) -> Result:
    """Return what `read` returns once the store can answer."""
    end_s = time.monotonic() + RETRY_S
    while True:
        try:
            return read()
        except (Pushback, StoreFailed):
            if time.monotonic() > end_s:
                raise
            time.sleep(PATIENCE_S)

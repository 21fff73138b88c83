"""The classic bug of event stores, asked for: a lower index that becomes visible after a higher."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from tallystick.store.base import Store
from tests.store.store_fixtures import Place
from tests.store.transactions import KEY
from tests.support.recording import Recorder, draft

WRITERS = 4
EVENTS = 60
TENANTS = ("one", "two")


class Tail:
    """A reader that follows a log from its start and notes every index it is given."""

    def __init__(self, store: Store, tenant: str, stop: threading.Event) -> None:
        self._store = store
        self._tenant = tenant
        self._stop = stop
        self.seen: list[int] = []
        self.sizes: list[int] = []

    def run(self) -> None:
        """Follow until told to stop, and then to the end."""
        while True:
            stopping = self._stop.is_set()
            head = self._store.log_head(self._tenant)
            size = 0 if head is None else head.size
            rows = self._store.rows(self._tenant, len(self.seen), len(self.seen) + 1_000)
            self.seen += [row.index for row in rows]
            self.sizes.append(size)
            # What a head promises must be readable by whoever saw that head.
            assert len(self.seen) >= size
            if stopping and not rows:
                return


@pytest.fixture
def quick_switching() -> Iterator[None]:
    """Let threads take turns as quickly as they do in the server."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switching")
def test_tailing_readers_skip_and_repeat_nothing(place: Place, store: Store) -> None:
    """Writers append to two tenants while readers follow each: what a reader gets is always the
    next index, whatever commits late. Where many processes may write, there are two."""
    stores = [place.open() for _ in range(1 if store.many_tenants else 2)]
    recorders = [Recorder(each, KEY) for each in stores]
    stop = threading.Event()
    tails = [Tail(each, tenant, stop) for each in (store, *stores) for tenant in TENANTS]

    def write(recorder: Recorder, tenant: str) -> None:
        for n in range(EVENTS):
            recorder.append(tenant, draft(n))

    writers = [
        threading.Thread(target=write, args=(recorders[n % len(recorders)], TENANTS[n // 2 % 2]))
        for n in range(WRITERS)
    ]
    readers = [run_in_thread(tail.run) for tail in tails]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    for recorder, each in zip(recorders, stores, strict=True):
        recorder.close()
        each.close()
    for tail in tails:
        assert tail.seen == list(range(EVENTS * WRITERS // len(TENANTS)))
        assert tail.sizes == sorted(tail.sizes)


def run_in_thread(function: Callable[[], None]) -> threading.Thread:
    """Return a started thread."""
    thread = threading.Thread(target=function)
    thread.start()
    return thread

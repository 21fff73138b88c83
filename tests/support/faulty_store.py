"""A store that fails on purpose: a real one whose transactions can be held up or made to fail.

Every fault is tested on both sides of the commit: before it, nothing may be stored; after it,
everything is, and only the answer was lost.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from tallystick.store.base import Store, Writer


class Fault(NamedTuple):
    """What goes wrong, and whether the transaction was stored all the same."""

    error: Exception
    persists: bool


class FaultyStore:
    """Behaves as the store it wraps, but for the faults it was told of."""

    def __init__(self, store: Store, draw: Callable[[], Fault | None] = lambda: None) -> None:
        self.inner = store
        self._draw = draw
        self.faults: deque[Fault | None] = deque()
        """What happens to the next transactions, in order; None lets one pass; then `draw` says."""
        self.transactions = 0
        self._gate = threading.Event()
        self._gate.set()
        self._arrived = threading.Semaphore(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def store(self) -> Store:
        """The same, as what a sequencer takes."""
        return cast(Store, self)

    @contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Open a transaction, once nobody holds them up, that may fail at its commit."""
        self._arrived.release()
        self._gate.wait()
        self.transactions += 1
        fault = self.faults.popleft() if self.faults else self._draw()
        with self.inner.transaction() as writer:
            yield writer
            if fault is not None and not fault.persists:
                raise fault.error
        if fault is not None:
            raise fault.error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold up every transaction that begins until the block ends."""
        self._gate.clear()
        try:
            yield
        finally:
            self._gate.set()

    def wait_for_transaction(self) -> None:
        """Wait until one more transaction was begun, held up or not."""
        assert self._arrived.acquire(timeout=30), "nobody begins a transaction"

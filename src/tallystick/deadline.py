"""How long the question that a thread works on may still take, and whether anybody waits for it.

A question is begun with a deadline; the steps that answer it look at it between two
pieces of work, whatever thread and store they run in. A thread without one is never stopped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tallystick.errors import QueryTooSlow

T = TypeVar("T")

_thread = threading.local()


class Deadline:
    """When one question must be answered; made by one thread, looked at by another."""

    __slots__ = ("_ends_s", "_lock", "_stop", "abandoned", "began_s")

    def __init__(self, seconds: float) -> None:
        self.began_s = time.monotonic()
        self._ends_s = self.began_s + seconds
        # Set once by the event loop's thread, read by the one that works.
        self.abandoned = False
        # What stops the step under way, if it can be stopped; guarded by the lock.
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None

    def abandon(self) -> None:
        """Let nobody wait for the answer any longer, and stop the step under way."""
        with self._lock:
            self.abandoned = True
            if self._stop is not None:
                self._stop()

    @contextmanager
    def interrupted_by(self, stop: Callable[[], None]) -> Iterator[None]:
        """Let `stop`, which must not wait, end the step of this block once it is abandoned."""
        with self._lock:
            outer, self._stop = self._stop, stop
        try:
            yield
        finally:
            # Once this returns `stop` is not running and will not be.
            with self._lock:
                self._stop = outer

    def left_s(self) -> float:
        """Return how many seconds are left, none once nobody waits for the answer."""
        return 0.0 if self.abandoned else self._ends_s - time.monotonic()

    def check(self) -> None:
        """Let the work go on while there is time.

        Raises: QueryTooSlow.
        """
        if self.left_s() <= 0:
            raise QueryTooSlow

    def run(self, function: Callable[[], T]) -> T:
        """Return what a function returns that has until then, in this thread.

        Raises: QueryTooSlow.
        """
        self.check()
        _thread.deadline = self
        try:
            return function()
        finally:
            _thread.deadline = None


def check() -> None:
    """Let the question of this thread go on while it has time.

    Raises: QueryTooSlow.
    """
    deadline: Deadline | None = getattr(_thread, "deadline", None)
    if deadline is not None:
        deadline.check()


def is_abandoned() -> bool:
    """Tell whether nobody waits any longer for what this thread works on."""
    deadline: Deadline | None = getattr(_thread, "deadline", None)
    return deadline is not None and deadline.abandoned


def at_most(seconds: float) -> float:
    """Return how long the question of this thread may wait, at most so many seconds."""
    deadline: Deadline | None = getattr(_thread, "deadline", None)
    return seconds if deadline is None else max(0.0, min(seconds, deadline.left_s()))


@contextmanager
def interrupted_by(stop: Callable[[], None]) -> Iterator[None]:
    """Let `stop`, which must not wait, end the step of this block once nobody waits for it."""
    deadline: Deadline | None = getattr(_thread, "deadline", None)
    if deadline is None:
        yield
        return
    with deadline.interrupted_by(stop):
        yield

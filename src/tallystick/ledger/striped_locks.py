"""Turns: threads of this process that would get in each other's way go one after another.

A thread that has a turn can still be overtaken by another process; it tries again for a while.
"""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

from tallystick.errors import StoreBusy

WAIT_S = 20.0
"""How long somebody waits for a turn and tries, unless told otherwise."""

_PAUSE_S = 0.01
_STRIPES = 256


def others_write() -> StoreBusy:
    """Return the error of a thread that gets no turn."""
    return StoreBusy("others keep writing to the same target", hint="send again shortly")


class Patience:
    """How long a thread that has a turn tries against other processes."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Return how much of it is left."""
        return max(0.0, self._deadline_s - time.monotonic())

    def pause(self) -> None:
        """Let others finish before the next try.

        Raises: StoreBusy when none is left.
        """
        if not self.left_s():
            raise others_write()
        time.sleep(random.uniform(0, _PAUSE_S))  # noqa: S311  # no secret


class Turns:
    """Locks by key, shared out over a fixed number of stripes."""

    def __init__(self) -> None:
        self._stripes = tuple(Lock() for _ in range(_STRIPES))

    @contextmanager
    def taken(self, keys: Iterable[Hashable], timeout_s: float | None = None) -> Iterator[Patience]:
        """Hold the turn of every key; yields the patience that is left for trying.

        Raises: StoreBusy when others do not let go of one in time.
        """
        patience = Patience(WAIT_S if timeout_s is None else timeout_s)
        with ExitStack() as held:
            # In one order for everybody, so that no two wait for each other.
            for stripe in sorted({hash(key) % _STRIPES for key in keys}):
                lock = self._stripes[stripe]
                if not lock.acquire(timeout=patience.left_s()):
                    raise others_write()
                held.callback(lock.release)
            yield patience

"""Turns: threads of this process that would get in each other's way go one after another."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

from tallystick.errors import StoreBusy

_STRIPES = 256


def others_write() -> StoreBusy:
    """Return what is told to whoever does not get a turn."""
    return StoreBusy("others keep writing to the same target", hint="send again shortly")


class Turns:
    """Locks by key, shared out over a fixed number of stripes."""

    def __init__(self) -> None:
        self._stripes = tuple(Lock() for _ in range(_STRIPES))

    @contextmanager
    def taken(self, keys: Iterable[Hashable], timeout_s: float) -> Iterator[None]:
        """Hold the turn of every key.

        Raises: StoreBusy when others do not let go of one in time.
        """
        deadline_s = time.monotonic() + timeout_s
        with ExitStack() as held:
            # In one order for everybody, so that no two wait for each other.
            for stripe in sorted({hash(key) % _STRIPES for key in keys}):
                lock = self._stripes[stripe]
                if not lock.acquire(timeout=max(0.0, deadline_s - time.monotonic())):
                    raise others_write()
                held.callback(lock.release)
            yield

"""Password hashing in a few threads of its own, so that logins never take those that read.

scrypt costs 16 MB and tens of milliseconds by design. Callers without a credential get a
bounded share: a request that finds no room is refused at once and may come back.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

from tallystick.errors import RateLimited
from tallystick.identity import credentials

P = ParamSpec("P")
T = TypeVar("T")

WAITING = 16
"""Passwords that wait for a thread at most: the last of them waits less than a second."""

_RETRY_S = 1.0
_NICE = 5


class Passwords:
    """Hashes and checks passwords; safe to share between threads."""

    def __init__(self, threads: int | None = None, *, waiting: int = WAITING) -> None:
        count = threads or max(1, min(4, (os.cpu_count() or 1) // 2))
        self._threads = ThreadPoolExecutor(count, "password", initializer=_give_way)
        self._room = threading.BoundedSemaphore(count + waiting)

    def hash(self, password: str) -> str:
        """Return what is kept of a password; waits for a thread.

        Raises: RateLimited when too many wait already.
        """
        return self._submit(credentials.hash_password, password).result()

    def check(self, password: str, hashed: str | None) -> bool:
        """Tell whether a password is the one that was hashed; waits for a thread.

        Raises: RateLimited when too many wait already.
        """
        return self.checked(password, hashed).result()

    def checked(self, password: str, hashed: str | None) -> Future[bool]:
        """Begin to check a password; who has an event loop waits there, in no thread.

        Raises: RateLimited when too many wait already.
        """
        return self._submit(credentials.is_password, password, hashed)

    def close(self) -> None:
        """Wait for the passwords under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if not self._room.acquire(blocking=False):
            raise RateLimited("Too many people are logging in", retry_after_s=_RETRY_S)
        try:
            future = self._threads.submit(function, *args, **kwargs)
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future


def _give_way() -> None:
    """Let threads that read and commit have the processor first, where threads have priorities."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)

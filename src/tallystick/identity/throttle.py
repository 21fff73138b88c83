"""How often somebody may try a password in vain."""

from __future__ import annotations

import time

_KEYS_MAX = 10_000
"""Beyond this all counts are dropped, so that a flood of logins cannot fill the memory."""


def password_attempts(limit: int = 10, window_s: float = 60.0) -> Attempts:
    """Return a limiter of password attempts for each login and address."""
    return Attempts(limit, window_s)


class Attempts:
    """Counts failures by key within a sliding window; bounded in memory."""

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._failures: dict[str, list[float]] = {}

    def wait_s(self, key: str) -> float:
        """Return how long `key` has to wait before it may try again; 0 when it may now."""
        now_s = time.monotonic()
        recent = [at for at in self._failures.get(key, ()) if now_s - at < self._window_s]
        if len(recent) < self._limit:
            return 0.0
        return max(self._window_s - (now_s - recent[0]), 1.0)

    def failed(self, key: str) -> None:
        """Count a failure."""
        now_s = time.monotonic()
        if len(self._failures) > _KEYS_MAX:
            self._failures = {}
        recent = [at for at in self._failures.get(key, ()) if now_s - at < self._window_s]
        self._failures[key] = [*recent, now_s]

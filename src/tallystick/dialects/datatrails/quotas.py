"""What a tenant may use: so many requests a second, so many things in all.

Source: wire specification of DataTrails 2.6.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tallystick.errors import QuotaExceeded, RateLimited

_TENANTS_MAX = 10_000

UNLIMITED = (1 << 63) - 1
"""What is said to remain where nothing is limited."""


class RateLimit:
    """A token bucket a tenant; it holds what may be used in one second."""

    def __init__(
        self, per_second: float | None, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._seconds = seconds
        # Guards the buckets: how full each was, and when.
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, tenant: str) -> None:
        """Let one request of a tenant pass.

        Raises: RateLimited, with the time after which the next one would.
        """
        rate = self._per_second
        if rate is None:
            return
        full = max(rate, 1.0)
        now_s = self._seconds()
        with self._lock:
            if len(self._buckets) >= _TENANTS_MAX:
                self._buckets = {}
            level, since_s = self._buckets.get(tenant, (full, now_s))
            level = min(full, level + (now_s - since_s) * rate)
            passes = level >= 1.0
            self._buckets[tenant] = (level - 1.0 if passes else level, now_s)
        if not passes:
            raise RateLimited(
                f"a tenant may make {rate:g} requests a second", retry_after_s=(1.0 - level) / rate
            )


def remaining(quota: int | None, used: Callable[[], int]) -> int:
    """Return how many more a quota allows; what is used is counted only if there is one."""
    return UNLIMITED if quota is None else max(quota - used(), 0)


def require(quota: int | None, used: Callable[[], int], what: str) -> None:
    """Let one more pass.

    Raises: QuotaExceeded.
    """
    if remaining(quota, used) == 0:
        raise QuotaExceeded(f"the allowance of {quota} {what} is used up")

"""Time as a value: code that needs the time is given a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Something that tells the time."""

    def now_ms(self) -> int:
        """Return the time now.

        Units: milliseconds since 1970-01-01T00:00:00Z.
        """


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        """Return the time of the machine."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told, for tests and reproducible samples."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return the time last set."""
        return self._now_ms

    def set(self, now_ms: int) -> None:
        """Set the time; it may go backwards, as real clocks do."""
        self._now_ms = now_ms

    def advance(self, by_ms: int) -> None:
        """Move the time on by `by_ms`."""
        self._now_ms += by_ms

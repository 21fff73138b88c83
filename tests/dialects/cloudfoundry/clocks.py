"""A clock for tests that let time pass."""

from __future__ import annotations

from tallystick.clock import Clock


class SetClock(Clock):
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        """Return the time it was set to."""
        return self.ms

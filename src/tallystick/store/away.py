"""Which machines of a store do not answer, asked now and then and remembered in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tallystick.errors import StoreBusy, StoreError

_HOLDS_S = 5.0
"""How long an answer holds: asking reaches every machine."""


class NodesAway:
    """Asks a store for the machines that do not answer; safe to share between threads."""

    def __init__(self, ask: Callable[[], list[str]]) -> None:
        self._ask = ask
        # Held while somebody asks: others wait for that answer.
        self._lock = threading.Lock()
        self._asked_s = -_HOLDS_S
        self._known: list[str] = []

    def names(self) -> list[str]:
        """Return them, as of a few seconds ago at most unless the store says nothing."""
        with self._lock:
            if time.monotonic() - self._asked_s >= _HOLDS_S:
                # Whether the store itself can be used is asked elsewhere.
                with suppress(StoreBusy, StoreError):
                    self._known = self._ask()
                self._asked_s = time.monotonic()
            return list(self._known)

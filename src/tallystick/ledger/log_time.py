"""The time of a log by its own clock, which a wrong system clock cannot set ahead.

A step of more than a day between neighbouring entries counts as a day, until an operator's entry
`clock.confirmed` says that the clock is right: dates count from there. So a clock that
was set years ahead ends nothing that was to last until a date.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

from tallystick.events.event import CLOCK_CONFIRMED
from tallystick.log.views import event_of
from tallystick.store.base import Store

DAY_MS = 86_400_000
_STEP = 4_096
_ROWS = 256
_recorded = re.compile(rb'"recorded_ms":(\d+)').search


class LogTimes:
    """Measures logs, each entry once; safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()  # guards what was measured: size, last recorded, time
        self._measured: dict[str, tuple[int, int, int]] = {}

    def time_ms(self, tenant: str, size: int) -> int:
        """Return the time of a log of `size` entries; 0 for an empty one.

        Cost: one read of the entries since the last call.
        """
        with self._lock:
            start, last_ms, time_ms = self._measured.get(tenant, (0, 0, 0))
            if start < size:
                confirmed = self._confirmed(tenant, start, size)
                for index, recorded_ms in self._times(tenant, start, size):
                    if index == 0 or index in confirmed:
                        time_ms = recorded_ms
                    else:
                        time_ms += min(recorded_ms - last_ms, DAY_MS)
                    last_ms = recorded_ms
                self._measured[tenant] = (size, last_ms, time_ms)
            return time_ms

    def _times(self, tenant: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
        for at in range(start, stop, _STEP):
            texts = self._store.entries(tenant, at, min(at + _STEP, stop))
            for index, text in enumerate(texts, at):
                found = _recorded(text)
                assert found is not None, "every entry says when it was recorded"
                yield index, int(found[1])

    def _confirmed(self, tenant: str, start: int, stop: int) -> set[int]:
        indexes = self._store.system_indexes(tenant, start, stop)
        return {
            index
            for at in range(0, len(indexes), _ROWS)
            for index, row in self._store.rows_at(tenant, indexes[at : at + _ROWS]).items()
            if event_of(tenant, row).kind == CLOCK_CONFIRMED
        }

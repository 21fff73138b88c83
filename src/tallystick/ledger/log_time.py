"""The time of a log by its own clock, which a wrong system clock cannot set ahead.

A step of more than a day between neighbouring entries counts as a day, until an operator's entry
`clock.confirmed` says that the clock is right: from then on the steps before it count as long as
they were recorded. So a clock that was set years ahead ends nothing that was to last until a date,
and nothing is old because of it.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from tallystick.events.event import CLOCK_CONFIRMED
from tallystick.log.views import event_of
from tallystick.store.base import Store

DAY_MS = 86_400_000
_STEP = 4_096
_ROWS = 256
_recorded = re.compile(rb'"recorded_ms":(\d+)').search


class _Mark(NamedTuple):
    """The first entry of a step: when it was recorded, and the log's time then."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    recorded_ms: int
    time_ms: int


class _Measured:
    """One log as far as it was read."""

    __slots__ = ("confirmed", "last_ms", "marks", "size", "time_ms")

    def __init__(self) -> None:
        self.size = 0
        self.last_ms = 0
        self.time_ms = 0
        self.confirmed = -1
        self.marks: list[_Mark] = []

    def add(self, index: int, recorded_ms: int, *, is_confirmed: bool) -> None:
        if index == 0 or is_confirmed:
            self.time_ms = recorded_ms
        else:
            self.time_ms += min(recorded_ms - self.last_ms, DAY_MS)
        if is_confirmed:
            self.confirmed = index
        if index % _STEP == 0:
            self.marks.append(_Mark(index, recorded_ms, self.time_ms))
        self.last_ms = recorded_ms
        self.size = index + 1

    def at(self, mark: _Mark) -> int:
        return mark.recorded_ms if mark.index <= self.confirmed else mark.time_ms


class LogTimes:
    """Measures logs, each entry once; safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()  # guards what was measured
        self._measured: dict[str, _Measured] = {}

    def time_ms(self, tenant: str, size: int) -> int:
        """Return the time of a log of `size` entries; 0 for an empty one.

        Cost: one read of the entries since the last call.
        """
        with self._lock:
            return self._read(tenant, size).time_ms

    def now_ms(self, tenant: str, size: int, system_ms: int) -> int:
        """Return what time it is by a log's clock when the system's clock says `system_ms`.

        Since the last entry, a day has passed at most.
        """
        with self._lock:
            measured = self._read(tenant, size)
            return measured.time_ms + min(max(system_ms - measured.last_ms, 0), DAY_MS)

    def recorded_until(self, tenant: str, size: int, time_ms: int) -> int:
        """Return how many entries of a log were recorded at or before a time of its own clock.

        Cost: at most one read of `_STEP` entries beside those since the last call.
        """
        with self._lock:
            measured = self._read(tenant, size)
            at = bisect_right(measured.marks, time_ms, key=measured.at)
            if at == 0:
                return 0
            mark = measured.marks[at - 1]
            now_ms, last_ms = mark.time_ms, mark.recorded_ms
            stop = min(mark.index + _STEP, size)
            for index, recorded_ms in self._times(tenant, mark.index, stop):
                now_ms += min(recorded_ms - last_ms, DAY_MS)
                last_ms = recorded_ms
                if index == measured.confirmed:
                    now_ms = recorded_ms
                if (recorded_ms if index <= measured.confirmed else now_ms) > time_ms:
                    return index
            return stop

    def _read(self, tenant: str, size: int) -> _Measured:
        measured = self._measured.setdefault(tenant, _Measured())
        start = measured.size
        if start < size:
            confirmed = self._confirmed(tenant, start, size)
            for index, recorded_ms in self._times(tenant, start, size):
                measured.add(index, recorded_ms, is_confirmed=index in confirmed)
        return measured

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

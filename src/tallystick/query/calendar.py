"""Calendars: in which hour, day, week, month or year a time lies, by an offset or in a zone.

In a zone a bucket begins when the clock shows its first moment for the first time, or would have
shown it had the clock not been set forward; a bucket lasts until the next one begins. So the day on
which summer time begins has 23 hours, and a clock that is set back over midnight begins no day
again. An hour in which a zone changes its offset ends there and another one begins.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from tallystick.errors import Malformed
from tallystick.times import DAY_MS, HOUR_MS, in_zone, to_ms


class Interval(enum.StrEnum):
    """How wide the buckets of a time series are; weeks begin on Monday."""

    YEAR = "year"
    QUARTER = "quarter"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"
    HOUR = "hour"


class Calendar(NamedTuple):
    """How times are told apart: the width of a bucket, and an offset or the name of a zone."""

    interval: Interval
    offset_minutes: int = 0
    zone: str | None = None

    def start_of(self, ms: int) -> int:
        """Return when the bucket that holds `ms` begins."""
        return self.bounds(ms)[0]

    def bounds(self, ms: int) -> tuple[int, int]:
        """Return when the bucket that holds `ms` begins, and when the next one does.

        Shape: the first is not after `ms`, the second is.
        """
        if self.zone is None:
            start = bucket_start(ms, self.interval, self.offset_minutes)
            return start, next_bucket(start, self.interval, self.offset_minutes)
        zone = _zone(self.zone)
        if self.interval is Interval.HOUR:
            return _hour(ms, zone)
        return _starts(ms, self.interval, zone)


class Buckets:
    """The buckets that were met: the calendar is asked once for each."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._starts: list[int] = []
        self._ends: list[int] = []

    def of(self, ms: int) -> tuple[int, int]:
        """Return where the bucket of a time begins, and where the next one does."""
        at = bisect_right(self._starts, ms) - 1
        if at < 0 or ms >= self._ends[at]:
            at += 1
            start, end = self._calendar.bounds(ms)
            self._starts.insert(at, start)
            self._ends.insert(at, end)
        return self._starts[at], self._ends[at]


def check_zone(name: str, path: str) -> str:
    """Return the name of a time zone that is known here.

    Raises: Malformed, naming `path`.
    """
    if name not in _known_zones():
        raise Malformed(
            f"{name[:64]!r} is no known time zone",
            path=path,
            hint="a name of the IANA database such as Europe/Oslo",
        )
    return name


@lru_cache(1)
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def bucket_start(ms: int, interval: Interval, offset_minutes: int = 0) -> int:
    """Return when the bucket that holds `ms` begins."""
    offset_ms = offset_minutes * 60_000
    width_ms = WIDTHS_MS.get(interval)
    if width_ms is None:
        return to_ms(_floor(in_zone(ms + offset_ms, UTC), interval)) - offset_ms
    since_monday_ms = ms + offset_ms - _MONDAY_MS
    return ms - since_monday_ms % width_ms


def next_bucket(start_ms: int, interval: Interval, offset_minutes: int = 0) -> int:
    """Return when the bucket after the one that begins at `start_ms` begins.

    Shape: beyond every event's time when the calendar ends before that.
    """
    width_ms = WIDTHS_MS.get(interval)
    if width_ms is not None:
        return start_ms + width_ms
    offset_ms = offset_minutes * 60_000
    try:
        later = _floor(in_zone(start_ms + offset_ms, UTC) + _LONGER_THAN[interval], interval)
    except OverflowError:
        later = _CALENDAR_END
    return to_ms(later) - offset_ms


WIDTHS_MS = {Interval.WEEK: 7 * DAY_MS, Interval.DAY: DAY_MS, Interval.HOUR: HOUR_MS}
"""Intervals that are all of one length; without daylight saving time, days and weeks are."""

_CALENDAR_END = datetime.max.replace(tzinfo=UTC)
_MONDAY_MS = 4 * DAY_MS  # 5 January 1970
_MONTHS = {Interval.YEAR: 12, Interval.QUARTER: 3, Interval.MONTH: 1}
# From the beginning of a bucket, this leads into the next one and never beyond it.
_LONGER_THAN = {
    Interval.YEAR: timedelta(days=366),
    Interval.QUARTER: timedelta(days=92),
    Interval.MONTH: timedelta(days=31),
    Interval.WEEK: timedelta(days=7),
    Interval.DAY: timedelta(days=1),
}


def _floor(moment: datetime, interval: Interval) -> datetime:
    months = _MONTHS[interval]
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day.replace(month=day.month - (day.month - 1) % months, day=1)


def _starts(ms: int, interval: Interval, zone: ZoneInfo) -> tuple[int, int]:
    """Return where the bucket of a time begins and ends, by the dates that a zone's clocks show."""
    date = _first_date(in_zone(ms, zone).replace(tzinfo=None), interval)
    while (start := to_ms(date.replace(tzinfo=zone))) > ms:
        date = _first_date(date - timedelta(days=1), interval)
    while True:
        date = _first_date(date + _LONGER_THAN[interval], interval)
        end = to_ms(date.replace(tzinfo=zone))
        if end > ms:
            return start, end
        start = end


def _first_date(moment: datetime, interval: Interval) -> datetime:
    """Return the beginning of a bucket as a wall clock shows it."""
    if interval in _MONTHS:
        return _floor(moment, interval)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday()) if interval is Interval.WEEK else day


def _hour(ms: int, zone: ZoneInfo) -> tuple[int, int]:
    """Return where the hour of a time begins and ends."""
    offset_ms = _offset_ms(ms, zone)
    start = ms - (ms + offset_ms) % HOUR_MS
    end = start + HOUR_MS
    if _offset_ms(start, zone) != offset_ms:
        start = _change(start, ms, zone)
    if _offset_ms(end - 1, zone) != offset_ms:
        end = _change(ms, end - 1, zone)
    return start, end


def _change(low: int, high: int, zone: ZoneInfo) -> int:
    """Return the first millisecond with the offset of `high`; at `low` there is another one."""
    offset_ms = _offset_ms(high, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_ms(middle, zone) == offset_ms:
            high = middle
        else:
            low = middle
    return high


def _offset_ms(ms: int, zone: ZoneInfo) -> int:
    offset = in_zone(ms, zone).utcoffset()
    assert offset is not None, "a zone has an offset"
    return offset // timedelta(milliseconds=1)

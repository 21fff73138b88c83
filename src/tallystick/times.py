"""Times as text and back: RFC 3339 for us, milliseconds since 1970 everywhere inside. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from tallystick import limits
from tallystick.errors import Malformed

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_EPOCH = datetime(1970, 1, 1)  # UTC understood: much the cheaper to print
# What stands in one page is mostly from a few seconds, and recorded as it occurred.
_SECONDS_KEPT = 1024
_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
# ASCII: to a regular expression every script's digits are digits, to RFC 3339 only ten are.
_RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?"
    r"([Zz]|[+-]\d{2}:\d{2})\Z",
    re.ASCII,
)


def to_rfc3339(ms: int) -> str:
    """Return a time as UTC with milliseconds: `2026-11-21T09:30:00.000Z`."""
    second, ms = divmod(ms, 1000)
    return f"{_second(second)}.{ms:03}Z"


@lru_cache(_SECONDS_KEPT)
def _second(second: int) -> str:
    return (_PLAIN_EPOCH + timedelta(0, second)).isoformat()


def in_zone(ms: int, zone: tzinfo) -> datetime:
    """Return a time as a calendar date and wall clock in a zone."""
    return (_EPOCH + timedelta(milliseconds=ms)).astimezone(zone)


def to_ms(moment: datetime) -> int:
    """Return the milliseconds of a moment that has a zone; fractions are cut off."""
    return (moment - _EPOCH) // _MILLISECOND


def from_rfc3339(text: str, path: str | None = None) -> int:
    """Return the milliseconds of an RFC 3339 time; digits after the third are cut off.

    Raises: Malformed, naming `path`.
    """
    match = _RFC3339.match(text)
    if match is None:
        raise _malformed(text, path)
    *parts, fraction, zone = match.groups()
    year, month, day, hour, minute, second = map(int, parts)
    try:
        moment = wall_clock((year, month, day, hour, minute), second, _offset(zone))
        return to_ms(moment) + milliseconds_of(fraction)
    except (ValueError, OverflowError):
        raise _malformed(text, path) from None


def wall_clock(minute: tuple[int, int, int, int, int], second: int, zone: tzinfo) -> datetime:
    """Return the moment that a clock in a zone shows; `minute` is year, month, day, hour, minute.

    Second 60 is a leap second, which only the last minute of a month in UTC can have. To everybody
    who has no such second it is the first instant of the next month.
    Raises: ValueError, OverflowError when there is no such moment.
    """
    if second != 60:
        return datetime(*minute, second, tzinfo=zone)
    moment = datetime(*minute, 59, tzinfo=zone) + _SECOND
    next_day = moment.astimezone(UTC)
    if next_day.day != 1 or next_day.hour or next_day.minute or next_day.second:
        raise ValueError("no leap second")
    return moment


def milliseconds_of(fraction: str | None) -> int:
    """Return the milliseconds of a second's decimal digits; those after the third are cut off."""
    return int((fraction or "0")[:3].ljust(3, "0"))


def finer_than_ms(text: str) -> str:
    """Return the digits of an RFC 3339 time below its millisecond, without zeros at the end."""
    fraction = _RFC3339.match(text)
    return "" if fraction is None else (fraction[7] or "")[3:].rstrip("0")


def checked_ms(ms: int, path: str | None = None) -> int:
    """Return `ms` if it lies in the years an event may happen in.

    Raises: Malformed, naming `path`.
    """
    if not limits.OCCURRED_MS_MIN <= ms <= limits.OCCURRED_MS_MAX:
        raise Malformed("times lie in the years 0002 to 9998", path=path)
    return ms


def _offset(text: str) -> tzinfo:
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _malformed(text: str, path: str | None) -> Malformed:
    return Malformed(f"{text[:64]!r} is no time; write it like 2026-11-21T09:30:00.000Z", path=path)

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
_RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?"
    r"([Zz]|[+-]\d{2}:\d{2})\Z"
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
    # A leap second is the first instant of the next minute to everybody who has no such second.
    extra_s = 1 if second == 60 else 0
    try:
        moment = datetime(
            year, month, day, hour, minute, second - extra_s, tzinfo=_offset(zone)
        ) + timedelta(seconds=extra_s)
        ms = to_ms(moment) + int((fraction or "0").ljust(3, "0")[:3])
    except (ValueError, OverflowError):
        raise _malformed(text, path) from None
    return ms


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

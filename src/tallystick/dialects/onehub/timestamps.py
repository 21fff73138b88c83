"""Times as Onehub takes and shows them: RFC 2822 in, ISO 8601 in the reader's zone out. Pure.

A time that names no zone is on the clock of the user who asks. Military letters and names of zones
that RFC 2822 does not know mean `-0000`, which is UTC. Source: seed Onehub, "Request Body"; wire
specification 1.3, time rules; RFC 2822 sections 3.3 and 4.3.
"""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tallystick import times
from tallystick.errors import Malformed

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONES = {
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
}  # fmt: skip
_UNKNOWN_ZONE = 0
_TEXT_CHARS_MAX = 200
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*\)")
# A plus sign that was not escaped in a query string arrives as a blank.
_ZONE = (
    r"(?:\s*(?P<sign>[+-])(?P<hhmm>\d{2}:?\d{2})|\s+(?P<bare>\d{2}:?\d{2})"
    # An obsolete zone; RFC 2822 says of unknown ones that they have three to five letters.
    r"|\s*(?P<name>[A-Za-z]{1,5}))?"
)
_RFC_2822 = re.compile(
    r"(?:[A-Za-z]{3,9}\s*,?\s*)?"
    r"(?P<day>\d{1,2})\s+(?P<month>[A-Za-z]{3,9})\s+(?P<year>\d{2,4})\s+"
    r"(?P<hour>\d{1,2})\s*:\s*(?P<minute>\d{2})(?:\s*:\s*(?P<second>\d{2}))?" + _ZONE + r"\Z",
    re.ASCII,
)
_ISO_8601 = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})[Tt\s]"
    r"(?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?"
    + _ZONE
    + r"\Z",
    re.ASCII,
)


class Moment(NamedTuple):
    """A time; `last_ms` is the end of what was named, which is a whole second as a rule."""

    ms: int
    last_ms: int


def parse(text: str, zone: tzinfo, path: str) -> Moment:
    """Return the time that a text names to somebody in `zone`.

    Raises: Malformed, naming `path`.
    """
    plain = _without_comments(text) if len(text) <= _TEXT_CHARS_MAX else ""
    found = _RFC_2822.match(plain) or _ISO_8601.match(plain)
    if found is None:
        raise _malformed(text, path)
    try:
        second = int(found["second"] or 0)
        ms = times.to_ms(times.wall_clock(_minute_of(found), second, _zone_of(found, zone)))
    except (ValueError, OverflowError):
        raise _malformed(text, path) from None
    fraction = found.groupdict().get("fraction")
    if fraction is None:
        return Moment(ms, ms + 999)
    ms += times.milliseconds_of(fraction)
    return Moment(ms, ms)


def render(ms: int, zone: tzinfo) -> str:
    """Return a time in a zone, to the second, as the seed shows it."""
    moment = times.in_zone(ms, zone)
    offset = moment.utcoffset() or timedelta()
    minutes = round(offset / timedelta(minutes=1))
    if offset != timedelta(minutes=minutes):
        # Before there were time zones, clocks were off by seconds too; the format has none.
        moment = times.in_zone(ms, timezone(timedelta(minutes=minutes)))
    return moment.isoformat(timespec="seconds")


def zone_named(name: str) -> tzinfo:
    """Return a time zone; UTC where the name is unknown to this machine."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _without_comments(text: str) -> str:
    """Take comments in parentheses out, from the innermost on."""
    while True:
        shorter = _COMMENT.sub(" ", text)
        if shorter == text:
            return text.strip()
        text = shorter


def _minute_of(found: re.Match[str]) -> tuple[int, int, int, int, int]:
    month = found["month"]
    number = int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1
    hour, minute = int(found["hour"]), int(found["minute"])
    return _year_of(found["year"]), number, int(found["day"]), hour, minute


def _year_of(digits: str) -> int:
    year = int(digits)
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _zone_of(found: re.Match[str], zone: tzinfo) -> tzinfo:
    """Return the zone that a time names, or `zone`.

    Raises: ValueError for an offset that is none.
    """
    digits = found["hhmm"] or found["bare"]
    if digits is not None:
        hours, minutes = int(digits[:2]), int(digits[-2:])
        if hours > 23 or minutes > 59:
            raise ValueError(digits)
        offset = timedelta(hours=hours, minutes=minutes)
        return timezone(-offset if found["sign"] == "-" else offset)
    if found["name"] is not None:
        return timezone(timedelta(hours=_ZONES.get(found["name"].upper(), _UNKNOWN_ZONE)))
    return zone


def _malformed(text: str, path: str) -> Malformed:
    return Malformed(
        f"{text[:64]!r} is no time; write it like Mon, 18 Jan 2016 11:16:53 -0800", path=path
    )

"""Times as Cloud Foundry's clients write and read them: whole seconds out, many spellings in.

Pure. Source: wire specification of Cloud Foundry 3.5.
"""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tallystick import times
from tallystick.errors import Malformed, SettingsError

SECOND_MS = 1000

_TEXT = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<clock>\d{2}:\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?"
    # A blank before the offset is Ruby's spelling, or a plus sign that nobody escaped.
    r"(?: ?(?P<utc>Z|z|UTC|GMT)| ?(?P<sign>[+-])(?P<offset>\d{2}:?\d{2})|"
    r" (?P<unescaped>\d{2}:?\d{2}))?)?\Z",
    re.ASCII,
)


def zone_of(name: str) -> tzinfo:
    """Return the zone in which times are shown.

    Raises: SettingsError.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(
            f"cloudfoundry.time_zone: {name!r} is no time zone; write it like America/Los_Angeles"
        ) from None


def to_text(ms: int, zone: tzinfo = UTC) -> str:
    """Return a time in whole seconds: `2014-06-20T00:18:46Z`, or with the zone's offset."""
    moment = times.in_zone(ms - ms % SECOND_MS, zone)
    offset = moment.utcoffset() or timedelta(0)
    # Offsets with seconds, as before standard time, cannot be written in RFC 3339.
    if not offset or offset.seconds % 60:
        return moment.astimezone(UTC).isoformat(timespec="seconds")[:-6] + "Z"
    return moment.isoformat(timespec="seconds")


def from_text(text: str, path: str | None = None) -> int:
    """Return the milliseconds of a time in any spelling that clients are known to send.

    A time without a zone is UTC; a date alone is its midnight.
    Raises: Malformed, naming `path`.
    """
    match = _TEXT.match(text)
    if match is None:
        raise _malformed(text, path)
    year, month, day = map(int, match["date"].split("-"))
    hour, minute = map(int, (match["clock"] or "00:00").split(":"))
    second = int(match["second"] or 0)
    try:
        moment = times.wall_clock((year, month, day, hour, minute), second, _offset(match))
        return times.to_ms(moment) + times.milliseconds_of(match["fraction"])
    except (ValueError, OverflowError):
        raise _malformed(text, path) from None


def _offset(match: re.Match[str]) -> tzinfo:
    digits = (match["offset"] or match["unescaped"] or "0000").replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        raise ValueError(digits)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if match["sign"] == "-" else offset)


def _malformed(text: str, path: str | None) -> Malformed:
    return Malformed(f"{text[:64]!r} is no time; write it like 2014-06-20T00:18:46Z", path=path)

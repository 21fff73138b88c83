"""The spellings of a time that this API takes, and nothing else about times.

Milliseconds since 1970; ISO 8601 in its basic and extended form; RFC 1123; RFC 1036 with a long
weekday and dashes; asctime. What goes out is always milliseconds. Source: wire specification,
section 8.
"""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo

from tallystick import times
from tallystick.errors import Malformed

_DIGITS_MAX = 15
_MILLISECONDS = re.compile(rf"-?[0-9]{{1,{_DIGITS_MAX}}}\Z")
_ZONE = r"(?P<zone>[A-Za-z]{1,5}|[+-]\d{2}:?\d{2})"
_CLOCK = r"(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})"
_FORMS = tuple(
    re.compile(form + r"\Z", re.ASCII)
    for form in (
        # 2014-04-09T19:00:00.123Z and 20140409T190000Z
        r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})[Tt]"
        + _CLOCK
        + r"(?:\.(?P<fraction>\d+))?"
        + _ZONE,
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})[Tt]"
        r"(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})(?:\.(?P<fraction>\d+))?" + _ZONE,
        # Wed, 09 Apr 2014 19:00:00 UTC
        r"[A-Za-z]{3},? (?P<day>\d{1,2}) (?P<name>[A-Za-z]{3}) (?P<year>\d{4}) "
        + _CLOCK
        + " "
        + _ZONE,
        # Wednesday, 09-Apr-14 19:00:00 UTC
        r"[A-Za-z]{6,9},? (?P<day>\d{1,2})-(?P<name>[A-Za-z]{3})-(?P<year>\d{4}|\d{2}) "
        + _CLOCK
        + " "
        + _ZONE,
        # Wed Apr  9 19:00:00 2014
        r"[A-Za-z]{3} (?P<name>[A-Za-z]{3}) +(?P<day>\d{1,2}) " + _CLOCK + r" (?P<year>\d{4})",
    )
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CENTURY = 2000
# Hours east of Greenwich; the names that RFC 822 and with it RFC 1123 know.
_ZONE_HOURS = {
    "z": 0, "ut": 0, "utc": 0, "gmt": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5,
    "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
}  # fmt: skip


def parse(text: str, path: str = "timestamp") -> int:
    """Return the milliseconds since 1970 that `text` says in any accepted spelling.

    Raises: Malformed, also for a time outside the years an event may happen in.
    """
    if _MILLISECONDS.match(text):
        return times.checked_ms(int(text), path)
    for form in _FORMS:
        match = form.match(text)
        if match is not None:
            return times.checked_ms(_to_ms(match.groupdict(), text, path), path)
    raise _malformed(text, path)


def _to_ms(parts: dict[str, str | None], text: str, path: str) -> int:
    try:
        day, hour, minute = (_number(parts, name) for name in ("day", "hour", "minute"))
        moment = times.wall_clock(
            (_year(parts), _month(parts), day, hour, minute),
            _number(parts, "second"),
            _zone(parts.get("zone")),
        )
        return times.to_ms(moment) + times.milliseconds_of(parts.get("fraction"))
    except (ValueError, OverflowError):
        raise _malformed(text, path) from None


def _number(parts: dict[str, str | None], name: str) -> int:
    return int(parts[name] or "0")


def _year(parts: dict[str, str | None]) -> int:
    text = parts["year"] or ""
    return _CENTURY + int(text) if len(text) == 2 else int(text)


def _month(parts: dict[str, str | None]) -> int:
    name = parts.get("name")
    return _number(parts, "month") if name is None else _MONTHS.index(name.lower()) + 1


def _zone(text: str | None) -> tzinfo:
    if text is None:
        return UTC
    if text[0] not in "+-":
        hours = _ZONE_HOURS.get(text.lower())
        if hours is None:
            raise ValueError(text)
        return timezone(timedelta(hours=hours))
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _malformed(text: str, path: str) -> Malformed:
    return Malformed(
        f"{text[:64]!r} is no timestamp",
        path=path,
        hint="milliseconds since 1970, ISO 8601, RFC 1123, RFC 1036 or asctime",
    )

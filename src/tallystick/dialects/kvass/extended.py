"""MongoDB extended JSON, version 1 in strict mode: ids and times as one-member objects. Pure.

Everything else in it is plain JSON. The version after it, which today's libraries write unless
told otherwise, spells times differently and is not used here. Source: wire specification 2.2.
"""

from __future__ import annotations

from typing import Any

from tallystick import limits, times
from tallystick.errors import Malformed
from tallystick.events import ids
from tallystick.events.event import Json

OID = "$oid"
DATE = "$date"

_INTEGER_ID_MAX = (1 << 63) - 1


def oid(text: str) -> Json:
    """Return an ObjectId."""
    return {OID: text}


def date(ms: int) -> Json:
    """Return a time."""
    return {DATE: ms}


def to_id(text: str) -> Json | str:
    """Return an id as it is shown: an ObjectId if it can be one, else the text."""
    return oid(text) if ids.is_object_id(text) and text == text.lower() else text


def id_of(value: Any) -> str | None:
    """Return the id that a value is: an ObjectId, a text or an integer; None for anything else."""
    if isinstance(value, dict) and value.keys() == {OID}:
        text = value[OID]
        return text.lower() if isinstance(text, str) and ids.is_object_id(text) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) <= _INTEGER_ID_MAX else None
    return value or None if isinstance(value, str) else None


def to_ms(value: Any, path: str) -> int:
    """Return the milliseconds of a time; RFC 3339 text is taken where a number is usual.

    Raises: Malformed, naming `path`.
    """
    given = value.get(DATE) if isinstance(value, dict) and value.keys() == {DATE} else None
    if isinstance(given, str):
        return times.from_rfc3339(given, path)
    if isinstance(given, bool) or not isinstance(given, int):
        raise Malformed(f'{path} is a time such as {{"$date": 1499767018360}}', path=path)
    return times.checked_ms(given, path)


def check(value: Any, path: str, depth: int = 1) -> None:
    """Let a payload pass that every reader of extended JSON reads to the same values.

    Members whose names start with a dollar sign are the notation's own.
    Raises: Malformed, naming the member.
    """
    if depth > limits.JSON_DEPTH:
        raise Malformed(f"JSON may be nested {limits.JSON_DEPTH} deep at most", path=path)
    if isinstance(value, list):
        for n, item in enumerate(value):
            check(item, f"{path}[{n}]", depth + 1)
    elif isinstance(value, dict):
        if any(name.startswith("$") for name in value):
            _check_notation(value, path)
            return
        for name, member in value.items():
            check(member, f"{path}.{name}", depth + 1)


def _check_notation(value: Json, path: str) -> None:
    if value.keys() == {OID} and isinstance(value[OID], str) and ids.is_object_id(value[OID]):
        return
    if value.keys() == {DATE} and isinstance(value[DATE], int):
        to_ms(value, path)
        return
    raise Malformed(
        f'{path} must be {{"$oid": "<24 digits>"}} or {{"$date": <milliseconds>}}: '
        "names starting with $ are kept for these",
        path=path,
    )

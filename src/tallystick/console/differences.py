"""Two states of an object side by side, member by member."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tallystick import json_text
from tallystick.events.diff import is_same
from tallystick.events.event import Json

TEXT_CHARS_MAX = 64 * 1024


class Difference(NamedTuple):
    """One member before and after; None where it is absent."""

    name: str
    before: str | None
    after: str | None


def differences(before: Json, after: Json) -> list[Difference]:
    """Return the members that differ, in the order of the later state."""
    names = [*after, *(name for name in before if name not in after)]
    return [
        Difference(name, _text(before, name), _text(after, name))
        for name in names
        if (name in before) is not (name in after)
        or (name in before and not is_same(before[name], after[name]))
    ]


def changes_told(previous: Json, data: Json) -> list[Difference]:
    """Return what an event says has changed: its previous values beside the new ones."""
    return [
        Difference(name, None if value is None else pretty(value), _text(data, name))
        for name, value in previous.items()
    ]


def pretty(value: object) -> str:
    """Return a value as text: strings as they are, anything else as JSON on several lines."""
    if isinstance(value, str):
        return value
    return msgspec.json.format(json_text.encode(value), indent=2).decode()


def pretty_json(value: object) -> tuple[str, bool]:
    """Return JSON on several lines, and whether it had to be cut."""
    text = msgspec.json.format(json_text.encode(value), indent=2).decode()
    return text[:TEXT_CHARS_MAX], len(text) > TEXT_CHARS_MAX


def _text(members: Json, name: str) -> str | None:
    return pretty(members[name]) if name in members else None

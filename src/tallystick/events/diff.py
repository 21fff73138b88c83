"""What changed between two states of an object, as change-tracking APIs tell it. Pure."""

from __future__ import annotations

from tallystick.events.event import Json

_ABSENT = object()


def changed_members(before: Json, after: Json, ignore: frozenset[str] = frozenset()) -> Json:
    """Return the top-level members that differ, with the values they had before.

    Arrays and objects are compared and returned whole. A member that is new has null; a member
    that is gone has its old value. Members named in `ignore` never count.
    Source: seed Kvass, `previous_data`; wire specification 2.3.
    """
    changed: Json = {}
    for name in (*before, *(name for name in after if name not in before)):
        if name in ignore:
            continue
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if not is_same(old, new):
            changed[name] = None if old is _ABSENT else old
    return changed


def is_same(old: object, new: object) -> bool:
    """Tell whether two JSON values are equal: True is not 1, though 1 is 1.0."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(is_same(old[key], new[key]) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(is_same, old, new))
    return old == new

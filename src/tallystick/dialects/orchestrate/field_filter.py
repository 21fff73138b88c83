"""Field filtering: which members of a value an answer shows. Pure.

`with_fields` picks first (without any, everything), then `without_fields` takes away. Names are
dotted paths that begin with `value`; arrays are walked element by element; what names something
else names nothing. Source: wire specification, section 12.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tallystick.events.event import Json

_ROOT = "value"
_ABSENT: Any = object()


class FieldFilter(NamedTuple):
    """What to show of a value; without any names, all of it."""

    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    def apply(self, value: Json) -> Json:
        """Return the members of `value` that are to be shown; `value` stays as it is."""
        root: Any = {_ROOT: value}
        if self.shown:
            root = _picked(root, frozenset(self.shown))
        if self.hidden and root is not _ABSENT:
            root = _stripped(root, frozenset(self.hidden))
        found: Json = {} if root is _ABSENT else root.get(_ROOT, {})
        return found


def names_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the field names of comma lists; blanks around a name do not count."""
    return tuple(name for text in texts for part in text.split(",") if (name := part.strip()))


def _picked(node: Any, paths: frozenset[str]) -> Any:
    """Return what `paths` lead to, with the objects and arrays on the way; or nothing."""
    if isinstance(node, dict):
        members = {
            name: member if name in paths else _picked(member, _below(paths, name))
            for name, member in node.items()
        }
        return {k: v for k, v in members.items() if v is not _ABSENT} or _ABSENT
    if isinstance(node, list) and paths:
        return [v for item in node if (v := _picked(item, paths)) is not _ABSENT] or _ABSENT
    return _ABSENT


def _stripped(node: Any, paths: frozenset[str]) -> Any:
    if not paths:
        return node
    if isinstance(node, dict):
        return {
            name: _stripped(member, _below(paths, name))
            for name, member in node.items()
            if name not in paths
        }
    if isinstance(node, list):
        return [_stripped(item, paths) for item in node]
    return node


def _below(paths: frozenset[str], name: str) -> frozenset[str]:
    start = f"{name}."
    return frozenset(path[len(start) :] for path in paths if path.startswith(start))

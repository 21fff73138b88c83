"""Exact terms: what an entry is listed under, and the numbers that stand for them.

A term is a field and one of its values. Lists know it by 64 bits of a keyed hash, so that they
hold no text: nothing has to be looked up to write them, and nothing readable is left behind by an
erasure. The key is random, made with the index and never leaves its folder.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TypeVar

from tallystick.events.event import Op, Resource, View, class_of
from tallystick.events.references import to_text
from tallystick.query.expr import Scalar
from tallystick.query.values import Terms, nested

SEEN = ""
"""The field of the terms that say who sees an entry; no query can name it."""
SIGHTED = "*sighted"
"""The value under `SEEN` of entries that count as a sighting of the resources they name."""

_K = TypeVar("_K")
_V = TypeVar("_V")

_OF_RESOURCES = ("", ".type", ".id")

CANONICAL = frozenset(
    (
        *("kind", "class", "op", "dialect", "subject", "nested", "trail"),
        *(f"{role}{part}" for role in ("actor", "target", "scope") for part in _OF_RESOURCES),
    )
)
"""Fields besides the derived ones that have terms; index and times are known without."""

_CACHED = 20_000
_KEPT_CHARS = 200

_Common = tuple[str, Op, str, bool, tuple[str, ...]]


def is_sighting(view: View) -> bool:
    """Tell whether the entry counts among the appearances of the resources it names."""
    op = view.first.op
    return op is Op.DOCUMENT or (op is Op.RECORD and not view.retracted)


class TermHasher:
    """Turns terms into 64-bit numbers; equal values of different types meet, as in queries.

    Not shared between threads without the caller's lock.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[tuple[str, str], int] = {}
        # Most of an entry's terms come in the same company again and again.
        self._commons: dict[_Common, tuple[int, ...]] = {}
        self._resources: dict[tuple[str, str, str], tuple[int, int, int]] = {}

    def __call__(self, field: str, value: Scalar) -> int:
        """Return the number of a term."""
        if type(value) is not str:
            return self._hash(field, _plain(value))
        number = self._known.get((field, value))
        if number is None:
            number = self._hash(field, f"s{value}")
            if len(value) <= _KEPT_CHARS:
                keep(self._known, (field, value), number)
        return number

    def numbers_of(self, view: View, seen: tuple[str, ...], derived: Terms) -> set[int]:
        """Return the numbers of all terms of an entry."""
        event = view.event
        numbers = set(self._common((event.kind, event.op, event.dialect, is_sighting(view), seen)))
        if event.actor is not None:
            numbers.update(self._resource("actor", event.actor))
        if event.target is not None:
            numbers.update(self._resource("target", event.target))
        for scope in event.scopes:
            numbers.update(self._resource("scope", scope))
        if event.subject is not None:
            numbers.add(self("subject", event.subject))
        for trail in event.trails:
            numbers.add(self("trail", trail))
        for pair in nested(event):
            numbers.add(self("nested", pair))
        for field, value in derived.items():
            for one in value if isinstance(value, tuple) else (value,):
                numbers.add(self(field, one))
        return numbers

    def _common(self, common: _Common) -> tuple[int, ...]:
        numbers = self._commons.get(common)
        if numbers is None:
            kind, op, dialect, sighting, seen = common
            numbers = (
                self("kind", kind),
                self("class", class_of(kind)),
                self("op", op.value),
                self("dialect", dialect),
                *(self(SEEN, name) for name in seen),
                *((self(SEEN, SIGHTED),) if sighting else ()),
            )
            keep(self._commons, common, numbers)
        return numbers

    def _resource(self, role: str, resource: Resource) -> tuple[int, int, int]:
        key = (role, resource.type, resource.id)
        numbers = self._resources.get(key)
        if numbers is None:
            type, id = resource.key
            numbers = (
                self._hash(role, f"s{to_text(type, id)}"),
                self(f"{role}.type", type),
                self._hash(f"{role}.id", f"s{id}"),
            )
            keep(self._resources, key, numbers)
        return numbers

    def _hash(self, field: str, value: str) -> int:
        text = f"{field}\0{value}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest(), "little")


def keep(known: dict[_K, _V], key: _K, value: _V) -> None:
    """Remember a value, forgetting all others once there are many."""
    if len(known) >= _CACHED:
        known.clear()
    known[key] = value


def _plain(value: Scalar) -> str:
    """Return one text for all spellings of a value that is no string."""
    if value is None:
        return "z"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    # Hexadecimal: Python refuses to write very long integers in decimal.
    return f"n{value:x}" if isinstance(value, int) else f"n{value!r}"

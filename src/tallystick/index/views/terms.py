"""Exact terms: what an entry is listed under, and the numbers that stand for them.

A term is a field and one of its values. Lists know it by 64 bits of a keyed hash, so that they
hold no text: nothing has to be looked up to write them, and nothing readable is left behind by an
erasure. The key is random, made with the index and never leaves its folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from tallystick.event import Op, Resource, View, class_of
from tallystick.index.document import Document
from tallystick.query.expr import Scalar
from tallystick.query.values import nested

SEEN = ""
"""The field of the terms that say who sees an entry; no query can name it."""
SIGHTED = "*sighted"
"""The value under `SEEN` of entries that count as a sighting of the resources they name."""

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

Term = tuple[str, Scalar]


def terms_of(document: Document) -> Iterator[Term]:
    """Yield the terms of an entry; some may come twice."""
    view, seen = document.view, document.seen
    event = view.event
    for name in seen:
        yield SEEN, name
    if is_sighting(view):
        yield SEEN, SIGHTED
    yield "kind", event.kind
    yield "class", class_of(event.kind)
    yield "op", event.op.value
    yield "dialect", event.dialect
    if event.subject is not None:
        yield "subject", event.subject
    if event.actor is not None:
        yield from _resource_terms("actor", event.actor)
    if event.target is not None:
        yield from _resource_terms("target", event.target)
    for scope in event.scopes:
        yield from _resource_terms("scope", scope)
    for pair in nested(event):
        yield "nested", pair
    for trail in event.trails:
        yield "trail", trail
    for field, value in document.terms.items():
        if isinstance(value, tuple):
            for one in value:
                yield field, one
        else:
            yield field, value


def is_sighting(view: View) -> bool:
    """Tell whether the entry counts among the appearances of the resources it names."""
    op = view.first.op
    return op is Op.DOCUMENT or (op is Op.RECORD and not view.retracted)


def _resource_terms(field: str, resource: Resource) -> Iterable[Term]:
    return (
        (field, f"{resource.type}:{resource.id}"),
        (f"{field}.type", resource.type),
        (f"{field}.id", resource.id),
    )


class TermHasher:
    """Turns terms into 64-bit numbers; equal values of different types meet, as in queries.

    Not shared between threads without the caller's lock.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[Term, int] = {}

    def __call__(self, field: str, value: Scalar) -> int:
        """Return the number of a term."""
        if type(value) is not str:
            return self._hash(field, _plain(value))
        term = (field, value)
        number = self._known.get(term)
        if number is None:
            number = self._hash(field, f"s{value}")
            if len(value) <= _KEPT_CHARS:
                if len(self._known) >= _CACHED:
                    self._known.clear()
                self._known[term] = number
        return number

    def _hash(self, field: str, value: str) -> int:
        text = f"{field}\0{value}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest(), "little")


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

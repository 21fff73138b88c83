"""The filter of the native API: what lists, live tails, streams and exports can be narrowed to.

A filter is a value that can be kept: a stream or an export remembers the filter it was made with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from tallystick import times
from tallystick.errors import Malformed
from tallystick.events import references
from tallystick.query.expr import Eq, Everything, Expr, In, Prefix, Range, all_of, any_of
from tallystick.query.lucene import parse
from tallystick.query.native_fields import NativeFields

FILTER_PARAMETERS = frozenset(
    {"q", "kind", "actor", "target", "scope", "trail", "dialect", "from", "to"}
)
"""The parameters of a URL that make a filter."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SPACED_OFFSET = re.compile(r" \d{2}:\d{2}\Z", re.ASCII)


class NativeFilter(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What an event must match; several values of one member are alternatives.

    `kind` may end in `.*`; resources are written `TYPE:ID`; `from_ms` (inclusive) and `to_ms`
    (exclusive) bound when the event occurred.
    """

    q: str | None = None
    kind: tuple[str, ...] = ()
    actor: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    trail: tuple[str, ...] = ()
    dialect: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None

    def where(self, fields: NativeFields | None = None) -> Expr:
        """Return the filter as a condition; without `fields` any payload path may be asked for.

        Raises: Malformed naming the parameter, InvalidQuery.
        """
        parts: list[Expr] = [self._time_range()]
        if self.kind:
            parts.append(any_of(_kind(kind) for kind in self.kind))
        for name in ("actor", "target", "scope"):
            if values := getattr(self, name):
                parts.append(In(name, tuple(_resource_text(value, name) for value in values)))
        for name in ("trail", "dialect"):
            if values := getattr(self, name):
                parts.append(In(name, tuple(values)))
        if self.q is not None:
            parts.append(parse(self.q, fields or NativeFields(), default_operator="and"))
        return all_of(parts)

    def _time_range(self) -> Expr:
        if self.from_ms is None and self.to_ms is None:
            return Everything()
        return Range("occurred_ms", self.from_ms, self.to_ms, high_inclusive=False)


def from_words(words: Mapping[str, Sequence[str]]) -> NativeFilter:
    """Return the filter that the parameters of a request make; others are passed over.

    Raises: Malformed naming the parameter.
    """

    def values(name: str) -> tuple[str, ...]:
        return tuple(words.get(name, ()))

    def last(name: str) -> str | None:
        return values(name)[-1] if values(name) else None

    start, end = last("from"), last("to")
    return NativeFilter(
        q=last("q"),
        kind=values("kind"),
        actor=values("actor"),
        target=values("target"),
        scope=values("scope"),
        trail=values("trail"),
        dialect=values("dialect"),
        from_ms=None if start is None else to_ms(start, "from"),
        to_ms=None if end is None else to_ms(end, "to"),
    )


def to_ms(text: str, name: str) -> int:
    """Return a time: RFC 3339, a day, or milliseconds since 1970.

    Raises: Malformed naming the parameter.
    """
    if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) < 18:
        return int(text)
    if _SPACED_OFFSET.search(text):
        raise Malformed(
            f"{text[:64]!r} has a blank before its offset",
            path=name,
            hint="a + in a URL is a blank: send it as %2B",
        )
    is_day = _DAY.fullmatch(text) is not None
    return times.from_rfc3339(f"{text}T00:00:00Z" if is_day else text, name)


def _kind(text: str) -> Expr:
    if text.endswith(".*"):
        return Prefix("kind", text[:-1])
    return Everything() if text == "*" else Eq("kind", text)


def _resource_text(text: str, name: str) -> str:
    resource = references.parse(text)
    if resource is None:
        raise Malformed(
            f"{name} must be TYPE:ID, such as user:481",
            path=name,
            hint="a colon in the type is written %3A",
        )
    return references.to_text(*resource)

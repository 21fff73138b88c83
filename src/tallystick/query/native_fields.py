"""The fields of the native query language: which there are, and what asking for one means.

    kind class op dialect subject id trail       exact, case and all; kind:order.* is a pattern
    actor target scope                           an id, a "type:id", or a word of the name
    actor.type actor.id actor.name ...           one of the three; names are searched by words
    occurred_at recorded_at                      a time, a day, or milliseconds since 1970
    index                                        a number
    data.<path> previous.<path> original.<path> actor.attributes.<path> ...

A regular expression matches a whole value, case and all, or a word of a name or a payload field.
A word asked of a payload field is looked for among the words of its strings; one that reads as a
number, true, false or null also matches that value. A text in backticks is the whole value. A
field that occurs in no event is an error that names the nearest one that does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

import msgspec

from tallystick import limits
from tallystick.errors import InvalidQuery, Malformed, UnsupportedField, UnsupportedOperator
from tallystick.events import ids, references
from tallystick.query.expr import (
    Box,
    Eq,
    Exists,
    Expr,
    Fuzzy,
    Near,
    Phrase,
    Prefix,
    Range,
    Regex,
    Scalar,
    Term,
    Wildcard,
    any_of,
)
from tallystick.query.lucene import Leaf
from tallystick.query.lucene.scanner import number_of
from tallystick.query.word_match import ANY, ONE, parse_pattern
from tallystick.times import DAY_MS, from_rfc3339

_EXACT = frozenset(
    ["kind", "class", "op", "dialect", "subject", "id", "trail"]
    + [f"{name}.{part}" for name in ("actor", "target", "scope") for part in ("type", "id")]
)
_RESOURCES = ("actor", "target", "scope")
_NAMES = frozenset(f"{name}.name" for name in _RESOURCES)
_TIMES = {
    spelling: field
    for field, stem in (("occurred_ms", "occurred"), ("recorded_ms", "recorded"))
    for spelling in (stem, f"{stem}_at", field)
}
_PAYLOADS = ("data.", "previous.", "original.", *(f"{name}.attributes." for name in _RESOURCES))
_LITERALS: dict[str, Scalar] = {"true": True, "false": False, "null": None}

FIELDS = (
    *("kind", "class", "op", "actor", "target", "scope", "trail", "occurred_at", "recorded_at"),
    *(f"{name}.{part}" for name in _RESOURCES for part in ("type", "id", "name")),
    *("id", "index", "dialect", "subject", "data"),
)
"""Every field that is no path."""


class NativeFields:
    """Gives the leaves of a native query their meaning.

    `known` tells whether any event has a value at a path or below it, `suggest` returns the nearest
    paths that have one, best first; without `known` any path is taken.
    """

    def __init__(
        self,
        known: Callable[[str], bool] = lambda path: True,
        suggest: Callable[[str], Sequence[str]] = lambda path: (),
    ) -> None:
        self._known = known
        self._suggest = suggest

    def __call__(self, leaf: Leaf) -> Expr:
        """Return what `leaf` means.

        Raises: UnsupportedField, UnsupportedOperator, InvalidQuery.
        """
        field = leaf.field
        if field is None or field == "data" or field in _NAMES:
            return _text_leaf(leaf)
        if field in _EXACT:
            return exact_leaf(leaf)
        if field in _RESOURCES:
            return _resource_leaf(field, leaf)
        if field in _TIMES:
            return time_leaf(_TIMES[field], leaf)
        if field == "index":
            return _index_leaf(leaf)
        if field.startswith(_PAYLOADS) and self._known(field):
            return payload_leaf(leaf)
        raise self._unknown(field)

    def named(self, name: str) -> str:
        """Return what the tree calls a field by which events are sorted or counted.

        Unlike in a query, a payload path may be one that no event has.
        Raises: UnsupportedField.
        """
        if name in _TIMES:
            return _TIMES[name]
        if name in FIELDS or name in _EXACT or name.startswith(_PAYLOADS):
            return name
        raise self._unknown(name)

    def _unknown(self, name: str) -> UnsupportedField:
        is_path = name.startswith(_PAYLOADS)
        near = [] if is_path else get_close_matches(name, FIELDS, n=1)
        near += list(self._suggest(name if is_path else f"data.{name}"))
        return UnsupportedField(
            f"no event has a field {name[:64]!r}",
            field=name,
            allowed=FIELDS,
            hint=f"did you mean {near[0]}?" if near else "payload fields are written data.<path>",
        )


def exact_leaf(leaf: Leaf) -> Expr:
    """Return the meaning of a leaf whose field holds names, which compare exactly."""
    match leaf:
        case Term(str(field), text) | Phrase(str(field), text):
            return Eq(field, text)
        case Wildcard(str(field), pattern):
            *literal, last = parse_pattern(pattern)
            if last == ANY and not {ANY, ONE} & set(literal):
                return Prefix(field, "".join(symbol[1] for symbol in literal))
            return Wildcard(field, pattern, whole=True)
        case Range(field, low, high, low_inclusive, high_inclusive):
            return Range(field, _as_text(low), _as_text(high), low_inclusive, high_inclusive)
        case Regex(str(field), pattern):
            return Regex(field, pattern, whole=True)
        case Eq() | Exists() | Fuzzy():
            return leaf
    raise _unsupported(leaf)


def payload_leaf(leaf: Leaf) -> Expr:
    """Return the meaning of a leaf whose field is a path into a payload."""
    match leaf:
        case Regex():
            return _value_or_word(leaf)
        case Term(str(field), text) | Eq(field, str(text)):
            return any_of([*_literals(field, text), leaf])
        case Range(_, low, high) if low is not None and high is not None:
            if isinstance(low, str) is not isinstance(high, str):
                raise InvalidQuery(
                    "one bound of this range is a number and the other is not",
                    hint="quote the number if it is meant as text",
                )
    return leaf


def time_leaf(field: str, leaf: Leaf) -> Expr:
    """Return the meaning of a leaf whose field is a time in milliseconds.

    A day means all of its milliseconds, a time without a fraction all of its second.
    """
    match leaf:
        case Term(_, text) | Phrase(_, text) | Eq(_, str(text)):
            low, high = _span(text)
            return Range(field, low, high, high_inclusive=False)
        case Range(_, low_bound, high_bound, low_inclusive, high_inclusive):
            return Range(
                field,
                None if low_bound is None else _span(low_bound)[not low_inclusive],
                None if high_bound is None else _span(high_bound)[high_inclusive],
                high_inclusive=False,
            )
        case Exists():
            return Exists(field)
    raise _unsupported(leaf)


def _value_or_word(leaf: Regex) -> Expr:
    """Return the meaning of a regular expression for texts: the whole of one, or a word in it."""
    return any_of((msgspec.structs.replace(leaf, whole=True), leaf))


def _text_leaf(leaf: Leaf) -> Expr:
    match leaf:
        case Regex() if leaf.field in _NAMES:
            return _value_or_word(leaf)
        case Term() | Phrase() | Wildcard() | Fuzzy() | Exists() | Regex():
            return leaf
        case Eq() | Range() if leaf.field in _NAMES:
            return exact_leaf(leaf)
        case Near() | Box() if leaf.field == "data":
            return leaf
    raise _unsupported(leaf)


def _resource_leaf(name: str, leaf: Leaf) -> Expr:
    id_field, name_field = f"{name}.id", f"{name}.name"
    match leaf:
        case Term(_, text) | Phrase(_, text) | Eq(_, str(text)):
            ids_alike = (
                [Eq(id_field, text), Eq(name, references.canonical(text))]
                if ":" in text
                else [Eq(id_field, text)]
            )
            return any_of([*ids_alike, msgspec.structs.replace(leaf, field=name_field)])
        case Wildcard(_, pattern):
            exact = [exact_leaf(Wildcard(field, pattern)) for field in (id_field, name)]
            return any_of([*exact, Wildcard(name_field, pattern)])
        case Regex(_, pattern):
            exact = [Regex(field, pattern, whole=True) for field in (id_field, name)]
            return any_of([*exact, _value_or_word(Regex(name_field, pattern))])
        case Fuzzy():
            return msgspec.structs.replace(leaf, field=name_field)
        case Exists():
            return Exists(name)
    raise _unsupported(leaf)


def _index_leaf(leaf: Leaf) -> Expr:
    match leaf:
        case Term(_, text) | Phrase(_, text) | Eq(_, str(text)):
            return Eq("index", _checked_index(number_of(text), text))
        case Range(_, low, high):
            for bound in (low, high):
                if bound is not None:
                    _checked_index(bound, str(bound))
            return leaf
        case Exists():
            return leaf
    raise _unsupported(leaf)


def _checked_index(value: str | int | float | None, text: str) -> int:
    if isinstance(value, int) and 0 <= value < 1 << ids.INDEX_BITS:
        return value
    raise InvalidQuery(f"{text[:64]!r} is no index", hint="a whole number such as 42")


def _literals(field: str, text: str) -> list[Expr]:
    """Return what a word means beyond its text: the number, truth value or null it spells."""
    if text in _LITERALS:
        return [Eq(field, _LITERALS[text])]
    number = number_of(text)
    return [] if number is None else [Eq(field, number)]


def _as_text(bound: str | int | float | None) -> str | None:
    return None if bound is None else str(bound)


def _span(written: str | int | float) -> tuple[int, int]:
    """Return the first millisecond that a time means and the first one after it."""
    number = number_of(written) if isinstance(written, str) else written
    if number is not None:
        start, length_ms = int(number), 1
    else:
        text = str(written)
        is_day = len(text) == len("2024-05-01")
        try:
            start = from_rfc3339(f"{text}T00:00:00Z" if is_day else text)
        except Malformed:
            raise _no_time(text) from None
        length_ms = DAY_MS if is_day else 1 if "." in text else 1000
    if not limits.OCCURRED_MS_MIN <= start <= limits.OCCURRED_MS_MAX:
        raise _no_time(str(written))
    return start, start + length_ms


def _no_time(text: str) -> InvalidQuery:
    return InvalidQuery(
        f"{text[:64]!r} is no time",
        hint="write 2024-05-01, 2024-05-01T10:00:00Z or milliseconds since 1970",
    )


def _unsupported(leaf: Leaf) -> UnsupportedOperator:
    operator = type(leaf).__name__.lower()
    return UnsupportedOperator(
        f"{leaf.field or 'a text without a field'} cannot be asked for with {operator}",
        operator=operator,
        hint="* asks whether it is there",
    )

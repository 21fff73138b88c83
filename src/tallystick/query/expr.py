"""The query tree: what every dialect's filter language is parsed into.

Only shapes live here; `match` says what they mean, `index` answers them fast.

Fields are named by text. Canonical ones:

    index  id  kind  class  op  occurred_ms  recorded_ms  dialect  subject
    actor.type  actor.id  actor.name  actor.attributes.<path>
    target.type  target.id  target.name  target.attributes.<path>
    actor  target  scope       one resource as "type:id"; `scope` has a value per scope
    scope.type  scope.id  scope.name
    nested                     "type:id>type:id" for a scope and each later scope of its type, and
                               for a scope and a target of its type: what is inside what
    trail                      one value per trail
    data.<path>  previous.<path>  original.<path>
    <dialect>.<term>           what a dialect derives, such as datatrails.content_hash

A path is member names joined by dots; arrays are walked element by element, so a field may have
many values and a comparison holds when any of them satisfies it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

Scalar = str | int | float | bool | None


class Expr(msgspec.Struct, frozen=True):
    """A node of the tree; every node is a value, equal to its twin and hashable."""


class Everything(Expr, frozen=True):
    """Matches every event."""


class Nothing(Expr, frozen=True):
    """Matches no event."""


class And(Expr, frozen=True):
    """Matches what all parts match."""

    parts: tuple[Expr, ...]


class Or(Expr, frozen=True):
    """Matches what some part matches."""

    parts: tuple[Expr, ...]


class Not(Expr, frozen=True):
    """Matches what its part does not."""

    part: Expr


class Eq(Expr, frozen=True):
    """Some value of the field is exactly `value`.

    Strings compare by code points and case, 1 equals 1.0, True equals only True.
    """

    field: str
    value: Scalar


class In(Expr, frozen=True):
    """Some value of the field equals one of `values`."""

    field: str
    values: tuple[Scalar, ...]


class Range(Expr, frozen=True):
    """Some value of the field lies between the bounds; None is an open end.

    Numbers compare with numbers only, strings (by code points) with strings only.
    """

    field: str
    low: str | int | float | None = None
    high: str | int | float | None = None
    low_inclusive: bool = True
    high_inclusive: bool = True


class Exists(Expr, frozen=True):
    """The field has a value that is not null."""

    field: str


class Prefix(Expr, frozen=True):
    """Some string of the field starts with `text`, case and all; for exact fields."""

    field: str
    text: str


class Wildcard(Expr, frozen=True):
    """Some token of the field matches `pattern`, where `*` is any run and `?` one character.

    `field` None means the event's whole text. `whole` compares exact values, not tokens.
    """

    field: str | None
    pattern: str
    whole: bool = False


class Regex(Expr, frozen=True):
    """Some token of the field matches the regular expression as a whole.

    `field` None means the event's whole text. `whole` compares exact values, case and all;
    tokens have no case. `regex_parser` describes the syntax.
    """

    field: str | None
    pattern: str
    whole: bool = False


class Fuzzy(Expr, frozen=True):
    """Some token of the field is within `distance` edits of `text`."""

    field: str | None
    text: str
    distance: int = 2


class Term(Expr, frozen=True):
    """Some token of the field equals `text` once both are analysed.

    `field` None means the event's whole text.
    """

    field: str | None
    text: str


class Phrase(Expr, frozen=True):
    """The tokens of `text` stand in order in the field, at most `slop` moves apart."""

    field: str | None
    text: str
    slop: int = 0


class Boost(Expr, frozen=True):
    """Matches what its part matches and counts `factor` times as much in relevance."""

    part: Expr
    factor: float


class Near(Expr, frozen=True):
    """The field is a place at most `distance_m` metres from the given one."""

    field: str
    latitude: float
    longitude: float
    distance_m: float
    unit: str = "m"
    """In which the distance was given and distances are shown; no part of the meaning."""


class Box(Expr, frozen=True):
    """The field is a place within the given parallels and meridians, in degrees."""

    field: str
    north: float
    south: float
    east: float
    west: float


class Sort(msgspec.Struct, frozen=True):
    """One sort key; `field` may also be `relevance` or `distance`."""

    field: str
    descending: bool = False


NEWEST_FIRST = (Sort("occurred_ms", descending=True),)
OLDEST_FIRST = (Sort("occurred_ms"),)
RECORDED_ORDER = (Sort("index"),)


def all_of(parts: Iterable[Expr]) -> Expr:
    """Return the conjunction of `parts`, flattened and without what changes nothing."""
    kept: list[Expr] = []
    for part in parts:
        if isinstance(part, Nothing):
            return part
        if isinstance(part, And):
            kept.extend(part.parts)
        elif not isinstance(part, Everything):
            kept.append(part)
    if not kept:
        return Everything()
    return kept[0] if len(kept) == 1 else And(tuple(kept))


def any_of(parts: Iterable[Expr]) -> Expr:
    """Return the disjunction of `parts`, flattened and without what changes nothing."""
    kept: list[Expr] = []
    for part in parts:
        if isinstance(part, Everything):
            return part
        if isinstance(part, Or):
            kept.extend(part.parts)
        elif not isinstance(part, Nothing):
            kept.append(part)
    if not kept:
        return Nothing()
    return kept[0] if len(kept) == 1 else Or(tuple(kept))

"""What a search asks for: Lucene leaves as fields of events, kinds of rows, sort keys. Pure.

A query is about items unless it names kinds. What it says about `@path.kind` is worked out for
each kind in turn, since it decides which rows there are at all. Source: wire specification,
section 10.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from tallystick.dialects.orchestrate import timestamps, wire
from tallystick.errors import InvalidQuery, Malformed, UnsupportedField
from tallystick.events.event import Event, Op, View
from tallystick.query.expr import (
    And,
    Boost,
    Box,
    Eq,
    Everything,
    Exists,
    Expr,
    Fuzzy,
    Near,
    Not,
    Nothing,
    Or,
    Phrase,
    Range,
    Regex,
    Scalar,
    Sort,
    Term,
    Wildcard,
    all_of,
    any_of,
)
from tallystick.query.lucene import Leaf, parse
from tallystick.query.lucene.scanner import number_of
from tallystick.query.match import to_predicate
from tallystick.query.question import Over
from tallystick.query.values import PAYLOAD_TEXT, Values

KIND = f"{wire.DIALECT}.kind"
"""A field of queries only: what they say about it is worked out before an index is asked."""
KINDS = ("event", "item", "relationship")

PATH_FIELDS = {
    "@path.kind": KIND,
    "@path.collection": "target.type",
    "@path.key": "target.id",
    "@path.type": "kind",
    "@path.timestamp": "occurred_ms",
    "@path.ref": f"{wire.DIALECT}.ref",
    "@path.reftime": "recorded_ms",
    "@path.relation": f"{wire.DIALECT}.relation",
    "@path.source.collection": f"{wire.DIALECT}.source.collection",
    "@path.source.key": f"{wire.DIALECT}.source.key",
    "@path.destination.collection": f"{wire.DIALECT}.destination.collection",
    "@path.destination.key": f"{wire.DIALECT}.destination.key",
}
_MOVED_REFTIME = f"{wire.DIALECT}.reftime"
_TIMES = (PATH_FIELDS["@path.timestamp"], PATH_FIELDS["@path.reftime"])
# What the entry of a row of this kind has for reasons of its own, and its path does not show.
_NOT_SHOWN = {
    "event": frozenset[str](),
    "item": frozenset({"kind", "occurred_ms"}),
    "relationship": frozenset({"kind", "occurred_ms", "target.type", "target.id"}),
}
_IS_OF_KIND: dict[str, Expr] = {
    "event": Eq("op", Op.RECORD.value),
    "item": all_of((Eq("op", Op.DOCUMENT.value), Eq("kind", wire.ITEM_PUT))),
    "relationship": all_of((Eq("op", Op.DOCUMENT.value), Eq("kind", wire.RELATION_PUT))),
}
_COLLECTION_FIELDS = {
    "event": "target.type",
    "item": "target.type",
    "relationship": PATH_FIELDS["@path.source.collection"],
}
# Kinds are tested apart from any event; nothing of this one is looked at.
_NOBODY = Event(
    tenant="", index=0, id="", kind="", op=Op.RECORD, occurred_ms=0, recorded_ms=0, dialect=""
)
_NO_VIEW = View(event=_NOBODY, first=_NOBODY, revision=0, revised_ms=0)

RELEVANCE = (Sort("relevance", descending=True),)
_DIRECTIONS = {"": False, "asc": False, "desc": True, "dsc": True}
_SORT_CLAUSE = re.compile(r"(?P<field>[^:\s]+?)(?P<distance>:distance)?(?::(?P<way>[a-z]*))?\Z")
_RANDOM = "_random"


class SearchQuestion(NamedTuple):
    """Which entries a search is about, and the first place that it measures distances from."""

    parts: Mapping[str, Expr]
    """What is asked of rows of each kind, without the kinds that none can be of."""
    near: Near | None

    @property
    def over(self) -> Over:
        """Which entries an index has to look at."""
        if self.parts.keys() == {"event"}:
            return Over.EVENTS
        return Over.BOTH if "event" in self.parts else Over.ITEMS

    @property
    def where(self) -> Expr:
        """What they have to be like."""
        if self.over is Over.EVENTS:
            return self.parts["event"]
        return any_of(all_of((_IS_OF_KIND[kind], part)) for kind, part in self.parts.items())

    def kinds_showing(self, field: str) -> tuple[str, ...]:
        """Return the kinds of rows that have a field: some fields belong to one of them only."""
        return tuple(kind for kind in self.parts if field not in _NOT_SHOWN[kind])

    def of(self, kinds: Collection[str]) -> SearchQuestion:
        """Return what is asked of rows of some kinds."""
        return self._replace(parts={kind: self.parts[kind] for kind in kinds})


class SearchOrder(NamedTuple):
    """The order of rows; `seed` is set when chance decides, and sorts do not."""

    sorts: tuple[Sort, ...]
    seed: str | None = None


def parse_question(text: str, collection: str | None) -> SearchQuestion:
    """Return what a query asks for, within a collection or everywhere.

    Raises: InvalidQuery, TooLarge.
    """
    expr = parse(text, meaning_of, default_operator="or")
    kinds = KINDS if _mentions_kind(expr) else ("item",)
    wanted = {kind: at_kind(expr, kind) for kind in kinds}
    parts = {
        kind: all_of((_within(kind, collection), part))
        for kind, part in wanted.items()
        if not isinstance(part, Nothing)
    }
    return SearchQuestion(parts, _near_in(expr))


def parse_order(text: str | None, near: Near | None) -> SearchOrder:
    """Return the order that a sort parameter asks for; clauses that make no sense are ignored."""
    sorts: list[Sort] = []
    for clause in (text or "").split(","):
        name, _, seed = clause.strip().partition(":")
        if name == _RANDOM:
            if not sorts:
                return SearchOrder((), seed)
            continue
        sorts += _sorts_of(clause.strip(), near)
    return SearchOrder(tuple(sorts) or RELEVANCE)


def field_of(name: str) -> str:
    """Return the field of an event that a name in a query, a sort or an aggregate means.

    Raises: UnsupportedField for an unknown member of `@path`.
    """
    if name.startswith("@path"):
        if name not in PATH_FIELDS:
            raise UnsupportedField(
                f"there is no {name[:64]!r}", field=name[:64], allowed=tuple(PATH_FIELDS)
            )
        return PATH_FIELDS[name]
    if name == "value":
        return PAYLOAD_TEXT
    return f"data.{name.removeprefix('value.')}"


def meaning_of(leaf: Leaf) -> Expr:
    """Return what a leaf of a query means.

    Raises: InvalidQuery, UnsupportedField.
    """
    if leaf.field is None:
        return _renamed(leaf, PAYLOAD_TEXT)
    field = field_of(leaf.field)
    if field in _TIMES:
        return _time_leaf(leaf, field)
    if leaf.field in PATH_FIELDS:
        return _path_leaf(leaf, field)
    return _value_leaf(leaf, field)


def at_kind(expr: Expr, kind: str) -> Expr:
    """Return what is left of `expr` for rows of one kind."""
    match expr:
        case And(parts):
            return all_of(at_kind(part, kind) for part in parts)
        case Or(parts):
            return _either([at_kind(part, kind) for part in parts])
        case Not(part):
            return _none_of(at_kind(part, kind))
        case Boost(part, factor):
            inner = at_kind(part, kind)
            return inner if isinstance(inner, Everything | Nothing) else Boost(inner, factor)
        case Everything() | Nothing():
            return expr
    field = getattr(expr, "field", None)
    if field == KIND:
        holds = to_predicate(expr)(Values(_NO_VIEW, {KIND: kind}))
        return Everything() if holds else Nothing()
    return Nothing() if field in _NOT_SHOWN[kind] else expr


def _either(parts: list[Expr]) -> Expr:
    # Unlike `any_of`, keeps what only counts for relevance beside what always holds.
    kept = [part for part in parts if not isinstance(part, Nothing)]
    if not kept:
        return Nothing()
    if len(kept) == 1 or all(isinstance(part, Everything) for part in kept):
        return kept[0]
    return Or(tuple(kept))


def _none_of(part: Expr) -> Expr:
    if isinstance(part, Everything):
        return Nothing()
    return Everything() if isinstance(part, Nothing) else Not(part)


def _leaves(expr: Expr) -> list[Expr]:
    match expr:
        case And(parts) | Or(parts):
            return [leaf for part in parts for leaf in _leaves(part)]
        case Not(part) | Boost(part):
            return _leaves(part)
    return [expr]


def _mentions_kind(expr: Expr) -> bool:
    return any(getattr(leaf, "field", None) == KIND for leaf in _leaves(expr))


def _near_in(expr: Expr) -> Near | None:
    return next((leaf for leaf in _leaves(expr) if isinstance(leaf, Near)), None)


def _within(kind: str, collection: str | None) -> Expr:
    return Everything() if collection is None else Eq(_COLLECTION_FIELDS[kind], collection)


def _sorts_of(clause: str, near: Near | None) -> list[Sort]:
    match = _SORT_CLAUSE.match(clause)
    descending = None if match is None else _DIRECTIONS.get(match["way"] or "")
    if match is None or descending is None:
        return []
    if match["distance"]:
        return [] if near is None else [Sort("distance", descending)]
    if match["field"] == "@path.kind":
        # An event's op comes after a document's, an item's kind before a relation's.
        return [Sort("op", not descending), Sort("kind", descending)]
    name = "@path.key" if match["field"] == "key" else match["field"]
    try:
        return [Sort(field_of(name), descending)]
    except UnsupportedField:
        return []


# Leaves


def _renamed(leaf: Leaf, field: str) -> Expr:
    return msgspec.structs.replace(leaf, field=field)


def _value_leaf(leaf: Leaf, field: str) -> Expr:
    """Let a word match numbers and booleans too, as it does when it stands for itself."""
    renamed = _renamed(leaf, field)
    match leaf:
        case Term(_, text) | Eq(_, str(text)) | Phrase(_, text):
            if field == PAYLOAD_TEXT:
                return Term(field, text) if isinstance(leaf, Eq) else renamed
            return any_of((renamed, *(Eq(field, value) for value in _plain_values(text))))
        case Range():
            return _same_typed(leaf, field)
        case Regex(_, pattern) if field != PAYLOAD_TEXT:
            return any_of((Regex(field, pattern, whole=True), renamed))
    return renamed


def _path_leaf(leaf: Leaf, field: str) -> Expr:
    renamed = _renamed(leaf, field)
    match leaf:
        case Term(_, text):
            # A name without any letter or digit has no words to be found by.
            return any_of((Eq(field, text), renamed))
        case Range():
            return _texts(leaf, field)
        case Regex(_, pattern):
            return any_of((Regex(field, pattern, whole=True), renamed))
        case Near() | Box():
            raise InvalidQuery(f"{leaf.field} is no place")
    return renamed


def _time_leaf(leaf: Leaf, field: str) -> Expr:
    match leaf:
        case Term(_, text) | Eq(_, str(text)) | Phrase(_, text):
            return _moved(Eq(field, _time_of(text)))
        case Range():
            low, high = (
                None if bound is None else _time_of(str(bound)) for bound in (leaf.low, leaf.high)
            )
            return _moved(Range(field, low, high, leaf.low_inclusive, leaf.high_inclusive))
        case Exists():
            return Exists(field)
        case Fuzzy() | Wildcard() | Regex() | Near() | Box() | _:
            raise InvalidQuery(f"{leaf.field} is a time: ask for one, or for a range")


def _moved(leaf: Eq | Range) -> Expr:
    """Return what a clause about a reftime means: a revision has moved it, or it is the first."""
    if leaf.field != PATH_FIELDS["@path.reftime"]:
        return leaf
    return any_of(
        (
            msgspec.structs.replace(leaf, field=_MOVED_REFTIME),
            all_of((Not(Exists(_MOVED_REFTIME)), leaf)),
        )
    )


def _time_of(text: str) -> int:
    try:
        return timestamps.parse(text)
    except Malformed as error:
        raise InvalidQuery(error.message, hint=error.hint) from None


def _plain_values(text: str) -> list[Scalar]:
    """Return the number or boolean that a word spells, if any."""
    if text.lower() in ("true", "false"):
        return [text.lower() == "true"]
    number = number_of(text)
    return [] if number is None else [number]


def _same_typed(leaf: Range, field: str) -> Expr:
    """Return a range whose bounds are both numbers or both texts."""
    kinds = {isinstance(bound, str) for bound in (leaf.low, leaf.high) if bound is not None}
    return _texts(leaf, field) if len(kinds) == 2 else _renamed(leaf, field)


def _texts(leaf: Range, field: str) -> Expr:
    low, high = (None if bound is None else str(bound) for bound in (leaf.low, leaf.high))
    return Range(field, low, high, leaf.low_inclusive, leaf.high_inclusive)

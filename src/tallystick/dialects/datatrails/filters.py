"""What a DataTrails filter means: from the OData tree to the query tree all dialects share.

Eight properties can be compared. `trails` is a collection, the other seven have one value each;
those of the ledger entry have none before the event is committed, and then match nothing.
Source: seed, section "Filtering and Paging Events"; wire specification of DataTrails 2.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from tallystick.dialects.datatrails import idtimestamps, odata
from tallystick.dialects.datatrails.merklelog import mmr
from tallystick.dialects.datatrails.rendering import DIALECT
from tallystick.dialects.datatrails.string_sets import TextSet
from tallystick.errors import InvalidQuery, UnsupportedField, UnsupportedOperator
from tallystick.query import expr
from tallystick.query.expr import Expr

COMMITTED_FIELD = "index"
CREATED_BY = "datatrails.created_by"
CONTENT_HASH = "datatrails.content_hash"
TARGET_TRAIL = "datatrails.target_trail"

PROPERTIES = (
    "trails",
    "event_type",
    "origin_tenant",
    "created_by",
    "created_at",
    "ledger_entry/index",
    "ledger_entry/idtimestamp",
    "ledger_entry/content_hash",
)

_TEXT_FIELDS = {
    "event_type": "kind",
    "created_by": CREATED_BY,
    "ledger_entry/content_hash": CONTENT_HASH,
}
# Larger than any time or index, and still an integer that every index can hold.
_LIMIT = 1 << 62
_SIZE_MAX = 1 << 32


class Filter(NamedTuple):
    """A filter ready to be asked."""

    expr: Expr
    touches_ledger: bool
    """Whether the answer depends on which events are committed to the public log."""


def parse_filter(text: str, *, tenant_uuid: UUID, committed: int | None = None) -> Filter:
    """Return what the filter `text` means for one tenant.

    `committed` is how many of the tenant's entries have a leaf in the public log; None means
    that every event has one.

    Raises: InvalidQuery, UnsupportedField, UnsupportedOperator with the position; TooLarge.
    """
    tree = odata.parse(text)
    if tree is None:
        return Filter(expr.Everything(), touches_ledger=False)
    meaning = _Meaning(tenant_uuid, committed)
    return Filter(meaning.of(tree), meaning.touches_ledger)


class _Meaning:
    def __init__(self, tenant_uuid: UUID, committed: int | None) -> None:
        self._origin_tenant = f"tenant/{tenant_uuid}"
        self._committed = committed
        self.touches_ledger = False

    def of(self, node: odata.Node) -> Expr:
        match node:
            case odata.ODataAnd(parts):
                return expr.all_of([self.of(part) for part in parts])
            case odata.ODataOr(parts):
                return expr.any_of([self.of(part) for part in parts])
            case odata.ODataNot(part):
                return _negated(self.of(part))
            case odata.Any():
                return _some_trail(node)
            case odata.Compare():
                return self._comparison(node)

    def _comparison(self, node: odata.Compare) -> Expr:
        if node.name == "trails":
            raise UnsupportedOperator(
                f"position {node.position}: trails is a list; write trails/any(t: t"
                f" {node.operator} …)",
                operator=node.operator,
                allowed=("any",),
                position=node.position,
            )
        if node.name == "origin_tenant":
            return _constant(TextSet.of(node.operator, _text(node)).contains(self._origin_tenant))
        if node.name == "created_at":
            return _created_at(node)
        if node.name == "ledger_entry/index":
            return self._if_committed(_numbers(node, "index", mmr.leaves_before))
        if node.name == "ledger_entry/idtimestamp":
            size = _SIZE_MAX if self._committed is None else self._committed
            return self._if_committed(idtimestamps.compare(node.operator, _text(node), size))
        if node.name not in _TEXT_FIELDS:
            raise _unknown(node.name, node.position)
        found = _texts(node, _TEXT_FIELDS[node.name])
        return self._if_committed(found) if node.name.startswith("ledger_entry/") else found

    def _if_committed(self, found: Expr) -> Expr:
        self.touches_ledger = True
        if self._committed is None:
            return found
        if self._committed == 0:
            return expr.Nothing()
        return expr.all_of([found, expr.Range(COMMITTED_FIELD, high=self._committed - 1)])


def _some_trail(node: odata.Any) -> Expr:
    if node.name != "trails":
        if node.name in PROPERTIES:
            raise UnsupportedOperator(
                f"position {node.position}: {node.name!r} is no list, so any does not apply",
                operator="any",
                allowed=odata.OPERATORS,
                position=node.position,
            )
        raise _unknown(node.name, node.position)
    # One trail must satisfy the whole body, so the body becomes one set before it is looked up.
    trails = _text_set(node.body)
    # Foreign events without trails show one made of their target, which always has a slash.
    slashed = [span for span in trails.spans() if not (span.is_point and "/" not in span.point)]
    return expr.any_of(
        [span.to_expr("trail") for span in trails.spans()]
        + [span.to_expr(TARGET_TRAIL) for span in slashed]
    )


def _text_set(node: odata.Node) -> TextSet:
    match node:
        case odata.ODataAnd(parts):
            return _folded(parts, TextSet.intersection)
        case odata.ODataOr(parts):
            return _folded(parts, TextSet.union)
        case odata.ODataNot(part):
            return _text_set(part).complement()
        case odata.Compare():
            return TextSet.of(node.operator, _text(node))
        case odata.Any():
            raise AssertionError("the parser refuses any inside any")


def _folded(
    parts: tuple[odata.Node, ...], combine: Callable[[TextSet, TextSet], TextSet]
) -> TextSet:
    first, *others = (_text_set(part) for part in parts)
    for other in others:
        first = combine(first, other)
    return first


def _texts(node: odata.Compare, field: str) -> Expr:
    value = _text(node)
    if node.operator == "ne":
        return expr.Not(expr.Eq(field, value))
    return expr.any_of([span.to_expr(field) for span in TextSet.of(node.operator, value).spans()])


def _created_at(node: odata.Compare) -> Expr:
    """Compare the time that is shown: of events written here, which may come from another
    service, when they happened; of all others, when they were recorded.
    """
    asked = node._replace(operator="eq") if node.operator == "ne" else node
    ours = expr.Eq("dialect", DIALECT)
    found = expr.any_of(
        (
            expr.all_of((ours, _numbers(asked, "occurred_ms", lambda ms: ms))),
            expr.all_of((expr.Not(ours), _numbers(asked, "recorded_ms", lambda ms: ms))),
        )
    )
    return _negated(found) if node.operator == "ne" else found


def _numbers(node: odata.Compare, field: str, position_of: Callable[[int], int]) -> Expr:
    """Compare through `position_of`, which never falls: how many values lie below a number."""
    value = _number(node)
    low, high = {
        "eq": (value, value + 1),
        "ne": (value, value + 1),
        "gt": (value + 1, None),
        "ge": (value, None),
        "lt": (None, value),
        "le": (None, value + 1),
    }[node.operator]
    first = None if low is None else position_of(low)
    last = None if high is None else position_of(high) - 1
    if first is not None and last is not None:
        found: Expr = expr.Nothing() if last < first else expr.Eq(field, first)
    else:
        found = expr.Range(field, low=first, high=last)
    return _negated(found) if node.operator == "ne" else found


def _negated(found: Expr) -> Expr:
    if isinstance(found, expr.Nothing):
        return expr.Everything()
    if isinstance(found, expr.Everything):
        return expr.Nothing()
    return found.part if isinstance(found, expr.Not) else expr.Not(found)


def _constant(holds: bool) -> Expr:
    return expr.Everything() if holds else expr.Nothing()


def _text(node: odata.Compare) -> str:
    if isinstance(node.value, str):
        return node.value
    raise InvalidQuery(
        f"position {node.value_position}: {node.name} is compared with a string in quotes",
        position=node.value_position,
    )


def _number(node: odata.Compare) -> int:
    value = node.value
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            raise InvalidQuery(
                f"position {node.value_position}: {node.name} is compared with an integer,"
                " quoted or not",
                position=node.value_position,
            )
        value = odata.to_number(value)
    return min(max(value, -_LIMIT), _LIMIT)


def _unknown(name: str, position: int) -> UnsupportedField:
    return UnsupportedField(
        f"position {position}: {name!r} cannot be filtered by; these can: {', '.join(PROPERTIES)}",
        field=name,
        allowed=PROPERTIES,
        position=position,
    )

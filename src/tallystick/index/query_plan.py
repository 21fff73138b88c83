"""The planner: whether lists can answer a question, and how; everything else is the search's.

Lists answer what is made of exact terms, times and indexes, however nested, in the order of time
or of recording. A question is compiled into nodes once and then asked of every block. What cannot
be compiled comes back as the reason why, which `explain` shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tallystick.events.event import Event, Op, View
from tallystick.index.document import ITEM
from tallystick.index.lists.block import IndexOrder, Order, TimeOrder
from tallystick.index.lists.block_query import (
    AllOf,
    AnyOf,
    BlockNode,
    Every,
    HappenedWithin,
    HasTerm,
    IndexWithin,
    NoneOf,
    Nowhere,
)
from tallystick.index.lists.term_hash import CANONICAL, SEEN
from tallystick.query.expr import (
    And,
    Boost,
    Eq,
    Everything,
    Exists,
    Expr,
    Fuzzy,
    In,
    Not,
    Nothing,
    Or,
    Phrase,
    Prefix,
    Range,
    Regex,
    Scalar,
    Sort,
    Term,
    Wildcard,
)
from tallystick.query.match import to_predicate
from tallystick.query.question import Find, Over
from tallystick.query.values import Values

_NUMBERED = frozenset(("index", "occurred_ms", "recorded_ms"))
_ALWAYS_THERE = _NUMBERED | {"id", "kind", "class", "op", "dialect"}
_IDS_MAX = 1_000


class Facts(NamedTuple):
    """What compiling needs to know of a tenant and its log.

    `is_listed` tells of a field that a dialect derives whether it has terms; `kinds` are all
    kinds, None when there are too many to list; `index_of` finds an entry by its id;
    `recorded_before` tells how many entries were recorded before a time.
    """

    number_of: Callable[[str, Scalar], int]
    is_listed: Callable[[str], bool]
    kinds: Callable[[], Sequence[str] | None]
    index_of: Callable[[str], int | None]
    recorded_before: Callable[[int], int]


class Unlisted(NamedTuple):
    """Why lists cannot answer."""

    reason: str


class Listing(NamedTuple):
    """A question that lists can answer."""

    node: BlockNode
    order: Order
    descending: bool


class Ordered(NamedTuple):
    """An order that lists have; `field` is the sort's own, None without one."""

    order: Order
    descending: bool
    field: str | None


def plan_page(question: Find, facts: Facts) -> Listing | Unlisted:
    """Return how lists answer a question for a page, or why they do not."""
    ordered = plan_order(question.sort)
    if isinstance(ordered, Unlisted):
        return ordered
    node = plan_rows(question.where, seen_names(question), facts)
    if isinstance(node, Unlisted):
        return node
    return Listing(node, ordered.order, ordered.descending)


def plan_rows(where: Expr, seen: Sequence[str] | None, facts: Facts) -> BlockNode | Unlisted:
    """Return how lists find what matches and is seen; `seen` None means the whole log."""
    node = _Compiler(facts).node(where)
    if isinstance(node, Unlisted) or seen is None:
        return node
    shown = HasTerm(tuple(facts.number_of(SEEN, name) for name in seen))
    return shown if isinstance(node, Every) else _all_of([shown, node])


def plan_order(sorts: Sequence[Sort]) -> Ordered | Unlisted:
    """Return the order that lists have for some sorts.

    An entry recorded later never has an earlier time of recording, so that order is the index's.
    """
    if not sorts:
        return Ordered(IndexOrder, False, None)
    sort = sorts[0]
    if len(sorts) > 1:
        return Unlisted("lists are sorted by one field")
    if sort.field == "occurred_ms":
        return Ordered(TimeOrder, sort.descending, sort.field)
    if sort.field in ("index", "recorded_ms"):
        return Ordered(IndexOrder, sort.descending, sort.field)
    return Unlisted(f"lists are not sorted by {sort.field}")


def joins(sorts: Sequence[Sort]) -> bool:
    """Tell whether pages in an order can be made of an index and of entries beyond it.

    Relevance depends on counts over both, and a payload field may have values of other types in
    either: for these all has to be in the index.
    """
    return all(sort.field in _NUMBERED for sort in sorts)


def seen_names(question: Find) -> tuple[str, ...] | None:
    """Return by which names what a question is about is seen; None for the whole log."""
    match question.over:
        case Over.EVENTS:
            return (question.dialect,)
        case Over.ITEMS:
            return (ITEM,)
        case Over.BOTH:
            return (question.dialect, ITEM)
        case Over.LOG:
            return None


class _Compiler:
    """Compiles expressions; every method returns a node, or the first reason against it."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def node(self, expr: Expr) -> BlockNode | Unlisted:
        match expr:
            case Everything():
                return Every()
            case Nothing():
                return Nowhere()
            case And(parts):
                return self._joined(parts, _all_of)
            case Or(parts):
                return self._joined(parts, lambda nodes: AnyOf(tuple(nodes)))
            case Not(part):
                inner = self.node(part)
                return inner if isinstance(inner, Unlisted) else NoneOf(inner)
            case Boost(part):
                return self.node(part)
            case Eq(field, value):
                return self._equal(field, (value,))
            case In(field, values):
                return self._equal(field, values)
            case Exists(field) if field in _ALWAYS_THERE:
                return Every()
            case Range(field) if field in _NUMBERED:
                return self._range(expr)
            case Term() | Phrase() | Fuzzy() | Wildcard() | Regex() | Prefix() | Range():
                return self._by_kind(expr)
        return Unlisted(f"{type(expr).__name__.lower()} is a matter for the search")

    def _joined(
        self, parts: Iterable[Expr], join: Callable[[list[BlockNode]], BlockNode]
    ) -> BlockNode | Unlisted:
        nodes: list[BlockNode] = []
        for part in parts:
            node = self.node(part)
            if isinstance(node, Unlisted):
                return node
            nodes.append(node)
        return join(nodes)

    def _equal(self, field: str, values: Sequence[Scalar]) -> BlockNode | Unlisted:
        if field in CANONICAL:
            # All of these hold strings: nothing else is equal to them.
            return self._terms(field, [value for value in values if isinstance(value, str)])
        if field in _NUMBERED:
            return AnyOf(tuple(self._range(Range(field, v, v)) for v in _numbers(values)))
        if field == "id":
            return self._ids([value for value in values if isinstance(value, str)])
        if self._facts.is_listed(field):
            return self._terms(field, [value for value in values if value == value])
        return Unlisted(f"{field} is not listed")

    def _terms(self, field: str, values: Sequence[Scalar]) -> BlockNode:
        numbers = dict.fromkeys(self._facts.number_of(field, value) for value in values)
        return HasTerm(tuple(numbers)) if numbers else Nowhere()

    def _ids(self, values: Sequence[str]) -> BlockNode | Unlisted:
        if len(values) > _IDS_MAX:
            return Unlisted("so many ids are a matter for the search")
        found = {self._facts.index_of(value) for value in values if value == value.lower()}
        return AnyOf(tuple(IndexWithin(index, index) for index in found if index is not None))

    def _range(self, expr: Range) -> BlockNode:
        bounds = (expr.low, expr.high)
        if any(isinstance(bound, str | bool) or bound != bound for bound in bounds):
            return Nowhere()
        low = _lowest(expr.low, expr.low_inclusive)
        high = _highest(expr.high, expr.high_inclusive)
        if low > high:
            return Nowhere()
        if expr.field == "occurred_ms":
            return HappenedWithin(low, high)
        if expr.field == "index":
            return IndexWithin(low, high)
        before = self._facts.recorded_before
        return IndexWithin(before(low), before(high + 1) - 1)

    def _by_kind(
        self, expr: Term | Phrase | Fuzzy | Wildcard | Regex | Prefix | Range
    ) -> BlockNode | Unlisted:
        """Try a pattern on every kind there is: there are few."""
        if expr.field not in ("kind", "class"):
            return Unlisted(f"{type(expr).__name__.lower()} is a matter for the search")
        kinds = self._facts.kinds()
        if kinds is None:
            return Unlisted("there are too many kinds to try each")
        test = to_predicate(expr)
        return self._terms("kind", [kind for kind in kinds if test(_values_of_kind(kind))])


def _all_of(nodes: Sequence[BlockNode]) -> BlockNode:
    """Join nodes so that what is cheap and excludes whole blocks is asked first."""
    flat: list[BlockNode] = []
    but: list[BlockNode] = []
    for node in nodes:
        if isinstance(node, AllOf):
            flat += node.parts
            but += node.but
        elif isinstance(node, NoneOf):
            but.append(node.part)
        elif not isinstance(node, Every):
            flat.append(node)
    flat.sort(key=_turn)
    return AllOf(tuple(flat), tuple(but))


def _turn(node: BlockNode) -> int:
    if isinstance(node, HappenedWithin | IndexWithin | Nowhere):
        return 0
    return len(node.numbers) if isinstance(node, HasTerm) else 1_000


_INT64_MAX = (1 << 63) - 1


def _lowest(bound: str | int | float | None, inclusive: bool) -> int:
    """Return the lowest integer within a lower bound, or a number below all there are."""
    if bound is None or bound == -math.inf:
        return -_INT64_MAX
    if bound == math.inf:
        return _INT64_MAX
    assert not isinstance(bound, str), "strings were sorted out"
    lowest = math.ceil(bound)
    return _clamped(lowest if inclusive or lowest != bound else lowest + 1)


def _highest(bound: str | int | float | None, inclusive: bool) -> int:
    """Return the highest integer within an upper bound, or a number above all there are."""
    if bound is None or bound == math.inf:
        return _INT64_MAX - 1
    if bound == -math.inf:
        return -_INT64_MAX - 1
    assert not isinstance(bound, str), "strings were sorted out"
    highest = math.floor(bound)
    return _clamped(highest if inclusive or highest != bound else highest - 1)


def _clamped(number: int) -> int:
    return min(max(number, -_INT64_MAX), _INT64_MAX - 1)


def _numbers(values: Iterable[Scalar]) -> list[int | float]:
    return [
        value for value in values if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def _values_of_kind(kind: str) -> Values:
    event = Event(
        tenant="",
        index=0,
        id="",
        kind=kind,
        op=Op.RECORD,
        occurred_ms=0,
        recorded_ms=0,
        dialect="",
    )
    return Values(View(event=event, first=event, revision=0, revised_ms=0))

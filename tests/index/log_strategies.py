"""Hypothesis strategies for logs that live: written to, revised, retracted, erased, followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tallystick import limits
from tallystick.events.event import Draft, Op, Resource, View
from tallystick.query.expr import (
    And,
    Eq,
    Expr,
    In,
    Not,
    Or,
    Prefix,
    Range,
    Scalar,
    Sort,
)
from tallystick.query.question import Find, Over
from tallystick.query.values import flatten
from tests.index.world import ITEM_DELETE, ITEM_PUT, TENANT, World
from tests.support.strategies import DAY_MS, NOW_MS, exprs

SORTS: tuple[tuple[Sort, ...], ...] = (
    (Sort("occurred_ms", descending=True),),
    (Sort("occurred_ms"),),
    (Sort("index", descending=True),),
    (Sort("index"),),
    (Sort("recorded_ms", descending=True),),
    (),
)
SECTIONS = (
    ("actor",),
    ("target",),
    ("place",),
    ("data",),
    ("actor", "target", "place", "data", "previous"),
)
_FIELDS = (
    *("kind", "class", "op", "dialect", "subject", "trail", "id", "nested"),
    *("actor", "actor.type", "actor.id", "target", "target.type", "target.id"),
    *("scope", "scope.type", "scope.id", "index", "occurred_ms", "recorded_ms"),
)
_DERIVED: st.SearchStrategy[tuple[str, Scalar]] = st.sampled_from(
    (
        ("echo.third", 1),
        ("echo.third", True),
        ("echo.half", 2),
        ("echo.odd", True),
        ("echo.odd", 1),
        ("orders.size", 3),
        ("orders.size", 1.0),
        ("orders.members", "total"),
        ("orders.unheard", None),
    )
)
_RANGED = st.sampled_from(("occurred_ms", "recorded_ms", "index"))
_BOUNDS = st.one_of(
    st.none(),
    st.integers(-3, 90),
    st.integers(-400, 400).map(lambda days: NOW_MS + days * DAY_MS),
    st.integers(0, 4_000).map(lambda ms: NOW_MS + ms),
    st.floats(NOW_MS - 2, NOW_MS + 4_000),
    st.sampled_from((float("inf"), float("-inf"), 2**70, -(2**70), "5")),
)


_RESOURCES = st.builds(
    Resource,
    st.sampled_from(("user", "order", "space")),
    st.sampled_from(("1", "2", "3", "a:b", "日本")),
    st.sampled_from((None, None, "Alice", "Bob", "")),
)
_TIMES = st.one_of(
    st.none(),
    st.integers(0, 3).map(lambda ms: NOW_MS + ms),
    st.integers(-400, 400).map(lambda days: NOW_MS + days * DAY_MS),
    st.sampled_from((limits.OCCURRED_MS_MIN, limits.OCCURRED_MS_MAX)),
)
_DIALECTS = st.sampled_from(("native", "echo", "orders"))
_DRAFTS = st.builds(
    Draft,
    kind=st.sampled_from(("order.created", "order.shipped", "orders", "")),
    occurred_ms=_TIMES,
    actor=st.none() | _RESOURCES,
    target=st.none() | _RESOURCES,
    scopes=st.lists(_RESOURCES, max_size=3, unique_by=lambda resource: resource.key).map(tuple),
    trails=st.lists(st.sampled_from("pqr"), max_size=2, unique=True).map(tuple),
    data=st.sampled_from(({}, {"total": 1}, {"a": 1, "b": 2, "c": 3})),
    dialect=_DIALECTS,
)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Draw what happens to a log, as methods of `Script` with their arguments."""
    index = st.integers(0, 80)
    step = st.one_of(
        st.tuples(st.just("append"), st.lists(_DRAFTS, min_size=1, max_size=12)),
        st.tuples(st.just("append"), st.lists(_DRAFTS, min_size=1, max_size=12)),
        st.tuples(st.just("document"), st.sampled_from("abc"), st.booleans(), _DIALECTS),
        st.tuples(st.just("revise"), index),
        st.tuples(st.just("retract"), index),
        st.tuples(st.just("erase"), index, st.sampled_from(SECTIONS)),
        st.tuples(st.just("follow")),
        st.tuples(st.just("follow")),
        st.tuples(st.just("tidy"), st.integers(1, 5)),
        st.tuples(st.just("reopen")),
    )
    return draw(st.lists(step, min_size=3, max_size=14))


def play(world: World, script: Sequence[tuple[Any, ...]]) -> None:
    """Let happen to a log what `steps` drew; entries that are not there are left alone."""
    for name, *arguments in script:
        world.clock.advance(len(arguments) * 700)
        match name:
            case "append":
                world.append(*arguments[0])
            case "document":
                id, put, dialect = arguments
                target = Resource("item", id, name=f"item {id}")
                kind = ITEM_PUT if put else ITEM_DELETE
                data = {"put": put, "total": 1}
                draft = Draft(kind=kind, op=Op.DOCUMENT, target=target, data=data, dialect=dialect)
                world.append(draft)
            case "revise" | "retract" if arguments[0] < world.size():
                op = Op.REVISE if name == "revise" else Op.RETRACT
                world.change(op, arguments[0], {"total": 5, "n": arguments[0]})
            case "erase" if arguments[0] < world.size():
                world.erase(*arguments)
            case "follow":
                world.follow()
            case "tidy":
                # A merge goes on in small steps; whatever comes next comes in between.
                world.wait("views", TENANT)
                for _ in range(arguments[0]):
                    world.writer.tidy()
            case "reopen":
                world.reopen()


@st.composite
def questions(draw: st.DrawFn, views: Sequence[View]) -> Find:
    """Draw a question that lists answer, mostly about what is there."""
    return Find(
        where=draw(listed_exprs(views)),
        over=draw(st.sampled_from(Over)),
        dialect=draw(st.sampled_from(("native", "echo", "orders"))),
        sort=draw(st.sampled_from(SORTS)),
        total=True,
    )


def listed_exprs(views: Sequence[View]) -> st.SearchStrategy[Expr]:
    """Queries that lists answer."""
    known: list[tuple[str, Scalar]] = [
        (field, value) for view in views for field, value in flatten(view) if field in _FIELDS
    ]
    pairs = st.sampled_from(known or [("kind", "order.created")])
    leaf = st.one_of(
        pairs.map(lambda pair: Eq(*pair)),
        st.lists(pairs, min_size=1, max_size=4).map(
            lambda some: In(some[0][0], tuple(value for _, value in some))
        ),
        _DERIVED.map(lambda pair: Eq(*pair)),
        st.builds(Range, _RANGED, _BOUNDS, _BOUNDS, st.booleans(), st.booleans()),
        st.sampled_from((Prefix("kind", "order."), Prefix("class", "o"), Prefix("kind", ""))),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda parts: And(tuple(parts))),
            st.lists(inner, max_size=3).map(lambda parts: Or(tuple(parts))),
            inner.map(Not),
        ),
        max_leaves=6,
    )


def any_exprs(views: Sequence[View]) -> st.SearchStrategy[Expr]:
    """Queries of every kind, lists' or not."""
    return exprs(views)

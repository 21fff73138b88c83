"""The reader over lists and search together: whoever answers, it is what `matches` says."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.errors import InvalidQuery, Malformed, NotFound
from tallystick.events.event import Draft, Resource
from tallystick.index.lists import time_series
from tallystick.index.open import Index, open_index
from tallystick.query.aggregate import (
    TimeCount,
    TimeSeries,
    TimeSeriesResult,
    aggregate,
)
from tallystick.query.calendar import Interval
from tallystick.query.expr import And, Eq, Exists, In, Not, Or, Prefix, Range, Sort, Term
from tallystick.query.question import Find, Over, ResourceQuery
from tallystick.query.values import Values
from tallystick.settings import Settings
from tests.followers.test_processes import RULES
from tests.index.log_strategies import any_exprs, listed_exprs, play, steps
from tests.index.world import TENANT, World


def opened(world: World, folder: Path) -> Index:
    """Return lists and search over the log of a world."""
    return open_index(folder, world.store, Settings(), child=False, rules=RULES)


@settings(max_examples=15)
@given(script=steps(), data=st.data())
def test_lists_and_search_together_answer_everything(
    script: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name, World(Path(name)) as world:
        play(world, script)
        index = opened(world, Path(name))
        model = world.model()
        for _ in range(12):
            question = Find(
                where=data.draw(any_exprs(model.views)),
                over=data.draw(st.sampled_from((Over.EVENTS, Over.ITEMS, Over.BOTH))),
                dialect=data.draw(st.sampled_from(("native", "echo", "orders"))),
                sort=data.draw(st.sampled_from((Find().sort, (Sort("index"),), (Sort("kind"),)))),
                limit=200,
                total=True,
            )
            try:
                found = index.reader.find(TENANT, question)
            except InvalidQuery:
                # What would take too much work is refused, whole; the search has tests of its own.
                continue
            expected = model.find(question)
            assert [hit.index for hit in found.hits] == expected
            assert found.total == len(expected)
        index.close()


@settings(max_examples=15)
@given(script=steps(), data=st.data())
def test_lists_count_by_time_what_plain_values_do(
    script: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name, World(Path(name)) as world:
        play(world, script)
        world.follow()
        model = world.model()
        for _ in range(12):
            question = Find(where=data.draw(listed_exprs(model.views)))
            interval = data.draw(st.sampled_from(Interval))
            request = TimeSeries("occurred_ms", interval, data.draw(st.sampled_from((0, -90))))
            views = (model.views[found] for found in model.find(question))
            expected = aggregate(map(Values, views), request)
            # This world has no search to ask.
            assert world.reader.aggregate(TENANT, question, [request, request]) == [expected] * 2


def test_what_takes_lists_too_many_runs_is_counted_by_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day_ms = 86_400_000
    with World(tmp_path) as world:
        world.append(*(Draft(kind="k", occurred_ms=day_ms * n) for n in range(40)))
        index = opened(world, tmp_path)
        request = TimeSeries("occurred_ms", Interval.DAY)
        found = index.reader.aggregate(TENANT, Find(), [request])
        monkeypatch.setattr(time_series, "RUNS_MAX", 39)
        assert index.reader.aggregate(TENANT, Find(), [request]) == found
        assert isinstance(found[0], TimeSeriesResult)
        assert found[0].buckets == tuple(TimeCount(day_ms * n, 1) for n in range(40))
        with pytest.raises(AssertionError, match="not a question for lists"):
            world.reader.aggregate(TENANT, Find(), [request])
        index.close()


@pytest.mark.parametrize(
    ("question", "planned"),
    [
        (Find(), "views"),
        (Find(where=And((Eq("actor", "user:1"), Range("occurred_ms", 1, 2)))), "views"),
        (Find(where=Or((In("scope", ("a:b",)), Not(Eq("kind", "x"))))), "views"),
        (Find(where=Prefix("kind", "order.")), "views"),
        (Find(where=Eq("echo.third", 1), sort=(Sort("index"),)), "views"),
        (Find(where=Eq("id", "no such id")), "views"),
        (Find(over=Over.LOG, sort=()), "views"),
        (Find(where=Eq("data.total", 1)), "search"),
        (Find(where=Eq("actor.name", "Alice")), "search"),
        (Find(where=Not(Term(None, "alice"))), "search"),
        (Find(where=Exists("target")), "search"),
        (Find(where=Prefix("trail", "a")), "search"),
        (Find(where=Range("echo.third", 1, 2)), "search"),
        (Find(sort=(Sort("kind"),)), "search"),
        (Find(sort=(Sort("occurred_ms"), Sort("kind"))), "search"),
    ],
)
def test_the_planner_says_which_and_why(tmp_path: Path, question: Find, planned: str) -> None:
    with World(tmp_path) as world:
        world.append(Draft(kind="order.created"))
        index = opened(world, tmp_path)
        plan = index.reader.explain(TENANT, question)
        assert plan.index == planned
        assert len(plan.reason) > 10
        assert index.reader.find(TENANT, question).plan.index == planned
        index.close()


def test_a_tenant_without_a_log_has_nothing(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        index = opened(world, tmp_path)
        reader = index.reader
        assert reader.find("nobody", Find(total=True)).total == 0
        assert reader.find("nobody", Find(where=Term(None, "x"), total=True)).total == 0
        assert reader.count("nobody", Eq("kind", "x")) == 0
        assert reader.resource("nobody", "user", "1") is None
        assert reader.resources("nobody", ResourceQuery(type="user")) == []
        assert reader.history("nobody", "user", "1", limit=5, offset=0) == []
        index.close()


@pytest.mark.parametrize("after", [(1, 2, 3), ("a", 1), (1, "b"), (2**80, 1), (None, 1)])
def test_a_made_up_cursor_is_refused(tmp_path: Path, after: tuple[Any, ...]) -> None:
    with World(tmp_path) as world:
        world.append(Draft(kind="order.created"))
        with pytest.raises(Malformed):
            world.reader.find(TENANT, Find(after=after))


def test_the_log_as_recorded_is_not_searched(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        index = opened(world, tmp_path)
        with pytest.raises(InvalidQuery):
            index.reader.find(TENANT, Find(over=Over.LOG, where=Term(None, "x")))
        index.close()


def test_rebuilding_inline_changes_nothing(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.append(*(Draft(kind=f"k{number % 3}", data={"n": number}) for number in range(300)))
        index = opened(world, tmp_path)
        questions = (Find(limit=400), Find(where=Eq("data.n", 7)))
        before = [index.reader.find(TENANT, question) for question in questions]
        told: list[tuple[int, int]] = []
        for name in ("views", "search"):
            index.rebuild(name, lambda done, total: told.append((done, total)))
        assert told[-1] == (300, 300)
        assert [index.reader.find(TENANT, question) for question in questions] == before
        assert index.lag() == {"views": 0, "search": 0}
        with pytest.raises(NotFound):
            index.rebuild("unheard", lambda done, total: None)
        index.close()


NAMED = (
    ("organization", "o1", "Acme", ()),
    ("space", "s1", "dev", (Resource("organization", "o1"),)),
    ("space", "s2", "prod", (Resource("organization", "o1"),)),
    ("space", "s3", "dev", (Resource("organization", "o2"),)),
    ("app", "a1", "shop", (Resource("organization", "o1"), Resource("space", "s1", "dev"))),
)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (ResourceQuery(type="space"), ["s1", "s2", "s3"]),
        (ResourceQuery(type="space", name="dev"), ["s1", "s3"]),
        (ResourceQuery(type="space", name="dev", parent=("organization", "o1")), ["s1"]),
        (ResourceQuery(type="space", parent=("organization", "o1")), ["s1", "s2"]),
        (ResourceQuery(type="app", name="shop", parent=("space", "s1")), ["a1"]),
        (ResourceQuery(type="app", parent=("space", "s2")), []),
        (ResourceQuery(type="space", low="s2"), ["s2", "s3"]),
        (ResourceQuery(type="space", low="s2", low_inclusive=False), ["s3"]),
        (ResourceQuery(type="space", low="s1", high="s3", high_inclusive=False), ["s1", "s2"]),
        (ResourceQuery(type="space", limit=2), ["s1", "s2"]),
        (ResourceQuery(type="space", live=True), []),
        (ResourceQuery(type="space", parent=("organization", "o1"), low="s1", limit=1), ["s1"]),
    ],
)
def test_resources_are_found_by_key_name_and_parent(
    tmp_path: Path, question: ResourceQuery, expected: list[str]
) -> None:
    """Whatever is asked, the table is searched by an index, never scanned or sorted."""
    with World(tmp_path) as world:
        for type, id, name, scopes in NAMED:
            target = Resource(type, id, name)
            world.append(Draft(kind="seen", target=target, scopes=scopes))
        found = world.reader.resources(TENANT, question)
        assert [summary.id for summary in found] == expected
        plan = world.views().query_plan(TENANT, question)
        assert plan
        assert all(step.startswith("SEARCH") for step in plan), plan


def test_a_list_costs_what_it_shows(tmp_path: Path) -> None:
    """Ask a log ten times as long the same: about as many rows are looked at.

    The entry at an offset is found by halving, in every block: that grows with their number.
    """
    looked_at: list[list[int]] = []
    for size in (400, 4_000):
        (tmp_path / str(size)).mkdir()
        with World(tmp_path / str(size), sealed_rows=200, slice_rows=500) as world:
            made = [
                Draft(kind=f"k{number % 3}", actor=Resource("user", str(number % 40)))
                for number in range(size)
            ]
            world.append(*made)
            looked_at.append([cost(world, question) for question in COSTED])
    for small, large, question in zip(*looked_at, COSTED, strict=True):
        assert large <= 2 * small + (1_000 if question.offset else 100), question


COSTED = (
    Find(),
    Find(where=Eq("kind", "k1"), total=True),
    Find(where=And((Eq("kind", "k1"), Not(Eq("actor", "user:3")))), total=True),
    Find(where=In("actor", ("user:1", "user:2")), offset=3),
    Find(where=Range("occurred_ms", 0, None), sort=(Sort("index"),), total=True),
    Find(offset=300),
)


def cost(world: World, question: Find) -> int:
    """Return how many entries are looked at for a page: times, indexes or stored rows read."""
    world.reader.find(TENANT, question)
    reads = 0

    class Counted:
        def __init__(self, values: Any) -> None:
            self.values = values

        def __len__(self) -> int:
            return len(self.values)

        def __getitem__(self, at: int) -> int:
            nonlocal reads
            reads += 1
            return int(self.values[at])

    with world.views().shelf(TENANT, 0) as shelf:
        assert shelf is not None
        for block in shelf.blocks:
            block.ms, block.index = Counted(block.ms), Counted(block.index)  # type: ignore[assignment]  # a sequence
    world.reader.find(TENANT, msgspec.structs.replace(question, limit=10))
    return reads

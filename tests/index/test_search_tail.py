"""A search index that lags answers, with the tail of the log, as one that has all of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick import limits
from tallystick.errors import InvalidQuery
from tallystick.events.event import Draft
from tallystick.followers.follow import Following
from tallystick.followers.kind import FollowerReader
from tallystick.index.followers import SEARCH, SEARCH_KIND, VIEWS
from tallystick.index.reader import IndexReader
from tallystick.index.search.answers.joining import joined
from tallystick.query.aggregate import Aggregate, Ranges, Stats, TimeSeries, TopValues, aggregate
from tallystick.query.calendar import Interval
from tallystick.query.expr import Everything, Expr, Range, Sort, Term
from tallystick.query.question import Find, Over
from tallystick.query.values import Values
from tests.index.log_strategies import any_exprs, play, steps
from tests.index.search_world import assert_same, event
from tests.index.world import ITEM_PUT, TENANT, World, rules

SORTS: tuple[tuple[Sort, ...], ...] = (
    (),
    (Sort("occurred_ms", descending=True),),
    (Sort("occurred_ms"),),
    (Sort("index", descending=True),),
    (Sort("recorded_ms"),),
)
AGGREGATES: tuple[Aggregate, ...] = (
    TopValues("kind", 0, 3),
    TopValues("data.total", 1, 2),
    TopValues("actor"),
    TopValues("id", 0, 2),
    TopValues("occurred_ms", 0, 4),
    Stats("data.total"),
    Ranges("data.total", ((None, 2), (1, 5), (2, None))),
    TimeSeries("recorded_ms", Interval.MONTH),
)
LIVING = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])


class Lagging:
    """Lists that are always current, and a search that commits only when a test says so."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.follower = SEARCH_KIND.open(folder, world.store, rules())
        self.following = Following(world.store, self.follower)
        self.reader = SEARCH_KIND.read(folder, world.store, rules())
        self.commits = 0

    def wait(
        self, follower: str, tenant: str, dialect: str | None = None, *, within: int = 0
    ) -> int:
        size = self.world.size()
        if follower != SEARCH:
            return self.world.wait(follower, tenant)
        if size - self.following.readable.get(tenant, 0) > within:
            self.commit(size)
        return size

    def commit(self, size: int) -> None:
        """Let the index have the log up to there."""
        self.following.learn_heads([(TENANT, size)])
        self.following.catch_up()
        self.commits += 1

    def reader_of(self, follower: str) -> FollowerReader:
        return self.reader if follower == SEARCH else self.world.reader_of(VIEWS)

    def close(self) -> None:
        self.reader.close()
        self.follower.close()


@contextmanager
def lagging(name: str) -> Iterator[Lagging]:
    """Give an empty world whose search lags."""
    with World(Path(name)) as world:
        folder = Path(name, "search")
        folder.mkdir()
        followers = Lagging(world, folder)
        yield followers
        followers.close()


@LIVING
@given(scripts=st.lists(steps(), min_size=2, max_size=3), data=st.data())
def test_pages_and_totals_are_what_matches(
    scripts: list[list[tuple[Any, ...]]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name, lagging(name) as followers:
        world = followers.world
        reader = IndexReader(world.store, rules(), followers)
        for script in scripts:
            play(world, script)
            model = world.model()
            for _ in range(4):
                question = Find(
                    where=data.draw(any_exprs(model.views)),
                    over=data.draw(st.sampled_from((Over.EVENTS, Over.ITEMS, Over.BOTH))),
                    dialect=data.draw(st.sampled_from(("native", "echo", "orders"))),
                    sort=data.draw(st.sampled_from(SORTS)),
                    limit=data.draw(st.integers(1, 9)),
                    offset=data.draw(st.integers(0, 12)),
                    total=True,
                )
                try:
                    found = reader.find(TENANT, question)
                except InvalidQuery:
                    continue
                expected = model.find(question)
                part = expected[question.offset : question.offset + question.limit]
                assert [hit.index for hit in found.hits] == part
                assert found.total == len(expected)
                assert found.more == (len(expected) > question.offset + question.limit)
                assert walked(reader, question) == expected
            if data.draw(st.booleans()):
                # The next tail begins inside what was read as one slice, or behind it.
                followers.commit(data.draw(st.integers(0, world.size())))


def walked(reader: IndexReader, question: Find) -> list[int]:
    """Return the indexes on all pages, each begun where the last one ended."""
    found: list[int] = []
    after: tuple[Any, ...] | None = None
    while True:
        page = reader.find(
            TENANT,
            Find(
                where=question.where,
                over=question.over,
                dialect=question.dialect,
                sort=question.sort,
                limit=question.limit,
                after=after,
            ),
        )
        found += [hit.index for hit in page.hits]
        if not page.more:
            return found
        after = page.hits[-1].position


@LIVING
@given(scripts=st.lists(steps(), min_size=2, max_size=3), data=st.data())
def test_counts_and_aggregates_are_those_of_plain_values(
    scripts: list[list[tuple[Any, ...]]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name, lagging(name) as followers:
        world = followers.world
        reader = IndexReader(world.store, rules(), followers)
        for script in scripts:
            play(world, script)
            model = world.model()
            for _ in range(3):
                where: Expr = data.draw(st.just(Everything()) | any_exprs(model.views))
                request = data.draw(st.sampled_from(AGGREGATES))
                question = Find(where=where, over=Over.BOTH)
                views = [model.views[index] for index in model.find(question)]
                wanted = aggregate((Values(view, model.derived(view)) for view in views), request)
                try:
                    (result,) = reader.aggregate(TENANT, question, [request])
                    count = reader.count(TENANT, where)
                except InvalidQuery:
                    continue
                assert_same(result, wanted)
                assert count == len(model.find(Find(where=where)))
            followers.commit(data.draw(st.integers(0, world.size())))


def said(text: str) -> Draft:
    return Draft(kind="a.b", data={"text": text})


def test_a_question_waits_for_no_commit_until_the_tail_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_TAIL_ENTRIES", 5)
    with lagging(str(tmp_path)) as followers:
        reader = IndexReader(followers.world.store, rules(), followers)
        where = Term("data.text", "pebble")
        for count in range(1, 6):
            followers.world.append(said("a pebble"))
            assert reader.count(TENANT, where) == count
        assert followers.commits == 0
        followers.world.append(said("a pebble"))
        assert reader.count(TENANT, where) == 6
        assert followers.commits == 1


def test_a_tail_of_large_events_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_TAIL_BYTES", 10_000)
    with lagging(str(tmp_path)) as followers:
        reader = IndexReader(followers.world.store, rules(), followers)
        for count in range(1, 4):
            followers.world.append(said("pebble " * 1_000))
            assert reader.count(TENANT, Term("data.text", "pebble")) == count
        assert followers.commits == 1


def test_what_is_sorted_by_more_than_time_has_all_in_the_index(tmp_path: Path) -> None:
    with lagging(str(tmp_path)) as followers:
        reader = IndexReader(followers.world.store, rules(), followers)
        for n, sort in enumerate((Sort("relevance", descending=True), Sort("data.text")), 1):
            followers.world.append(said("a pebble"))
            question = Find(where=Term("data.text", "pebble"), sort=(sort,), total=True)
            assert reader.find(TENANT, question).total == n
            assert followers.commits == n


def test_a_path_that_only_the_tail_has_is_known(tmp_path: Path) -> None:
    with lagging(str(tmp_path)) as followers:
        reader = IndexReader(followers.world.store, rules(), followers)
        followers.world.append(said("a pebble"))
        assert reader.known_path(TENANT, "data.text")
        assert followers.commits == 1
        assert not reader.known_path(TENANT, "data.other")
        # What is known stays known.
        followers.world.append(said("another"))
        commits = followers.commits
        assert reader.known_path(TENANT, "data.text")
        assert followers.commits == commits


def test_an_item_put_again_hides_the_one_in_the_index(tmp_path: Path) -> None:
    with lagging(str(tmp_path)) as followers:
        world = followers.world
        reader = IndexReader(world.store, rules(), followers)
        put = ("document", "a", True, "native")
        play(world, [put])
        followers.commit(world.size())
        play(world, [put, put])
        question = Find(where=Range("data.total", 1, 1), over=Over.ITEMS, total=True)
        found = reader.find(TENANT, question)
        assert [hit.index for hit in found.hits] == [2]
        assert found.total == 1
        assert followers.commits == 1
        assert world.events()[2].kind == ITEM_PUT


def test_statistics_join() -> None:
    low, high = (
        [Values(event(n, {"n": number})) for n, number in enumerate(numbers)]
        for numbers in ((1, 2, 3), (40, 50.5))
    )
    both = joined(aggregate(low, Stats("data.n")), aggregate(high, Stats("data.n")))
    assert_same(both, aggregate([*low, *high], Stats("data.n")))
    none = aggregate((), Stats("data.n"))
    assert joined(none, both) == joined(both, none) == both

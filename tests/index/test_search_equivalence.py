"""Whatever is asked, the search index answers as plain values do: generated events and questions.

Commits are small, so that there are several segments. A question that the index refuses as too
much work is counted and has to stay rare; a wrong answer never is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.errors import InvalidQuery
from tallystick.query.aggregate import (
    Aggregate,
    Distances,
    Ranges,
    Stats,
    TimeSeries,
    TopValues,
)
from tallystick.query.calendar import Interval
from tallystick.query.expr import Everything, Expr, Sort
from tallystick.query.values import Terms
from tests.index.search_world import Searched, assert_same
from tests.support import strategies

SLOW = settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow],
)
FIELDS = st.sampled_from((*strategies.FIELDS, "data.flag", "native.size"))
SORTS = st.lists(st.builds(Sort, FIELDS, st.booleans()), max_size=2).map(tuple)
ENDS = st.none() | st.floats(-1e3, 1e3) | st.sampled_from((0, 1, 5, 404, strategies.NOW_MS, 1e15))
BOUNDS = st.lists(st.tuples(ENDS, ENDS), max_size=4).map(tuple)
TIMES = st.sampled_from(("occurred_ms", "recorded_ms", "data.total", "data.name", "kind"))
ZONES = st.sampled_from(
    ("Europe/Oslo", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe")
)
AGGREGATES: st.SearchStrategy[Aggregate] = st.one_of(
    st.builds(TopValues, FIELDS, st.integers(0, 3), st.integers(0, 5)),
    st.builds(Stats, FIELDS),
    st.builds(Ranges, FIELDS, BOUNDS),
    st.builds(TimeSeries, TIMES, st.sampled_from(Interval), st.integers(-1440, 1440)),
    st.builds(TimeSeries, TIMES, st.sampled_from(Interval), st.just(0), ZONES),
    st.builds(Distances, st.just("data.place"), st.floats(-90, 90), st.floats(-180, 180), BOUNDS),
)


@contextmanager
def drawn(data: st.DataObject) -> Iterator[Searched]:
    """Draw events, with something derived from each, and index them."""
    views = data.draw(strategies.views(max_size=12))
    terms: dict[int, Terms] = {
        view.index: {"native.size": len(view.event.data), "native.name": f"N {view.index % 3}"}
        for view in views
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        Searched(Path(folder), views, terms=terms) as searched,
    ):
        yield searched


def questions(data: st.DataObject, searched: Searched, count: int) -> Iterator[Expr]:
    """Draw conditions about the events."""
    about = list(searched.views.values())
    for _ in range(count):
        yield data.draw(strategies.exprs(about, max_leaves=3))


@SLOW
@given(st.data())
def test_pages_and_counts_are_what_matches(data: st.DataObject) -> None:
    refused = 0
    with drawn(data) as searched:
        for where in questions(data, searched, 10):
            wanted = [view.index for view in searched.matching(where)]
            try:
                found = searched.find(where)
            except InvalidQuery:
                refused += 1
                continue
            assert [hit.index for hit in found.hits] == wanted
            assert found.total == len(wanted)
    assert refused <= 3


@SLOW
@given(st.data())
def test_pages_are_in_the_order_asked_for(data: st.DataObject) -> None:
    with drawn(data) as searched:
        for where in (Everything(), *questions(data, searched, 3)):
            sort = data.draw(SORTS)
            offset, limit = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 6))
            wanted = searched.sorted(where, sort)
            page = searched.find(where, sort=sort, offset=offset, limit=limit)
            rows = wanted[offset : offset + limit]
            assert [hit.index for hit in page.hits] == [view.index for view in rows]
            assert [hit.position for hit in page.hits] == searched.positions(rows, sort)
            assert page.more == (len(wanted) > offset + limit)
            assert searched.walk(where, sort, limit) == [view.index for view in wanted]


@SLOW
@given(st.data())
def test_aggregates_are_those_of_plain_values(data: st.DataObject) -> None:
    with drawn(data) as searched:
        for where in (Everything(), *questions(data, searched, 3)):
            request = data.draw(AGGREGATES)
            found = searched.aggregate(request, where)
            assert_same(found, searched.worked_out(request, where))

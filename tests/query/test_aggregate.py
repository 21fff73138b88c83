"""Aggregates over plain values."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.events.event import Draft, Json, View
from tallystick.query.aggregate import (
    Aggregate,
    AggregateResult,
    Distances,
    RangeCount,
    Ranges,
    RangesResult,
    Stats,
    StatsResult,
    TimeCount,
    TimeSeries,
    TimeSeriesResult,
    TopValues,
    TopValuesResult,
    ValueCount,
    aggregate,
    moment_of,
    stats,
)
from tallystick.query.calendar import Interval, bucket_start, next_bucket
from tallystick.query.expr import Scalar
from tallystick.query.values import Values
from tallystick.times import from_rfc3339
from tests.support import strategies

HOUR = 3_600_000


def _ask(request: Aggregate, *payloads: Json) -> AggregateResult:
    views = [
        strategies.view_of(strategies.event_of(Draft(kind="k", data=data), index, 0))
        for index, data in enumerate(payloads)
    ]
    return aggregate(map(Values, views), request)


def _counts(*pairs: tuple[Scalar, int]) -> tuple[ValueCount, ...]:
    return tuple(ValueCount(value, count) for value, count in pairs)


def test_top_values_count_every_type() -> None:
    payloads: list[Json] = [
        {"x": "a"},
        {"x": ["a", "b"]},
        {"x": [1, 1.0, True]},
        {"x": None},
        {},
        {"x": [None, "b", "a"]},
    ]
    assert _ask(TopValues("data.x"), *payloads) == TopValuesResult(
        10, _counts(("a", 3), (1, 2), ("b", 2), (None, 2), (True, 1))
    )


def test_equally_frequent_values_come_in_the_order_of_sorting() -> None:
    result = _ask(TopValues("data.x"), {"x": ["b", "a", 2, 1, None, False]})
    assert isinstance(result, TopValuesResult)
    assert [entry.value for entry in result.entries] == [False, 1, 2, "a", "b", None]


def test_top_values_come_in_pages() -> None:
    payload = {"x": ["a", "a", "a", "b", "b", "c"]}
    assert _ask(TopValues("data.x", offset=1, limit=1), payload) == TopValuesResult(
        6, _counts(("b", 2))
    )
    assert _ask(TopValues("data.x", offset=9), payload) == TopValuesResult(6, ())
    assert _ask(TopValues("data.y"), payload) == TopValuesResult(0, ())


def test_statistics_of_numbers() -> None:
    result = _ask(Stats("data.x"), {"x": [1, 2, "7", True]}, {"x": 3.0}, {"x": [4, 5, None]})
    assert result == StatsResult(5, 1.0, 5.0, 3.0, 15.0, 55.0, 2.0, math.sqrt(2.0))
    assert _ask(Stats("data.x"), {"x": "1"}) == StatsResult(0)


def test_statistics_beyond_doubles_are_infinite_and_never_undefined() -> None:
    result = _ask(Stats("data.x"), {"x": [1e308, 1e308, 1e308, 10**400]})
    assert result == StatsResult(3, 1e308, 1e308, math.inf, math.inf, math.inf, math.inf, math.inf)


@given(st.lists(st.floats(-1e100, 1e100), min_size=1))
def test_statistics_agree_with_the_library(numbers: list[float]) -> None:
    result = stats(numbers)
    assert (result.min, result.max) == (min(numbers), max(numbers))
    assert result.sum == math.fsum(numbers)
    assert result.mean == pytest.approx(statistics.fmean(numbers))
    spread = max(map(abs, numbers))
    assert result.variance == pytest.approx(
        statistics.pvariance(numbers), rel=1e-6, abs=spread * spread * 1e-12
    )
    assert result.variance is not None
    assert result.std_dev == math.sqrt(result.variance)


def test_ranges_include_their_lower_bound_only() -> None:
    bounds = ((None, 10.0), (10.0, 20.0), (20.0, None), (None, None))
    result = _ask(Ranges("data.x", bounds), {"x": [9.99, 10, 19]}, {"x": [20, "15", True]})
    assert result == RangesResult(
        4,
        (
            RangeCount(None, 10.0, 1),
            RangeCount(10.0, 20.0, 2),
            RangeCount(20.0, None, 1),
            RangeCount(None, None, 4),
        ),
    )


def test_distances_are_counted_in_ranges() -> None:
    request = Distances("data.p", 0.0, 0.0, ((0.0, 1.0), (1.0, 200_000.0), (200_000.0, None)))
    places = [{"lat": 0, "lon": 0}, {"lat": 0, "lon": 1}, {"lat": 50, "lon": 0}, {"lat": "x"}]
    result = _ask(request, {"p": places}, {"p": 5})
    assert isinstance(result, RangesResult)
    assert [bucket.count for bucket in result.buckets] == [1, 1, 1]
    assert result.value_count == 3


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (5, 5),
        (5.0, 5),
        (5.5, None),
        (True, None),
        (None, None),
        ("5", None),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T00:00:01.5+00:00", 1500),
        ("1970-01-01T00:00:01", None),
        ("1970-13-01", None),
        ("yesterday!", None),
        (limits.OCCURRED_MS_MAX + 1, None),
        (limits.OCCURRED_MS_MIN, limits.OCCURRED_MS_MIN),
        ("0001-01-01", None),
        (1e300, None),
    ],
)
def test_values_that_are_times(value: Scalar, moment: int | None) -> None:
    assert moment_of(value) == moment


@pytest.mark.parametrize(
    ("interval", "start", "following"),
    [
        (Interval.YEAR, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        (Interval.QUARTER, "2024-04-01T00:00:00Z", "2024-07-01T00:00:00Z"),
        (Interval.MONTH, "2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z"),
        (Interval.WEEK, "2024-05-13T00:00:00Z", "2024-05-20T00:00:00Z"),
        (Interval.DAY, "2024-05-15T00:00:00Z", "2024-05-16T00:00:00Z"),
        (Interval.HOUR, "2024-05-15T13:00:00Z", "2024-05-15T14:00:00Z"),
    ],
)
def test_calendar_buckets(interval: Interval, start: str, following: str) -> None:
    ms = from_rfc3339("2024-05-15T13:14:15.678Z")
    assert bucket_start(ms, interval) == from_rfc3339(start)
    assert next_bucket(bucket_start(ms, interval), interval) == from_rfc3339(following)


def test_the_last_bucket_of_the_calendar_ends_beyond_every_time() -> None:
    start = bucket_start(limits.OCCURRED_MS_MAX, Interval.YEAR, 60)
    assert start == from_rfc3339("9998-12-31T23:00:00Z")
    assert next_bucket(start, Interval.YEAR, 60) > limits.OCCURRED_MS_MAX


def test_an_offset_moves_the_calendar() -> None:
    ms = from_rfc3339("2024-05-15T23:30:00Z")
    assert bucket_start(ms, Interval.DAY, 60) == from_rfc3339("2024-05-15T23:00:00Z")
    assert bucket_start(ms, Interval.DAY, -60) == from_rfc3339("2024-05-15T01:00:00Z")
    assert bucket_start(ms, Interval.HOUR, 330) == from_rfc3339("2024-05-15T23:30:00Z")


@given(
    st.integers(limits.OCCURRED_MS_MIN, limits.OCCURRED_MS_MAX),
    st.sampled_from(Interval),
    st.integers(-1440, 1440),
)
def test_every_time_lies_in_exactly_one_bucket(ms: int, interval: Interval, offset: int) -> None:
    start = bucket_start(ms, interval, offset)
    following = next_bucket(start, interval, offset)
    assert start <= ms < following
    assert bucket_start(start, interval, offset) == start
    assert bucket_start(following - 1, interval, offset) == start
    if following <= limits.OCCURRED_MS_MAX:
        assert bucket_start(following, interval, offset) == following


def test_time_series_leave_out_empty_buckets() -> None:
    result = _ask(
        TimeSeries("data.t", Interval.DAY),
        {"t": ["1970-01-03", "1970-01-01T05:00:00Z", "no time"]},
        {"t": [HOUR, 1.5]},
        {},
    )
    assert result == TimeSeriesResult(3, (TimeCount(0, 2), TimeCount(48 * HOUR, 1)))


@given(strategies.views(max_size=4), st.sampled_from(strategies.FIELDS), st.sampled_from(Interval))
def test_counts_add_up(views: list[View], field: str, interval: Interval) -> None:
    values = [Values(view) for view in views]
    top = aggregate(values, TopValues(field, limit=10_000))
    assert isinstance(top, TopValuesResult)
    assert top.value_count == sum(len(value.of(field)) for value in values)
    assert top.value_count == sum(entry.count for entry in top.entries)
    counts = [entry.count for entry in top.entries]
    assert counts == sorted(counts, reverse=True)
    numbers = aggregate(values, Stats(field))
    ranged = aggregate(values, Ranges(field, ((None, 0.0), (0.0, None))))
    assert isinstance(ranged, RangesResult)
    assert numbers.value_count == ranged.value_count == sum(b.count for b in ranged.buckets)
    times = aggregate(values, TimeSeries(field, interval))
    assert isinstance(times, TimeSeriesResult)
    assert times.value_count == sum(bucket.count for bucket in times.buckets)
    assert [b.start_ms for b in times.buckets] == sorted({b.start_ms for b in times.buckets})

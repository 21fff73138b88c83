"""Aggregates over two sets of documents, from the aggregates over each."""

from __future__ import annotations

import math
from collections import Counter

from tallystick.query.aggregate import (
    AggregateResult,
    RangesResult,
    StatsResult,
    TimeCount,
    TimeSeriesResult,
)


def joined(one: AggregateResult, other: AggregateResult) -> AggregateResult:
    """Return the aggregate over both sets; both results are of one request, not for top values."""
    match one, other:
        case StatsResult(), StatsResult():
            return _stats(one, other)
        case RangesResult(), RangesResult():
            pairs = zip(one.buckets, other.buckets, strict=True)
            buckets = tuple(a._replace(count=a.count + b.count) for a, b in pairs)
            return RangesResult(one.value_count + other.value_count, buckets)
        case TimeSeriesResult(), TimeSeriesResult():
            counts: Counter[int] = Counter()
            for start_ms, count in (*one.buckets, *other.buckets):
                counts[start_ms] += count
            series = tuple(TimeCount(start, count) for start, count in sorted(counts.items()))
            return TimeSeriesResult(counts.total(), series)
    raise AssertionError("two results of one request are of one kind")


def _stats(one: StatsResult, other: StatsResult) -> StatsResult:
    if not one.value_count or not other.value_count:
        return one if one.value_count else other
    count = one.value_count + other.value_count
    total = one.sum + other.sum
    variance = _variance(one, other)
    return StatsResult(
        value_count=count,
        min=min(_known(one.min), _known(other.min)),
        max=max(_known(one.max), _known(other.max)),
        mean=total / count,
        sum=total,
        sum_of_squares=one.sum_of_squares + other.sum_of_squares,
        variance=variance,
        std_dev=math.sqrt(variance),
    )


def _variance(one: StatsResult, other: StatsResult) -> float:
    """Return the variance of both; infinite beyond the largest double.

    Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm", 1979.
    """
    count = one.value_count + other.value_count
    apart = _known(one.mean) - _known(other.mean)
    squares = _known(one.variance) * one.value_count + _known(other.variance) * other.value_count
    between = apart * apart * (one.value_count * other.value_count / count)
    variance = (squares + between) / count
    return variance if math.isfinite(variance) else math.inf


def _known(number: float | None) -> float:
    assert number is not None, "there are numbers"
    return number

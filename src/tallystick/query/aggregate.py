"""Aggregates over events: what can be asked, what is answered, and what it means.

`aggregate` over plain values is the meaning; indexes must give the same answers. Everything counts
values, not events: a field with three values in an event counts three times, and `value_count` is
the sum. Source: wire specification of Orchestrate, section 11; nothing here is particular to it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from tallystick import limits
from tallystick.errors import Malformed
from tallystick.query.calendar import Calendar, Interval
from tallystick.query.expr import Scalar
from tallystick.query.geo import Point, distance_m
from tallystick.query.order import order_of
from tallystick.query.values import Values
from tallystick.times import from_rfc3339

Bounds = tuple[tuple[float | None, float | None], ...]
"""Buckets as (low, high): low is inside, high is not, None is an open end."""


class TopValues(msgspec.Struct, frozen=True):
    """The most frequent values: of any type, null included."""

    field: str
    offset: int = 0
    limit: int = 10


class Stats(msgspec.Struct, frozen=True):
    """Statistics of the numbers."""

    field: str


class Ranges(msgspec.Struct, frozen=True):
    """How many numbers lie in each bucket; buckets may overlap."""

    field: str
    bounds: Bounds


class Distances(msgspec.Struct, frozen=True):
    """How many places lie in each bucket of distance, in metres, from a point."""

    field: str
    latitude: float
    longitude: float
    bounds: Bounds


class TimeSeries(msgspec.Struct, frozen=True):
    """How many times lie in each calendar bucket that has any.

    `offset_minutes` says how far the calendar is ahead of UTC; at most a day. `zone` names a zone
    in its place, whose clocks may change.
    """

    field: str
    interval: Interval
    offset_minutes: int = 0
    zone: str | None = None

    @property
    def calendar(self) -> Calendar:
        """The calendar that the buckets are of."""
        return Calendar(self.interval, self.offset_minutes, self.zone)


Aggregate = TopValues | Stats | Ranges | Distances | TimeSeries


class ValueCount(NamedTuple):
    """How often a value occurs."""

    value: Scalar
    count: int  # type: ignore[assignment]  # a tuple has a method of that name


class RangeCount(NamedTuple):
    """How many values a bucket holds."""

    low: float | None
    high: float | None
    count: int  # type: ignore[assignment]  # a tuple has a method of that name


class TimeCount(NamedTuple):
    """How many times lie in the bucket that begins at `start_ms`."""

    start_ms: int
    count: int  # type: ignore[assignment]  # a tuple has a method of that name


class TopValuesResult(msgspec.Struct, frozen=True):
    """Most frequent first; equally frequent ones in the order of sorting."""

    value_count: int
    entries: tuple[ValueCount, ...]


class StatsResult(msgspec.Struct, frozen=True):
    """Population statistics; None where there is no number, infinite beyond the largest double."""

    value_count: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    sum: float = 0.0
    sum_of_squares: float = 0.0
    variance: float | None = None
    std_dev: float | None = None


class RangesResult(msgspec.Struct, frozen=True):
    """One bucket for each that was asked for, in that order; distances are answered so too."""

    value_count: int
    buckets: tuple[RangeCount, ...]


class TimeSeriesResult(msgspec.Struct, frozen=True):
    """Buckets in ascending order, without empty ones."""

    value_count: int
    buckets: tuple[TimeCount, ...]


AggregateResult = TopValuesResult | StatsResult | RangesResult | TimeSeriesResult


def aggregate(events: Iterable[Values], request: Aggregate) -> AggregateResult:
    """Return what `request` asks about the events with these values."""
    match request:
        case TopValues():
            return top_values(_counted(_values(events, request.field)), request)
        case Stats():
            return stats(_numbers(events, request.field))
        case Ranges():
            return ranges(_numbers(events, request.field), request.bounds)
        case Distances():
            return ranges(_distances(events, request), request.bounds)
    return _time_series(events, request)


def top_values(counts: Iterable[ValueCount], request: TopValues) -> TopValuesResult:
    """Return the part of all counted values that `request` asks for."""
    ordered = sorted(counts, key=lambda entry: (-entry.count, order_of(entry.value)))
    total = sum(entry.count for entry in ordered)
    page = ordered[request.offset : request.offset + request.limit]
    return TopValuesResult(total, tuple(page))


def stats(numbers: Sequence[float]) -> StatsResult:
    """Return the statistics of `numbers`."""
    count = len(numbers)
    if not count:
        return StatsResult(0)
    total = _sum(numbers)
    mean = total / count
    variance = _sum([(number - mean) * (number - mean) for number in numbers]) / count
    return StatsResult(
        value_count=count,
        min=min(numbers),
        max=max(numbers),
        mean=mean,
        sum=total,
        sum_of_squares=_sum([number * number for number in numbers]),
        variance=variance,
        std_dev=math.sqrt(variance),
    )


def ranges(numbers: Sequence[float], bounds: Bounds) -> RangesResult:
    """Return how many of `numbers` lie within each of `bounds`."""
    buckets = tuple(
        RangeCount(
            low,
            high,
            sum(
                (low is None or low <= number) and (high is None or number < high)
                for number in numbers
            ),
        )
        for low, high in bounds
    )
    return RangesResult(len(numbers), buckets)


def moment_of(value: Scalar) -> int | None:
    """Return the time that a value stands for: a whole number of ms, RFC 3339, or a date alone.

    Shape: within the years that events may happen in; None for anything else.
    """
    if isinstance(value, str):
        try:
            value = from_rfc3339(f"{value}T00:00:00Z" if len(value) == 10 else value)
        except Malformed:
            return None
    value = _plain(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if limits.OCCURRED_MS_MIN <= value <= limits.OCCURRED_MS_MAX else None


def _values(events: Iterable[Values], field: str) -> Iterator[Scalar]:
    return (value for values in events for value in values.of(field))


def _counted(values: Iterable[Scalar]) -> Iterator[ValueCount]:
    # Python holds True equal to 1; here they are two values, while 1 and 1.0 are one.
    counts = Counter((isinstance(value, bool), _plain(value)) for value in values)
    return (ValueCount(value, count) for (_, value), count in counts.items())


def _plain(value: Scalar) -> Scalar:
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


def _numbers(events: Iterable[Values], field: str) -> list[float]:
    """Return the numbers of a field that a double can hold."""
    found = []
    for value in _values(events, field):
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                found.append(float(value))
            except OverflowError:
                continue
    return found


def _distances(events: Iterable[Values], request: Distances) -> list[float]:
    centre = Point(request.latitude, request.longitude)
    return [
        distance_m(centre, place) for values in events for place in values.places(request.field)
    ]


def _time_series(events: Iterable[Values], request: TimeSeries) -> TimeSeriesResult:
    moments = (moment_of(value) for value in _values(events, request.field))
    start_of = request.calendar.start_of
    counts = Counter(start_of(ms) for ms in moments if ms is not None)
    buckets = tuple(TimeCount(start, count) for start, count in sorted(counts.items()))
    return TimeSeriesResult(counts.total(), buckets)


def _sum(numbers: Sequence[float]) -> float:
    try:
        return math.fsum(numbers)
    except OverflowError:
        return sum(numbers)

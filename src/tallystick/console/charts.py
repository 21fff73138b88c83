"""The histogram above a list: into which stretches of time events fall, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tallystick import times
from tallystick.console.questions import Asked, Questions, clause
from tallystick.identity.access import Principal, visible
from tallystick.ledger.ledger import Ledger
from tallystick.query.aggregate import (
    Ranges,
    RangesResult,
    TimeSeries,
    TimeSeriesResult,
    TopValues,
    TopValuesResult,
)
from tallystick.query.calendar import Calendar, Interval
from tallystick.query.expr import Expr, Sort
from tallystick.query.lucene import parse
from tallystick.query.question import Find

BARS_MAX = 72
GROUPS = 5
WIDTH, HEIGHT = 1000, 120
_GAP = 0.12

_SECOND, _MINUTE = 1000, 60_000
_STEPS = [
    _SECOND, 5 * _SECOND, 15 * _SECOND, 30 * _SECOND, _MINUTE, 2 * _MINUTE, 5 * _MINUTE,
    10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE,
]  # fmt: skip
_HOURS = (1, 2, 3, 6, 12)
_CALENDAR = (Interval.DAY, Interval.WEEK, Interval.MONTH, Interval.QUARTER, Interval.YEAR)
_CALENDAR_MS = (times.DAY_MS, 7 * times.DAY_MS, 30 * times.DAY_MS, 91 * times.DAY_MS)


class Bar(NamedTuple):
    """One stretch of time."""

    from_ms: int
    to_ms: int
    count: int  # type: ignore[assignment]  # a tuple has a method of that name
    parts: tuple[int, ...]
    """Of the count, how many belong to each group, the others last."""


class Piece(NamedTuple):
    """A rectangle of a bar."""

    x: float
    y: float
    width: float
    height: float
    group: int


class Chart(NamedTuple):
    """A histogram as it is drawn."""

    bars: Sequence[Bar]
    groups: Sequence[str]
    total: int
    unit: str
    highest: int
    named: int
    """Groups that are values; one more holds the others."""

    def pieces(self, at: int) -> list[Piece]:
        """Return the rectangles of one bar, from the bottom up."""
        bar, width = self.bars[at], WIDTH / len(self.bars)
        top, found = float(HEIGHT), []
        for group, count in enumerate(bar.parts):
            if count:
                height = max(1.5, count / self.highest * (HEIGHT - 4))
                top -= height
                found.append(
                    Piece(
                        round(at * width + width * _GAP / 2, 2), round(max(0.0, top), 2),
                        round(width * (1 - _GAP), 2), round(height, 2), group,
                    )
                )  # fmt: skip
        return found


class Charts:
    """Makes histograms of what is asked for."""

    def __init__(self, ledger: Ledger, questions: Questions) -> None:
        self._ledger = ledger
        self._questions = questions

    def chart(
        self, principal: Principal, asked: Asked, zone: ZoneInfo, now_ms: int
    ) -> Chart | None:
        """Return the histogram; None where no event is found.

        Raises: InvalidQuery, FollowerBehind.
        """
        where = self._questions.where(principal, asked)
        span = self._span(principal, asked, where, now_ms)
        if span is None:
            return None
        edges, unit = edges_of(*span, zone)
        groups, conditions = self._groups(principal, asked, where)
        counts = self._counts(principal, asked, where, edges, unit, zone)
        parts = [
            self._counts(
                principal, asked, self._questions.where(principal, asked, one), edges, unit, zone
            )
            for one in conditions
        ]
        bars = [
            Bar(low, high, counts[at], _parts(counts[at], [part[at] for part in parts]))
            for at, (low, high) in enumerate(pairwise(edges))
        ]
        if parts and any(bar.parts[-1] for bar in bars):
            groups = [*groups, "other"]
        return Chart(bars, groups, sum(counts), unit, max(counts, default=1) or 1, len(parts))

    def _span(
        self, principal: Principal, asked: Asked, where: Expr, now_ms: int
    ) -> tuple[int, int] | None:
        """Return the first and the last moment to draw."""
        low = asked.from_ms
        if low is None:
            low = self._end(principal, asked, where, descending=False)
        high = asked.to_ms or (now_ms if asked.range else None)
        if high is None:
            last = self._end(principal, asked, where, descending=True)
            high = None if last is None else last + 1
        return None if low is None or high is None else (low, max(high, low + 1))

    def _end(
        self, principal: Principal, asked: Asked, where: Expr, *, descending: bool
    ) -> int | None:
        sort = (Sort("occurred_ms", descending=descending),)
        question = Find(where=where, over=asked.over, sort=sort, limit=1)
        page = self._ledger.find(principal.tenant, question, visible(principal))
        return page.views[0].first.occurred_ms if page.views else None

    def _groups(
        self, principal: Principal, asked: Asked, where: Expr
    ) -> tuple[list[str], list[Expr]]:
        if not asked.group:
            return [], []
        fields = self._questions.fields(principal)
        request = TopValues(fields.named(asked.group), limit=GROUPS)
        question = Find(where=where, over=asked.over, limit=0)
        (result,) = self._ledger.aggregate(
            principal.tenant, question, [request], visible(principal)
        )
        assert isinstance(result, TopValuesResult)
        values = [value for value, _ in result.entries]
        names = ["(none)" if value is None else str(value) for value in values]
        pieces = [clause(asked.group, value) for value in values]
        return names, [parse(piece, fields, default_operator="and") for piece in pieces]

    def _counts(
        self,
        principal: Principal,
        asked: Asked,
        where: Expr,
        edges: Sequence[int],
        unit: str,
        zone: ZoneInfo,
    ) -> list[int]:
        """Return how many events lie between each two edges."""
        question = Find(where=where, over=asked.over, limit=0)
        by_calendar = unit in {each.value for each in Interval}
        interval = Interval(unit) if by_calendar else Interval.HOUR
        request: TimeSeries | Ranges = TimeSeries("occurred_ms", interval, zone=zone.key)
        if not by_calendar and not unit.endswith("hours"):
            bounds = tuple((float(low), float(high)) for low, high in pairwise(edges))
            request = Ranges("occurred_ms", bounds)
        (result,) = self._ledger.aggregate(
            principal.tenant, question, [request], visible(principal)
        )
        if isinstance(result, RangesResult):
            return [bucket.count for bucket in result.buckets]
        assert isinstance(result, TimeSeriesResult)
        return _merged(result, edges)


def edges_of(from_ms: int, to_ms: int, zone: ZoneInfo) -> tuple[list[int], str]:
    """Return the edges between bars, the finest that are not too many, and what is between two."""
    span = to_ms - from_ms
    for step in _STEPS:
        if span / step <= BARS_MAX:
            return _even(
                from_ms, to_ms, step
            ), f"{step // _SECOND} s" if step < _MINUTE else f"{step // _MINUTE} min"
    for hours in _HOURS:
        if span / (hours * times.HOUR_MS) <= BARS_MAX:
            start = Calendar(Interval.DAY, 0, zone.key).start_of(from_ms)
            edges = _even(from_ms, to_ms, hours * times.HOUR_MS, start)
            return edges, "hour" if hours == 1 else f"{hours} hours"
    for interval, least_ms in zip(_CALENDAR, _CALENDAR_MS, strict=False):
        if span / least_ms <= BARS_MAX:
            return _calendar(from_ms, to_ms, interval, zone), interval.value
    return _calendar(from_ms, to_ms, Interval.YEAR, zone), Interval.YEAR.value


def _even(from_ms: int, to_ms: int, step: int, start: int = 0) -> list[int]:
    first = start + (from_ms - start) // step * step
    count = -(-(to_ms - first) // step)
    return [first + n * step for n in range(count + 1)]


def _calendar(from_ms: int, to_ms: int, interval: Interval, zone: ZoneInfo) -> list[int]:
    calendar = Calendar(interval, 0, zone.key)
    edges = [calendar.start_of(from_ms)]
    while edges[-1] < to_ms and len(edges) < 10_000:
        edges.append(calendar.bounds(edges[-1])[1])
    return edges


def _merged(result: TimeSeriesResult, edges: Sequence[int]) -> list[int]:
    counts, at = [0] * (len(edges) - 1), 0
    for start, count in result.buckets:
        while at < len(counts) - 1 and start >= edges[at + 1]:
            at += 1
        counts[at] += count
    return counts


def _parts(count: int, grouped: Sequence[int]) -> tuple[int, ...]:
    # An event with several values of a field belongs to several groups.
    return (*grouped, max(0, count - sum(grouped))) if grouped else (count,)

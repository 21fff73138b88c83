"""Aggregates: the clauses that ask for them, and their results as this API tells them. Pure.

    field:stats   field:top_values[:offset:N:limit:N]   field:range:*~1:1~2:2~*
    field:distance:0~1:1~*   field:time_series:day[:+0900]

Source: wire specification, section 11. Labels of time series other than days are ours: that
document knows none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tallystick.dialects.orchestrate.errors import Refusal
from tallystick.dialects.orchestrate.query import field_of
from tallystick.errors import UnsupportedField
from tallystick.events.event import Json
from tallystick.query.aggregate import (
    Aggregate,
    AggregateResult,
    Bounds,
    Distances,
    Ranges,
    RangesResult,
    Stats,
    StatsResult,
    TimeSeries,
    TimeSeriesResult,
    TopValues,
    TopValuesResult,
)
from tallystick.query.calendar import Interval
from tallystick.query.expr import Near
from tallystick.query.lucene.geo import METRES
from tallystick.query.lucene.scanner import number_of

CLAUSES_MAX = 20
"""Aggregates of one search."""

BUCKETS_MAX = 100
"""Buckets of one range or distance aggregate."""

ENTRIES_MAX = 1_000
"""Values that one top_values aggregate may show, and skip."""

_OPEN = "*"
_INTERVALS = tuple(interval.value for interval in Interval)
_ZONE = re.compile(r"[ +-](\d{2}):?(\d{2})\Z", re.ASCII)
_ZONE_MINUTES_MAX = 18 * 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AggregateClause(NamedTuple):
    """One aggregate that was asked for, with what its answer repeats of the question."""

    field: str
    kind: str
    request: Aggregate
    metres: float = 1.0
    """Metres in the unit of a distance aggregate."""
    zone: str | None = None


def parse_aggregates(text: str | None, near: Near | None) -> list[AggregateClause]:
    """Return the aggregates that a parameter asks for.

    Raises: Refusal search_param_invalid.
    """
    clauses = [clause for clause in (text or "").split(",") if clause.strip()]
    if len(clauses) > CLAUSES_MAX:
        raise _invalid(text or "", f"{CLAUSES_MAX} aggregates at most")
    return [_clause(clause.strip(), near) for clause in clauses]


def tell(clauses: Sequence[AggregateClause], results: Sequence[AggregateResult]) -> list[Json]:
    """Return results in the order they were asked for."""
    return [
        {
            "aggregate_kind": clause.kind,
            "field_name": clause.field,
            "value_count": result.value_count,
            **_told(clause, result),
        }
        for clause, result in zip(clauses, results, strict=True)
    ]


def _clause(text: str, near: Near | None) -> AggregateClause:
    name, _, rest = text.partition(":")
    kind, _, arguments = rest.partition(":")
    try:
        field = field_of(name)
    except UnsupportedField as error:
        raise _invalid(text, error.message) from None
    given = [argument for argument in arguments.split(":") if argument]
    match kind:
        case "stats":
            return AggregateClause(name, kind, Stats(field))
        case "top_values":
            return AggregateClause(name, kind, _top_values(text, field, given))
        case "range":
            return AggregateClause(name, kind, Ranges(field, _bounds(text, given, 1.0)))
        case "distance":
            return _distance(text, name, field, given, near)
        case "time_series":
            return _time_series(text, name, field, given)
    raise _invalid(text, "an aggregate is a field, a colon and what to tell of it")


def _top_values(text: str, field: str, given: list[str]) -> TopValues:
    # A client that loses its arguments sends the name of the first without a number.
    pairs = dict(zip(given[::2], given[1::2], strict=False))
    offset, limit = pairs.pop("offset", "0"), pairs.pop("limit", "10")
    if pairs or not all(_is_small(number) for number in (offset, limit)):
        raise _invalid(text, f"offset and limit are numbers up to {ENTRIES_MAX}")
    return TopValues(field, int(offset), int(limit))


def _is_small(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= ENTRIES_MAX


def _bounds(text: str, given: list[str], factor: float) -> Bounds:
    if not 0 < len(given) <= BUCKETS_MAX:
        raise _invalid(text, f"1 to {BUCKETS_MAX} buckets such as 1~2")
    bounds: list[tuple[float | None, float | None]] = []
    for bucket in given:
        low, tilde, high = bucket.partition("~")
        if not tilde:
            raise _invalid(text, f"{bucket!r} is no bucket; write it like 1~2 or *~1")
        bounds.append((_bound(text, low, factor), _bound(text, high, factor)))
    return tuple(bounds)


def _bound(text: str, bound: str, factor: float) -> float | None:
    if bound == _OPEN:
        return None
    number = number_of(bound)
    if number is None:
        raise _invalid(text, f"{bound!r} is no number")
    return float(number) * factor


def _distance(
    text: str, name: str, field: str, given: list[str], near: Near | None
) -> AggregateClause:
    if near is None:
        raise _invalid(text, "a distance needs a NEAR in the query")
    metres = METRES[near.unit]
    request = Distances(field, near.latitude, near.longitude, _bounds(text, given, metres))
    return AggregateClause(name, "distance", request, metres)


def _time_series(text: str, name: str, field: str, given: list[str]) -> AggregateClause:
    if not given or given[0] not in _INTERVALS:
        raise _invalid(text, f"a time series is by {', '.join(_INTERVALS)}")
    zone = ":".join(given[1:]) or None
    minutes = 0
    if zone is not None:
        match = _ZONE.match(zone)
        minutes = int(match[1]) * 60 + int(match[2]) if match else _ZONE_MINUTES_MAX + 1
        if minutes > _ZONE_MINUTES_MAX:
            raise _invalid(text, "a time zone is written like +0900")
        # A plus sign that nobody encoded arrives as a blank.
        zone = zone.replace(" ", "+")
        minutes = -minutes if zone.startswith("-") else minutes
    request = TimeSeries(field, Interval(given[0]), minutes)
    return AggregateClause(name, "time_series", request, zone=zone)


def _told(clause: AggregateClause, result: AggregateResult) -> Json:
    match result:
        case StatsResult():
            names = ("min", "max", "mean", "sum", "sum_of_squares", "variance", "std_dev")
            return {"statistics": {name: getattr(result, name) for name in names}}
        case TopValuesResult():
            assert isinstance(clause.request, TopValues)
            entries = [{"value": e.value, "count": e.count} for e in result.entries]
            return {
                "offset": clause.request.offset,
                "limit": clause.request.limit,
                "entries": entries,
            }
        case RangesResult():
            return {"buckets": [_bucket(b, clause.metres) for b in result.buckets]}
        case TimeSeriesResult():
            return _told_series(clause, result)


def _bucket(bucket: tuple[float | None, float | None, int], metres: float) -> Json:
    low, high, count = bucket
    told: Json = {}
    if low is not None:
        told["min"] = low / metres
    if high is not None:
        told["max"] = high / metres
    return {**told, "count": count}


def _told_series(clause: AggregateClause, result: TimeSeriesResult) -> Json:
    request = clause.request
    assert isinstance(request, TimeSeries)
    told: Json = {"interval": request.interval.value}
    if clause.zone is not None:
        told["time_zone"] = clause.zone
    ahead = timedelta(minutes=request.offset_minutes)
    told["buckets"] = [
        {"bucket": _label(_EPOCH + timedelta(milliseconds=b.start_ms) + ahead, request.interval),
         "count": b.count}
        for b in result.buckets
    ]  # fmt: skip
    return told


def _label(start: datetime, interval: Interval) -> str:
    match interval:
        case Interval.YEAR:
            return f"{start:%Y}".zfill(4)
        case Interval.QUARTER:
            return f"{start.year:04d}-Q{(start.month + 2) // 3}"
        case Interval.MONTH:
            return f"{start.year:04d}-{start.month:02d}"
        case Interval.WEEK:
            year, week, _ = start.isocalendar()
            return f"{year:04d}-W{week:02d}"
        case Interval.DAY:
            return start.date().isoformat()
        case Interval.HOUR:
            return f"{start.date().isoformat()}T{start.hour:02d}"


def _invalid(text: str, info: str) -> Refusal:
    return Refusal("search_param_invalid", {"aggregate": text[:128], "info": info})

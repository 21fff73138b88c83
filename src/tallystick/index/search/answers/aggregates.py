"""Aggregates over what a question selects, as `query.aggregate` means them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tallystick import limits
from tallystick.index.search import queries, terms
from tallystick.index.search.answers.columns import within
from tallystick.index.search.answers.counting import (
    TIMES,
    UNINDEXED,
    Long,
    counted,
    read_values,
    resolved,
    with_others,
)
from tallystick.index.search.answers.joining import joined
from tallystick.index.search.documents.encoder import NUMBER
from tallystick.index.search.queries import Query
from tallystick.index.search.selection import Selector
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
)
from tallystick.query.calendar import Buckets, Interval
from tallystick.query.expr import Scalar
from tallystick.query.order import order_of
from tallystick.query.values import Values
from tallystick.times import DAY_MS, HOUR_MS

_DATE_CHARS = 8
_QUARTER_MS = HOUR_MS // 4


def aggregate_of(
    selector: Selector, query: Query, request: Aggregate, others: Sequence[Values] = ()
) -> AggregateResult:
    """Return what `request` asks about the documents that match.

    `others` are the values of documents that are not in the index and match, too.
    Raises: InvalidQuery for what would take too much work.
    """
    match request:
        case TopValues():
            return _top_values(selector, query, request, others)
        case _ if others:
            return joined(aggregate_of(selector, query, request), aggregate(others, request))
        case Stats():
            return _stats(selector, query, request)
        case Ranges():
            return _ranges(selector, query, request)
        case TimeSeries() if request.field in TIMES:
            return _calendar(selector, query, request)
        case TimeSeries():
            return _time_series(selector, query, request)
        case Distances():
            return _read(selector, query, request)


def _read(selector: Selector, query: Query, request: Aggregate) -> AggregateResult:
    """Work an aggregate out over events that are read."""
    return aggregate(read_values(selector, query, request.field, "this about"), request)


# Top values


def _top_values(
    selector: Selector, query: Query, request: TopValues, others: Sequence[Values]
) -> TopValuesResult:
    end = request.offset + request.limit
    hits = counted(selector, query, request.field, None if others else end)
    if others:
        hits = with_others(selector.corpus, hits, request.field, others)
    values, longs, total = hits
    rows: list[_Ranked] = [(_rank(value, count), (value, count)) for value, count in values]
    rows += [(_rank(long.lead, count), (long, count)) for long, count in longs]
    rows.sort(key=lambda row: row[0])
    page = rows[request.offset : end]
    if not page:
        return TopValuesResult(total, ())
    # Only long strings that rank with the page have to be read to be put in order.
    first, last = page[0][0], page[-1][0]
    before = sum(rank < first for rank, _ in rows)
    among = [row for rank, row in rows if first <= rank <= last]
    found = [ValueCount(value, count) for value, count in among if not isinstance(value, Long)]
    unread = [(value, count) for value, count in among if isinstance(value, Long)]
    read = resolved(selector, query, request.field, unread)
    found += [ValueCount(value, count) for value, count in read]
    found.sort(key=lambda entry: (-entry.count, order_of(entry.value)))
    start = request.offset - before
    return TopValuesResult(total, tuple(found[start : start + request.limit]))


_Ranked = tuple[tuple[object, ...], tuple[Scalar | Long, int]]


def _rank(value: object, count: int) -> tuple[object, ...]:
    """Return where a value comes, as far as the first characters of a string tell."""
    text = value[: terms.LEAD_CHARS] if isinstance(value, str) else value
    return (-count, order_of(text))  # type: ignore[arg-type]  # a plain value


# Numbers


def _column(selector: Selector, field: str) -> str | None:
    """Return the column of a field's numbers; None if it has none."""
    path = selector.corpus.path(field)
    if field in TIMES:
        return TIMES[field]
    return None if path is None or path >= limits.SEARCH_COLUMNS else f"{NUMBER}{path}"


def _has_unlisted(selector: Selector, query: Query, field: str) -> bool:
    """Tell whether some numbers of a field are in no column."""
    corpus = selector.corpus
    path = corpus.path(field)
    if field in UNINDEXED or path is None:
        return field in UNINDEXED or corpus.unknown(field).upper is not False
    unlisted = corpus.marked(terms.UNLISTED_NUMBER, path)
    return unlisted is not False and corpus.snapshot.count(within(query, unlisted)) > 0


def _stats(selector: Selector, query: Query, request: Stats) -> AggregateResult:
    column = _column(selector, request.field)
    if request.field not in TIMES and _has_unlisted(selector, query, request.field):
        return _read(selector, query, request)
    if column is None:
        return StatsResult(0)
    found = selector.corpus.snapshot.statistics(query, column)
    if not found["count"]:
        return StatsResult(0)
    total, squares, variance = (
        # What grew beyond all doubles comes as nothing.
        math.inf if number is None or not math.isfinite(number) else number
        for number in (found["sum"], found["sum_of_squares"], found["variance"])
    )
    if math.inf in (total, squares, variance):
        count = selector.corpus.snapshot.count(query)
        if count <= limits.SEARCH_CANDIDATES:
            return _read(selector, query, request)
    return StatsResult(
        value_count=int(found["count"]),
        min=found["min"],
        max=found["max"],
        mean=total / found["count"],
        sum=total,
        sum_of_squares=squares,
        variance=variance,
        std_dev=math.sqrt(variance),
    )


def _ranges(selector: Selector, query: Query, request: Ranges) -> AggregateResult:
    corpus, field = selector.corpus, request.field
    if field not in TIMES and _has_unlisted(selector, query, field):
        return _read(selector, query, request)
    column = _column(selector, field)
    if column is None:
        return RangesResult(0, tuple(RangeCount(low, high, 0) for low, high in request.bounds))
    path = corpus.path(field)
    several = False if path is None else corpus.marked(terms.SEVERAL, path)
    single = within(query, queries.none_of(several))
    bounds = [_ends(low, high, whole=field in TIMES) for low, high in request.bounds]
    total, counts = corpus.snapshot.range_counts(single, column, bounds)
    if several is not False:
        others = _read(selector, within(query, several), request)
        assert isinstance(others, RangesResult), "ranges were asked for"
        total += others.value_count
        counts = [a + b.count for a, b in zip(counts, others.buckets, strict=True)]
    buckets = zip(request.bounds, counts, strict=True)
    return RangesResult(total, tuple(RangeCount(*ends, count) for ends, count in buckets))


def _ends(
    low: float | None, high: float | None, *, whole: bool
) -> tuple[float | None, float | None]:
    """Return the ends of a bucket as the index takes them; `whole` if its numbers are integers."""
    if any(end is not None and math.isnan(end) for end in (low, high)):
        return (0, 0)
    if low == math.inf or high == -math.inf or (None not in (low, high) and low >= high):  # type: ignore[operator]  # both are there
        return (0, 0)
    ends = [None if end is None or math.isinf(end) else end for end in (low, high)]
    if whole:
        ends = [None if end is None else float(math.ceil(end)) for end in ends]
    return (ends[0], ends[1])


# Times


def _time_series(selector: Selector, query: Query, request: TimeSeries) -> TimeSeriesResult:
    """Count the times in a payload field, value by value."""
    values, longs, _ = counted(selector, query, request.field)
    dates = [(long, count) for long, count in longs if _may_be_date(long.lead)]
    values += resolved(selector, query, request.field, dates)
    moments = ((moment_of(value), count) for value, count in values)
    return _series([(ms, count) for ms, count in moments if ms is not None], request)


def _may_be_date(lead: str) -> bool:
    return lead[:4].isdecimal() and lead[4:5] == "-" and len(lead) == _DATE_CHARS


def _series(moments: Iterable[tuple[int, int]], request: TimeSeries) -> TimeSeriesResult:
    counts: Counter[int] = Counter()
    buckets = Buckets(request.calendar)
    for ms, count in moments:
        counts[buckets.of(ms)[0]] += count
    series = tuple(TimeCount(start, count) for start, count in sorted(counts.items()))
    return TimeSeriesResult(counts.total(), series)


def _calendar(selector: Selector, query: Query, request: TimeSeries) -> TimeSeriesResult:
    """Count events by hour or by day, as the index can, and join days to what was asked for."""
    if request.zone is not None:
        return _series(_quarters(selector, query, request), request)
    width = HOUR_MS if request.interval is Interval.HOUR else DAY_MS
    offset = -request.offset_minutes * 60_000 % width
    found = _histogram(selector, query, TIMES[request.field], (width, offset))
    return _series(found, request)


def _quarters(selector: Selector, query: Query, request: TimeSeries) -> Iterator[tuple[int, int]]:
    """Count events by quarter of an hour, and apart where a bucket ends inside one.

    Zones of our days change on the quarter; those of the nineteenth century did not.
    """
    column, buckets = TIMES[request.field], Buckets(request.calendar)
    for start, count in _histogram(selector, query, column, (_QUARTER_MS, 0)):
        last = start + _QUARTER_MS - 1
        while (end := buckets.of(start)[1]) <= last:
            part = within(query, queries.between(column, start, end - 1))
            before = selector.corpus.snapshot.count(part)
            yield start, before
            start, count = end, count - before
        yield start, count


def _histogram(
    selector: Selector,
    query: Query,
    column: str,
    grid: tuple[int, int],
    span: tuple[int, int] = (limits.OCCURRED_MS_MIN, limits.OCCURRED_MS_MAX),
) -> list[tuple[int, int]]:
    """Return the buckets of a grid that have documents, in halves if they are very many."""
    width, offset = grid
    found = selector.corpus.snapshot.histogram(query, column, width, offset)
    if found is not None:
        return found
    low, high = span
    middle = ((low + high) // 2 - offset) // width * width + offset
    earlier = within(query, queries.between(column, low, middle - 1))
    later = within(query, queries.between(column, middle, high))
    return [
        *_histogram(selector, earlier, column, grid, (low, middle - 1)),
        *_histogram(selector, later, column, grid, (middle, high)),
    ]

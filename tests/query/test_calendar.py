"""Calendars in zones: days of 23 and 25 hours, midnights that are skipped or come twice."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.errors import Malformed
from tallystick.query.calendar import Buckets, Calendar, Interval, check_zone
from tallystick.times import HOUR_MS, from_rfc3339

ZONES = (
    "Europe/Oslo", "America/New_York", "America/St_Johns", "America/Sao_Paulo", "America/Havana",
    "Asia/Kathmandu", "Pacific/Apia", "Pacific/Kwajalein", "Australia/Lord_Howe",
    "Africa/Monrovia", "UTC",
)  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "interval", "at", "start", "end"),
    [
        (
            "America/New_York", "day", "2025-03-09T04:30:00Z",
            "2025-03-08T05:00:00Z", "2025-03-09T05:00:00Z",
        ),
        (
            "America/New_York", "day", "2025-03-10T03:59:59Z",
            "2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z",
        ),
        (
            "America/New_York", "day", "2025-11-02T12:00:00Z",
            "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z",
        ),
        (
            "America/New_York", "month", "2025-03-15T00:00:00Z",
            "2025-03-01T05:00:00Z", "2025-04-01T04:00:00Z",
        ),
        (
            "Europe/Oslo", "week", "2025-03-30T12:00:00Z",
            "2025-03-23T23:00:00Z", "2025-03-30T22:00:00Z",
        ),
        (
            "America/Sao_Paulo", "day", "2018-11-04T12:00:00Z",
            "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z",
        ),
        (
            "Pacific/Apia", "day", "2011-12-30T10:00:00Z",
            "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z",
        ),
        (
            "America/St_Johns", "day", "2010-11-07T03:00:00Z",
            "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z",
        ),
        (
            "Asia/Kathmandu", "hour", "2025-01-01T00:00:00Z",
            "2024-12-31T23:15:00Z", "2025-01-01T00:15:00Z",
        ),
        (
            "Australia/Lord_Howe", "hour", "2025-04-05T15:10:00Z",
            "2025-04-05T15:00:00Z", "2025-04-05T15:30:00Z",
        ),
        (
            "Europe/Oslo", "year", "2024-12-31T23:30:00Z",
            "2024-12-31T23:00:00Z", "2025-12-31T23:00:00Z",
        ),
    ],
)  # fmt: skip
def test_buckets_of_a_zone(zone: str, interval: str, at: str, start: str, end: str) -> None:
    calendar = Calendar(Interval(interval), zone=zone)
    assert calendar.bounds(from_rfc3339(at)) == (from_rfc3339(start), from_rfc3339(end))


@given(
    st.sampled_from(ZONES),
    st.sampled_from(Interval),
    st.integers(from_rfc3339("1840-01-01T00:00:00Z"), from_rfc3339("2060-01-01T00:00:00Z")),
)
@example("America/St_Johns", Interval.DAY, from_rfc3339("2010-11-07T03:00:00Z"))
def test_buckets_follow_each_other_without_gap(zone: str, interval: Interval, ms: int) -> None:
    calendar = Calendar(interval, zone=zone)
    start, end = calendar.bounds(ms)
    assert start <= ms < end
    assert calendar.start_of(start) == start
    assert calendar.start_of(end - 1) == start
    assert calendar.start_of(end) == end
    buckets = Buckets(calendar)
    for moment in (ms, end, start, ms + HOUR_MS, ms - HOUR_MS):
        found = buckets.of(moment)
        assert found == calendar.bounds(moment)


def test_a_day_that_was_lived_twice_ends_after_each_of_its_moments() -> None:
    calendar = Calendar(Interval.DAY, zone="America/Juneau")
    for hour in range(96):
        ms = from_rfc3339("1867-10-17T00:00:00Z") + hour * HOUR_MS
        start, end = calendar.bounds(ms)
        assert start <= ms < end


@pytest.mark.parametrize(
    "name", ["", "Oslo", "europe/oslo", "../etc/passwd", "Europe", "Europe/Oslo\0", "+02:00"]
)
def test_unknown_zones_are_refused_by_name(name: str) -> None:
    with pytest.raises(Malformed) as caught:
        check_zone(name, "time_zone")
    assert caught.value.path == "time_zone"

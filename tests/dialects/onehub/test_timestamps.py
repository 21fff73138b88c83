"""Times of Onehub: RFC 2822 and its traps, and the reader's zone."""

from __future__ import annotations

import contextlib
import email.utils
from datetime import UTC, datetime, timedelta, timezone
from string import ascii_letters
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.onehub import timestamps
from tallystick.errors import Malformed
from tallystick.times import to_ms

PACIFIC = ZoneInfo("America/Los_Angeles")
AT = datetime(2016, 1, 18, 11, 16, 53, tzinfo=UTC)


def ms_of(text: str) -> int:
    return timestamps.parse(text, PACIFIC, "start_time").ms


@pytest.mark.row("H-8")
@pytest.mark.resolution("onehub-O3")
@pytest.mark.parametrize(
    ("text", "hours_west"),
    [
        ("Mon, 18 Jan 2016 11:16:53 -0800", 8),
        ("Mon, 18 Jan 2016 11:16:53 +0530", -5.5),
        ("Mon, 18 Jan 2016 11:16:53 +00:00", 0),
        ("Mon, 18 Jan 2016 11:16:53 -0000", 0),
        ("Mon, 18 Jan 2016 11:16:53 GMT", 0),
        ("Mon, 18 Jan 2016 11:16:53 ut", 0),
        ("Mon, 18 Jan 2016 11:16:53 EST", 5),
        ("Mon, 18 Jan 2016 11:16:53 PDT", 7),
        ("Mon, 18 Jan 2016 11:16:53", 8),
        ("18 Jan 2016 11:16:53", 8),
        ("Fri, 18 Jan 2016 11:16:53", 8),
        ("Mon, 18 Jan 16 11:16:53 -0000", 0),
        ("Mon, 18 Jan 116 11:16:53 -0000", 0),
        ("Mon, 18 January 2016 11:16:53 -0000", 0),
        ("Mon (a (day) of), 18 Jan 2016 11:16:53 (noon\\)) -0000 (UTC)", 0),
        ("(a)Mon(b),(c)18(d)Jan(e)2016(f)11(g):(h)16(i):(j)53(k)-0800(l)", 8),
        ("Mon , 18 Jan 2016 11 : 16 : 53 -0800", 8),
        ("Mon,\r\n 18 Jan 2016\r\n\t11:16:53 -0800", 8),
        ("Mon, 18 Jan 2016 11:16:53(before noon)EST", 5),
        ("Mon, 18 Jan 2016 11:16:53 XYZ", 0),
        ("Mon, 18 Jan 2016 11:16:53 CEST", 0),
        *((f"Mon, 18 Jan 2016 11:16:53 {letter}", 0) for letter in ascii_letters),
        ("Mon, 18 Jan 2016 11:16:53  0000", 0),
        ("Mon, 18 Jan 2016 11:16:53 0530", -5.5),
        ("2016-01-18T11:16:53Z", 0),
        ("2016-01-18T11:16:53", 8),
        ("2016-01-18 11:16:53 -0800", 8),
        ("2016-01-18T11:16:53 08:00", -8),
        ("2016-01-18T11:16:53+08:00", -8),
    ],
)
def test_a_zone_is_honoured_and_the_users_own_is_meant_without_one(
    text: str, hours_west: float
) -> None:
    assert ms_of(text) == to_ms(AT + timedelta(hours=hours_west))


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("Mon, 18 Jan 2016 11:16:53 GMT", 999),
        ("2016-01-18T11:16:53Z", 999),
        ("2016-01-18T11:16:53.25Z", 250),
        ("2016-01-18T11:16:53,2509Z", 250),
    ],
)
def test_a_whole_second_is_meant_to_its_end(text: str, last: int) -> None:
    assert timestamps.parse(text, UTC, "end_time").last_ms == to_ms(AT) + last


def test_seconds_may_be_left_out() -> None:
    found = timestamps.parse("Mon, 18 Jan 2016 11:16 GMT", UTC, "end_time")
    assert found == (to_ms(AT.replace(second=0)), to_ms(AT.replace(second=0)) + 999)


def test_a_leap_second_is_the_next_minute() -> None:
    assert ms_of("Sat, 31 Dec 2016 23:59:60 GMT") == to_ms(datetime(2017, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    ["Sat, 31 Dec 2016 23:58:60 GMT", "Mon, 18 Jan 2016 11:16:60 GMT", "Mon, 1٨ Jan 2016 11:16:53"],
)
def test_rows_28_and_29_no_leap_second_elsewhere_and_no_other_digits(text: str) -> None:
    with pytest.raises(Malformed):
        timestamps.parse(text, UTC, "end_time")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        # Both half past ones of the autumn night: the first is meant.
        ("Sun, 6 Nov 2016 01:30:00", datetime(2016, 11, 6, 8, 30, tzinfo=UTC)),
        # There is no half past two in that spring night.
        ("Sun, 13 Mar 2016 02:30:00", datetime(2016, 3, 13, 10, 30, tzinfo=UTC)),
        ("Sun, 10 Jul 2016 12:00:00", datetime(2016, 7, 10, 19, 0, tzinfo=UTC)),
    ],
)
def test_daylight_saving_is_that_of_the_date(text: str, instant: datetime) -> None:
    assert ms_of(text) == to_ms(instant)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "Mon, 18 Jan",
        "Mon, 32 Jan 2016 11:16:53 GMT",
        "Mon, 18 Foo 2016 11:16:53 GMT",
        "Mon, 18 Jan 2016 24:16:53 GMT",
        "Mon, 18 Jan 2016 11:16:53 Europe/Oslo",
        "Mon, 18 Jan 2016 11:16:53 GMT+1",
        "Mon, 18 Jan 2016 11:16:53 PST PDT",
        "Mon, 18 Jan 2016 11:1(no token ends here)6:53 GMT",
        "Mon, 18 Jan 2016 11:16:53 (never closed GMT",
        "Mon, 18 Jan 2016 11:16:53 +2460",
        "Mon, 18 Jan 2016 11:16:53 +9900",
        "Mon, 18 Jan 2016 11:16:53 +0000 and more",
        "2016-01-18",
        "0000-01-18T11:16:53Z",
        "1453144613",
        "Mon, 18 Jan ٢٠١٦ 11:16:53 GMT",
        "(" * 300,
    ],
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(Malformed) as refusal:
        timestamps.parse(text, UTC, "end_time")
    assert refusal.value.path == "end_time"


@given(
    st.datetimes(
        min_value=datetime(1970, 1, 1),  # hypothesis adds the zone
        max_value=datetime(2100, 1, 1),
        timezones=st.integers(-719, 719).map(lambda m: timezone(timedelta(minutes=m))),
    )
)
def test_what_the_standard_library_writes_is_read_alike(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert ms_of(email.utils.format_datetime(moment)) == to_ms(moment)
    assert ms_of(moment.isoformat()) == to_ms(moment)


@given(st.text(max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(Malformed):
        timestamps.parse(text, PACIFIC, "start_time")


@pytest.mark.row("H-15")
@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2016, 1, 18, 19, 16, 53, 700_000, tzinfo=UTC), "2016-01-18T11:16:53-08:00"),
        (datetime(2016, 5, 18, 19, 16, 53, tzinfo=UTC), "2016-05-18T12:16:53-07:00"),
        (datetime(1969, 12, 31, 23, 59, 59, 1000, tzinfo=UTC), "1969-12-31T15:59:59-08:00"),
        # Local mean time was 7 h 52 min 58 s behind Greenwich.
        (datetime(1880, 1, 1, 12, tzinfo=UTC), "1880-01-01T04:07:00-07:53"),
        (datetime(900, 1, 1, 12, tzinfo=UTC), "0900-01-01T04:07:00-07:53"),
    ],
)
def test_times_are_shown_in_the_readers_zone(moment: datetime, shown: str) -> None:
    assert timestamps.render(to_ms(moment), PACIFIC) == shown


def test_a_reader_in_utc_sees_an_offset_too() -> None:
    assert timestamps.render(to_ms(AT) + 700, UTC) == "2016-01-18T11:16:53+00:00"


@given(
    st.integers(-62_104_060_800_000, 253_370_764_799_999),
    st.sampled_from(["UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Kiritimati"]),
)
def test_what_is_shown_names_the_second_of_the_event(ms: int, name: str) -> None:
    shown = timestamps.render(ms, timestamps.zone_named(name))
    assert timestamps.parse(shown, PACIFIC, "updated_at").ms == ms // 1000 * 1000


def test_an_unknown_zone_is_utc() -> None:
    assert timestamps.zone_named("Mars/Olympus") is UTC
    assert timestamps.zone_named("../etc/passwd") is UTC

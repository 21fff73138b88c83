"""Every spelling of a time that the wire specification lists, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits, times
from tallystick.dialects.orchestrate import timestamps
from tallystick.errors import Malformed

MS = 1_397_070_000_000
"""2014-04-09T19:00:00Z"""


@pytest.mark.row("O-61")
@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1397070000000", MS),
        ("1", 1),
        ("0", 0),
        ("-1", -1),
        ("2014-04-09T19:00:00Z", MS),
        ("2014-04-09t19:00:00z", MS),
        ("2014-04-09T19:00:00.123Z", MS + 123),
        ("2014-04-09T19:00:00.123456789Z", MS + 123),
        ("2014-04-09T21:00:00+02:00", MS),
        ("2014-04-09T14:00:00-0500", MS),
        ("20140409T190000Z", MS),
        ("20140409T190000.123Z", MS + 123),
        ("20140409T120000-0700", MS),
        ("Wed, 09 Apr 2014 19:00:00 UTC", MS),
        ("Wed, 09 Apr 2014 19:00:00 GMT", MS),
        ("Wed, 09 Apr 2014 12:00:00 MST", MS),
        ("Wed, 09 Apr 2014 12:00:00 -0700", MS),
        ("Wed, 9 Apr 2014 19:00:00 UTC", MS),
        ("Wednesday, 09-Apr-14 19:00:00 UTC", MS),
        ("Wednesday, 09-Apr-2014 19:00:00 UTC", MS),
        ("Wednesday, 09-Apr-14 15:00:00 EDT", MS),
        ("Wed Apr  9 19:00:00 2014", MS),
        ("Wed Apr 09 19:00:00 2014", MS),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2014-04-09T19:00:00.1234567890123Z", MS + 123),
    ],
)
def test_every_spelling_is_the_same_millisecond(text: str, ms: int) -> None:
    assert timestamps.parse(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "yesterday", "2014-04-09", "2014-13-09T19:00:00Z", "2014-02-30T00:00:00Z",
        "2014-04-09T19:00:00", "2014-04-09T24:01:00Z", "Wed, 09 Foo 2014 19:00:00 UTC",
        "Wed, 09 Apr 2014 19:00:00 XYZ", "Wed, 09 Apr 2014 19:00:00 +9900", "1397070000000.5",
        "2014-04-09T19:00:60Z", "Wed, 09 Apr 2014 19:00:60 GMT", "Wed, 0٩ Apr 2014 19:00:00 GMT",
        "1e12", "0x10", "٣", "2014-04-09T19:00:0٠Z", "9" * 16, "-" + "9" * 15,
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z", "1\n", "1 ", "NaN", "\x00",
    ],
)  # fmt: skip
def test_other_texts_are_refused_by_name(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        timestamps.parse(text, "startEvent")
    assert caught.value.path == "startEvent"


@given(st.text())
def test_anything_is_a_time_or_refused(text: str) -> None:
    try:
        ms = timestamps.parse(text)
    except Malformed:
        return
    assert limits.OCCURRED_MS_MIN <= ms <= limits.OCCURRED_MS_MAX


@given(st.integers(limits.OCCURRED_MS_MIN, limits.OCCURRED_MS_MAX))
def test_what_we_print_is_read_back(ms: int) -> None:
    assert timestamps.parse(times.to_rfc3339(ms)) == ms
    assert timestamps.parse(str(ms)) == ms

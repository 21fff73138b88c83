"""Times go out in whole seconds and come in as every known client spells them."""

from __future__ import annotations

import contextlib
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.dialects.cloudfoundry import timestamps
from tallystick.errors import Malformed, SettingsError
from tests.dialects.cloudfoundry.samples import SEED_ZONE

SEED_MS = 1_403_223_526_000
ZONES = [UTC, timestamps.zone_of(SEED_ZONE), timestamps.zone_of("Asia/Kathmandu")]


@pytest.mark.row("C-12", "C-28")
@pytest.mark.parametrize(
    "text",
    [
        "2014-06-20T00:18:46Z",
        "2014-06-20t00:18:46z",
        "2014-06-19T17:18:46-07:00",
        "2014-06-19T17:18:46-0700",
        "2014-06-20T00:18:46",
        "2014-06-20 00:18:46",
        "2014-06-19 17:18:46-07:00",
        "2014-06-19 17:18:46 -0700",
        "2014-06-20 00:18:46 UTC",
        "2014-06-20T02:18:46+02:00",
        "2014-06-20T02:18:46 02:00",
    ],
)
def test_every_spelling_is_the_same_moment(text: str) -> None:
    assert timestamps.from_text(text) == SEED_MS


@pytest.mark.row("C-28")
@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2014-06-20", 1_403_222_400_000),
        ("2014-06-20T00:18", 1_403_223_480_000),
        ("2014-06-20T00:18:46.5Z", SEED_MS + 500),
        ("2014-06-20T00:18:46.123456789Z", SEED_MS + 123),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
    ],
)
def test_parts_may_be_left_out_or_finer(text: str, ms: int) -> None:
    assert timestamps.from_text(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "1403223526", "1403223526000", "2014-06-31", "2014-13-01", "14-06-20",
        "2014-06-20T24:00:00Z", "2014-06-20T00:18:61Z", "2014-06-20T00:18:46+25:00",
        "2014-06-20T00:18:46Zulu", " 2014-06-20", "2014-06-20\n", "٢٠١٤-06-20",
        "2014-06-20T00:18:4٦Z", "2014-06-20T00:18:60Z", "2016-12-31T23:59:60+01:00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        timestamps.from_text(text, "/entity/timestamp")
    assert caught.value.path == "/entity/timestamp"


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with contextlib.suppress(Malformed):
        timestamps.from_text(text)


@pytest.mark.row("C-12")
@given(
    st.integers(limits.OCCURRED_MS_MIN, limits.OCCURRED_MS_MAX), st.sampled_from(range(len(ZONES)))
)
def test_what_is_shown_reads_back_to_the_second(ms: int, zone: int) -> None:
    shown = timestamps.to_text(ms, ZONES[zone])
    assert timestamps.from_text(shown) == ms - ms % 1000


@pytest.mark.row("C-12")
def test_times_are_utc_unless_a_zone_is_set() -> None:
    assert timestamps.to_text(SEED_MS + 999) == "2014-06-20T00:18:46Z"
    assert timestamps.to_text(SEED_MS, timestamps.zone_of(SEED_ZONE)) == "2014-06-19T17:18:46-07:00"


def test_offset_before_standard_time_is_not_written() -> None:
    # Los Angeles was 7:52:58 behind Greenwich until 1883: no offset of RFC 3339 says so.
    assert timestamps.to_text(-3_000_000_000_000, timestamps.zone_of(SEED_ZONE)).endswith("Z")


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd"])
def test_unknown_zone_is_a_settings_error(name: str) -> None:
    with pytest.raises(SettingsError):
        timestamps.zone_of(name)

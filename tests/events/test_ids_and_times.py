"""Identifiers carry their index; times go out as text and come back."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits, times
from tallystick.errors import Malformed
from tallystick.events import ids

INDEXES = st.integers(0, 2**ids.INDEX_BITS - 1)
MS = st.integers(limits.OCCURRED_MS_MIN, limits.OCCURRED_MS_MAX)


@given(st.integers(0, 2**48 - 1), INDEXES, st.integers(0, 2**40 - 1))
def test_an_event_id_is_a_uuid7_with_its_index(recorded_ms: int, index: int, noise: int) -> None:
    text = ids.event_id(recorded_ms, index, noise)
    parsed = uuid.UUID(text)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == recorded_ms
    assert ids.index_of_event_id(text) == index


@pytest.mark.parametrize(
    "text", ["", "x", "3fddaec8-3e27-4c76-a72d-1f51aaf92358", "0" * 36, "01a1fc5cf74371beb8673300"]
)
def test_what_is_no_id_of_ours_has_no_index(text: str) -> None:
    assert ids.index_of_event_id(text) is None


@given(MS, INDEXES)
def test_an_object_id_carries_seconds_and_index(occurred_ms: int, index: int) -> None:
    text = ids.object_id(occurred_ms, index)
    assert ids.is_object_id(text)
    assert ids.index_of_object_id(text) == index
    seconds = int(text[:8], 16)
    assert seconds == min(max(occurred_ms // 1000, 0), 2**32 - 1)


def test_other_object_ids_have_no_index() -> None:
    assert ids.index_of_object_id("5964a0ead57ba2036750a3b4") is None
    assert ids.index_of_object_id("5964a0ea" + "0" * 16) is None
    assert ids.index_of_object_id("nonsense") is None


@given(st.integers(0, 2**42), INDEXES)
def test_idtimestamps_grow_with_time_and_keep_their_low_bits(ms: int, index: int) -> None:
    text = ids.idtimestamp(ms, index)
    epoch, value = int(text[:2], 16), int(text[2:], 16)
    assert (value >> 24) + epoch * (2**40 - 1) == ms
    assert value & 0xFFFFFF == index & 0xFFFFFF
    assert ids.place_of_idtimestamp(int(text, 16)) == (ms, index & 0xFFFFFF)


def test_an_epoch_ends_one_millisecond_before_its_digits_do() -> None:
    assert ids.place_of_idtimestamp(0x00_FFFFFFFFFF_000007) == (2**40 - 1, 0)
    assert ids.place_of_idtimestamp(0x01_0000000000_000007) == (2**40 - 1, 7)


@pytest.mark.parametrize(
    ("text", "times_ms"),
    [
        ("5964a0ead57ba2036750a3b4", (0x5964A0EA * 1000, 0x5964A0EA * 1000 + 999)),
        ("00000000d57ba2036750a3b4", (None, 999)),
        ("ffffffffd57ba2036750a3b4", (0xFFFFFFFF * 1000, None)),
    ],
)
def test_an_object_id_names_a_second(text: str, times_ms: tuple[int | None, int | None]) -> None:
    assert ids.times_of_object_id(text) == times_ms


@given(st.integers(0, 10**6))
def test_mmr_indexes_count_nodes_before_a_leaf(leaf: int) -> None:
    assert ids.mmr_index(leaf + 1) - ids.mmr_index(leaf) == 1 + (leaf ^ (leaf + 1)).bit_count() - 1


def test_ordinals_and_derived_uuids() -> None:
    assert ids.ordinal(0) == 1
    assert ids.wraps_idtimestamp(2**24)
    assert not ids.wraps_idtimestamp(2**24 + 1)
    assert ids.tenant_uuid("a") == ids.tenant_uuid("a") != ids.tenant_uuid("b")
    assert ids.derived_uuid(ids.tenant_uuid("a"), "user:1").version == 5


@given(MS)
def test_times_come_back(ms: int) -> None:
    text = times.to_rfc3339(ms)
    assert text.endswith("Z")
    assert times.from_rfc3339(text) == ms
    assert times.to_ms(times.in_zone(ms, UTC)) == ms
    assert times.checked_ms(ms) == ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:00z", 0), ("1970-01-01 00:00:00Z", 0),
        ("2014-06-19T17:18:46-07:00", 1403223526000), ("1969-12-31T23:59:59.999Z", -1),
        ("2023-01-01T00:00:00.1239999Z", 1672531200123), ("2016-12-31T23:59:60Z", 1483228800000),
        ("0002-01-01T00:00:00Z", limits.OCCURRED_MS_MIN),
    ],
)  # fmt: skip
def test_times_are_read_as_rfc_3339_says(text: str, expected: int) -> None:
    assert times.from_rfc3339(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2023-01-01", "2023-01-01T00:00:00", "2023-02-30T00:00:00Z", "0",
        "2023-01-01T24:00:00Z", "2023-01-01T00:00:61Z", "2023-01-01T00:00:00+24:00",
        "2023-01-01T00:00:00+0100", "20230101T000000Z", "٢٠٢٣-01-01T00:00:00Z!",
        "9999-12-31T23:59:60Z",
    ],
)  # fmt: skip
def test_other_spellings_of_time_are_refused(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        times.from_rfc3339(text, "from")
    assert caught.value.path == "from"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2016-12-31T23:59:60Z", 1483228800000), ("2016-12-31T23:59:60.5Z", 1483228800500),
        ("2017-01-01T00:59:60+01:00", 1483228800000), ("2016-12-31T15:59:60-08:00", 1483228800000),
        ("2015-06-30T23:59:60Z", 1435708800000), ("2017-01-01T05:29:60+05:30", 1483228800000),
    ],
)  # fmt: skip
def test_row_28_a_leap_second_is_the_first_instant_of_the_next_month(
    text: str, expected: int
) -> None:
    assert times.from_rfc3339(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T09:30:60Z", "2026-11-21T23:59:60Z", "2016-12-31T23:58:60Z",
        "2016-12-31T22:59:60Z", "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:60.000-00:01",
        "2017-01-01T00:00:60Z",
    ],
)  # fmt: skip
def test_row_28_second_60_at_any_other_minute_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        times.from_rfc3339(text)


@pytest.mark.parametrize(
    "text",
    [
        "٢٠٢٦-11-21T09:30:00Z", "2026-11-21T09:30:0٠Z", "２０２６-11-21T09:30:00Z",
        "2026-११-21T09:30:00Z", "2026-11-21T09:30:00.١Z", "2026-11-21T09:30:00+0१:00",
        "2026-11-21T09:30:00.𝟏Z",
    ],
)  # fmt: skip
def test_row_29_digits_of_other_scripts_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        times.from_rfc3339(text)


@pytest.mark.parametrize("digits", [1, 3, 9, 10, 15, 40, 5000])
def test_row_29_a_fraction_may_have_any_number_of_digits(digits: int) -> None:
    text = f"1970-01-01T00:00:00.{'1' * digits}Z"
    assert times.from_rfc3339(text) == int("111"[:digits].ljust(3, "0"))
    assert times.finer_than_ms(text) == "1" * (digits - 3)


@pytest.mark.parametrize("ms", [limits.OCCURRED_MS_MIN - 1, limits.OCCURRED_MS_MAX + 1])
def test_times_outside_the_years_are_refused(ms: int) -> None:
    with pytest.raises(Malformed):
        times.checked_ms(ms, "p")


def test_a_time_in_a_zone_is_a_wall_clock() -> None:
    assert times.in_zone(0, UTC) == datetime(1970, 1, 1, tzinfo=UTC)

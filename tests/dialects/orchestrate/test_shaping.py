"""Field filters, list bounds, links and conditions, on plain values."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.orchestrate import collection, paging, preconditions
from tallystick.dialects.orchestrate.collection import KeyRange
from tallystick.dialects.orchestrate.errors import Refusal
from tallystick.dialects.orchestrate.field_filter import FieldFilter, names_of
from tallystick.dialects.orchestrate.paging import Parameter, parse_query
from tallystick.dialects.orchestrate.preconditions import Precondition
from tallystick.dialects.orchestrate.time_span import Position, TimeSpan, span_of
from tallystick.errors import Malformed
from tallystick.events.event import Json

VALUE: Json = {
    "name": "Kate",
    "address": {"city": "Portland", "zip": 97201},
    "orders": [{"id": 1, "items": [{"sku": "a", "n": 2}]}, {"id": 2}, "odd"],
    "a.b": 1,
}


def filtered(shown: str = "", hidden: str = "") -> Json:
    before = copy.deepcopy(VALUE)
    result = FieldFilter(names_of([shown]), names_of([hidden])).apply(VALUE)
    assert before == VALUE
    return result


@pytest.mark.row("O-62", "O-74")
@pytest.mark.parametrize(
    ("shown", "hidden", "expected"),
    [
        ("", "", VALUE),
        ("value", "", VALUE),
        ("value.name", "", {"name": "Kate"}),
        (" value.name , value.address.zip", "", {"name": "Kate", "address": {"zip": 97201}}),
        ("value.orders.id", "", {"orders": [{"id": 1}, {"id": 2}]}),
        ("value.orders.items.sku", "", {"orders": [{"items": [{"sku": "a"}]}]}),
        ("value.address", "value.address.zip", {"address": {"city": "Portland"}}),
        ("value.a.b", "", {"a.b": 1}),
        ("value.gone", "", {}),
        ("name", "", {}),
        ("", "value", {}),
        ("", "value.orders,value.address,value.a.b", {"name": "Kate"}),
        (
            "value.orders",
            "value.orders.items",
            {"orders": [{"id": 1}, {"id": 2}, "odd"]},
        ),
        ("value", "path.key", VALUE),
    ],
)
def test_filters_pick_first_and_then_take_away(shown: str, hidden: str, expected: Json) -> None:
    assert filtered(shown, hidden) == expected


# Bounds


def spanned(query: str) -> TimeSpan:
    return span_of(parse_query(query.encode()), lambda occurred_ms, ordinal: ordinal - 1)


@pytest.mark.row("O-43", "O-44", "O-45", "O-46", "O-47")
@pytest.mark.parametrize(
    ("query", "low", "high"),
    [
        ("startEvent=5", Position(5), None),
        ("afterEvent=5", Position(6), None),
        ("endEvent=5", None, Position(6)),
        ("beforeEvent=5", None, Position(5)),
        ("start=5", Position(5), None),
        ("end=5", None, Position(5)),
        ("startEvent=5/3", Position(5, 2), None),
        ("afterEvent=5/3", Position(5, 3), None),
        ("endEvent=5/3", None, Position(5, 3)),
        ("beforeEvent=5/3", None, Position(5, 2)),
        ("beforeEvent=5%2F3", None, Position(5, 2)),
        ("beforeEvent=5/0000000000000003", None, Position(5, 2)),
        ("beforeEvent=5/000000000000000A", None, Position(5, 9)),
        ("startEvent=1970-01-01T00:00:00.005Z/3", Position(5, 2), None),
        ("startEvent=5&afterEvent=7&start=6", Position(8), None),
        ("endEvent=5&beforeEvent=7&end=9", None, Position(6)),
        ("limit=3", None, None),
    ],
)
def test_bounds_follow_time(query: str, low: Position | None, high: Position | None) -> None:
    span = spanned(query)
    assert span.low == (low or TimeSpan().low)
    assert span.high == (high or TimeSpan().high)


@pytest.mark.row("O-46")
@pytest.mark.parametrize("text", ["", "x", "5/", "5/x", "5/-1", "5/3/1", "5/99999999999999999999"])
def test_bound_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        spanned(f"afterEvent={text}")
    assert caught.value.answer == "event_param_invalid"
    assert caught.value.details is not None
    assert caught.value.details["param"] == "afterEvent"


@pytest.mark.row("O-45")
def test_span_without_room_is_empty() -> None:
    assert spanned("startEvent=9&endEvent=5").is_empty
    assert spanned("afterEvent=5&beforeEvent=6").is_empty
    assert not spanned("startEvent=5&endEvent=5").is_empty


@pytest.mark.row("O-26")
@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("", KeyRange()),
        ("startKey=b", KeyRange(low="b")),
        ("afterKey=b", KeyRange(low="b", low_inclusive=False)),
        ("endKey=b", KeyRange(high="b")),
        ("beforeKey=b", KeyRange(high="b", high_inclusive=False)),
        ("startKey=b&afterKey=b", KeyRange(low="b", low_inclusive=False)),
        ("afterKey=b&startKey=b", KeyRange(low="b", low_inclusive=False)),
        ("afterKey=a&startKey=b", KeyRange(low="b")),
        ("endKey=b&beforeKey=b", KeyRange(high="b", high_inclusive=False)),
        ("beforeKey=c&endKey=b", KeyRange(high="b")),
        ("startKey=a%2Fb+c", KeyRange(low="a/b c")),
    ],
)
def test_tightest_key_bounds_count(query: str, keys: KeyRange) -> None:
    assert collection.key_range_of(parse_query(query.encode())) == keys


# Links


@pytest.mark.row("O-10")
def test_empty_query_parts_do_not_count() -> None:
    assert parse_query(b"&with_fields=a&&limit=%31&x") == [
        Parameter("with_fields", "a", "with_fields=a"),
        Parameter("limit", "1", "limit=%31"),
        Parameter("x", "", "x"),
    ]


@pytest.mark.row("O-28", "O-72")
def test_link_keeps_what_the_caller_wrote() -> None:
    parameters = parse_query(b"limit=1&query=%2A%3A%2A&offset=4&sort=value.x:asc&q=a+b")
    assert paging.link("/v0/users", [("offset", "5")], parameters) == (
        "/v0/users?offset=5&limit=1&query=%2A%3A%2A&sort=value.x:asc&q=a+b"
    )
    parameters = parse_query(b"query=*&limit=1")
    assert paging.link("/v0/u", [("offset", "2")], parameters) == "/v0/u?offset=2&query=*&limit=1"


@pytest.mark.row("O-28")
def test_link_has_raw_legal_characters_and_no_others() -> None:
    front = [("afterKey", 'a@b:/*,()é&=#+% "\r\n'), ("limit", "1")]
    assert paging.link('/v0/a"b>|%2Fc@d', front[:0]) == "/v0/a%22b%3E%7C%2Fc@d?"
    link = paging.link("/v0/u", front, parse_query(b'values=tr\xc3\xa9"<>\\'))
    assert link == (
        "/v0/u?afterKey=a@b:/*,()%C3%A9%26%3D%23%2B%25%20%22%0D%0A&limit=1"
        "&values=tr%C3%A9%22%3C%3E%5C"
    )


@pytest.mark.row("O-42", "O-71")
@pytest.mark.parametrize("text", ["0", "101", "-1", "x", "", "1.0", "٣", "99999999999"])
def test_limit_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="invalid"):
        paging.limit_of([Parameter("limit", text, "")], "search_param_invalid")


@pytest.mark.row("O-42", "O-71")
def test_limit_defaults_to_ten_and_reaches_a_hundred() -> None:
    assert paging.limit_of([], "x") == 10
    assert paging.limit_of([Parameter("limit", "100", "")], "x") == 100
    assert paging.limit_of([Parameter("limit", "0", "")], "x", least=0) == 0


@given(st.binary(max_size=40))
def test_any_query_string_parses_and_links_are_ascii(query: bytes) -> None:
    parameters = parse_query(query)
    link = paging.link("/v0/u", [("offset", "1")], parameters)
    assert link.isascii()
    assert link.isprintable()
    kept = [p.name for p in parameters if p.name != "offset"]
    assert [p.name for p in parse_query(link.partition("?")[2].encode())] == ["offset", *kept]


# Conditions


@pytest.mark.row("O-14", "O-7")
@pytest.mark.parametrize(
    "text",
    ['"00242d00737faf60"', "00242d00737faf60", '"00242D00737FAF60"', '"00242d00737faf60-gzip"',
     'W/"00242d00737faf60"', "00242d00737faf60-gzip"],
)  # fmt: skip
def test_ref_is_read_with_and_without_ornament(text: str) -> None:
    assert preconditions.parse_condition([text], []) == Precondition(
        frozenset(["00242d00737faf60"])
    )


@pytest.mark.row("O-15")
@pytest.mark.parametrize("text", ["badetag", '"bad-ref"', "", '""', "*", '"' + "a" * 17 + '"', "é"])
def test_ref_that_is_no_hexadecimal_number_is_malformed(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        preconditions.parse_ref(text)
    assert caught.value.answer == "item_ref_malformed"


@pytest.mark.row("O-15")
def test_short_ref_is_well_formed_and_matches_nothing() -> None:
    condition = preconditions.parse_condition(['"86754321"'], [])
    with pytest.raises(Refusal) as caught:
        condition.check("0000000086754321")
    assert caught.value.answer == "item_version_mismatch"


@pytest.mark.row("O-14")
def test_conditions_hold_or_say_which_did_not() -> None:
    assert preconditions.parse_condition([], []).is_open
    absent = preconditions.parse_condition([], ['"*"'])
    assert absent == preconditions.parse_condition([], ["*"]) == Precondition(absent=True)
    absent.check(None)
    with pytest.raises(Refusal) as caught:
        absent.check("0000000000000001")
    assert caught.value.answer == "item_already_present"
    with pytest.raises(Refusal) as caught:
        Precondition(frozenset(["1"])).check(None)
    assert caught.value.answer == "item_version_mismatch"


@pytest.mark.row("O-14")
@pytest.mark.parametrize(
    ("if_match", "if_none_match", "absence"),
    [('"1"', '"*"', True), (None, '"1"', True), (None, '"*"', False)],
)
def test_conditions_that_make_no_sense_are_refused(
    if_match: str | None, if_none_match: str, absence: bool
) -> None:
    with pytest.raises(Malformed):
        preconditions.parse_condition(
            [] if if_match is None else [if_match],
            [if_none_match],
            absence=absence,
        )


def test_row_30_a_condition_may_name_several_refs_in_several_headers() -> None:
    condition = preconditions.parse_condition(['"aa", W/"bb"', '"cc-gzip"'], [])
    for ref in ("aa", "bb", "cc"):
        condition.check(ref)
    for other in ("dd", None):
        with pytest.raises(Refusal):
            condition.check(other)
    there = preconditions.parse_condition(["*"], [])
    there.check("aa")
    with pytest.raises(Refusal):
        there.check(None)

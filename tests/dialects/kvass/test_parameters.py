"""Parameters of Kvass: pages, sorts, dates and what a query means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.dialects.kvass import parameters
from tallystick.dialects.kvass.parameters import to_question, to_sort
from tallystick.errors import Malformed
from tallystick.query.expr import And, Eq, Everything, Expr, Nothing, Range, Sort

DESCENDING = Sort("occurred_ms", descending=True)


def dates(**given: str) -> Expr:
    return to_question(given, search=False).where


@pytest.mark.row("K-4")
@pytest.mark.resolution("kvass-K1", "kvass-K2")
@pytest.mark.parametrize(
    ("given", "limit", "offset"),
    [
        ({}, 10, 0),
        ({"size": "3"}, 3, 0),
        ({"size": "100"}, 100, 0),
        ({"size": "100000"}, 1000, 0),
        ({"size": "9" * 300}, 1000, 0),
        ({"page": "0"}, 10, 0),
        ({"page": "2"}, 10, 20),
        ({"page": "2", "size": "7"}, 7, 14),
        ({"page": "9" * 300}, 10, 1 << 53),
    ],
)
def test_pages_are_counted_from_zero(given: dict[str, str], limit: int, offset: int) -> None:
    question = to_question(given, search=False)
    assert (question.limit, question.offset, question.total) == (limit, offset, True)
    assert question.dialect == "kvass"


@pytest.mark.row("K-5", "K-26")
@pytest.mark.parametrize(
    ("text", "sorts"),
    [
        ("-created", (DESCENDING,)),
        ("created", (Sort("occurred_ms"),)),
        ("-modified", (DESCENDING,)),
        ("kind", (Sort("kind"),)),
        ("_id", (Sort("kvass.id"),)),
        ("-id", (Sort("kvass.id", descending=True),)),
        ("data.object_type", (Sort("class"),)),
        ("company", (Sort("index"),)),
        ("-company", (Sort("index", descending=True),)),
        ("kind,-created", (Sort("kind"), DESCENDING, Sort("index"))),
        ("-kind, created", (Sort("kind", True), Sort("occurred_ms"), Sort("index", True))),
        ("-kind,-created", (Sort("kind", True), DESCENDING)),
        ("-created,modified", (DESCENDING,)),
    ],
)
def test_sorts_leave_no_two_events_equal(text: str, sorts: tuple[Sort, ...]) -> None:
    assert to_sort(text) == sorts


@pytest.mark.row("K-6", "K-7", "K-8")
@pytest.mark.resolution("kvass-K3", "kvass-K4")
@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("order.created", Eq("kind", "order.created")),
        ("order", Eq("class", "order")),
        ("order.", Eq("kind", "order.")),
        ("ORDER", Eq("class", "ORDER")),
        ("5964A0EAd57ba2036750a3b4", Eq("kvass.given_id", "5964a0ead57ba2036750a3b4")),
        (
            "5964A0EA0000000000000008",
            And((Eq("index", 7), Range("occurred_ms", 1_499_767_018_000, 1_499_767_018_999))),
        ),
        ("5964a0ead57ba2036750a3b", Eq("class", "5964a0ead57ba2036750a3b")),
        (" order", Eq("class", " order")),
    ],
)
def test_a_query_is_a_kind_a_class_or_an_id(query: str, where: Expr) -> None:
    assert to_question({"query": query}, search=True).where == where
    assert to_question({"query": query}, search=False).where == Everything()


@pytest.mark.row("K-10", "K-11")
@pytest.mark.resolution("kvass-K11")
@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"from_date": "1499767018"}, Range("occurred_ms", 1499767018000, None)),
        ({"to_date": "1499767018"}, Range("occurred_ms", None, 1499767018999)),
        ({"to_date": "1499767018.0"}, Range("occurred_ms", None, 1499767018999)),
        ({"to_date": "1499767018.36"}, Range("occurred_ms", None, 1499767018360)),
        ({"to_date": "1499767018.3609"}, Range("occurred_ms", None, 1499767018360)),
        ({"from_date": "1499767018.3601"}, Range("occurred_ms", 1499767018361, None)),
        ({"from_date": "1499767018360"}, Range("occurred_ms", 1499767018360, None)),
        ({"to_date": "1499767018360"}, Range("occurred_ms", None, 1499767018360)),
        ({"from_date": "99999999999"}, Range("occurred_ms", 99999999999000, None)),
        ({"from_date": "100000000000"}, Range("occurred_ms", 100000000000, None)),
        ({"from_date": "1e9"}, Range("occurred_ms", 10**12, None)),
        ({"from_date": "0"}, Range("occurred_ms", 0, None)),
        ({"to_date": "0"}, Range("occurred_ms", None, 999)),
        ({"from_date": "-1"}, Range("occurred_ms", -1000, None)),
        ({"to_date": "-1"}, Range("occurred_ms", None, -1)),
        (
            {"from_date": str(2**71)},
            Range("occurred_ms", limits.OCCURRED_MS_MAX + 1, None),
        ),
        ({"from_date": "1e999"}, Range("occurred_ms", limits.OCCURRED_MS_MAX + 1, None)),
        ({"to_date": "-1e999"}, Range("occurred_ms", None, limits.OCCURRED_MS_MIN - 1)),
        ({"from_date": "1e-999"}, Range("occurred_ms", 1, None)),
        ({"from_date": "5", "to_date": "4"}, Nothing()),
        ({"from_date": "4", "to_date": "4"}, Range("occurred_ms", 4000, 4999)),
    ],
)
def test_dates_are_seconds_or_milliseconds_by_their_size(
    given: dict[str, str], where: Expr
) -> None:
    assert dates(**given) == where


@pytest.mark.row("K-12")
@pytest.mark.resolution("kvass-K14")
@pytest.mark.parametrize("name", ["created", "modified"])
def test_dates_filter_by_when_it_happened(name: str) -> None:
    assert dates(from_date="5", date_filter=name) == Range("occurred_ms", 5000, None)
    found = to_question({"query": "order", "date_filter": name, "to_date": "5"}, search=True)
    assert Range("occurred_ms", None, 5999) in getattr(found.where, "parts", ())


@pytest.mark.row("K-9", "K-25")
@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"size": "0"}, "size"),
        ({"size": "000"}, "size"),
        ({"size": "-1"}, "size"),
        ({"size": "1.5"}, "size"),
        ({"size": "ten"}, "size"),
        ({"size": ""}, "size"),
        ({"size": "٣"}, "size"),
        ({"page": "-1"}, "page"),
        ({"page": "x"}, "page"),
        ({"sort": ""}, "sort"),
        ({"sort": "total"}, "sort"),
        ({"sort": "--created"}, "sort"),
        ({"sort": "created,"}, "sort"),
        ({"date_filter": "delivery_time"}, "date_filter"),
        ({"from_date": ""}, "from_date"),
        ({"from_date": "yesterday"}, "from_date"),
        ({"from_date": "NaN"}, "from_date"),
        ({"to_date": "Infinity"}, "to_date"),
        ({"to_date": "1_000"}, "to_date"),
        ({"to_date": "1e99999"}, "to_date"),
        ({"to_date": "9" * 2000}, "to_date"),
        ({"query": ""}, "query"),
        ({}, "query"),
    ],
)
def test_bad_parameters_are_refused_by_name(given: dict[str, str], path: str) -> None:
    given = given if path == "query" else {"query": "order", **given}
    with pytest.raises(Malformed) as refusal:
        to_question(given, search=True)
    assert refusal.value.path == path


@given(
    st.dictionaries(
        st.sampled_from(["size", "page", "sort", "from_date", "to_date", "date_filter", "query"]),
        st.text(max_size=30) | st.integers().map(str) | st.floats().map(str),
    )
)
def test_any_text_is_understood_or_refused(given: dict[str, str]) -> None:
    try:
        question = to_question(given, search=True)
    except Malformed:
        return
    assert 1 <= question.limit <= parameters.SIZE_MAX
    assert question.offset >= 0

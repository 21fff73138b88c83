"""The OData grammar: what parses, and where every error is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.dialects.datatrails import odata
from tallystick.dialects.datatrails.string_sets import StringSpan, TextSet
from tallystick.errors import InvalidQuery, RequestError, TooLarge, UnsupportedOperator
from tests.dialects.datatrails import strategies


@pytest.mark.row("D-51")
@pytest.mark.parametrize(
    ("text", "name", "position"),
    [
        ("event_type like 'x'", "like", 11),
        ("event_type EQ 'x'", "EQ", 11),
        ("event_type in ('x')", "in", 11),
        ("created_at add 5 gt 3", "add", 11),
        ("contains(event_type,'x')", "contains", 0),
        ("length(event_type) gt 3", "length", 0),
        ("trails/all(t: t eq 'x')", "all", 7),
        ("any(t: t eq 'x')", "any", 0),
        ("a eq 'x' AND b eq 'y'", "AND", 9),
        ("(a eq 'x' xor b eq 'y')", "xor", 10),
        ("trails/any(t: t eq 'x' nor t eq 'y')", "nor", 23),
    ],
)
def test_unknown_operator_or_function_is_refused_by_name(
    text: str, name: str, position: int
) -> None:
    with pytest.raises(UnsupportedOperator, match=f"position {position}: '{name}'") as caught:
        odata.parse(text)
    assert (caught.value.operator, caught.value.position) == (name, position)
    assert caught.value.allowed


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("event_type", 10),
        ("event_type eq", 13),
        ("event_type eq 'x' and", 21),
        ("event_type eq 'x", 14),
        ("event_type eq null", 14),
        ("event_type eq x'", 15),
        ('event_type eq "x"', 14),
        ("'x' eq event_type", 0),
        ("(event_type eq 'x'", 18),
        ("event_type eq 'x')", 17),
        ("event_type 'x'", 11),
        ("event_type eq 'x' 'y'", 18),
        ("()", 1),
        ("not", 3),
        ("created_at gt 1.5", 14),
        ("created_at gt 5x", 14),
        ("created_at gt -", 14),
        ("trails/any()", 11),
        ("trails/any(5: t eq 'x')", 11),
        ("trails/any(t t eq 'x')", 13),
        ("trails/any(t: u eq 'x')", 14),
        ("trails/any(t: t eq 'x'", 22),
        ("trails/any(t: t/any(u: u eq 'x'))", 19),
        ("trails/any(t: event_type eq 'x')", 14),
        ("event_type/ eq 'x'", 10),
        ("a eq 'x' ; b eq 'y'", 9),
        ("é eq 'x'", 0),
    ],
)
def test_text_that_does_not_parse_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(InvalidQuery, match=f"position {position}: ") as caught:
        odata.parse(text)
    assert caught.value.position == position


@pytest.mark.row("D-50")
def test_doubled_quote_stands_for_one() -> None:
    assert odata.parse("a eq '''it''''s'''") == odata.Compare("a", "eq", "'it''s'", 0, 5)


def test_property_may_have_the_name_of_a_word_of_the_language() -> None:
    assert odata.parse("eq eq 'eq' or any eq 1") == odata.ODataOr(
        (odata.Compare("eq", "eq", "eq", 0, 6), odata.Compare("any", "eq", 1, 14, 21))
    )


def test_long_filter_is_refused_by_its_bytes() -> None:
    text = "a eq '" + "é" * (limits.QUERY_BYTES // 2) + "'"
    with pytest.raises(TooLarge) as caught:
        odata.parse(text)
    assert (caught.value.limit, caught.value.actual) == (
        limits.QUERY_BYTES,
        limits.QUERY_BYTES + 7,
    )


@pytest.mark.parametrize("deep", ["(", "not ", "not ("])
def test_deep_filter_is_refused(deep: str) -> None:
    fitting = deep * 5 + "a eq 1" + ")" * (5 * deep.count("("))
    assert odata.parse(fitting) is not None
    with pytest.raises(TooLarge) as caught:
        odata.parse(deep * 1000 + "a eq 1")
    assert caught.value.limit == limits.QUERY_DEPTH


def test_filter_with_many_comparisons_is_refused() -> None:
    clauses = ["a eq 1"] * limits.QUERY_CLAUSES
    assert odata.parse(" or ".join(clauses)) is not None
    with pytest.raises(TooLarge) as caught:
        odata.parse(" or ".join([*clauses, "a eq 1"]))
    assert caught.value.limit == limits.QUERY_CLAUSES


_WORDS = [
    "trails",
    "/any(",
    "t",
    ":",
    "eq",
    "'x'",
    "''",
    "'",
    "(",
    ")",
    "not",
    "and",
    "or",
    "5",
    "-",
    ",",
    "event_type",
]


@given(
    st.lists(st.sampled_from(_WORDS) | st.text(max_size=3), max_size=12), st.sampled_from(["", " "])
)
def test_any_text_parses_or_raises_only_our_errors(words: list[str], between: str) -> None:
    with contextlib.suppress(RequestError):
        odata.parse(between.join(words))


_SETS = st.recursive(
    st.builds(TextSet.of, st.sampled_from(odata.OPERATORS), strategies.NAMES),
    lambda inner: (
        st.builds(TextSet.union, inner, inner)
        | st.builds(TextSet.intersection, inner, inner)
        | st.builds(TextSet.complement, inner)
    ),
)


@given(_SETS, _SETS, strategies.NAMES | strategies.TEXT)
def test_text_sets_combine_as_sets_do(one: TextSet, other: TextSet, text: str) -> None:
    mine, theirs = one.contains(text), other.contains(text)
    assert one.union(other).contains(text) == (mine or theirs)
    assert one.intersection(other).contains(text) == (mine and theirs)
    assert one.complement().contains(text) == (not mine)


@given(_SETS, strategies.NAMES | strategies.TEXT)
def test_spans_of_a_text_set_cover_exactly_its_strings(one: TextSet, text: str) -> None:
    assert any(_lies_in(span, text) for span in one.spans()) == one.contains(text)


def _lies_in(span: StringSpan, text: str) -> bool:
    low, high = span
    above = low is None or text > low.text or (text == low.text and not low.behind)
    below = high is None or text < high.text or (text == high.text and high.behind)
    return above and below

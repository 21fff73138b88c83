"""Regular expressions: what they match, that they are linear, and that the index means the same."""

from __future__ import annotations

import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import InvalidQuery
from tallystick.query.regex import head_of, regex_test
from tallystick.query.regex_parser import parse_regex


def matches(pattern: str, text: str, *, folded: bool = False) -> bool:
    """Tell whether a whole text matches."""
    return regex_test(parse_regex(pattern, folded=folded))(text)


_ATOMS = st.sampled_from(
    ("a", "b", "c", ".", "[ab]", "[^a]", "[a-c]", "[b\\]-]", "\\d", "\\W", "\\.", "\\S", "1")
)
_ENDS = st.sampled_from(("", "", "?", "*", "+", "{2}", "{0,2}", "{1,}", "{0}"))
_PATTERNS = st.recursive(
    st.builds(str.__add__, _ATOMS, _ENDS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.builds("({}|{}){}".format, inner, inner, _ENDS),
    ),
    max_leaves=8,
)


@given(_PATTERNS, st.lists(st.text("abc1. \n-]", max_size=8), max_size=6))
def test_an_expression_means_what_it_means_to_python(pattern: str, texts: list[str]) -> None:
    test = regex_test(parse_regex(pattern))
    wanted = re.compile(pattern, re.DOTALL | re.ASCII)
    head = head_of(parse_regex(pattern))
    for text in texts:
        assert test(text) == bool(wanted.fullmatch(text)), text
        assert not test(text) or text.startswith(head)


@pytest.mark.parametrize(
    ("pattern", "text", "whole", "word"),
    [
        (r"pay\..*", "pay.made", True, True),
        (r"pay\..*", "repay.made", False, False),
        ("AB[C-E]+", "ABCD", True, False),
        ("AB[C-E]+", "abcd", False, True),
        ("[^A]b", "ab", True, False),
        ("straße", "strasse", False, True),
        ("É.", "éa", False, True),
        ("a.c", "a\nc", True, True),
        ("🎉{2}", "🎉🎉", True, True),
        (r"\d{4}", "1234", True, True),
        (r"\d", "٣", False, False),
        ("[a-]", "-", True, True),
    ],
)
def test_values_have_case_and_words_have_none(
    pattern: str, text: str, whole: bool, word: bool
) -> None:
    assert matches(pattern, text) is whole
    assert matches(pattern, text, folded=True) is word


@pytest.mark.parametrize(
    "pattern", ["(a*)*b", "(a|a)*b", "(a?){100}a{100}", "(.*.*.*.*.*.*)x", "(a|b)*a(a|b){100}"]
)
def test_no_expression_takes_more_than_linear_time_or_much_memory(pattern: str) -> None:
    test = regex_test(parse_regex(pattern))
    tracemalloc.start()
    # Exponential work would never end.
    for n in range(20):
        test("ab" * n + "a" * 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16_000_000


def test_patterns_of_python_that_are_not_of_lucene_are_refused() -> None:
    for pattern in ("^a", "a$", "(?:a)", "a+?", "\\bword", "\\1", "a{,3}", "x\\"):
        with pytest.raises(InvalidQuery) as caught:
            parse_regex(pattern)
        assert caught.value.position is not None

"""The spelling of terms: what must hold for queries over terms to mean what they should."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.index.search import terms
from tallystick.query.word_match import parse_pattern, to_test, within_edits

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FEW = st.text(st.sampled_from("\x00\x01\x02 \n!abé日\U0010ffff"), max_size=6)


def as_regex(pattern: str) -> re.Pattern[str]:
    """Return a pattern in Python's spelling; `.` stays what it is in the index."""
    spelt = re.sub(r"\\x\{([0-9a-f]+)\}", lambda found: f"\\U{int(found[1], 16):08x}", pattern)
    return re.compile(spelt)


@given(TEXTS, TEXTS)
def test_escaping_keeps_order_and_prefixes(a: str, b: str) -> None:
    assert (terms.escaped(a) < terms.escaped(b)) == (a < b)
    assert terms.escaped(a + b).startswith(terms.escaped(a))
    assert terms.unescaped(terms.escaped(a)) == a


@given(TEXTS)
def test_escaped_texts_are_one_token_without_separators(text: str) -> None:
    escaped = terms.escaped(text)
    assert not re.search("[\x00\x02-\x20]", escaped)
    assert escaped != terms.FILLER


def test_wide_numbers_differ_by_more_edits_than_a_fuzzy_term_may_have() -> None:
    ordinals = [*range(70), 31 * 32, 32 * 32 - 1, 32 * 32, 32 * 32 + 1]
    for a, b in itertools.combinations(map(terms.wide_number, ordinals), 2):
        assert not within_edits(a, b, 2), (a, b)


def test_numbers_are_distinct_and_free_of_word_characters() -> None:
    numbers = [terms.number(n) for n in range(5_000)]
    assert len(set(numbers)) == len(numbers)
    assert not any(character.isalnum() for number in numbers for character in number)


@given(FEW | st.none(), FEW | st.none(), st.booleans(), st.booleans(), st.lists(FEW, max_size=8))
def test_ranges_of_strings_match_what_lies_between(
    low: str | None, high: str | None, low_in: bool, high_in: bool, texts: list[str]
) -> None:
    pattern = terms.strings_between(low, high, low_inclusive=low_in, high_inclusive=high_in)
    regex = None if pattern is None else as_regex(pattern)
    for text in (*texts, low or "", high or ""):
        above = low is None or text > low or (low_in and text == low)
        below = high is None or text < high or (high_in and text == high)
        found = regex is not None and regex.fullmatch(terms.escaped(text)) is not None
        assert found == (above and below), text


MOMENTS = st.integers(limits.OCCURRED_MS_MIN, limits.OCCURRED_MS_MAX)


@given(MOMENTS, st.integers(0, 62 << 30), st.lists(MOMENTS, max_size=4))
def test_spans_of_time_hold_all_of_a_range_and_little_else(
    low_ms: int, width_ms: int, moments: list[int]
) -> None:
    high_ms = min(low_ms + width_ms, limits.OCCURRED_MS_MAX)
    spans = terms.moments_between("t", low_ms, high_ms)
    assert spans is not None
    assert len(spans) <= 64
    little_ms = 1 << terms.MOMENT_BITS[0 if width_ms < 1 << 23 else -1]
    near = (low_ms, high_ms, low_ms - little_ms, high_ms + little_ms, (low_ms + high_ms) // 2)
    for ms in (*near, *moments):
        held = not set(spans).isdisjoint(terms.moments("t", ms).split())
        if low_ms <= ms <= high_ms:
            assert held
        elif not low_ms - little_ms < ms < high_ms + little_ms:
            assert not held


def test_too_long_a_time_has_no_spans() -> None:
    assert terms.moments_between("t", 0, 1 << 40) is None


@given(FEW, FEW)
def test_what_follows_a_prefix_is_above_all_that_begin_with_it(prefix: str, tail: str) -> None:
    after = terms.after_all_that_begin(prefix)
    assert prefix + tail < after
    assert after == "" or not after.startswith(prefix) or set(prefix) <= {"\U0010ffff"}


@given(FEW, st.text(st.sampled_from("ab*?\\ \x01"), max_size=6))
def test_patterns_over_values_match_as_patterns_do(text: str, pattern: str) -> None:
    symbols = parse_pattern(pattern)
    regex = as_regex(terms.value_pattern(symbols))
    assert (regex.fullmatch(terms.escaped(text)) is not None) == to_test(symbols)(text)


WORD = st.text(st.sampled_from("abf019éz"), min_size=1, max_size=5)


@given(WORD, st.text(st.sampled_from("ab0f*?z"), min_size=1, max_size=5), st.booleans())
def test_patterns_over_words_match_words_of_every_class(
    word: str, pattern: str, named: bool
) -> None:
    symbols = parse_pattern(pattern)
    place = terms.place_of(7, data=True)
    asked = place if named else terms.DATA
    regex = as_regex(terms.word_pattern("!", symbols, [asked]))
    found = regex.fullmatch(terms.word("!", word, place)) is not None
    assert found == to_test(symbols)(word)
    elsewhere = terms.word("!", word, terms.place_of(8, data=named))
    assert regex.fullmatch(elsewhere) is None


@pytest.mark.parametrize(
    ("value", "words", "joint"),
    [
        ("7c10646b-624b-4a90-8024-cc39c2afa380", 5, "-"),
        ("10.4.155.17", 4, "."),
        ("u4821", 1, "-"),
        ("U4821", 1, ""),
        ("a-b.c", 3, ""),
        ("-a-b", 2, ""),
        ("", 0, ""),
        (" a", 1, ""),
        ("a b", 2, ""),
    ],
)
def test_joined_values_are_their_words_and_one_character(
    value: str, words: int, joint: str
) -> None:
    found = re.findall("[0-9a-z]+", value.lower())
    assert len(found) == words
    assert terms.joint_of(value, found) == joint


def test_long_strings_that_differ_have_different_terms() -> None:
    texts = ["x" * 40 + chr(97 + n) for n in range(20)]
    spelt = {terms.string("!", 3, text, b"k" * 16) for text in texts}
    assert len(spelt) == len(texts)
    assert {terms.lead_of(term.split("\x02", 1)[1]) for term in spelt} == {"x" * 8}

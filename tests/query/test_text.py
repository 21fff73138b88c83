"""The analyser."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.query.text import WORD_CHARS, separated, text_of, tokens_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("   \t\n", []),
        ("-!?_", []),
        ("The Quick, brown fox.", ["the", "quick", "brown", "fox"]),
        ("foo_bar-baz", ["foo", "bar", "baz"]),
        ("john.smith@example.org", ["john", "smith", "example", "org"]),
        ("v1.2.3", ["v1", "2", "3"]),
        ("-5", ["5"]),
        ("a\x00b", ["a", "b"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("Ärger", ["ärger"]),
        ("cafe\u0301", ["caf\u00e9"]),
        ("\uff21\uff22\uff11", ["ab1"]),
        ("ΟΔΟΣ οδος", ["οδοσ", "οδοσ"]),
        ("हिन्दी", ["हिन्दी"]),
        ("日本語 テキスト", [*"日本語テキスト"]),
        ("用户删除了合同", [*"用户删除了合同"]),
        ("2024年5月のiPhone手机", ["2024", "年", "5", "月", "の", "iphone", "手", "机"]),
        ("ﾃｷｽﾄｶﾞ", [*"テキストガ"]),
        ("ลบผู้ใช้แล้ว", [*"ลบผู้ใช้แล้ว"]),
        ("๒๕๖๙ ปี", ["๒๕๖๙", "ป", "ี"]),
        ("사용자가 삭제했다", [*"사용자가삭제했다"]),
        ("𠮷野家、東京", [*"𠮷野家東京"]),
        ("\ufb01ne", ["fine"]),
        ("½", ["1", "2"]),
        ("🎉party🎉", ["party"]),
        ("\ud800x", ["x"]),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert tokens_of(text) == words


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_long_run_becomes_several_words(letter: str) -> None:
    words = tokens_of(letter * (2 * WORD_CHARS + 3))
    assert [len(word) for word in words] == [WORD_CHARS, WORD_CHARS, 3]


def test_a_word_of_the_greatest_length_stays_whole() -> None:
    assert tokens_of("ab" * 64) == ["ab" * 64]


@given(st.text(max_size=300))
def test_words_joined_by_blanks_analyse_to_themselves(text: str) -> None:
    words = tokens_of(text)
    assert " ".join(words).split() == words
    assert tokens_of(" ".join(words)) == words


def test_every_character_gives_words_that_analyse_to_themselves() -> None:
    # All of Unicode in texts of 4,096 characters set apart by blanks.
    for start in range(0, 0x110000, 4096):
        words = tokens_of(" ".join(map(chr, range(start, start + 4096))))
        assert tokens_of(" ".join(words)) == words


@given(st.text(alphabet=st.characters(categories=["L", "N", "M", "Z", "P"]), max_size=60))
def test_words_hold_letters_digits_and_marks_only(text: str) -> None:
    for word in tokens_of(text):
        assert 0 < len(word) <= WORD_CHARS
        assert all(unicodedata.category(character)[0] in "LNM" for character in word)


def test_words_of_later_planes_are_known_again_without_being_kept() -> None:
    text = "".join(map(chr, range(0x20000, 0x20400)))
    assert separated(text) == separated(text)
    assert " ".join(tokens_of(text)) == separated(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        ("As It Is", "As It Is"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (-2.5, "-2.5"),
        (1e300, "1e+300"),
        (2**64, "18446744073709551616"),
    ],
)
def test_plain_values_read_as_text(value: str | float | bool | None, text: str) -> None:
    assert text_of(value) == text

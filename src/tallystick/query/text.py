"""The one analyser: what a word is, for stored text and for queries alike.

A word is a run of Unicode letters, digits and marks (general categories L, N and M); everything
else, the underscore included, stands between words. Scripts that are written without blanks between
words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), and Korean, whose words take endings, have a
word a character: a text of several is a phrase, and so is found wherever it stands. Text is
compatibility-normalised and case-folded first (NFKC, full case folding, NFKC again), so `Straße`,
`STRASSE` and full-width letters meet. A run longer than `WORD_CHARS` becomes several words. Words
hold no white space: joined by blanks they pass unchanged through any tokenizer that splits at white
space, and the analysis of that text gives the same words again.
"""

from __future__ import annotations

import re
import unicodedata

from tallystick.query.expr import Scalar

WORD_CHARS = 128
"""Characters of one word: at most 512 bytes in UTF-8, and a SHA-512 in hexadecimal is whole."""

# Letters and marks of these scripts; their digits make words as all digits do.
_LONE = (
    "\u0e01-\u0e4e\u0e81-\u0ecf\u0edc-\u0edf\u1000-\u103f\u104a-\u108f\u109a-\u109f"
    "\u1100-\u11ff\u1780-\u17d3\u1950-\u19cf\u1a20-\u1a7f\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029"
    "\u3038-\u303c\u3041-\u318f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f"
    "\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U000323af"
)
_is_lone = re.compile(f"[{_LONE}]").match
_LONE_EDGES = re.compile(f"(?<=[{_LONE}])(?=[^ ])|(?<=[^ ])(?=[{_LONE}])")
_ASCII_WORDS = re.compile(rf"[0-9a-z]{{1,{WORD_CHARS}}}")
_BLANK = 0x20


class _WordCharacters(dict[int, int]):
    """Maps what stands between words to a blank; asks the Unicode tables once a character."""

    def __missing__(self, code: int) -> int:
        kept = code if unicodedata.category(chr(code))[0] in "LNM" else _BLANK
        # Later planes are not kept: hostile text could fill memory with them.
        if code < 0x10000:
            self[code] = kept
        return kept


_word_characters = _WordCharacters()


def tokens_of(text: str) -> list[str]:
    """Return the words of `text` in order."""
    if text.isascii():
        return _ASCII_WORDS.findall(text.lower())
    words = separated(text).split()
    if any(len(word) > WORD_CHARS for word in words):
        return [part for word in words for part in _cut(word)]
    return words


def separated(text: str) -> str:
    """Return `text` folded, with a blank for what no word contains and between lone characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    spaced = unicodedata.normalize("NFKC", folded).translate(_word_characters)
    return _LONE_EDGES.sub(" ", spaced)


def is_lone(character: str) -> bool:
    """Tell whether a folded character is a word by itself."""
    return _is_lone(character) is not None


def settled(head: str) -> str:
    """Return a beginning without marks at its end: one that follows may come to stand before."""
    if head.isascii():
        return head
    head = unicodedata.normalize("NFKC", head)
    while head and unicodedata.combining(head[-1]):
        head = head[:-1]
    return head


def text_of(value: Scalar) -> str:
    """Return how a plain value reads as text.

    Shape: true and false; a number without a fraction as an integer, so that 1 and 1.0 read the
    same; nothing for null.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _cut(word: str) -> list[str]:
    return [word[at : at + WORD_CHARS] for at in range(0, len(word), WORD_CHARS)]

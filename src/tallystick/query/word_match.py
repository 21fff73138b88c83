"""How words are compared: in phrases, with wildcards, and within a few edits.

Every comparison here takes time in proportion to what it reads; none backtracks. Phrases follow
Lucene's definition: give each word of the phrase a place in the text of its own, subtract the
word's position in the phrase, and the greatest difference between two results is the number of
moves. Edits are insertions, deletions, substitutions and swaps of neighbours, and nothing swapped
is edited again (optimal string alignment).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import product

from tallystick.query.text import is_lone, separated

SLOP_MAX = 1000
"""Moves that a phrase may ask for: bounds the work of looking for it."""

Test = Callable[[str], bool]

ANY = "*"
ONE = "?"
_ESCAPE = "\\"

Pattern = tuple[str, ...]
"""Symbols of a pattern: `ANY`, `ONE`, or an escape character and the character it stands for."""


def stands_in(phrase: Sequence[str], words: Sequence[str], slop: int = 0) -> bool:
    """Tell whether `phrase` stands in `words`, at most `slop` moves apart; an empty one never."""
    if not phrase:
        return False
    places: dict[str, list[int]] = {word: [] for word in phrase}
    for at, word in enumerate(words):
        if word in places:
            places[word].append(at)
    # The window of shifts that is tried only moves up: each round finds the lowest shifts that
    # are not below it, and the highest of them tells where the next window may begin.
    lowest = -len(phrase)
    while True:
        highest = _highest_shift(phrase, places, lowest)
        if highest is None:
            return False
        if highest - lowest <= slop:
            return True
        lowest = highest - slop


def layouts(phrase: Sequence[str], slop: int) -> Iterator[tuple[int, ...]]:
    """Yield every way the words of `phrase` may stand in a text, wherever in it that is.

    Shape: one position a word, the lowest zero; (slop + 1)^n - slop^n ways for n words, fewer
    those that set two words on one position.
    """
    for shifts in product(range(slop + 1), repeat=len(phrase)):
        positions = tuple(at + shift for at, shift in enumerate(shifts))
        if min(shifts) == 0 and len(set(positions)) == len(positions):
            first = min(positions)
            yield tuple(at - first for at in positions)


def parse_pattern(text: str) -> Pattern:
    """Return the symbols of a pattern in which `*` is any run, `?` one character.

    A backslash makes the next character stand for itself.
    """
    symbols: list[str] = []
    characters = iter(text)
    for character in characters:
        if character in (ANY, ONE):
            symbols.append(character)
        else:
            literal = next(characters, _ESCAPE) if character == _ESCAPE else character
            symbols.append(_ESCAPE + literal)
    return tuple(symbols)


def word_patterns(text: str) -> list[Pattern]:
    """Return one pattern a word: the pattern `text` analysed as text is, wildcards kept.

    The patterns match words that follow each other: `big-ap*` is `big` and then `ap*`. Where a
    character is a word by itself, `?` beside it is another word.
    """
    words: list[list[str]] = [[]]
    literal = ""
    for symbol in (*parse_pattern(text), ANY):
        if symbol[0] == _ESCAPE:
            literal += symbol[1]
            continue
        for character in separated(literal):
            if is_lone(character) and {*words[-1]} == {ONE}:
                words[-1:] = [[ONE] for _ in words[-1]]
            if character == " " or _begins_word(words[-1], character):
                words.append([])
            if character != " ":
                words[-1].append(_ESCAPE + character)
        literal = ""
        if symbol == ONE and _is_beside_lone(words):
            words.append([])
        words[-1].append(symbol)
    words[-1].pop()
    return [tuple(word) for word in words if word]


def _begins_word(before: Sequence[str], character: str) -> bool:
    """Tell whether a character cannot stand in one word with the symbols before it."""
    if is_lone(character):
        return any(symbol != ANY for symbol in before)
    return _has_lone(before)


def _is_beside_lone(words: Sequence[Sequence[str]]) -> bool:
    """Tell whether the last word, apart from words of one `?`, is a lone character."""
    last = next((word for word in reversed(words) if list(word) != [ONE]), ())
    return _has_lone(last)


def _has_lone(symbols: Sequence[str]) -> bool:
    return any(symbol[0] == _ESCAPE and is_lone(symbol[1]) for symbol in symbols)


def to_test(pattern: Pattern) -> Test:
    """Return the function that tells whether a whole string matches `pattern`."""
    if ONE not in pattern:
        inner = pattern[pattern[0] == ANY : len(pattern) - (pattern[-1] == ANY)] if pattern else ()
        if ANY not in inner:
            return _simple_test(pattern, "".join(symbol[1] for symbol in inner))
    return _state_test(pattern)


def within_edits(text: str, word: str, distance: int) -> bool:
    """Tell whether at most `distance` edits turn `text` into `word`."""
    if abs(len(text) - len(word)) > distance:
        return False
    if text == word:
        return True
    before: list[int] = []
    row = list(range(len(word) + 1))
    for i, a in enumerate(text, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(word, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == word[j - 2] and b == text[i - 2]:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > distance and min(before) > distance:
            return False
    return row[-1] <= distance


def _highest_shift(phrase: Sequence[str], places: dict[str, list[int]], lowest: int) -> int | None:
    taken: dict[str, int] = {}
    highest = lowest
    for offset, word in enumerate(phrase):
        spots = places[word]
        rank = max(bisect_left(spots, lowest + offset), taken.get(word, 0))
        if rank == len(spots):
            return None
        taken[word] = rank + 1
        highest = max(highest, spots[rank] - offset)
    return highest


def _simple_test(pattern: Pattern, literal: str) -> Test:
    """Return the test of a pattern that has `*` at its ends only."""
    opened = bool(pattern) and pattern[0] == ANY
    closed = bool(pattern) and pattern[-1] == ANY
    if opened and closed:
        return lambda text: literal in text
    if opened:
        return lambda text: text.endswith(literal)
    if closed:
        return lambda text: text.startswith(literal)
    return lambda text: text == literal


def _state_test(pattern: Pattern) -> Test:
    """Return a test that follows all ways to read `pattern` at once, one bit for each.

    Bit n says that n symbols are read; a `*` lets its bit stay.
    """
    stay = count = anything = 0
    readers: dict[str, int] = {}
    for symbol in pattern:
        if symbol == ANY:
            stay |= 1 << count
            continue
        if symbol == ONE:
            anything |= 1 << count
        else:
            readers[symbol[1]] = readers.get(symbol[1], 0) | 1 << count
        count += 1
    done = 1 << count

    def test(text: str) -> bool:
        state = 1
        for character in text:
            state = (state & (readers.get(character, 0) | anything)) << 1 | state & stay
            if not state:
                return False
        return bool(state & done)

    return test

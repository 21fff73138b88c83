"""A parser of regular expressions in Lucene's syntax.

    .  any character         [a-z_]  [^0-9]  classes      \\d \\w \\s \\D \\W \\S  ASCII classes
    a|b  alternatives        (ab)  groups                  ?  *  +  {3}  {2,}  {2,5}  repetition
    \\.  the character itself

An expression matches a whole text, never a part of one, so it has no anchors. Lucene's optional
operators (`~ & # @ < > "`), anchors, lazy and possessive repetition, flags, groups with `?`, and
escaped letters other than the classes are refused by position. An expression is bounded in
characters and in positions: the characters it can read once every repetition is written out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NoReturn

from tallystick import limits
from tallystick.errors import InvalidQuery
from tallystick.query.regex import LAST_CHARACTER, Chars, Choice, Node, Repeat, Sequel, Spans

_REFUSED = '~&#@<>"^$'
_CLOSING = "|)]}*+?{"
_SURROGATES = range(0xD800, 0xE000)
_FOLDED_SPAN = 0x300
"""Spans longer than this are no list of letters; what they hold is not folded one by one."""

_DIGITS: Spans = ((0x30, 0x39),)
_WORD: Spans = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_BLANKS: Spans = ((0x09, 0x0D), (0x20, 0x20))
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _BLANKS}
_ANY: Spans = ((0, LAST_CHARACTER),)


@lru_cache(maxsize=256)
def parse_regex(pattern: str, *, folded: bool = False) -> Node:
    """Return what an expression says; `folded` for words, which are kept without case.

    Raises: InvalidQuery, with a position within `pattern`.
    """
    if len(pattern) > limits.REGEX_CHARS:
        raise InvalidQuery(
            f"a regular expression may have {limits.REGEX_CHARS:,} characters", position=0
        )
    node = _Parser(pattern, folded=folded).whole()
    if _size(node) > limits.REGEX_POSITIONS:
        raise InvalidQuery(
            f"a regular expression may read {limits.REGEX_POSITIONS} characters with its "
            "repetitions written out",
            position=0,
            hint="use * or + in place of large counts",
        )
    return node


class _Parser:
    """Reads one expression by recursive descent."""

    def __init__(self, text: str, *, folded: bool) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._folded = folded

    def whole(self) -> Node:
        if not self._text:
            self._fail("the regular expression is empty")
        node = self._choice()
        if self._at < len(self._text):
            self._fail("this ) closes nothing", hint="escape it as \\)")
        return node

    def _choice(self) -> Node:
        parts = [self._sequel()]
        while self._take("|"):
            parts.append(self._sequel())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequel(self) -> Node:
        parts: list[Node] = []
        while self._here() not in ("", "|", ")"):
            parts.append(self._repeated())
        if not parts:
            self._fail("an expression is missing here", hint="(a)? matches a or nothing")
        return parts[0] if len(parts) == 1 else Sequel(tuple(parts))

    def _repeated(self) -> Node:
        node = self._atom()
        start = self._at
        high: int | None
        if self._take("?"):
            low, high = 0, 1
        elif self._take("*"):
            low, high = 0, None
        elif self._take("+"):
            low, high = 1, None
        elif self._here() == "{":
            low, high = self._counts()
        else:
            return node
        if self._here() and self._here() in "?+*{":
            self._fail("a repetition is repeated", hint="set the first in parentheses")
        return self._bounded(Repeat(node, low, high), start)

    def _bounded(self, node: Node, start: int) -> Node:
        # Checked at once: nested counts multiply.
        if _size(node) > limits.REGEX_POSITIONS:
            self._fail(
                f"this repetition is longer than {limits.REGEX_POSITIONS} characters",
                start,
                "use * or +",
            )
        return node

    def _counts(self) -> tuple[int, int | None]:
        start = self._at
        self._at += 1
        low = self._number()
        high: int | None = low
        if self._take(","):
            high = None if self._here() == "}" else self._number()
        if not self._take("}"):
            self._fail("this { has no counts", start, "such as {2}, {2,} or {2,5}, or escape it")
        if high is not None and high < low:
            self._fail("the counts of this repetition are the wrong way round", start)
        return low, high

    def _number(self) -> int:
        start = self._at
        while self._here().isascii() and self._here().isdigit():
            self._at += 1
        digits = self._text[start : self._at]
        if not 0 < len(digits) <= len(str(limits.REGEX_POSITIONS)):
            self._fail(f"a count from 0 to {limits.REGEX_POSITIONS} is missing here", start)
        return int(digits)

    def _atom(self) -> Node:
        character = self._here()
        start = self._at
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        self._at += 1
        if character == "\\":
            return self._escaped(start)
        if character == ".":
            return Chars(_ANY)
        if character in _CLOSING:
            self._fail(f"{character} does not belong here", start, f"escape it as \\{character}")
        if character in _REFUSED:
            hint = f"escape it as \\{character}"
            if character in "^$":
                hint += "; an expression always matches the whole value"
            self._fail(f"{character} is an operator that is not supported", start, hint)
        return self._literal(character)

    def _group(self) -> Node:
        start = self._at
        self._depth += 1
        if self._depth > limits.QUERY_DEPTH:
            self._fail(f"a regular expression may be nested {limits.QUERY_DEPTH} deep")
        self._at += 1
        if self._here() == "?":
            self._fail("groups have no flags", hint="leave out what follows (?")
        node = self._choice()
        if not self._take(")"):
            self._fail("this ( is never closed", start, "escape it as \\(")
        self._depth -= 1
        return node

    def _escaped(self, start: int) -> Node:
        named = self._named(start)
        return self._literal(self._text[self._at - 1]) if named is None else Chars(named)

    def _named(self, start: int) -> Spans | None:
        """Read what follows a backslash; None for a character that stands for itself."""
        character = self._here()
        if not character:
            self._fail("a backslash at the end escapes nothing", start, "double it")
        self._at += 1
        if character.lower() in _CLASSES:
            spans = _CLASSES[character.lower()]
            return spans if character.islower() else _others(spans)
        if character.isascii() and character.isalnum():
            self._fail(f"\\{character} is not supported", start, "known: \\d \\w \\s \\D \\W \\S")
        return None

    def _class(self) -> Node:
        start = self._at
        self._at += 1
        negated = self._take("^")
        spans: list[tuple[int, int]] = []
        while self._here() != "]":
            if not self._here():
                self._fail("this [ is never closed", start, "escape it as \\[")
            spans += self._member()
        self._at += 1
        if not spans:
            self._fail("this class is empty", start)
        merged = _merged(_folded_spans(spans) if self._folded else spans)
        return Chars(_others(merged) if negated else merged)

    def _member(self) -> Spans:
        start = self._at
        low = self._class_character()
        if not isinstance(low, int):
            return low
        if self._here() != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
            return ((low, low),)
        self._at += 1
        high = self._class_character()
        if not isinstance(high, int) or high < low:
            self._fail("this range of characters is the wrong way round", start, "such as a-z")
        return ((low, high),)

    def _class_character(self) -> int | Spans:
        start, character = self._at, self._here()
        self._at += 1
        if character == "\\":
            named = self._named(start)
            return ord(self._text[self._at - 1]) if named is None else named
        if character == "[":
            self._fail("[ does not belong here", start, "escape it as \\[")
        return ord(character)

    def _literal(self, character: str) -> Node:
        text = _folded(character) if self._folded else character
        parts = tuple(Chars(((ord(one), ord(one)),)) for one in text)
        return parts[0] if len(parts) == 1 else Sequel(parts)

    def _here(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> bool:
        if self._here() != character:
            return False
        self._at += 1
        return True

    def _fail(self, message: str, position: int | None = None, hint: str | None = None) -> NoReturn:
        where = self._at if position is None else position
        raise InvalidQuery(f"in the regular expression, {message}", position=where, hint=hint)


def _folded(text: str) -> str:
    """Return a text as words are folded; separators stay as they are."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def _folded_spans(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans of folded characters; what folds to several characters stays out."""
    found: list[tuple[int, int]] = []
    for low, high in spans:
        if high - low > _FOLDED_SPAN:
            found.append((low, high))
            continue
        for code in range(low, high + 1):
            text = chr(code) if code in _SURROGATES else _folded(chr(code))
            found += [(ord(text), ord(text))] if len(text) == 1 else []
    return found or [(0, 0)]


def _merged(spans: Iterable[tuple[int, int]]) -> Spans:
    found: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def _others(spans: Spans) -> Spans:
    """Return the characters that are in none of some spans."""
    found: list[tuple[int, int]] = []
    begin = 0
    for low, high in _merged(spans):
        if begin < low:
            found.append((begin, low - 1))
        begin = high + 1
    if begin <= LAST_CHARACTER:
        found.append((begin, LAST_CHARACTER))
    return tuple(found)


def _size(node: Node) -> int:
    """Return how many positions a node has once its repetitions are written out."""
    match node:
        case Chars():
            return 1
        case Sequel(parts) | Choice(parts):
            return sum(map(_size, parts))
        case Repeat(part, low, high):
            return max(1, _size(part)) * max(1, low if high is None else high)
    raise AssertionError(f"not a node of an expression: {node!r}")

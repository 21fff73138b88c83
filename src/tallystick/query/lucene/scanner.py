"""Reading the pieces of a Lucene query from its text: words, quoted texts, numbers.

What a character means depends on where it stands, so the parser asks for what may come next
instead of being handed tokens. A `Scanner` belongs to one query.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple, NoReturn

from tallystick.errors import InvalidQuery

# Ends a word wherever it stands, unless a backslash precedes it; a colon ends names only.
_SPECIAL = '()[]{}"`^~!<>'
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_CODE = re.compile(r"[0-9A-Fa-f]{4}")
_SUFFIX_NUMBER = re.compile(r"\d+(\.\d+)?|\.\d+", re.ASCII)
_NUMBER_CHARS = 400
"""Longer numbers are text: no double is that long, and converting them takes quadratic time."""


class Word(NamedTuple):
    """A word as it was written, as it reads without escapes, and as a pattern."""

    position: int
    raw: str
    text: str
    pattern: str
    wild: bool


class Scanner:
    """A query's text and how far it is read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        """Return the next character after blanks; empty at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def here(self) -> str:
        """Return the next character, blank or not; empty at the end."""
        return self.text[self.at : self.at + 1]

    def take(self, literal: str) -> bool:
        """Read `literal` if it comes next, and tell whether it did."""
        if not self.text.startswith(literal, self.at):
            return False
        self.at += len(literal)
        return True

    def word(self, *, colons: bool = False, ends: str = _SPECIAL) -> Word:
        """Read up to a blank, one of `ends`, or a colon unless these are allowed inside.

        Shape: may be empty.
        """
        start = self.at
        text: list[str] = []
        pattern: list[str] = []
        wild = False
        while (character := self.here()) and not character.isspace() and character not in ends:
            if character == ":" and not colons:
                break
            self.at += 1
            if character in "*?":
                wild = True
                text.append(character)
                pattern.append(character)
                continue
            if character == "\\":
                if not self.here():
                    self.fail("a backslash at the end escapes nothing", self.at - 1, "double it")
                character = self._escaped()
            text.append(character)
            pattern.append("\\" + character if character in "*?\\" else character)
        raw = self.text[start : self.at]
        return Word(start, raw, "".join(text), "".join(pattern), wild)

    def quoted(self) -> str:
        """Read a text between two equal quotation marks, of which the next character is one."""
        start, mark = self.at, self.here()
        self.at += 1
        text: list[str] = []
        while (character := self.here()) != mark:
            self.at += 1
            if character == "\\" and self.here():
                character = self._escaped()
            elif character in ("\\", ""):
                self.fail(
                    f"the closing {mark} is missing", start, f"escape a single {mark} as \\{mark}"
                )
            text.append(character)
        self.at += 1
        return "".join(text)

    def regex(self) -> str:
        """Read the expression between two slashes, of which the first is the next character."""
        start = self.at
        self.at += 1
        while (character := self.here()) != "/":
            self.at += 2 if character == "\\" else 1
            if self.at > len(self.text) or not character:
                self.fail(
                    "the closing / of this regular expression is missing",
                    start,
                    "quote a text that begins with /, or escape it as \\/",
                )
        self.at += 1
        return self.text[start + 1 : self.at - 1]

    def comparison(self) -> str:
        """Read `<`, `<=`, `>` or `>=`; empty if none comes next."""
        for spelling in ("<=", ">=", "<", ">"):
            if self.take(spelling):
                return spelling
        return ""

    def _escaped(self) -> str:
        """Read what follows a backslash: a character, or `u` and its code in four digits."""
        character = self.here()
        position = self.at - 1
        self.at += 1
        if character != "u":
            return character
        code = self._code()
        if code is not None and 0xD800 <= code < 0xDC00 and self.take("\\u"):
            low = self._code()
            paired = low is not None and 0xDC00 <= low < 0xE000
            code = 0x10000 + (code - 0xD800 << 10) + (low - 0xDC00) if low and paired else None
        if code is None or 0xD800 <= code < 0xE000:
            self.fail(
                "\\u is followed by the four hexadecimal digits of a character",
                position,
                "double a backslash that is text",
            )
        return chr(code)

    def _code(self) -> int | None:
        digits = _CODE.match(self.text, self.at)
        if digits is None:
            return None
        self.at = digits.end()
        return int(digits.group(), 16)

    def suffix_number(self) -> str:
        """Read an unsigned number that stands right here; empty if there is none."""
        match = _SUFFIX_NUMBER.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()

    def fail(self, message: str, position: int | None = None, hint: str | None = None) -> NoReturn:
        """Raise InvalidQuery at `position`, or where reading has come to."""
        raise InvalidQuery(message, position=self.at if position is None else position, hint=hint)


def number_of(text: str) -> int | float | None:
    """Return the number that `text` spells in decimal, or None.

    Shape: finite; an integer unless there is a point or an exponent.
    """
    if len(text) > _NUMBER_CHARS or not text.isascii():
        return None
    match = _NUMBER.match(text)
    if match is None:
        return None
    if match.group(2) or match.group(3) or text.lstrip("+-").startswith("."):
        number = float(text)
        return number if math.isfinite(number) else None
    return int(text)

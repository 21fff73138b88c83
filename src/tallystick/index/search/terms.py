"""How events are spelt in the index: the terms of its two text fields. Pure text, no index.

Every term begins with the tenant's ordinal, so that one tenant's words, statistics and expansions
never mix with another's. The field `facts` holds exact things, a path before its values: what a
path equals, where values exist, who sees the document. The field `words` holds the words of the
event's whole text with their positions, each followed by the path it stands in: `word` anywhere is
a range of terms, `word` in one field a single one.

Paths and tenants are numbers written with ASCII punctuation, which no word contains. In `words`
each digit of a path and each separator is written three times: two edits, the most a fuzzy term
may have, never turn one path or kind of text into another.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby

from tallystick.query.word_match import ANY, ONE, Pattern

_DIGITS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

EXACT_CHARS = 32
"""Longer strings are not spelt out but known by how they begin and a digest of the whole."""

LEAD_CHARS = 8
"""How much of a longer string is spelt out."""

GAP = 8
"""Empty positions between two texts of one path: more than any slop that is asked by position."""

_LAST_CHARACTER = 0x10FFFF
_JOINTS = "-._:/"
_JOINED_WORDS = 9

FILLER = "\x01"
"""A token that is not indexed but takes a position."""

# What a term of `facts` says, in the place behind the tenant.
SEEN = "\x03"
ITEM_KEY = "\x04"
EXISTS = "\x05"
EXACT = "\x06"
LONG = "\x07"
HAS_LONG = "\x08"
FLAG = "\x0e"
NULL = "\x0f"
INEXACT = "\x10"
SEVERAL = "\x11"
PLACE = "\x12"
PLACES = "\x13"
UNLISTED_NUMBER = "\x14"
JOINED = "\x15"
MOMENT = "\x16"
OTHER = "\x17"
_VALUE = "\x02"

# Classes of words. Patterns that begin with a wildcard walk whole classes, and identifiers made by
# machines, by far the most numerous, can be left out when the pattern is no part of one.
LETTERS = "\x0e"
MIXED = "\x0f"
HEXADECIMAL = "\x10"
WORD_CLASSES = (LETTERS, MIXED, HEXADECIMAL)

DATA = "\x02\x02\x02"
"""Separates a word of the payload from its path."""
REST = "\x03\x03\x03"
"""Separates any other word of the whole text from its path."""

MOMENT_BITS = (18, 24, 30)
"""Documents are found by spans of 2^n milliseconds: four minutes, five hours, twelve days."""

_MOMENTS_AT_ONCE = 64

_has_digit = re.compile("[0-9]").search
_is_hexadecimal = re.compile("[0-9a-f]+").fullmatch
_unsafe = re.compile("[\x00-\x20]").search
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_ESCAPES = {code: "\x01" + chr(0x21 + code) for code in range(0x21)}


@lru_cache(maxsize=4096)
def number(ordinal: int) -> str:
    """Return an ordinal as punctuation."""
    text = _DIGITS[ordinal % 32]
    while ordinal := ordinal >> 5:
        text = _DIGITS[ordinal & 31] + text
    return text


@lru_cache(maxsize=4096)
def wide_number(ordinal: int) -> str:
    """Return an ordinal as punctuation that differs from any other by three edits at least."""
    return "".join(digit * 3 for digit in number(ordinal))


def escaped(text: str) -> str:
    """Return `text` without blanks and control characters; order and prefixes are kept."""
    return text.translate(_ESCAPES) if _unsafe(text) else text


def unescaped(text: str) -> str:
    """Return what `escaped` was given."""
    if FILLER not in text:
        return text
    return re.sub("\x01(.)", lambda found: chr(ord(found[1]) - 0x21), text)


# Terms of `facts`


def seen(tenant: str, name: str) -> str:
    """Return the term of documents that `name` shows."""
    return tenant + SEEN + escaped(name)


def item_key(tenant: str, key: str) -> str:
    """Return the term by which an item is found when it has to go."""
    return tenant + ITEM_KEY + escaped(key)


def marked(tenant: str, mark: str, path: int) -> str:
    """Return the term of documents with a mark on a path."""
    return tenant + mark + number(path)


def other(tenant: str, path: str) -> str:
    """Return the term of documents with a value at a path that is not kept apart."""
    digest = blake2b(path.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return tenant + OTHER + urlsafe_b64encode(digest).decode()


def values_at(tenant: str, kind: str, path: int) -> str:
    """Return what the terms of all values of one kind at a path begin with."""
    return tenant + kind + number(path) + _VALUE


def moments(tenant: str, ms: int) -> str:
    """Return the terms of documents that occurred in the same spans of time."""
    return " ".join(_moment(tenant, bits, ms >> bits) for bits in MOMENT_BITS)


def moments_between(tenant: str, low_ms: int, high_ms: int) -> list[str] | None:
    """Return the terms of spans that together hold a range of times; None if they were many.

    The spans are as short as they can be, so that they hold little else.
    """
    for bits in MOMENT_BITS:
        low, high = low_ms >> bits, high_ms >> bits
        if high - low < _MOMENTS_AT_ONCE:
            return [_moment(tenant, bits, span) for span in range(low, high + 1)]
    return None


def _moment(tenant: str, bits: int, span: int) -> str:
    return f"{tenant}{MOMENT}{number(bits)}{span:x}"


def flag(tenant: str, path: int, value: bool) -> str:
    """Return the term of a boolean."""
    return values_at(tenant, FLAG, path) + ("t" if value else "f")


def inexact(tenant: str, path: int, value: int) -> str:
    """Return the term of an integer that no double holds."""
    return values_at(tenant, INEXACT, path) + str(value)


def string(tenant: str, path: int, value: str, secret: bytes) -> str:
    """Return the term of a string.

    `secret` keys the digest of long strings, so that nobody can make two that look the same.
    """
    if len(value) <= EXACT_CHARS:
        return values_at(tenant, EXACT, path) + escaped(value)
    return values_at(tenant, LONG, path) + long(value, secret)


def long(value: str, secret: bytes) -> str:
    """Return what the term of a longer string says behind `values_at`."""
    digest = blake2b(value.encode(), digest_size=9, key=secret).digest()
    text = b2a_base64(digest, newline=False).translate(_URL_SAFE).decode()
    return escaped(value[:LEAD_CHARS]) + _VALUE + text


def joint_of(value: str, words: Sequence[str]) -> str:
    """Return the character that joins `words` to `value`; empty if there is none.

    Such a value, an identifier mostly, is known by its words and their number alone.
    """
    if not 0 < len(words) <= _JOINED_WORDS:
        return ""
    joint = value[len(words[0])] if len(words) > 1 else _JOINTS[0]
    return joint if joint in _JOINTS and joint.join(words) == value else ""


def joined(tenant: str, path: int, joint: str, count: int) -> str:
    """Return the term of documents with a value that is `count` words joined by `joint`."""
    return values_at(tenant, JOINED, path) + joint + str(count)


def lead_of(value: str) -> str:
    """Return how a long string begins, from what follows `values_at` in its term."""
    return unescaped(value.partition(_VALUE)[0])


# Terms of `words`


def word_class(word: str) -> str:
    """Return the class of a word."""
    if not _has_digit(word):
        return LETTERS
    return HEXADECIMAL if _is_hexadecimal(word) else MIXED


def word(tenant: str, text: str, place: str) -> str:
    """Return the term of a word; `place` is a separator alone, or with its path."""
    return tenant + word_class(text) + text + place


def word_and_place(rest: str) -> tuple[str, str]:
    """Return what a term says behind its class: the word, and its separator with a path."""
    word = rest.partition(DATA[0])[0].partition(REST[0])[0]
    return word, rest[len(word) :]


def place_of(path: int, *, data: bool) -> str:
    """Return what follows a word at a path."""
    return (DATA if data else REST) + wide_number(path)


# Patterns over terms, in the regular expressions of the index


def literal(text: str) -> str:
    """Return a regular expression for `text` itself."""
    return "".join(
        character if character.isalnum() or ord(character) > 0x7F else f"\\x{{{ord(character):x}}}"
        for character in text
    )


_ONE_VALUE_CHARACTER = r"(\x{1}.|[^\x{1}\x{2}])"
_ONE_WORD_CHARACTER = r"[^\x{2}\x{3}]"


def value_pattern(pattern: Pattern) -> str:
    """Return a regular expression for the values that match `pattern` as a whole."""
    return "".join(
        _ONE_VALUE_CHARACTER + ("*" if symbol == ANY else "")
        if symbol in (ANY, ONE)
        else literal(escaped(symbol[1]))
        for symbol in simplified(pattern)
    )


def simplified(pattern: Pattern) -> Iterator[str]:
    """Yield the symbols of a pattern that means the same, with one `*` in a row at most."""
    for wild, symbols in groupby(pattern, lambda symbol: symbol in (ANY, ONE)):
        if wild:
            run = list(symbols)
            yield from (symbol for symbol in run if symbol == ONE)
            yield from (ANY,) if ANY in run else ()
        else:
            yield from symbols


def word_pattern(tenant: str, pattern: Pattern, places: Iterable[str]) -> str:
    """Return a regular expression for the words that match `pattern` in one of some places.

    Shape: a place is a separator, meaning any path, or a separator with its path.
    """
    body = "".join(
        _ONE_WORD_CHARACTER + ("*" if symbol == ANY else "")
        if symbol in (ANY, ONE)
        else literal(symbol[1])
        for symbol in simplified(pattern)
    )
    return in_places(tenant, _classes_of(pattern), body, places)


def in_places(tenant: str, classes: Iterable[str], body: str, places: Iterable[str]) -> str:
    """Return a regular expression for words that match `body`, of some classes, in one place."""
    ends = "|".join(literal(place) + ("" if len(place) > len(DATA) else ".*") for place in places)
    kinds = "".join(f"\\x{{{ord(kind):x}}}" for kind in classes)
    return f"{literal(tenant)}[{kinds}]{body}({ends})"


def _classes_of(pattern: Pattern) -> list[str]:
    """Return the classes that words matching `pattern` may have."""
    text = "".join(symbol[1] for symbol in pattern if symbol not in (ANY, ONE))
    if not any(symbol in (ANY, ONE) for symbol in pattern):
        return [word_class(text)]
    classes = [MIXED]
    if not _has_digit(text):
        classes.append(LETTERS)
    if not text or _is_hexadecimal(text):
        classes.append(HEXADECIMAL)
    return classes


def after_all_that_begin(text: str) -> str:
    """Return the lowest string above all that begin with `text`."""
    for at in range(len(text) - 1, -1, -1):
        code = ord(text[at]) + 1
        if code <= _LAST_CHARACTER:
            return text[:at] + chr(0xE000 if 0xD800 <= code <= 0xDFFF else code)
    return text + chr(_LAST_CHARACTER) * (EXACT_CHARS + 1)


def strings_between(
    low: str | None, high: str | None, *, low_inclusive: bool, high_inclusive: bool
) -> str | None:
    """Return a regular expression for the strings within bounds, all spelt escaped.

    Shape: None when there are none. Order is that of code points.
    """
    low_text = None if low is None else escaped(low)
    high_text = None if high is None else escaped(high)
    if low_text is None and high_text is None:
        return ".*"
    if low_text is not None and high_text is not None:
        return _between(low_text, high_text, low_inclusive, high_inclusive)
    if low_text is not None:
        return _alternatives(_above(low_text, low_inclusive))
    assert high_text is not None, "one of the bounds is there"
    return _alternatives(_below(high_text, high_inclusive))


def _between(low: str, high: str, low_inclusive: bool, high_inclusive: bool) -> str | None:
    if low > high or (low == high and not (low_inclusive and high_inclusive)):
        return None
    shared = 0
    while shared < min(len(low), len(high)) and low[shared] == high[shared]:
        shared += 1
    head, low, high = low[:shared], low[shared:], high[shared:]
    if not high:
        return literal(head)
    tails: list[str] = []
    if not low:
        tails = _below(high, high_inclusive)
        if not low_inclusive:
            tails.remove("")
    else:
        between = _characters(ord(low[0]) + 1, ord(high[0]) - 1)
        tails = [literal(low[0]) + tail for tail in _above(low[1:], low_inclusive)]
        tails += [between + ".*"] if between else []
        tails += [literal(high[0]) + tail for tail in _below(high[1:], high_inclusive)]
    inner = _alternatives(tails)
    return None if inner is None else literal(head) + inner


def _above(low: str, inclusive: bool) -> list[str]:
    """Return expressions that together match every string above `low`."""
    found = [literal(low)] if inclusive else []
    found.append(literal(low) + ".+")
    for at, character in enumerate(low):
        higher = _characters(ord(character) + 1, _LAST_CHARACTER)
        if higher:
            found.append(literal(low[:at]) + higher + ".*")
    return found


def _below(high: str, inclusive: bool) -> list[str]:
    """Return expressions that together match every string below `high`."""
    found = [literal(high)] if inclusive else []
    for at, character in enumerate(high):
        found.append(literal(high[:at]))
        lower = _characters(1, ord(character) - 1)
        if lower:
            found.append(literal(high[:at]) + lower + ".*")
    return found


def _characters(low: int, high: int) -> str:
    """Return an expression for one character of a range; empty when there is none."""
    if 0xD800 <= low <= 0xDFFF:
        low = 0xE000
    if 0xD800 <= high <= 0xDFFF:
        high = 0xD7FF
    return f"[\\x{{{low:x}}}-\\x{{{high:x}}}]" if low <= high else ""


def _alternatives(found: list[str]) -> str | None:
    # The library takes no empty alternative.
    spelt = [one for one in found if one]
    if not spelt:
        return "" if found else None
    return f"({'|'.join(spelt)})" + ("?" if len(spelt) < len(found) else "")

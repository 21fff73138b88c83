"""How values are spelt as facts: terms that the engine finds as they are, without analysis.

A fact says of which field it is and what holds there. Those of an order are spelt so that the order
of their bytes is that of the values: a range of values is a range of terms. What has no exact
spelling is marked as odd, and is decided by reading the event.
"""

from __future__ import annotations

import math
import struct
from hashlib import sha256

from tallystick.query.expr import Scalar
from tallystick.query.match import COMPARED_CHARS

_EQUAL = "="
_ORDERED = "<"
_NUMBER = "#"
_ODD_TEXT = "~"
_ODD_NUMBER = "%"
_PLACE = "@"
_END = "\0"
_BEYOND = "\1"
_EXACT_CHARS = 256
_SIGN = 1 << 63


def equal(field: str, value: Scalar) -> str:
    """Return the fact that a field has a value."""
    return f"{_EQUAL}{_name(field)}{_END}{_spelt(value)}"


def ordered(field: str, value: str) -> str:
    """Return the fact by which a string is found in the order of strings, or that it is odd."""
    text = value[:COMPARED_CHARS]
    if not is_text(text):
        return odd_text(field)
    return f"{_ORDERED}{_name(field)}{_END}{text}"


def ordered_number(field: str, value: float) -> str:
    """Return the fact by which a number is found in the order of numbers."""
    return f"{_NUMBER}{_name(field)}{_END}{_sortable(value)}"


def numbers(field: str, value: int | float) -> str:
    """Return the fact of a number, or that it is odd: no double is the same."""
    double = double_of(value)
    return odd_number(field) if double is None else ordered_number(field, double)


def odd_text(field: str) -> str:
    """Return the fact that a field has a string which has no place in the order of terms."""
    return f"{_ODD_TEXT}{_name(field)}"


def odd_number(field: str) -> str:
    """Return the fact that a field has a number which no double is the same as."""
    return f"{_ODD_NUMBER}{_name(field)}"


def place(field: str) -> str:
    """Return the fact that a field is a place."""
    return f"{_PLACE}{_name(field)}"


def text_bounds(field: str) -> tuple[str, str]:
    """Return between which facts all strings of a field stand; the upper bound is none of them."""
    return f"{_ORDERED}{_name(field)}{_END}", f"{_ORDERED}{_name(field)}{_BEYOND}"


def number_bounds(field: str) -> tuple[str, str]:
    """Return between which facts all numbers of a field stand; the upper bound is none of them."""
    return f"{_NUMBER}{_name(field)}{_END}", f"{_NUMBER}{_name(field)}{_BEYOND}"


def word(field: str | None, token: str) -> str:
    """Return how a word of a field is spelt, or of the whole text."""
    return f"{'' if field is None else _name(field)}{_END}{token}"


def double_of(value: int | float) -> float | None:
    """Return the double that is the same as a number, if there is one."""
    try:
        double = float(value)
    except OverflowError:
        return None
    return double + 0.0 if double == value and not math.isnan(double) else None


def is_text(value: str) -> bool:
    """Tell whether a string is Unicode: lone surrogates have no place in UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _spelt(value: Scalar) -> str:
    if isinstance(value, str):
        if len(value) <= _EXACT_CHARS and is_text(value):
            return f"s{value}"
        return f"h{sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"
    if value is None:
        return "z"
    if isinstance(value, bool):
        return "t" if value else "f"
    # What is equal is spelt alike, whatever its type.
    is_whole = isinstance(value, int) or value.is_integer()
    text = str(int(value)) if is_whole else repr(value)
    return f"n{text}" if len(text) <= _EXACT_CHARS else f"m{sha256(text.encode()).hexdigest()}"


def _name(field: str) -> str:
    # What begins a fact must not occur in names of fields, and names may be long.
    if len(field) <= _EXACT_CHARS and is_text(field) and _END not in field and _BEYOND not in field:
        return field
    return f"\2{sha256(field.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _sortable(value: float) -> str:
    (bits,) = struct.unpack(">Q", struct.pack(">d", value + 0.0))
    return f"{bits ^ (_SIGN * 2 - 1) if bits & _SIGN else bits | _SIGN:016x}"

"""Comparing idtimestamps, which nobody stores: they follow from when an entry was recorded and its
index, and grow along the log, so that every comparison is one of places in the log.
"""

from __future__ import annotations

from bisect import bisect_left

from tallystick.events import ids
from tallystick.query import expr
from tallystick.query.expr import Expr

_DIGITS = "0123456789abcdef"
_LENGTH = 18


def compare(operator: str, text: str, size: int) -> Expr:
    """Return what it means that an idtimestamp compares so with `text`, code point by code point.

    `size` is how many entries the log may have.
    """
    first = _first_not_before(text)
    is_one = f"{first:0{_LENGTH}x}" == text
    beyond = first + 1 if is_one else first
    match operator:
        case "eq":
            return _exactly(first, size) if is_one else expr.Nothing()
        case "ne":
            return expr.Not(_exactly(first, size)) if is_one else expr.Everything()
        case "lt":
            return _below(first, size)
        case "le":
            return _below(beyond, size)
        case "gt":
            return expr.Not(_below(beyond, size))
        case _:
            return expr.Not(_below(first, size))


def _first_not_before(text: str) -> int:
    """Return the least number whose 18 digits do not sort before `text`."""
    number = 0
    for place, character in enumerate(text[:_LENGTH], 1):
        digit = bisect_left(_DIGITS, character)
        number = number * 16 + digit
        if character not in _DIGITS:
            return number << 4 * (_LENGTH - place)
    if len(text) > _LENGTH:
        return number + 1
    return number << 4 * (_LENGTH - len(text))


def _exactly(number: int, size: int) -> Expr:
    recorded_ms, sequence = ids.place_of_idtimestamp(number)
    indexes = tuple(start + sequence for start in _starts(size))
    return expr.all_of([expr.Eq("recorded_ms", recorded_ms), expr.In("index", indexes)])


def _below(number: int, size: int) -> Expr:
    recorded_ms, sequence = ids.place_of_idtimestamp(number)
    earlier = expr.Range("recorded_ms", high=recorded_ms - 1)
    if sequence == 0:
        return earlier
    before = [expr.Range("index", start, start + sequence - 1) for start in _starts(size)]
    return expr.any_of(
        [earlier, expr.all_of([expr.Eq("recorded_ms", recorded_ms), expr.any_of(before)])]
    )


def _starts(size: int) -> range:
    """Return the indexes at which the sequence begins again, which no two of a millisecond do."""
    return range(0, max(size, 1), ids.IDTIMESTAMP_SEQUENCES)

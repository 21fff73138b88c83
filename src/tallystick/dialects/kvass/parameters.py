"""The parameters of lists and searches, from text to a question. Pure.

Source: seed Kvass, "Get All Events" and "Events Search"; wire specification 2.4.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction

from tallystick import limits
from tallystick.dialects.kvass.wire import DIALECT, with_object_id
from tallystick.errors import Malformed
from tallystick.events import ids
from tallystick.query.expr import Eq, Everything, Expr, Nothing, Range, Sort, all_of
from tallystick.query.question import Find

SIZE = 10
SIZE_MAX = 1000

_ID_FIELD = f"{DIALECT}.id"
_SORTS: dict[str, str | None] = {
    "created": "occurred_ms",
    "modified": "occurred_ms",
    "kind": "kind",
    "_id": _ID_FIELD,
    "id": _ID_FIELD,
    "data.object_type": "class",
    # The same for every event that a key can see.
    "company": None,
}
_DIGITS = re.compile(r"[0-9]{1,400}\Z")
_NUMBER = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,3})?\Z")
_OFFSET_MAX = 1 << 53
_MS_FROM = 10**11
"""Numbers from here on are milliseconds: this is 1973; in seconds it would be the year 5138."""


def to_question(parameters: Mapping[str, str], *, search: bool) -> Find:
    """Return the question that a list or a search asks.

    Raises: Malformed, naming the parameter.
    """
    size = min(_whole(parameters, "size", SIZE), SIZE_MAX)
    if size == 0:
        raise Malformed("size is a number of events, at least 1", path="size")
    where = [_within_dates(parameters)]
    if search:
        where.append(_matching(parameters.get("query", "")))
    return Find(
        where=all_of(where),
        dialect=DIALECT,
        sort=to_sort(parameters.get("sort", "-created")),
        limit=size,
        offset=min(_whole(parameters, "page", 0) * size, _OFFSET_MAX),
        total=True,
    )


def to_sort(text: str) -> tuple[Sort, ...]:
    """Return the sort keys of a list such as `-created,kind`.

    Events that all keys leave equal stay in the order of the log, or against it if the first key
    is descending, so that pages never overlap.
    Raises: Malformed.
    """
    sorts: list[Sort] = []
    first_descending = text.strip().startswith("-")
    for part in text.split(","):
        name = part.strip()
        descending = name.startswith("-")
        name = name.removeprefix("-")
        if name not in _SORTS:
            known = ", ".join(_SORTS)
            raise Malformed(f"sort is a list of {known}; - means descending", path="sort")
        field = _SORTS[name]
        if field is not None and all(sort.field != field for sort in sorts):
            sorts.append(Sort(field, descending=descending))
    # Ties are broken by the index anyway, in the direction of the last key.
    if not sorts or sorts[-1].descending != first_descending:
        sorts.append(Sort("index", descending=first_descending))
    return tuple(sorts)


def _matching(text: str) -> Expr:
    """Return what a query means: an event's id, an exact kind, or a class of kinds."""
    if not text:
        raise Malformed("query is a kind, a class of kinds or an event's id", path="query")
    if ids.is_object_id(text):
        return with_object_id(text.lower())
    return Eq("kind" if "." in text else "class", text)


def _within_dates(parameters: Mapping[str, str]) -> Expr:
    if parameters.get("date_filter", "created") not in ("created", "modified"):
        raise Malformed("dates filter by created", path="date_filter")
    low = _from(parameters.get("from_date"))
    high = _to(parameters.get("to_date"))
    if low is None and high is None:
        return Everything()
    if low is not None and high is not None and low > high:
        return Nothing()
    return Range("occurred_ms", low, high)


def _from(text: str | None) -> int | None:
    if text is None:
        return None
    moment = _number(text, "from_date")
    if abs(moment) < _MS_FROM:
        moment *= 1000
    return math.ceil(_clamped(moment))


def _to(text: str | None) -> int | None:
    """Return the last millisecond that is meant: a whole second is meant to its end."""
    if text is None:
        return None
    moment = _number(text, "to_date")
    if abs(moment) < _MS_FROM:
        moment = moment * 1000 + (999 if moment.denominator == 1 else 0)
    return math.floor(_clamped(moment))


def _clamped(moment: Fraction) -> Fraction:
    """Return a time that is no further out than just outside the years that events may have."""
    low, high = limits.OCCURRED_MS_MIN - 1, limits.OCCURRED_MS_MAX + 1
    return min(max(moment, Fraction(low)), Fraction(high))


def _number(text: str, name: str) -> Fraction:
    if not _NUMBER.match(text):
        raise Malformed(f"{name} is a time in seconds, such as 1567172963", path=name)
    return Fraction(text)


def _whole(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    if not _DIGITS.match(text):
        raise Malformed(f"{name} is a whole number", path=name)
    return int(text)

"""The `q` language of version 2: conditions joined by `;`, each a key, an operator and a value.

A condition is cut at its first operator and nothing is trimmed, so values may hold colons and
operators. A bound on the time stands for its whole second, since times are shown without
fractions. Source: seed, parameter `q`; wire specification of Cloud Foundry 3.4 and 3.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from tallystick import limits
from tallystick.dialects.cloudfoundry import timestamps
from tallystick.errors import InvalidQuery, Malformed, TooLarge, UnsupportedField
from tallystick.query.expr import Eq, Expr, In, Nothing, Range, all_of, any_of

SPACE_FIELD = "cloudfoundry.space_guid"
ORGANIZATION_FIELD = "cloudfoundry.organization_guid"

TIMESTAMP = "timestamp"
TEXT_FIELDS = {
    "type": "kind",
    "actee": "target.id",
    "space_guid": SPACE_FIELD,
    "organization_guid": ORGANIZATION_FIELD,
}
EVENT_KEYS = (TIMESTAMP, *TEXT_FIELDS)

_CONDITION = re.compile(r"(?:;;|[^;])+")
_OPERATOR = re.compile(r":|>=|<=|<|>| IN ")


class FilterCondition(NamedTuple):
    """One condition; `operator` is empty when the text has none."""

    key: str
    operator: str
    value: str

    @property
    def values(self) -> tuple[str, ...]:
        """The values that an equality or a list names."""
        return tuple(self.value.split(",")) if self.operator == " IN " else (self.value,)


def parse(texts: Iterable[str], keys: tuple[str, ...]) -> list[FilterCondition]:
    """Return the conditions of all `q` parameters; every one must hold.

    Raises: UnsupportedField for a key that is not among `keys`, TooLarge for too many conditions.
    """
    conditions = [
        _condition(part.replace(";;", ";"), keys)
        for text in texts
        for part in _CONDITION.findall(text)
    ]
    if len(conditions) > limits.QUERY_CLAUSES:
        raise TooLarge(
            f"q may hold {limits.QUERY_CLAUSES} conditions; this one has {len(conditions)}",
            limit=limits.QUERY_CLAUSES,
            actual=len(conditions),
        )
    return conditions


def to_expr(conditions: Iterable[FilterCondition]) -> Expr:
    """Return what conditions on events mean.

    Raises: InvalidQuery for a time that is none.
    """
    return all_of(
        _time(condition) if condition.key == TIMESTAMP else _text(condition)
        for condition in conditions
    )


def holds(condition: FilterCondition, value: str) -> bool:
    """Tell whether one text satisfies a condition, as strings compare."""
    bound = condition.value
    match condition.operator:
        case ":" | " IN ":
            return value in condition.values
        case ">":
            return value > bound
        case ">=":
            return value >= bound
        case "<":
            return value < bound
        case "<=":
            return value <= bound
    return False


def within_second(ms: int, operator: str) -> Expr:
    """Return the events on one side of a second, or within it for the operator `:`."""
    first = ms - ms % timestamps.SECOND_MS
    last = first + timestamps.SECOND_MS - 1
    match operator:
        case ">":
            return Range("occurred_ms", low=last + 1)
        case ">=":
            return Range("occurred_ms", low=first)
        case "<":
            return Range("occurred_ms", high=first - 1)
        case "<=":
            return Range("occurred_ms", high=last)
    return Range("occurred_ms", low=first, high=last)


def _condition(text: str, keys: tuple[str, ...]) -> FilterCondition:
    match = _OPERATOR.search(text)
    key = text if match is None else text[: match.start()]
    if key not in keys:
        raise UnsupportedField(f"{key!r} is no filter", field=key, allowed=keys)
    if match is None:
        return FilterCondition(key, "", "")
    return FilterCondition(key, match[0], text[match.end() :])


def _time(condition: FilterCondition) -> Expr:
    if not condition.operator:
        raise InvalidQuery("timestamp needs an operator and a time, such as timestamp>=2014-06-19")
    try:
        seconds = [timestamps.from_text(value) for value in condition.values]
    except Malformed as error:
        raise InvalidQuery(f"timestamp: {error.message}") from None
    return any_of(within_second(ms, condition.operator) for ms in seconds)


def _text(condition: FilterCondition) -> Expr:
    field, value = TEXT_FIELDS[condition.key], condition.value
    match condition.operator:
        case ":":
            return Eq(field, value)
        case " IN ":
            return In(field, condition.values)
        case ">":
            return Range(field, low=value, low_inclusive=False)
        case ">=":
            return Range(field, low=value)
        case "<":
            return Range(field, high=value, high_inclusive=False)
        case "<=":
            return Range(field, high=value)
    # Without an operator the original asks for null, which no event has.
    return Nothing()

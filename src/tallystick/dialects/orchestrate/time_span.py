"""Which part of an event list a request asks for, by time or by time and ordinal. Pure.

Names follow time, not the order of rows: start and after cut off the old end, although rows come
newest first. Source: wire specification, section 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tallystick import limits
from tallystick.dialects.orchestrate import timestamps
from tallystick.dialects.orchestrate.errors import Refusal
from tallystick.dialects.orchestrate.paging import Parameter
from tallystick.dialects.orchestrate.wire import parse_ordinal
from tallystick.errors import Malformed


class Position(NamedTuple):
    """A place among the events of a series: before the event at `index` that happened then.

    Index 0 is before everything that happened at that time.
    """

    occurred_ms: int
    index: int = 0  # type: ignore[assignment]  # a tuple has a method of that name


class TimeSpan(NamedTuple):
    """What lies at or after `low` and before `high`."""

    low: Position = Position(limits.OCCURRED_MS_MIN)
    high: Position = Position(limits.OCCURRED_MS_MAX + 1)

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing can lie in it."""
        return self.low >= self.high


# Whether a bound cuts off the old end, and whether it is itself within the span.
_BOUNDS: dict[str, tuple[bool, bool]] = {
    "startEvent": (True, True),
    "afterEvent": (True, False),
    "beforeEvent": (False, False),
    "endEvent": (False, True),
    "start": (True, True),
    "end": (False, False),
}

LOWER_BOUNDS = frozenset(name for name, (is_low, _) in _BOUNDS.items() if is_low)
UPPER_BOUNDS = _BOUNDS.keys() - LOWER_BOUNDS


Places = Callable[[int, int], int]
"""Returns the index of the event with a time and an ordinal."""


def span_of(parameters: Sequence[Parameter], index_of: Places) -> TimeSpan:
    """Return the span that all bounds among the parameters leave.

    Raises: Refusal event_param_invalid naming the parameter.
    """
    low, high = TimeSpan()
    for parameter in parameters:
        if parameter.name not in _BOUNDS:
            continue
        is_low, inclusive = _BOUNDS[parameter.name]
        # An inclusive lower bound and an exclusive upper one cut before the event, the others
        # right behind it.
        position = _position(parameter, index_of, behind=is_low is not inclusive)
        if is_low:
            low = max(low, position)
        else:
            high = min(high, position)
    return TimeSpan(low, high)


def _position(parameter: Parameter, index_of: Places, *, behind: bool) -> Position:
    timestamp, slash, ordinal = parameter.value.partition("/")
    try:
        occurred_ms = timestamps.parse(timestamp)
        if slash:
            return Position(occurred_ms, index_of(occurred_ms, parse_ordinal(ordinal)) + behind)
    except Malformed as error:
        raise Refusal(
            "event_param_invalid",
            {"param": parameter.name, parameter.name: parameter.value[:64], "info": error.message},
        ) from None
    return Position(occurred_ms + behind)

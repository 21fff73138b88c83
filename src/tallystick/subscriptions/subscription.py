"""Which changes pass: a filter, and what the principal behind a subscription may see.

A `record` passes when the event, as it is shown now, matches both. A `revise` passes when the event
may be seen and matches as it is shown now or as it was shown before: a receiver that was shown an
event learns that it changed, even out of its filter. A `retract` passes when the event matched.

Of what was erased nothing is left to be matched, so a `retract` or `erase` of such an event is
decided with what is left, in three values: fields of erased sections may have had any value.
- What certainly did not match, or could certainly not be seen, does not pass.
- What could certainly be seen, as everything by a key that sees the whole tenant, passes with the
  event's id even if it only may have matched: a receiver may get a notice of an event that it does
  not know, and never misses one that it does.
- Where it is unknown whether the event could be seen, the notice has a digest of its id instead:
  who was shown the event recognises it, and nobody else learns anything of it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec

from tallystick.events.event import Op, View
from tallystick.query.expr import (
    And,
    Boost,
    Everything,
    Expr,
    Not,
    Nothing,
    Or,
    all_of,
)
from tallystick.query.match import Predicate, to_predicate
from tallystick.query.question import Over
from tallystick.query.values import Values
from tallystick.subscriptions.changes import Change


class Disclosure(enum.Enum):
    """What a subscriber gets of a change."""

    NOTHING = 0
    WHOLE = 1
    DIGEST = 2
    """That an event was retracted or erased, recognisable only to a receiver that knows its id."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A filter and what may be seen; equal ones share the work of deciding.

    `over` LOG takes every entry for an event, as it was recorded.
    """

    where: Expr = Everything()
    visible: Expr = Everything()
    over: Over = Over.EVENTS


class Judge:
    """Decides for one subscription; keeps nothing, so threads may share it."""

    def __init__(self, subscription: Subscription) -> None:
        where, visible = subscription.where, subscription.visible
        self._over = subscription.over
        self._shows: Predicate = to_predicate(all_of((where, visible)))
        self._sees: Predicate = to_predicate(visible)
        self._matches: Predicate = to_predicate(where)
        self._could_match = possibly(where)
        self._could_see = possibly(visible)

    def __call__(self, change: Change, values: Values) -> Disclosure:
        """Return what the subscriber gets of a change; `values` are those of `change.view`."""
        if change.op is Op.RECORD and change.view.removed:
            return Disclosure.NOTHING
        if change.op is Op.RECORD or self._over is Over.LOG:
            return Disclosure.WHOLE if self._shows(values) else Disclosure.NOTHING
        if change.op is Op.REVISE:
            return Disclosure.WHOLE if self._revised(change, values) else Disclosure.NOTHING
        return self._taken_away(change.view, values)

    def _revised(self, change: Change, values: Values) -> bool:
        # What was retracted since is not shown: its retraction follows.
        if change.view.retracted or not self._sees(values):
            return False
        if self._matches(values):
            return True
        return change.before is not None and self._matches(Values(change.before))

    def _taken_away(self, view: View, values: Values) -> Disclosure:
        erased = frozenset(view.event.erased) | frozenset(view.first.erased)
        could_match, _ = self._could_match(values, erased)
        could_see, could_miss = self._could_see(values, erased)
        if not (could_match and could_see):
            return Disclosure.NOTHING
        return Disclosure.DIGEST if could_miss else Disclosure.WHOLE


Verdict = tuple[bool, bool]
"""Whether an event could match, and whether it could fail to, had nothing been erased."""

_CERTAIN: Callable[[bool], Verdict] = lambda matches: (matches, not matches)  # noqa: E731


def possibly(expr: Expr) -> Callable[[Values, frozenset[str]], Verdict]:
    """Return what tells whether an event, some of whose sections are erased, could have matched."""
    match expr:
        case Everything() | Nothing():
            verdict = _CERTAIN(isinstance(expr, Everything))
            return lambda values, erased: verdict
        case Boost(part):
            return possibly(part)
        case Not(part):
            inner = possibly(part)
            return lambda values, erased: inner(values, erased)[::-1]
        case And(parts) | Or(parts):
            return _joined([possibly(part) for part in parts], is_and=isinstance(expr, And))
    test, sections = to_predicate(expr), _sections_of(expr)

    def leaf(values: Values, erased: frozenset[str]) -> Verdict:
        return (True, True) if sections & erased else _CERTAIN(test(values))

    return leaf


def _joined(
    parts: list[Callable[[Values, frozenset[str]], Verdict]], *, is_and: bool
) -> Callable[[Values, frozenset[str]], Verdict]:
    def verdict(values: Values, erased: frozenset[str]) -> Verdict:
        each = [part(values, erased) for part in parts]
        could, could_not = [one for one, _ in each], [other for _, other in each]
        return (all(could), any(could_not)) if is_and else (any(could), all(could_not))

    return verdict


_ALL = frozenset({"actor", "target", "place", "data", "previous"})
_WHOLE_ENTRY = frozenset(
    {"index", "id", "kind", "class", "op", "occurred_ms", "recorded_ms", "dialect", "subject"}
)
_BY_FIRST_NAME = {
    "actor": frozenset({"actor"}),
    "target": frozenset({"target"}),
    "scope": frozenset({"place"}),
    "trail": frozenset({"place"}),
    "original": frozenset({"place"}),
    "nested": frozenset({"place", "target"}),
    "data": frozenset({"data"}),
    "previous": frozenset({"previous"}),
}


def _sections_of(expr: Expr) -> frozenset[str]:
    """Return the sections in which the values of a leaf's field stand."""
    field: str | None = getattr(expr, "field", None)
    if field in _WHOLE_ENTRY:
        return frozenset()
    # The whole text of an event, and what dialects derive, may come from anywhere.
    return _ALL if field is None else _BY_FIRST_NAME.get(field.partition(".")[0], _ALL)

"""Retention: which events are due, and a run that removes them as the policies say.

The log itself is read. An event is due when a policy matches it, it is old enough by the log's own
clock, no other policy's floor keeps it, and no legal hold covers it. A run destroys all content of
due events and of their revisions, and they are shown no more; their entries and proofs stay. It
removes the oldest first, and at most a twentieth of the log unless that is confirmed. Planning and
running read the same selection, so the one foretells the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from tallystick.errors import InvalidQuery, TooLarge
from tallystick.events.entry import OP_BYTES
from tallystick.events.event import Op, View
from tallystick.identity.policies import RetentionPolicy
from tallystick.ledger.holds import Holds
from tallystick.ledger.log_time import DAY_MS
from tallystick.log.views import views_of
from tallystick.query.lucene import parse
from tallystick.query.match import to_predicate
from tallystick.query.native_fields import NativeFields
from tallystick.query.values import Values
from tallystick.store.base import HOLD_HEAD, LogHead, LogRow, Store
from tallystick.store.slices import row_slices

KIND = "policy"
SHARE = 20
"""A run removes at most one in so many entries of a log, unless that is confirmed."""


class DueEvents(NamedTuple):
    """Events of one stretch of the log that one policy removes, oldest first."""

    policy: RetentionPolicy
    views: Sequence[View]


class PolicyPlan(msgspec.Struct):
    """What a run removes by one policy."""

    policy: str
    events: int = 0
    ranges: list[list[int]] = []
    """Stretches [start, stop) of the log whose events go."""
    blocked: dict[str, int] = {}
    """How many due events each legal hold keeps."""
    left: int = 0
    """How many due events are more than one run removes."""

    def add(self, indexes: Sequence[int]) -> None:
        """Count events that are removed."""
        self.events += len(indexes)
        for index in indexes:
            if self.ranges and self.ranges[-1][1] == index:
                self.ranges[-1][1] = index + 1
            else:
                self.ranges.append([index, index + 1])


class RetentionPlan(NamedTuple):
    """What a run removes, policy by policy, as of a head of the log."""

    head: LogHead
    policies: dict[str, PolicyPlan]

    @property
    def events(self) -> int:
        """How many events go."""
        return sum(plan.events for plan in self.policies.values())


class _Rule(NamedTuple):
    """A policy, ready to be asked: entries before `due` are old enough, before `free` may go."""

    policy: RetentionPolicy
    matches: Callable[[View], bool]
    due: int
    free: int


class DueSelection:
    """Reads one log for what is due by its policies, as of one head and time.

    Iterating yields events that are to be removed; `plan` counts them meanwhile.
    """

    def __init__(
        self,
        store: Store,
        holds: Holds,
        policies: Sequence[RetentionPolicy],
        head: LogHead,
        *,
        system_ms: int,
        only: str | None = None,
        confirm: bool = False,
        start: int = 0,
    ) -> None:
        """Select as of `head`, by all policies or (`only`) one, from the entry `start` on.

        Raises: InvalidQuery, TooLarge for a query that is no longer understood.
        """
        self._store = store
        self._holds = holds
        self._tenant = head.tenant
        now_ms = holds.times.now_ms(head.tenant, head.size, system_ms)
        self._rules = [self._rule(policy, head, now_ms) for policy in policies]
        self._removing = [rule for rule in self._rules if only in (None, rule.policy.id)]
        self._start = start
        self._room = head.size if confirm else head.size // SHARE
        names = [rule.policy.id for rule in self._removing]
        self.plan = RetentionPlan(head, {name: PolicyPlan(name) for name in names})
        self.settled = start
        """Nothing before this entry is due, or becomes due by these policies."""
        self._is_settled = True

    def _rule(self, policy: RetentionPolicy, head: LogHead, now_ms: int) -> _Rule:
        until = self._holds.times.recorded_until

        def count(days: int | None, default: int) -> int:
            if days is None:
                return default
            return until(head.tenant, head.size, now_ms - days * DAY_MS)

        return _Rule(
            policy, _matcher(policy), count(policy.days, 0), count(policy.floor, head.size)
        )

    def __iter__(self) -> Iterator[DueEvents]:
        """Yield what is to be removed; the next part is read when the one before is done with."""
        stop = max((rule.due for rule in self._removing), default=0)
        for rows in row_slices(self._store, self._tenant, self._start, stop):
            yield from self._due(rows)
            if self._is_settled:
                self.settled = rows[-1].index + 1

    def _due(self, rows: Sequence[LogRow]) -> Iterator[DueEvents]:
        records = [row for row in rows if b'"op":"record"' in row.entry[:OP_BYTES]]
        due: dict[str, list[View]] = {}
        for view in views_of(self._store, self._tenant, records):
            rule = None if view.removed else self._rule_for(view)
            if rule is not None:
                due.setdefault(rule.policy.id, []).append(view)
        if not due:
            return
        held = self._holds.covering(self._tenant, [v.index for each in due.values() for v in each])
        for name, views in due.items():
            plan = self.plan.policies[name]
            blocked = Counter(held[view.index] for view in views if view.index in held)
            for hold, number in blocked.items():
                plan.blocked[hold] = plan.blocked.get(hold, 0) + number
            free = [view for view in views if view.index not in held]
            taken = free[: self._room]
            self._room -= len(taken)
            plan.left += len(free) - len(taken)
            self._is_settled = self._is_settled and len(taken) == len(views)
            if taken:
                plan.add([view.index for view in taken])
                policy = next(r.policy for r in self._removing if r.policy.id == name)
                yield DueEvents(policy, taken)

    def _rule_for(self, view: View) -> _Rule | None:
        """Return the first policy by which an event goes now; None if it stays."""
        index = view.index
        matching = [rule for rule in self._rules if rule.matches(view)]
        if any(index >= rule.free for rule in matching if rule.policy.floor is not None):
            self._is_settled = False
            return None
        for rule in matching:
            if index < rule.due and rule in self._removing:
                return rule
        if any(rule.policy.days is not None for rule in matching):
            self._is_settled = False
        return None


def fingerprint(
    store: Store, tenant: str, policies: Sequence[RetentionPolicy]
) -> tuple[object, ...]:
    """Return what must be the same for `DueSelection.settled` of an earlier run to be believed."""
    hold = store.resource_heads(tenant, [HOLD_HEAD]).get(HOLD_HEAD)
    rules = [(policy.id, policy.query, policy.days, policy.floor) for policy in policies]
    return (*rules, None if hold is None else hold.index)


def _matcher(policy: RetentionPolicy) -> Callable[[View], bool]:
    """Return what tells whether a policy is about an event, as it is shown or was recorded."""
    try:
        # Fields are not looked up: a policy must not depend on an index.
        matches = to_predicate(parse(policy.query, NativeFields(), default_operator="and"))
    except (InvalidQuery, TooLarge) as error:
        raise InvalidQuery(f"the retention policy {policy.id!r}: {error.message}") from error

    def covers(view: View) -> bool:
        if view.first.op is not Op.RECORD:
            return False
        return matches(Values(view))

    return covers

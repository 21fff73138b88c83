"""Acts on retention policies: each is an entry of op `system` together with the record it changes.

A policy is never shortened silently: what lets an event go earlier than before has to be confirmed,
and its entry says so.
"""

from __future__ import annotations

import msgspec

from tallystick.errors import Conflict, Malformed, NotFound
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.identity import acts, records
from tallystick.identity.acts import Act
from tallystick.identity.policies import RetentionPolicy
from tallystick.query.lucene import parse
from tallystick.query.native_fields import NativeFields
from tallystick.store.base import IdentityWrite

DAYS_MAX = 36_525
"""How many days a policy may name: a hundred years."""

_TOLD = ("query", "days", "floor", "reason")


def set_policy(known: RetentionPolicy | None, policy: RetentionPolicy, *, confirm: bool) -> Act:
    """Return the act that makes a policy, or replaces the `known` one.

    Raises: Malformed, InvalidQuery; Conflict when it shortens what is kept and is not confirmed.
    """
    _check(policy)
    shortened = [] if known is None else _shortened(known, policy)
    if shortened and not confirm:
        raise Conflict(
            f"events that the policy {policy.id!r} keeps would go earlier: {', '.join(shortened)}",
            hint="confirm it, if that is what you want",
        )
    if known is not None:
        policy = msgspec.structs.replace(
            policy, runs=known.runs, run_ms=known.run_ms, removed=known.removed
        )
    told: Json = {name: getattr(policy, name) for name in _TOLD}
    if shortened:
        told["shortened"] = shortened
    return Act(_draft("policy.set", policy, policy.set_by, told), (records.to_write(policy),))


def delete_policy(
    known: RetentionPolicy | None, id: str, *, by: Resource, reason: str | None, confirm: bool
) -> Act:
    """Return the act that ends a policy; what it removed stays removed.

    Raises: NotFound; Conflict when its floor kept events from others and that is not confirmed.
    """
    if known is None:
        raise NotFound(f"no such retention policy {id!r}")
    if known.floor is not None and not confirm:
        raise Conflict(
            f"the policy {id!r} keeps events for {known.floor} days from all other policies",
            hint="confirm it, if they may go earlier",
        )
    told: Json = {} if reason is None else {"reason": reason}
    write = IdentityWrite(known.tenant, "policy", id, None)
    return Act(_draft("policy.deleted", known, by, told), (write,))


def _check(policy: RetentionPolicy) -> None:
    acts.check_id(policy.id)
    if "/" in policy.id:
        raise Malformed("the id of a policy has no slash", path="/id")
    if policy.days is None and policy.floor is None:
        raise Malformed("a policy has days, a floor, or both", path="/days")
    for name in ("days", "floor"):
        value = getattr(policy, name)
        if value is not None and not 0 <= value <= DAYS_MAX:
            raise Malformed(f"{name} is 0 to {DAYS_MAX:,}", path=f"/{name}")
    if policy.days is not None and policy.floor is not None and policy.days < policy.floor:
        raise Malformed(
            f"the policy removes after {policy.days} days what it keeps for {policy.floor}",
            path="/days",
        )
    parse(policy.query, NativeFields(), default_operator="and")


def _shortened(before: RetentionPolicy, after: RetentionPolicy) -> list[str]:
    """Return in what a policy keeps less than before, in words."""
    found: list[str] = []
    if before.query != after.query:
        found.append(f"query {before.query} becomes {after.query}")
    if after.days is not None and (before.days is None or after.days < before.days):
        was = "forever" if before.days is None else f"{before.days} days"
        found.append(f"{was} becomes {after.days} days")
    if before.floor is not None and (after.floor is None or after.floor < before.floor):
        found.append(f"the floor of {before.floor} days becomes {after.floor or 0}")
    return found


def _draft(kind: str, policy: RetentionPolicy, by: Resource, told: Json) -> Draft:
    target = Resource("policy", policy.id)
    return Draft(kind=kind, op=Op.SYSTEM, actor=by, target=target, data=told, dialect="native")

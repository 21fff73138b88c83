"""Retention policies: how long a tenant keeps which events, as records of identity."""

from __future__ import annotations

import msgspec

from tallystick.events.event import Resource


class RetentionPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which events a tenant keeps for how long; the record says when it was last carried out.

    `query` is in the native query language, `*` for every event. An event that matches is removed
    once it is `days` old, None for never. No policy removes one that matches before it is `floor`
    days old.
    """

    id: str
    tenant: str
    query: str
    set_ms: int
    set_by: Resource
    days: int | None = None
    floor: int | None = None
    reason: str | None = None
    runs: int = 0
    run_ms: int | None = None
    """When it was last carried out."""
    removed: int = 0
    """How many entries it removed, in all runs."""

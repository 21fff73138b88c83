"""The Orchestrate.io API: key/value items, their events and relations, searched together."""

from __future__ import annotations

from tallystick.dialects.base import Dialect
from tallystick.dialects.orchestrate import request, wire
from tallystick.dialects.orchestrate.routes import routes
from tallystick.events.dialect_rules import DialectRules, SomeTerms

ORCHESTRATE = Dialect(
    name=wire.DIALECT,
    title="Orchestrate.io",
    rules=DialectRules(
        shows=wire.shows,
        derived=wire.derived,
        listed=SomeTerms(wire.LISTED, wire.listed),
    ),
    routes=routes,
    owns=request.owns,
    error=request.error_answer,
    openapi="openapi.yaml",
    render=lambda view, tenant: wire.from_event(view),
    headers=request.standing_headers,
)

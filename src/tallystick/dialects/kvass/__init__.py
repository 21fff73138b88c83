"""The Kvass dialect: business events with the whole object, its author and what changed.

Source: seed Kvass, "Events", and the wire specification of Kvass.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute

from tallystick.dialects.base import Dialect
from tallystick.dialects.kvass import wire
from tallystick.dialects.kvass.errors import answer
from tallystick.dialects.kvass.routes import KvassApi, owns, standing_headers
from tallystick.dialects.services import Services
from tallystick.events.dialect_rules import DialectRules, SomeTerms


def routes(services: Services) -> Sequence[BaseRoute]:
    """Return the routes."""
    return KvassApi(services).routes()


KVASS = Dialect(
    name=wire.DIALECT,
    title="Kvass",
    rules=DialectRules(
        shows=wire.shows,
        derived=wire.derived,
        version=2,
        listed=SomeTerms(frozenset(("given_id",)), wire.listed),
    ),
    routes=routes,
    owns=owns,
    error=answer,
    openapi="openapi.yaml",
    render=lambda view, tenant: wire.render(view, tenant.hex),
    headers=standing_headers,
)

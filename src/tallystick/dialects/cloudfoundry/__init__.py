"""The Cloud Foundry dialect: version 2 events as the seed shows them, and version 3 audit events.

Source: seed "List all Events" and the wire specification of Cloud Foundry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from starlette.routing import BaseRoute, Route

from tallystick.dialects.base import Dialect, settings_of
from tallystick.dialects.cloudfoundry import responses, timestamps, wire
from tallystick.dialects.cloudfoundry.errors import answer
from tallystick.dialects.cloudfoundry.routes import V2Api
from tallystick.dialects.cloudfoundry.routes_v3 import V3Api
from tallystick.dialects.cloudfoundry.wire import DIALECT, Style
from tallystick.dialects.services import Services
from tallystick.events.dialect_rules import DialectRules, SomeTerms
from tallystick.events.event import View
from tallystick.settings import Settings

_ROOTS = ("/v2", "/v3", "/login", "/info", f"/extensions/{DIALECT}")


class CloudFoundrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `cloudfoundry` of the settings."""

    time_zone: str = "UTC"
    """In which times without a zone are read and shown."""
    actor_username: bool = False
    """Show the names of actors."""


def style_of(settings: Settings) -> Style:
    """Return how events are to be shown.

    Raises: SettingsError.
    """
    table = settings_of(settings, DIALECT, CloudFoundrySettings)
    return Style(timestamps.zone_of(table.time_zone), actor_username=table.actor_username)


def routes(services: Services) -> Sequence[BaseRoute]:
    """Return the routes of both versions; a slash at the end changes nothing.

    Raises: SettingsError.
    """
    style = style_of(services.settings)
    routes = [*V2Api(services, style).routes(), *V3Api(services).routes()]
    return [*routes, *(_with_slash(route) for route in routes if route.path != "/")]


def _with_slash(route: Route) -> Route:
    return Route(f"{route.path}/", route.endpoint, methods=list(route.methods or ()))


def owns(path: str) -> bool:
    """Tell whether a path belongs to this dialect, whether or not there is anything."""
    return path == "/" or any(path == root or path.startswith(f"{root}/") for root in _ROOTS)


def _derived(view: View, tenant_uuid: str) -> Mapping[str, str | int]:
    return wire.derived(view)


CLOUDFOUNDRY = Dialect(
    name=DIALECT,
    title="Cloud Foundry",
    rules=DialectRules(
        shows=wire.shows,
        derived=_derived,
        # Since version 2, indexes call a resource by the name of what occurred last.
        version=2,
        listed=SomeTerms(frozenset(("space_guid", "organization_guid", "source")), _derived),
    ),
    routes=routes,
    owns=owns,
    error=answer,
    openapi="openapi.yaml",
    render=lambda view, tenant: wire.from_event(view),
    settings=CloudFoundrySettings,
    headers=responses.headers,
)

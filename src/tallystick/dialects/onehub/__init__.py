"""The Onehub dialect: the activity feed of a user and the audit trail of a file.

Source: seed Onehub, "Events", and the wire specification of Onehub.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import msgspec
from starlette.routing import BaseRoute

from tallystick.dialects.base import CommonSettings, Dialect, settings_of
from tallystick.dialects.onehub import wire
from tallystick.dialects.onehub.errors import answer
from tallystick.dialects.onehub.routes import OnehubApi, owns
from tallystick.dialects.services import Services
from tallystick.events.dialect_rules import DialectRules, SomeTerms
from tallystick.settings import Settings


class OnehubSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `onehub` of the settings."""

    own_events_only: bool = False
    """Roles below Moderator see only what they did themselves, in every API."""
    public_clients: tuple[str, ...] = ()
    """OAuth clients without a secret."""


def common_settings(settings: Settings) -> CommonSettings:
    """Return what the dialect's settings mean for every API.

    Raises: SettingsError.
    """
    table = settings_of(settings, wire.DIALECT, OnehubSettings)
    return CommonSettings(table.own_events_only, table.public_clients)


def routes(services: Services) -> Sequence[BaseRoute]:
    """Return the routes."""
    return OnehubApi(services).routes()


ONEHUB = Dialect(
    name=wire.DIALECT,
    title="Onehub",
    rules=DialectRules(
        shows=wire.shows,
        derived=wire.derived,
        listed=SomeTerms(frozenset(("verb", "workspace", "user")), wire.derived),
    ),
    routes=routes,
    owns=owns,
    error=answer,
    openapi="openapi.yaml",
    render=lambda view, tenant: wire.render(view, UTC),
    settings=OnehubSettings,
    common_settings=common_settings,
)

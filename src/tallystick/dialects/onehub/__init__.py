"""The Onehub dialect: the activity feed of a user and the audit trail of a file.

Source: seed Onehub, "Events", and the wire specification of Onehub.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from starlette.routing import BaseRoute

from tallystick.dialects.base import Dialect
from tallystick.dialects.onehub import wire
from tallystick.dialects.onehub.errors import error_response
from tallystick.dialects.onehub.routes import OnehubApi, owns
from tallystick.dialects.services import Services
from tallystick.errors import SettingsError
from tallystick.events.dialect_rules import DialectRules, SomeTerms

_SETTINGS = {"own_events_only": bool, "public_clients": list}
"""What may be set; roles and the token endpoint look there too."""


def routes(services: Services) -> Sequence[BaseRoute]:
    """Return the routes.

    Raises: SettingsError.
    """
    for name, value in services.settings.of_dialect(wire.DIALECT).items():
        if not isinstance(value, _SETTINGS[name]):
            raise SettingsError(f"onehub.{name} is a {_SETTINGS[name].__name__}")
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
    error_response=error_response,
    openapi="openapi.yaml",
    render=lambda view, tenant: wire.render(view, UTC),
    settings=frozenset(_SETTINGS),
)

"""The follower that publishes Merkle logs, as a value.

A tenant has a public log once it has a client of this dialect, and keeps it.
"""

from __future__ import annotations

from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.dialects.datatrails.applications import is_application
from tallystick.dialects.datatrails.options import options_of
from tallystick.dialects.datatrails.publiclog.follower import KEY_PURPOSE, PublicLogFollower
from tallystick.dialects.datatrails.rendering import DIALECT
from tallystick.followers.kind import TruthKind
from tallystick.followers.services import FollowerServices
from tallystick.followers.step_work import StepWork
from tallystick.identity.records import OAuthClient


def follower_of(services: FollowerServices) -> PublicLogFollower:
    """Return the writer of the public logs of a server.

    Raises: SettingsError.
    """
    settings, identity = services.settings, services.identity
    return PublicLogFollower(
        services.log,
        services.public_files,
        services.clock,
        key=services.derive_key(ec.SECP384R1(), KEY_PURPOSE),
        issuer=settings.external_url or settings.server_name,
        log_id_of=lambda tenant: UUID(identity.tenant(tenant).uuid),
        height=options_of(settings.of_dialect(DIALECT)).massif_height,
    )


class PublicLogSteps:
    """Publishes the entries of tenants that have a public log."""

    def __init__(self, services: FollowerServices) -> None:
        self._services = services
        self._follower = follower_of(services)
        self.step = self._follower.step

    def follows(self, tenant: str) -> bool:
        """Tell whether a tenant has a public log, or is to have one."""
        if self._services.public_files.cursor(tenant) is not None:
            return True
        return any(map(is_application, self._services.identity.list(OAuthClient, tenant)))

    def position(self, tenant: str) -> int:
        """Return how many entries of a log have a leaf."""
        cursor = self._services.public_files.cursor(tenant)
        return 0 if cursor is None else cursor.leaves

    def close(self) -> None:
        """Release nothing: the services are closed by those who opened them."""


PUBLIC_LOG_KIND = TruthKind(
    "publiclog",
    open=lambda services: StepWork("publiclog", PublicLogSteps(services)),
    in_commands=True,
)

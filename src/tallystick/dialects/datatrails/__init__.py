"""DataTrails: the asset-free Events API of May 2025 and its public Merkle log.

Source: seed "Events API (preview)" and the wire specification of DataTrails.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from starlette.routing import BaseRoute

from tallystick.dialects.base import Dialect
from tallystick.dialects.datatrails import rendering, wire
from tallystick.dialects.datatrails.applications import is_application
from tallystick.dialects.datatrails.options import Options, options_of
from tallystick.dialects.datatrails.publiclog.follower import KEY_PURPOSE, PublicLogFollower
from tallystick.dialects.datatrails.publiclog.publisher import Publisher
from tallystick.dialects.datatrails.rendering import DIALECT
from tallystick.dialects.datatrails.routes import EventsApi, TenancyApi, error_response, owns
from tallystick.dialects.datatrails.routes_blobs import BlobsApi
from tallystick.dialects.datatrails.routes_iam import ApplicationsApi, TokenApi
from tallystick.dialects.datatrails.routes_imports import MovingApi
from tallystick.dialects.datatrails.routes_log import ExtensionApi, LogApi
from tallystick.dialects.services import Background, BackgroundServices, Services
from tallystick.events.dialect_rules import DialectRules, SomeTerms
from tallystick.identity.records import OAuthClient

_LOOK_AROUND_S = 0.5
"""How often to ask for what other processes on the same database wrote."""


def follower_of(services: BackgroundServices) -> PublicLogFollower:
    """Return what writes the public logs of a server.

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


def routes(services: Services) -> Sequence[BaseRoute]:
    """Return the routes.

    Raises: SettingsError.
    """
    options = options_of(services.settings.of_dialect(DIALECT))
    return [
        *EventsApi(services, options).routes(),
        *TenancyApi(services, options).routes(),
        *TokenApi(services).routes(),
        *ApplicationsApi(services, options).routes(),
        *BlobsApi(services, options).routes(),
        *LogApi(services).routes(),
        *ExtensionApi(services, follower_of(services.background)).routes(),
        *MovingApi(services).routes(),
    ]


def publish(services: BackgroundServices) -> Background:
    """Start to bring the public logs forward."""

    def is_followed(tenant: str) -> bool:
        if services.public_files.cursor(tenant) is not None:
            return True
        return any(map(is_application, services.identity.list(OAuthClient, tenant)))

    return Publisher(
        follower_of(services).step,
        services.log.tenants,
        is_followed,
        look_around_s=_LOOK_AROUND_S if services.shared else None,
    )


DATATRAILS = Dialect(
    name=DIALECT,
    title="DataTrails",
    rules=DialectRules(
        shows=wire.shows,
        derived=wire.derived,
        listed=SomeTerms(
            frozenset(("target_trail",)),
            wire.listed,
            {"target_trail": rendering.ids_of_target_trail},
        ),
        searched=SomeTerms(frozenset(("content_hash",)), wire.searched),
    ),
    routes=routes,
    owns=owns,
    error_response=error_response,
    openapi="openapi.yaml",
    render=lambda view, tenant: wire.from_event(view, tenant_uuid=UUID(tenant.uuid)),
    settings=Options,
    background=publish,
)

"""DataTrails: the asset-free Events API of May 2025 and its public Merkle log.

Source: seed "Events API (preview)" and the wire specification of DataTrails.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from starlette.routing import BaseRoute

from tallystick.dialects.base import Dialect
from tallystick.dialects.datatrails import rendering, wire
from tallystick.dialects.datatrails.options import Options, options_of
from tallystick.dialects.datatrails.publiclog.kind import follower_of
from tallystick.dialects.datatrails.rendering import DIALECT
from tallystick.dialects.datatrails.routes import EventsApi, TenancyApi, error_answer, owns
from tallystick.dialects.datatrails.routes_blobs import BlobsApi
from tallystick.dialects.datatrails.routes_iam import ApplicationsApi, TokenApi
from tallystick.dialects.datatrails.routes_imports import MovingApi
from tallystick.dialects.datatrails.routes_log import ExtensionApi, LogApi
from tallystick.dialects.services import Services
from tallystick.events.dialect_rules import DialectRules, SomeTerms


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
        *ExtensionApi(services, follower_of(services.followers)).routes(),
        *MovingApi(services).routes(),
    ]


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
    error=error_answer,
    openapi="openapi.yaml",
    render=lambda view, tenant: wire.from_event(view, tenant_uuid=UUID(tenant.uuid)),
    settings=Options,
    followers=("tallystick.dialects.datatrails.publiclog.kind:PUBLIC_LOG_KIND",),
)

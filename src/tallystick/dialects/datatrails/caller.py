"""Who asks: a program with a token or a key, or a user, of one tenant."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from starlette.requests import Request

from tallystick.dialects.services import Services
from tallystick.events.event import Resource
from tallystick.identity import access, actors
from tallystick.identity.access import Principal, Scope
from tallystick.query.expr import Expr

APPLICATION = "application"
"""The type of the actor that a program with a token is."""


class DataTrailsCaller(NamedTuple):
    """Who asks, of which tenant, and what they may see."""

    principal: Principal
    tenant_uuid: UUID
    visible: Expr

    @property
    def tenant(self) -> str:
        """The id of the tenant."""
        return self.principal.tenant

    @property
    def tenant_identity(self) -> str:
        """How this API names the tenant."""
        return f"tenant/{self.tenant_uuid}"


def caller_of(services: Services, request: Request, right: Scope) -> DataTrailsCaller:
    """Return who asks.

    Raises: Unauthenticated, Forbidden.
    """
    principal = services.authenticate(request.scope)
    access.require(principal, right)
    tenant = services.identity.tenant(principal.tenant)
    caller = DataTrailsCaller(principal, UUID(tenant.uuid), access.visible(principal))
    # A refusal for want of quota names the tenant.
    request.state.tenant_identity = caller.tenant_identity
    return caller


def actor_of(services: Services, principal: Principal) -> Resource | None:
    """Return the actor of what the principal writes, named as it is called now."""
    return actors.actor_of(services.identity, principal, client_type=APPLICATION)

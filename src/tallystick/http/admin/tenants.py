"""Tenants under `/v1/admin`.

A key with scope `admin` administers its own tenant. The control socket of the data folder, which
only the folder's owner can open, administers all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import limits, times
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound
from tallystick.events.event import Json
from tallystick.http.admin.guard import BASE, ONE, AdminGuard, Input, decode, json_response
from tallystick.http.auth import CONTROL, Authenticator
from tallystick.http.body import body_of
from tallystick.http.problem import of_body
from tallystick.identity import access, acts
from tallystick.identity.access import Scope
from tallystick.identity.acts import Act
from tallystick.identity.records import Tenant
from tallystick.ledger.tenant_end import TenantEnd


class TenantIn(Input, frozen=True):
    """A tenant to be made."""

    id: str
    name: str | None = None
    aliases: tuple[str, ...] = ()


class PolicyIn(Input, frozen=True):
    """What a tenant decides about itself."""

    public_log: bool | None = None
    access_log: str | None = None


class TenantEndIn(Input, frozen=True):
    """Why a tenant is suspended, resumed or deleted."""

    reason: str


class AdminTenantsApi:
    """Handlers of tenants; every change is an entry in the tenant's log."""

    def __init__(
        self,
        services: Services,
        authenticator: Authenticator,
        guard: AdminGuard,
        end: TenantEnd,
    ) -> None:
        self._services = services
        self._end = end
        self._identity = services.identity
        self._ledger = services.ledger
        self._authenticator = authenticator
        self._guard = guard

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(BASE, self.list_tenants, methods=["GET"]),
            Route(BASE, self.create_tenant, methods=["POST"]),
            Route(ONE, on(self._get_tenant), methods=["GET"]),
            Route(ONE, on(self._change_policy), methods=["PATCH"]),
            Route(ONE + "/suspend", on(self._suspend, Scope.PURGE), methods=["POST"]),
            Route(ONE + "/resume", on(self._resume, Scope.PURGE), methods=["POST"]),
            Route(ONE + "/delete", on(self._delete, Scope.PURGE), methods=["POST"]),
            Route(ONE + "/deletion", on(self._certify), methods=["GET"]),
        ]

    async def list_tenants(self, request: Request) -> Response:
        """Answer the tenants the caller administers."""
        if request.scope["state"].get(CONTROL):
            tenants = await self._services.door().run(self._identity.tenants)
        else:
            principal = self._authenticator.of_scope(request.scope)
            access.require(principal, Scope.ADMIN)
            tenants = [self._identity.tenant(principal.tenant)]
        return json_response({"tenants": [_tenant(tenant) for tenant in tenants]})

    async def create_tenant(self, request: Request) -> Response:
        """Make a tenant and its log."""
        self._guard.authorise(request, None)
        wanted = decode(TenantIn, await body_of(request, limits.EVENT_BYTES))
        with of_body():
            tenant, act = acts.create_tenant(
                wanted.id,
                server_name=self._services.settings.server_name,
                now_ms=self._services.clock.now_ms(),
                name=wanted.name,
                aliases=wanted.aliases,
            )
        await self._services.door().run(self._ledger.administer, tenant.id, act)
        return json_response(_tenant(tenant), 201)

    def _get_tenant(self, request: Request, tenant: str) -> Response:
        return json_response(_tenant(self._identity.tenant(tenant)))

    def _change_policy(self, request: Request, tenant: str) -> Response:
        wanted = decode(PolicyIn, request.state.body)

        def change(known: Tenant | None) -> Act:
            if known is None:
                raise NotFound(f"no such tenant: {tenant!r}")
            return acts.change_policy(
                known, public_log=wanted.public_log, access_log=wanted.access_log
            )

        self._ledger.changes.carry_out(Tenant, tenant, tenant, change)
        return json_response(_tenant(self._identity.tenant(tenant)))

    def _suspend(self, request: Request, tenant: str) -> Response:
        wanted = decode(TenantEndIn, request.state.body)
        return json_response(_tenant(self._end.suspend(tenant, reason=wanted.reason)))

    def _resume(self, request: Request, tenant: str) -> Response:
        wanted = decode(TenantEndIn, request.state.body)
        return json_response(_tenant(self._end.resume(tenant, reason=wanted.reason)))

    def _delete(self, request: Request, tenant: str) -> Response:
        wanted = decode(TenantEndIn, request.state.body)
        if not wanted.reason.strip():
            raise Malformed("a tenant is deleted for a reason", path="/reason")
        by = self._guard.actor(request)
        return json_response(self._end.delete(tenant, by=by, reason=wanted.reason))

    def _certify(self, request: Request, tenant: str) -> Response:
        return json_response(self._end.certificate(tenant))


def _tenant(tenant: Tenant) -> Json:
    return {
        "id": tenant.id,
        "name": tenant.name,
        "uuid": tenant.uuid,
        "hex": tenant.hex,
        "number": tenant.number,
        "log_id": tenant.log_id,
        "public_log": tenant.public_log,
        "access_log": tenant.access_log,
        "created_at": times.to_rfc3339(tenant.created_ms),
        **_ended(tenant),
    }


def _ended(tenant: Tenant) -> Json:
    times_ms = {"suspended_at": tenant.suspended_ms, "deleted_at": tenant.deleted_ms}
    return {name: times.to_rfc3339(ms) for name, ms in times_ms.items() if ms is not None}

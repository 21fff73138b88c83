"""Tokens and app registrations over HTTP. Source: wire specification of DataTrails 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import limits
from tallystick.dialects.datatrails import applications, quotas
from tallystick.dialects.datatrails.applications import is_application, rendered
from tallystick.dialects.datatrails.caller import DataTrailsCaller, caller_of
from tallystick.dialects.datatrails.options import Options
from tallystick.dialects.datatrails.routes import json_response
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound, Unauthenticated
from tallystick.events.event import Json
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.acts import Act
from tallystick.identity.records import OAuthClient
from tallystick.identity.tokens import Issued, is_secret_of

BASE = "/archivist/iam/v1"
_FIELDS_MAX = 20
_BODY_BYTES = 64 * 1024


class TokenApi:
    """Handler of the token endpoint: client credentials only."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[BaseRoute]:
        """Return the route."""
        return [Route(f"{BASE}/appidp/token", self.token, methods=["POST"])]

    async def token(self, request: Request) -> Response:
        """Answer a token for a client that shows its secret."""
        body = await self._services.body(request, limits.TOKEN_REQUEST_BYTES)
        address = self._services.client_address(request.scope)
        issued: Issued = await self._services.door().run(self._issue, body, address)
        answer: Json = {
            "access_token": issued.access_token,
            "expires_in": issued.expires_in_s,
            "token_type": "Bearer",
        }
        return json_response(answer, headers={"Cache-Control": "no-store"})

    def _issue(self, body: bytes, address: str) -> Issued:
        fields = _form(body)
        if fields.get("grant_type") != "client_credentials":
            raise Malformed("grant_type is client_credentials", path="grant_type")
        id, secret = fields.get("client_id", ""), fields.get("client_secret", "")
        client = self._services.identity.client(id) if id else None
        now_ms = self._services.clock.now_ms()
        with self._services.throttle.attempt(f"client {id}", address) as attempt:
            if client is None or not is_secret_of(client, secret, now_ms):
                raise Unauthenticated("the client is unknown or its secret is wrong")
            attempt.succeeded = True
        return self._services.issuer.issue_for_client(client, client.scopes)


class ApplicationsApi:
    """Handlers of app registrations; they are for owners, that is, credentials with admin."""

    def __init__(self, services: Services, options: Options) -> None:
        self._services = services
        self._identity = services.identity
        self._quota = options.quotas.applications

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        one = f"{BASE}/applications/{{uuid}}"
        return [
            Route(f"{BASE}/applications", self.create, methods=["POST"]),
            Route(f"{BASE}/applications", self.list, methods=["GET"]),
            Route(f"{one}:regenerate-secret", self.regenerate, methods=["POST"]),
            Route(one, self.read, methods=["GET"]),
            Route(one, self.change, methods=["PATCH"]),
            Route(one, self.delete, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        """Register an application and answer its secret."""
        caller = self._owner(request)
        wanted = applications.decode_new(await self._services.body(request, _BODY_BYTES))
        return json_response(await self._services.door().run(self._create, caller, wanted))

    async def list(self, request: Request) -> Response:
        """Answer a page of the tenant's applications."""
        caller = self._owner(request)
        page = applications.page_of(request.query_params)
        clients = await self._services.door().run(self._identity.list, OAuthClient, caller.tenant)
        return json_response(applications.listed(clients, page, caller.tenant_identity))

    async def read(self, request: Request) -> Response:
        """Answer an application, without its secret."""
        caller = self._owner(request)
        client = await self._services.door().run(self._application, caller, request)
        return json_response(rendered(client, caller.tenant_identity))

    async def change(self, request: Request) -> Response:
        """Change an application's name or claims."""
        caller = self._owner(request)
        wanted = applications.decode_change(await self._services.body(request, _BODY_BYTES))
        return json_response(await self._services.door().run(self._change, caller, request, wanted))

    async def regenerate(self, request: Request) -> Response:
        """Give an application a new secret and answer it; the old one ends at once."""
        caller = self._owner(request)
        return json_response(await self._services.door().run(self._regenerate, caller, request))

    async def delete(self, request: Request) -> Response:
        """Delete an application; its tokens end with it."""
        caller = self._owner(request)
        await self._services.door().run(self._delete, caller, request)
        return json_response({})

    def _owner(self, request: Request) -> DataTrailsCaller:
        return caller_of(self._services, request, Scope.ADMIN)

    def _create(self, caller: DataTrailsCaller, wanted: applications.Wanted) -> Json:
        quotas.require(self._quota, lambda: self._count(caller.tenant), "applications")
        now_ms = self._services.clock.now_ms()
        client, secret = applications.new_client(caller.tenant, wanted, now_ms=now_ms)
        self._services.ledger.administer(caller.tenant, acts.create_client(client))
        return rendered(client, caller.tenant_identity, secret)

    def _change(
        self, caller: DataTrailsCaller, request: Request, wanted: applications.Wanted
    ) -> Json:
        def change(client: OAuthClient) -> Act | None:
            changed = applications.changed(client, wanted)
            if changed == client:
                return None
            return acts.change_client(changed, "client.changed")

        changed = self._carry_out(caller, request, change)
        return rendered(_existing(changed, request.path_params["uuid"]), caller.tenant_identity)

    def _regenerate(self, caller: DataTrailsCaller, request: Request) -> Json:
        secret, text = applications.new_secret(now_ms=self._services.clock.now_ms())

        def regenerate(client: OAuthClient) -> Act:
            changed = msgspec.structs.replace(client, secrets=(secret,))
            return acts.change_client(changed, "client.secret_regenerated")

        changed = self._carry_out(caller, request, regenerate)
        client = _existing(changed, request.path_params["uuid"])
        return rendered(client, caller.tenant_identity, text)

    def _delete(self, caller: DataTrailsCaller, request: Request) -> None:
        self._carry_out(caller, request, acts.delete)

    def _application(self, caller: DataTrailsCaller, request: Request) -> OAuthClient:
        id = request.path_params["uuid"]
        return _existing(self._identity.get(OAuthClient, caller.tenant, id), id)

    def _carry_out(
        self, caller: DataTrailsCaller, request: Request, act: Callable[[OAuthClient], Act | None]
    ) -> OAuthClient | None:
        id = request.path_params["uuid"]
        return self._services.ledger.changes.carry_out(
            OAuthClient, caller.tenant, id, lambda client: act(_existing(client, id))
        )

    def _count(self, tenant: str) -> int:
        return sum(map(is_application, self._identity.list(OAuthClient, tenant)))


def _existing(client: OAuthClient | None, id: str) -> OAuthClient:
    if client is None or not is_application(client):
        raise NotFound(f"there is no application applications/{id}")
    return client


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=_FIELDS_MAX))
    except ValueError:
        raise Malformed("the request is not form-encoded") from None

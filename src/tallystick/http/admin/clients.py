"""Administration of OAuth clients: programs that get tokens with a secret of their own."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound
from tallystick.events.event import Json
from tallystick.http.admin.guard import ONE, AdminGuard, Input, decode, json_response
from tallystick.identity import acts, credentials
from tallystick.identity.acts import Act
from tallystick.identity.records import ClientSecret, OAuthClient, User

_SCOPES = ("read", "write")


class ClientIn(Input, frozen=True):
    """A client to be made; `id` and `secret` take over what programs already have.

    `dialect` says whose client it is, where that matters; `user` whose roles its tokens have.
    """

    name: str
    id: str | None = None
    secret: str | None = None
    scopes: tuple[str, ...] = _SCOPES
    dialect: str | None = None
    user: str | None = None


class AdminClientsApi:
    """Handlers of OAuth clients."""

    def __init__(self, services: Services, guard: AdminGuard, dialects: Sequence[str]) -> None:
        self._services = services
        self._identity = services.identity
        self._guard = guard
        self._dialects = dialects

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(ONE + "/clients", on(self._list), methods=["GET"]),
            Route(ONE + "/clients", on(self._create), methods=["POST"]),
            Route(ONE + "/clients/{id:path}", on(self._delete), methods=["DELETE"]),
        ]

    def _list(self, request: Request, tenant: str) -> Response:
        self._identity.tenant(tenant)
        clients = self._identity.list(OAuthClient, tenant)
        return json_response({"clients": [_client(client) for client in clients]})

    def _create(self, request: Request, tenant: str) -> Response:
        wanted = decode(ClientIn, request.state.body)
        self._identity.tenant(tenant)
        self._check(wanted, tenant)
        now_ms = self._services.clock.now_ms()
        secret = wanted.secret or credentials.new_secret()
        client = OAuthClient(
            id=wanted.id or str(uuid.uuid4()),
            tenant=tenant,
            created_ms=now_ms,
            name=wanted.name,
            secrets=(ClientSecret(credentials.digest_of_secret(secret), now_ms),),
            scopes=wanted.scopes,
            user=wanted.user,
            attributes={} if wanted.dialect is None else {"dialect": wanted.dialect},
        )
        self._services.ledger.administer(tenant, acts.create_client(client))
        return json_response({**_client(client), "secret": secret}, 201)

    def _delete(self, request: Request, tenant: str) -> Response:
        def delete(client: OAuthClient | None) -> Act:
            if client is None:
                raise NotFound("no such client")
            return acts.delete(client)

        id = request.path_params["id"]
        self._services.ledger.changes.carry_out(OAuthClient, tenant, id, delete)
        return Response(status_code=204)

    def _check(self, wanted: ClientIn, tenant: str) -> None:
        if not wanted.name:
            raise Malformed("a client needs a name", path="/name")
        if wanted.id is not None:
            acts.check_id(wanted.id)
        if wanted.secret is not None and len(wanted.secret) not in acts.SECRET_CHARS:
            raise Malformed("a secret has 16 to 256 characters", path="/secret")
        if wanted.dialect is not None and wanted.dialect not in self._dialects:
            raise Malformed(f"dialect is one of {', '.join(self._dialects)}", path="/dialect")
        if wanted.user is not None and self._identity.get(User, tenant, wanted.user) is None:
            raise Malformed(f"no such user: {wanted.user!r}", path="/user")


def _client(client: OAuthClient) -> Json:
    return {
        "id": client.id,
        "tenant": client.tenant,
        "name": client.name,
        "scope": " ".join(client.scopes),
        "dialect": client.attributes.get("dialect"),
        "user": client.user,
        "created_at": times.to_rfc3339(client.created_ms),
    }

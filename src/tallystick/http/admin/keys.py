"""API keys under `/v1/admin`, and the key that verifies a log."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.dialects.services import Services
from tallystick.errors import NotFound
from tallystick.events.event import Json
from tallystick.http.admin.guard import ONE, AdminGuard, Input, decode, json_response
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.acts import Act
from tallystick.identity.records import ApiKey


class KeyIn(Input, frozen=True):
    """A key to be made; `secret` takes over one that programs already have."""

    scopes: tuple[Scope, ...]
    label: str | None = None
    service: bool = False
    secret: str | None = None


class AdminKeysApi:
    """Handlers of a tenant's keys; every change is an entry in the tenant's log."""

    def __init__(self, services: Services, guard: AdminGuard) -> None:
        self._clock = services.clock
        self._identity = services.identity
        self._ledger = services.ledger
        self._guard = guard

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(ONE + "/keys", on(self._list_keys), methods=["GET"]),
            Route(ONE + "/keys", on(self._create_key), methods=["POST"]),
            Route(ONE + "/keys/{id}", on(self._revoke_key), methods=["DELETE"]),
            Route(ONE + "/log-key", on(self._log_key), methods=["GET"]),
        ]

    def _list_keys(self, request: Request, tenant: str) -> Response:
        self._identity.tenant(tenant)
        return json_response({"keys": [_key(key) for key in self._identity.list(ApiKey, tenant)]})

    def _create_key(self, request: Request, tenant: str) -> Response:
        wanted = decode(KeyIn, request.state.body)
        self._identity.tenant(tenant)
        key, secret, act = acts.create_key(
            tenant,
            wanted.scopes,
            now_ms=self._clock.now_ms(),
            secret=wanted.secret,
            label=wanted.label,
            service=wanted.service,
        )
        self._ledger.administer(tenant, act)
        return json_response({**_key(key), "key": secret}, 201)

    def _revoke_key(self, request: Request, tenant: str) -> Response:
        def revoke(key: ApiKey | None) -> Act | None:
            if key is None:
                raise NotFound("no such key")
            if key.revoked_ms is not None:
                return None
            return acts.revoke_key(key, now_ms=self._clock.now_ms())

        self._ledger.changes.carry_out(ApiKey, tenant, request.path_params["id"], revoke)
        return Response(status_code=204)

    def _log_key(self, request: Request, tenant: str) -> Response:
        head = self._ledger.proofs.head(tenant)
        key = self._ledger.proofs.verifier_key(tenant)
        return json_response({"origin": head.origin, "verifier_key": key})


def _key(key: ApiKey) -> Json:
    told: Json = {
        "id": key.id,
        "tenant": key.tenant,
        "scope": " ".join(key.scopes),
        "service": key.service,
        "created_at": times.to_rfc3339(key.created_ms),
    }
    if key.label is not None:
        told["label"] = key.label
    if key.revoked_ms is not None:
        told["revoked_at"] = times.to_rfc3339(key.revoked_ms)
    return told

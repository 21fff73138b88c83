"""Key sets for foreign JWTs under `/v1/admin`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick.dialects.services import Services
from tallystick.errors import NotFound
from tallystick.events.event import Json
from tallystick.http.admin.guard import ONE, AdminGuard, Input, decode, json_response
from tallystick.identity import acts
from tallystick.identity.acts import Act
from tallystick.identity.records import KeySet


class KeySetIn(Input, frozen=True):
    """Keys that verify foreign JWTs."""

    id: str
    secret: str | None = None
    public_keys: tuple[str, ...] = ()
    issuer: str | None = None
    audience: str | None = None
    user_claim: str = "sub"
    admin_claim: str | None = None


class AdminKeySetsApi:
    """Handlers of key sets; every change is an entry in the tenant's log."""

    def __init__(self, services: Services, guard: AdminGuard) -> None:
        self._clock = services.clock
        self._identity = services.identity
        self._ledger = services.ledger
        self._guard = guard

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(ONE + "/keysets", on(self._list_key_sets), methods=["GET"]),
            Route(ONE + "/keysets", on(self._save_key_set), methods=["POST"]),
            Route(ONE + "/keysets/{id:path}", on(self._delete_key_set), methods=["DELETE"]),
        ]

    def _list_key_sets(self, request: Request, tenant: str) -> Response:
        found = self._identity.list(KeySet, tenant)
        return json_response({"keysets": [_key_set(key_set) for key_set in found]})

    def _save_key_set(self, request: Request, tenant: str) -> Response:
        wanted = decode(KeySetIn, request.state.body)
        self._identity.tenant(tenant)
        members = msgspec.structs.asdict(wanted)
        key_set = KeySet(tenant=tenant, created_ms=self._clock.now_ms(), **members)
        act = acts.save_key_set(key_set)
        self._ledger.changes.carry_out(KeySet, tenant, key_set.id, lambda _: act)
        return json_response(_key_set(key_set), 201)

    def _delete_key_set(self, request: Request, tenant: str) -> Response:
        def delete(key_set: KeySet | None) -> Act:
            if key_set is None:
                raise NotFound("no such key set")
            return acts.delete(key_set)

        self._ledger.changes.carry_out(KeySet, tenant, request.path_params["id"], delete)
        return Response(status_code=204)


def _key_set(key_set: KeySet) -> Json:
    return {
        "id": key_set.id,
        "tenant": key_set.tenant,
        "issuer": key_set.issuer,
        "audience": key_set.audience,
        "user_claim": key_set.user_claim,
        "admin_claim": key_set.admin_claim,
        "has_secret": key_set.secret is not None,
        "public_keys": key_set.public_keys,
    }

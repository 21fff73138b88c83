"""Erasing blobs: uploaded files that stand beside events."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.dialects.services import Services
from tallystick.errors import NotFound
from tallystick.events import rendering
from tallystick.http.auth import Authenticator
from tallystick.http.native import wire
from tallystick.http.native.facets import Guard
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.ledger.blob_erasure import erase_blob
from tallystick.query.expr import Everything


class NativeBlobsApi:
    """Handlers of blobs."""

    def __init__(self, services: Services, authenticator: Authenticator) -> None:
        self._services = services
        self._authenticator = authenticator

    def routes(self, guarded: Guard) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [Route("/v1/blobs/{id}", guarded(Right.PURGE, self.erase), methods=["DELETE"])]

    async def erase(self, request: Request, principal: Principal) -> Response:
        """Destroy a blob: its record, and its content unless another blob has the same."""
        return await self._services.door().run(self._erase, request, principal)

    def _erase(self, request: Request, principal: Principal) -> Response:
        id = request.path_params["id"].lower()
        if not isinstance(access.visible(principal), Everything):
            # Blobs are seen through events; a caller who sees only some cannot tell whose it is.
            raise NotFound(f"no such blob {id!r}")
        accepted = erase_blob(
            self._services.ledger, self._services.blobs, principal.tenant, id,
            dialect="native", actor=self._authenticator.actor(principal),
        )  # fmt: skip
        answer = {
            "id": accepted.id,
            "index": accepted.index,
            "op": "system",
            "recorded_at": times.to_rfc3339(accepted.recorded_ms),
            "subject": f"blob:{id}",
            "receipt": rendering.receipt_link(accepted.id),
        }
        return Response(wire.to_json(answer), media_type="application/json")

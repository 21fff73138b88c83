"""Every log in its public form: checkpoint, hash tiles and entry bundles under `/log/<log id>/`.

Checkpoint and hash tiles are public unless the tenant turned that off; entry bundles need a key
of the tenant. Source: C2SP tlog-tiles v0.1.0.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound, Unauthenticated
from tallystick.http.auth import Authenticator
from tallystick.identity import access
from tallystick.identity.access import Scope as Right
from tallystick.identity.records import ConfiguredWitness, Tenant
from tallystick.ledger.rotations import Rotations
from tallystick.log.proofs import StoreHashes
from tallystick.query.expr import Everything
from tallystick.tlog import tile
from tallystick.witness.cosigned_folder import CosignedFolder

_FOREVER = "public, max-age=31536000, immutable"
_SHORTLY = "no-cache"


class TlogApi:
    """Handlers of the tiled log."""

    def __init__(
        self, services: Services, authenticator: Authenticator, cosigned: CosignedFolder
    ) -> None:
        self._services = services
        self._cosigned = cosigned
        self._ledger = services.ledger
        self._authenticator = authenticator
        self._rotations = Rotations(services.ledger.store)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route("/log/{log_id}/checkpoint", self.checkpoint, methods=["GET"]),
            Route("/log/{log_id}/log.vkey", self.key, methods=["GET"]),
            Route("/log/{log_id}/rotations", self.rotations, methods=["GET"]),
            Route("/log/{log_id}/tile/{path:path}", self.tile, methods=["GET"]),
            # The same log under a prefix of its own, for readers who ask for cosignatures.
            Route("/log/{log_id}/cosigned/checkpoint", self.cosigned, methods=["GET"]),
            Route("/log/{log_id}/cosigned/checkpoint/{day}", self.cosigned, methods=["GET"]),
            Route("/log/{log_id}/cosigned/log.vkey", self.key, methods=["GET"]),
            Route("/log/{log_id}/cosigned/rotations", self.rotations, methods=["GET"]),
            Route("/log/{log_id}/cosigned/tile/{path:path}", self.tile, methods=["GET"]),
        ]

    async def checkpoint(self, request: Request) -> Response:
        """Answer the latest signed checkpoint."""
        return await self._services.door().run(self._checkpoint, request)

    def _checkpoint(self, request: Request) -> Response:
        tenant = self._tenant(request)
        if not tenant.public_log:
            self._require_key(request, tenant)
        head = self._ledger.proofs.head(tenant.id)
        return Response(
            head.checkpoint,
            media_type="text/plain; charset=utf-8",
            headers={"Cache-Control": _SHORTLY},
        )

    async def key(self, request: Request) -> Response:
        """Answer the key that verifies the checkpoint, as a published copy has it beside it."""
        return await self._services.door().run(self._key, request)

    def _key(self, request: Request) -> Response:
        tenant = self._tenant(request)
        if not tenant.public_log:
            self._require_key(request, tenant)
        key = self._ledger.proofs.verifier_key(tenant.id)
        return Response(
            f"{key}\n",
            media_type="text/plain; charset=utf-8",
            headers={"Cache-Control": _SHORTLY},
        )

    async def rotations(self, request: Request) -> Response:
        """Answer the statements by which the log's key was rotated, oldest first."""
        return await self._services.door().run(self._rotations_of, request)

    def _rotations_of(self, request: Request) -> Response:
        tenant = self._tenant(request)
        if not tenant.public_log:
            self._require_key(request, tenant)
        statements = self._rotations.of(tenant.id)
        return JSONResponse({"rotations": list(statements)}, headers={"Cache-Control": _SHORTLY})

    async def cosigned(self, request: Request) -> Response:
        """Answer the newest checkpoint that witnesses cosigned, or the last one of a day."""
        return await self._services.door().run(self._cosigned_checkpoint, request)

    def _cosigned_checkpoint(self, request: Request) -> Response:
        tenant = self._tenant(request)
        if not tenant.public_log:
            self._require_key(request, tenant)
        day = request.path_params.get("day")
        note = self._cosigned.note(tenant.id, day)
        if note is None and day is not None:
            raise NotFound("no checkpoint was cosigned on that day")
        if note is None or not self._services.identity.list(ConfiguredWitness, tenant.id):
            # Nobody cosigns: what there once was must not pass for the newest.
            note = note if day else self._ledger.proofs.head(tenant.id).checkpoint
        return Response(
            note, media_type="text/plain; charset=utf-8", headers={"Cache-Control": _SHORTLY}
        )

    async def tile(self, request: Request) -> Response:
        """Answer a hash tile or an entry bundle, whole or partial."""
        return await self._services.door().run(self._tile, request)

    def _tile(self, request: Request) -> Response:
        tenant = self._tenant(request)
        try:
            level, index, width = tile.parse_path(request.path_params["path"])
        except Malformed:
            raise NotFound("no such tile") from None
        if level == "entries" or not tenant.public_log:
            self._require_key(request, tenant)
        if tile.tile_end(level, index, width) > self._ledger.proofs.head(tenant.id).size:
            raise NotFound("the log is smaller than that")
        start = index * tile.TILE_WIDTH
        if level == "entries":
            entries = self._ledger.store.entries(tenant.id, start, start + width)
            body = tile.entry_bundle(entries)
        else:
            hashes = StoreHashes(self._ledger.store, tenant.id)
            body = b"".join(hashes.hashes(level, start, width))
        public = tenant.public_log and level != "entries"
        cache = _FOREVER if public else _FOREVER.replace("public", "private")
        return Response(
            body, media_type="application/octet-stream", headers={"Cache-Control": cache}
        )

    def _tenant(self, request: Request) -> Tenant:
        tenant = self._services.identity.tenant_of_log(request.path_params["log_id"])
        if tenant is None:
            raise NotFound("no such log")
        return tenant

    def _require_key(self, request: Request, tenant: Tenant) -> None:
        principal = self._authenticator.of_scope(request.scope)
        if principal.tenant != tenant.id:
            raise NotFound("no such log")
        access.require(principal, Right.READ)
        # Entries name every event's kind: a caller who sees only some of the events gets none.
        if not isinstance(access.visible(principal), Everything):
            raise Unauthenticated("entry bundles need a key that sees the whole log")

"""The timestamps of every log: stamped checkpoints and their tokens, raw.

Source: RFC 3161.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text
from tallystick.dialects.services import Services
from tallystick.errors import NotFound
from tallystick.http.auth import Authenticator
from tallystick.identity import access
from tallystick.identity.access import Scope as Right
from tallystick.identity.records import Tenant
from tallystick.witness.stamper import TimestampFolder

_TYPES = {"tsr": "application/timestamp-reply", "checkpoint": "text/plain; charset=utf-8"}


class TimestampsApi:
    """Handlers of timestamps; public where the checkpoint is."""

    def __init__(
        self, services: Services, authenticator: Authenticator, folder: TimestampFolder
    ) -> None:
        self._services = services
        self._authenticator = authenticator
        self._folder = folder

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route("/log/{log_id}/timestamps", self.names, methods=["GET"]),
            Route("/log/{log_id}/timestamps/{name}", self.file, methods=["GET"]),
        ]

    async def names(self, request: Request) -> Response:
        """Answer the names of the files of a log, oldest first."""
        return await self._services.door().run(self._list, request)

    async def file(self, request: Request) -> Response:
        """Answer a stamped checkpoint or a token."""
        return await self._services.door().run(self._file, request)

    def _list(self, request: Request) -> Response:
        names = self._folder.names(self._tenant(request).id)
        headers = {"Cache-Control": "no-cache"}
        return Response(json_text.encode({"files": names}), 200, headers, "application/json")

    def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        data = self._folder.read(self._tenant(request).id, name)
        if data is None:
            raise NotFound("no such timestamp")
        return Response(data, media_type=_TYPES[name.rpartition(".")[2]])

    def _tenant(self, request: Request) -> Tenant:
        tenant = self._services.identity.tenant_of_log(request.path_params["log_id"])
        if tenant is None:
            raise NotFound("no such log")
        if not tenant.public_log:
            principal = self._authenticator.of_scope(request.scope)
            if principal.tenant != tenant.id:
                raise NotFound("no such log")
            access.require(principal, Right.READ)
        return tenant

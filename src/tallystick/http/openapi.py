"""Serves the OpenAPI documents: the native one as JSON, each dialect's as it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick.dialects.base import Dialect
from tallystick.errors import NotFound


class OpenapiApi:
    """Handlers of the OpenAPI documents; they need no credential."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self._dialects = {dialect.name: dialect for dialect in dialects}
        self._native = resources.files("tallystick.http").joinpath("openapi.json").read_bytes()

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route("/v1/openapi.json", self.native, methods=["GET"]),
            Route("/extensions/{dialect}/openapi.yaml", self.dialect, methods=["GET"]),
        ]

    async def native(self, request: Request) -> Response:
        """Answer the native API's document."""
        return Response(self._native, media_type="application/json")

    async def dialect(self, request: Request) -> Response:
        """Answer a dialect's document."""
        dialect = self._dialects.get(request.path_params["dialect"])
        if dialect is None:
            raise NotFound("no such dialect")
        folder = resources.files(f"tallystick.dialects.{dialect.name}")
        return Response(
            folder.joinpath(dialect.openapi).read_bytes(), media_type="application/yaml"
        )

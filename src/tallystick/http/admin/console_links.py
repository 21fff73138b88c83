"""Links that sign the operator in to the console, made through the control socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick.errors import Forbidden
from tallystick.http.admin.guard import json_response
from tallystick.http.auth import CONTROL


class ConsoleLinksApi:
    """The handler of links; only the owner of the data folder reaches it."""

    def __init__(self, new_link: Callable[[], str]) -> None:
        self._new_link = new_link

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [Route("/v1/admin/console-links", self.make, methods=["POST"])]

    async def make(self, request: Request) -> Response:
        """Answer a link that works once, and soon."""
        if not request.scope["state"].get(CONTROL):
            raise Forbidden("links are made through the control socket of the data folder")
        return json_response({"url": self._new_link()}, 201)

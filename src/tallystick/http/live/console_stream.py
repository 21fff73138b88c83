"""The live tail for the console: that of `/v1/stream`, for the person behind a session."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick.console.session import PATH, Sessions
from tallystick.dialects.services import Services
from tallystick.http.native.follow import LogFollower
from tallystick.identity import access
from tallystick.identity.access import Principal, Scope

_TAKEN = ("q", "view", "cursor")


class ConsoleStream:
    """Handler of the console's live tail."""

    def __init__(self, services: Services, follower: LogFollower, sessions: Sessions) -> None:
        self._services = services
        self._follower = follower
        self._sessions = sessions

    def routes(self) -> Sequence[BaseRoute]:
        """Return the route."""
        return [Route(f"{PATH}/stream", self.stream, methods=["GET"])]

    async def stream(self, request: Request) -> Response:
        """Answer a live tail to somebody who is signed in."""
        visitor = await self._services.door().run(self._sessions.visitor, request)
        access.require(visitor.principal, Scope.READ)

        def look() -> Principal:
            return self._sessions.visitor(request).principal

        given = request.query_params
        params = QueryParams([(name, given[name]) for name in _TAKEN if given.get(name)])
        last_id = request.headers.get("last-event-id")
        return await self._follower.respond(visitor.principal, params, last_id, look)

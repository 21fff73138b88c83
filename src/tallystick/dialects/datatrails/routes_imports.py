"""Moving in from another service over HTTP: its events and blobs, under the ids they had."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import limits
from tallystick.dialects.datatrails import imports
from tallystick.dialects.datatrails.caller import caller_of
from tallystick.dialects.datatrails.routes import json_response
from tallystick.dialects.datatrails.routes_log import EXTENSION
from tallystick.dialects.services import Services
from tallystick.errors import TallystickError
from tallystick.events import entry
from tallystick.identity.access import Scope
from tallystick.log.sequencer import Item


class MovingApi:
    """Handlers of what comes from another service."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [Route(f"{EXTENSION}/imports", self.move_in, methods=["POST"])]

    async def move_in(self, request: Request) -> Response:
        """Store events of another service; those that are here already stay as they are."""
        caller = caller_of(self._services, request, Scope.WRITE)
        body = await self._services.body(request, limits.BATCH_BYTES)
        door = self._services.door()
        moved = await door.run(imports.decode, body)
        prepared = await door.run(_prepared, moved)
        items = [item for item in prepared if isinstance(item, Item)]
        outcomes = iter(await door.append(caller.tenant, items) if items else ())
        told: list[str | TallystickError] = []
        for item in prepared:
            outcome = next(outcomes) if isinstance(item, Item) else item
            if isinstance(outcome, TallystickError):
                told.append(outcome)
            else:
                told.append("known" if outcome.replayed else "stored")
        return json_response(imports.told(moved, told))


def _prepared(moved: Sequence[imports.Moved]) -> list[Item | TallystickError]:
    prepared: list[Item | TallystickError] = []
    for one in moved:
        if isinstance(one.draft, TallystickError):
            prepared.append(one.draft)
            continue
        try:
            prepared.append(Item(entry.prepare(one.draft)))
        except TallystickError as error:
            prepared.append(error)
    return prepared

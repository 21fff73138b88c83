"""What is known of one resource, as far as the caller may see the events that tell it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from tallystick import times
from tallystick.dialects.services import Services
from tallystick.errors import NotFound
from tallystick.events.event import Event, Json
from tallystick.events.references import to_text
from tallystick.http.native import wire
from tallystick.http.native.facets import Guard
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.query.expr import Eq, Everything, Expr, Sort, any_of
from tallystick.query.question import Find, ResourceSummary


class ResourcesApi:
    """Handlers of resources."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger

    def routes(self, guarded: Guard) -> Sequence[BaseRoute]:
        """Return the routes."""
        read = guarded(Right.READ, self.get_resource)
        return [Route("/v1/resources/{type}/{id:path}", read, methods=["GET"])]

    async def get_resource(self, request: Request, principal: Principal) -> Response:
        """Answer what is known of a resource."""
        return await self._services.door().run(self._get_resource, request, principal)

    def _get_resource(self, request: Request, principal: Principal) -> Response:
        type, id = _resource_at(request.scope)
        visible = access.visible(principal)
        if isinstance(visible, Everything):
            found = self._ledger.resource(principal.tenant, type, id)
        else:
            found = self._seen_by(principal.tenant, type, id, visible)
        if found is None or found.count == 0:
            raise NotFound(f"no such resource: {to_text(type, id)!r}")
        answer = _told(found)
        if found.document is not None:
            answer["document"] = self._ledger.view_at(principal.tenant, found.document).first.data
        return Response(wire.to_json(answer), media_type="application/json")

    def _seen_by(self, tenant: str, type: str, id: str, visible: Expr) -> ResourceSummary | None:
        """Return what the events that a caller may see tell of a resource; None if none does."""
        name = to_text(type, id)
        question = Find(
            where=any_of((Eq("target", name), Eq("actor", name), Eq("scope", name))),
            limit=1,
            total=True,
        )
        last = self._ledger.find(tenant, question, visible)
        if not last.views:
            return None
        oldest_first = (Sort("occurred_ms", descending=False),)
        first = self._ledger.find(
            tenant, msgspec.structs.replace(question, sort=oldest_first), visible
        )
        event = last.views[0].first
        return ResourceSummary(
            type=type,
            id=id,
            name=_name_in(event, type, id),
            document=None,
            parents=_parents_in(event, type, id),
            first_ms=first.views[0].first.occurred_ms,
            last_ms=event.occurred_ms,
            last_index=event.index,
            count=last.total or 0,
        )


def _resource_at(scope: Scope) -> tuple[str, str]:
    """Return type and id as the path has them; slashes of the type are written `%2F`.

    Raises: NotFound for a path whose only slash between the two is an escaped one.
    """
    raw = scope.get("raw_path")
    if raw is None:
        raw = quote(scope["path"]).encode()
    # What decodes to /v1/resources/TYPE/ID may have its own slashes anywhere.
    parts = raw.decode("ascii").partition("?")[0].split("/", 4)
    if len(parts) < 5 or not (parts[3] and parts[4]):
        raise NotFound("no such path", hint="write a slash in a type as %2F")
    return unquote(parts[3]), unquote(parts[4])


def _name_in(event: Event, type: str, id: str) -> str | None:
    named = (event.target, event.actor, *event.scopes)
    return next((r.name for r in named if r is not None and r.key == (type, id)), None)


def _parents_in(event: Event, type: str, id: str) -> tuple[tuple[str, str], ...]:
    scopes = [scope.key for scope in event.scopes]
    if event.target is not None and event.target.key == (type, id):
        return tuple(scopes)
    # Scopes are named from the outside in.
    return tuple(scopes[: scopes.index((type, id))]) if (type, id) in scopes else ()


def _told(found: ResourceSummary) -> Json:
    own = (found.type, found.id)
    return {
        "type": found.type,
        "id": found.id,
        "name": found.name,
        "parents": [{"type": type, "id": id} for type, id in found.parents if (type, id) != own],
        "first_seen_at": times.to_rfc3339(found.first_ms),
        "last_seen_at": times.to_rfc3339(found.last_ms),
        "last_index": found.last_index,
        "count": found.count,
    }

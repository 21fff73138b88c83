"""The Onehub routes: the activity of a user, the audit trail of a file, and where links lead.

Source: seed Onehub; wire specification 1.1, 1.3 and 1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text, limits
from tallystick.dialects.answers import rows_response
from tallystick.dialects.onehub import parameters, timestamps, wire
from tallystick.dialects.onehub.parameters import Given
from tallystick.dialects.onehub.wire import DIALECT
from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, NotFound
from tallystick.events.event import Json, Resource
from tallystick.identity import access
from tallystick.identity.access import Principal, Scope
from tallystick.identity.records import User
from tallystick.log.idempotency import claim_key
from tallystick.query.expr import Eq, Expr, all_of
from tallystick.query.question import Find

_BODY_BYTES = 2 * limits.EVENT_BYTES
_ENDINGS = ("", "/", ".json")
_LINKS = {"workspace": "", "file": "/files/{id}", "folder": "/folders/{id}"}

Answerer = Callable[[Request, Principal, Given], Response]


class OnehubApi:
    """Handlers of the Onehub API."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes; a slash or `.json` at the end changes nothing."""
        reads = [("/activity", self.activity), ("/files/{id}/audit_trail", self.audit_trail)]
        links = [
            Route("/workspaces/{workspace}" + rest, partial(self.link, type), methods=["GET"])
            for type, rest in _LINKS.items()
        ]
        return [
            *(
                Route(path + ending, handler, methods=["GET"])
                for path, handler in reads
                for ending in _ENDINGS
            ),
            *links,
            Route(f"/extensions/{DIALECT}/events", self.record, methods=["POST"]),
        ]

    # Reading

    async def activity(self, request: Request) -> Response:
        """Answer the events that the user may see, in all workspaces or in some."""
        return await self._answer(request, self._activity)

    async def audit_trail(self, request: Request) -> Response:
        """Answer the events of one file, to its moderators."""
        return await self._answer(request, self._audit_trail)

    async def _answer(self, request: Request, answerer: Answerer) -> Response:
        run = self._services.door().run
        principal = await run(self._services.authenticate, request.scope)
        access.require(principal, Scope.READ)
        body = await self._services.body(request, limits.EVENT_BYTES)
        content_type = request.headers.get("content-type", "")
        given = parameters.given_in(request.url.query, body, content_type)
        return await run(answerer, request, principal, given)

    def _activity(self, request: Request, principal: Principal, given: Given) -> Response:
        return self._page(principal, given, parameters.in_workspaces(given))

    def _audit_trail(self, request: Request, principal: Principal, given: Given) -> Response:
        id = wire.integer_id(request.path_params["id"])
        if id is None:
            raise NotFound("there is no such file")
        about = Eq("target", f"file:{id}")
        # The latest event tells where the file is now, or was when it was deleted.
        latest = Find(where=about, dialect=DIALECT, limit=1)
        known = self._ledger.find(principal.tenant, latest, access.reachable(principal)).views
        if not known:
            raise NotFound("there is no such file")
        if not self._ledger.may_see(known[0], access.moderated(principal)):
            raise Forbidden(
                "the audit trail is for moderators of the file's workspace",
                role_needed="Moderator",
            )
        return self._page(principal, given, about)

    def _page(self, principal: Principal, given: Given, where: Expr) -> Response:
        zone = self._zone_of(principal)
        asked = parameters.to_filter(given, zone, principal)
        page = parameters.to_page(given)
        question = parameters.to_question(all_of((where, asked)), page)
        found = self._ledger.select(principal.tenant, question, access.visible(principal))
        total = found.total
        assert total is not None, "the question asks for a total"
        return rows_response(
            self._services.door(),
            found,
            lambda row: wire.render(row[0], zone),
            lambda items: _json(
                wire.page_of(items, total=total, offset=page.offset, per_page=page.per_page)
            ),
        )

    def _zone_of(self, principal: Principal) -> tzinfo:
        user = self._user_of(principal)
        return UTC if user is None else timestamps.zone_named(user.time_zone)

    def _user_of(self, principal: Principal) -> User | None:
        if principal.user is None:
            return None
        return self._services.identity.get(User, principal.tenant, principal.user)

    async def link(self, type: str, request: Request) -> Response:
        """Lead from a link in a sentence to what is known of the resource."""
        workspace = wire.integer_id(request.path_params["workspace"])
        id = wire.integer_id(request.path_params.get("id", str(workspace)))
        if workspace is None or id is None:
            raise NotFound
        return RedirectResponse(f"/v1/resources/{type}/{id}", 302)

    # Writing

    async def record(self, request: Request) -> Response:
        """Record an event and answer it as it will be read."""
        run = self._services.door().run
        principal = await run(self._services.authenticate, request.scope)
        access.require(principal, Scope.WRITE)
        if principal.is_person:
            # People make events by what they do, not by telling of it.
            access.require(principal, Scope.ADMIN)
        document = json_text.decode_object(await self._services.body(request, _BODY_BYTES))
        key = request.headers.get("idempotency-key")
        return await run(self._record, principal, document, key)

    def _record(self, principal: Principal, document: Json, key: str | None) -> Response:
        zone = self._zone_of(principal)
        draft = wire.to_draft(document, zone=zone, user=self._actor(principal))
        claim_key(draft, key, document)
        accepted = self._ledger.append(principal.tenant, [draft])[0]
        view = self._ledger.view_at(principal.tenant, accepted.index)
        return _json(wire.render(view, zone), 201)

    def _actor(self, principal: Principal) -> Resource | None:
        """Return the user who asks, by the integer that names them."""
        user = self._user_of(principal)
        names = () if user is None else (user.id, *user.aliases)
        id = next((name for name in names if wire.integer_id(name) is not None), None)
        if user is None or id is None:
            return None
        attributes = None if user.email is None else {"email": user.email}
        return Resource("user", id, user.name, attributes)


def owns(path: str) -> bool:
    """Tell whether a path lies in this API's URL space."""
    if path == "/activity.json":
        return True
    roots = ("/activity", "/files", "/workspaces", f"/extensions/{DIALECT}")
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json_text.encode(value), status, media_type="application/json")

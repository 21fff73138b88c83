"""The Kvass routes: the three documented reads, and two routes of the extension.

Source: seed Kvass; wire specification 2.4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text, limits
from tallystick.dialects.answers import rows_response
from tallystick.dialects.kvass import parameters, wire
from tallystick.dialects.kvass.caller import KEY_HEADERS, KvassCaller, caller_of
from tallystick.dialects.kvass.kinds import KINDS, is_update
from tallystick.dialects.kvass.wire import DIALECT
from tallystick.dialects.services import Services
from tallystick.errors import NotFound
from tallystick.events import ids
from tallystick.events.event import Draft, Json, Op, Resource, View
from tallystick.events.references import to_text
from tallystick.identity.access import Scope
from tallystick.log.idempotency import claim_key
from tallystick.query.expr import Eq, Everything, Sort
from tallystick.query.question import Find

TOTAL_HEADER = "X-Pagination-Total"

_BODY_BYTES = 2 * limits.EVENT_BYTES
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": ", ".join(
        ("Authorization", "Content-Type", "Idempotency-Key", *KEY_HEADERS)
    ),
    "Access-Control-Max-Age": "86400",
}

Handler = Callable[[Request], Response]


class KvassApi:
    """Handlers of the Kvass API."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes; a slash at the end is tolerated, and a search is no event's id."""
        reads: list[tuple[str, Handler]] = [
            ("/events", self._list),
            ("/events/search", self._search),
            ("/events/{event_id}", self._get),
        ]
        routes: list[BaseRoute] = []
        for path, handler in reads:
            for spelling in (path, f"{path}/"):
                routes.append(Route(spelling, self._in_thread(handler), methods=["GET"]))
                routes.append(Route(spelling, self.preflight, methods=["OPTIONS"]))
        extension = f"/extensions/{DIALECT}"
        return [
            *routes,
            Route(f"{extension}/events", self.record, methods=["POST"]),
            Route(f"{extension}/events", self.preflight, methods=["OPTIONS"]),
            Route(f"{extension}/kinds", self.kinds, methods=["GET"]),
        ]

    def _in_thread(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            return await self._services.door().run(handler, request)

        return handle

    # Reading

    def _list(self, request: Request) -> Response:
        return self._page(request, search=False)

    def _search(self, request: Request) -> Response:
        return self._page(request, search=True)

    def _page(self, request: Request, *, search: bool) -> Response:
        caller = caller_of(self._services, request, Scope.READ)
        question = parameters.to_question(request.query_params, search=search)
        page = self._ledger.select(caller.tenant, question, caller.visible)
        return rows_response(
            self._services.door(),
            page,
            lambda row: wire.render(row[0], caller.company),
            lambda rows: _json(rows, headers={TOTAL_HEADER: str(page.total)}),
        )

    def _get(self, request: Request) -> Response:
        caller = caller_of(self._services, request, Scope.READ)
        view = self._find(caller, request.path_params["event_id"].lower())
        return _json(wire.render(view, caller.company))

    def _find(self, caller: KvassCaller, object_id: str) -> View:
        """Return the event with an ObjectId.

        Raises: NotFound.
        """
        if not ids.is_object_id(object_id):
            raise NotFound("there is no such event")
        index = ids.index_of_object_id(object_id)
        if index is None:
            named = Find(where=wire.with_object_id(object_id), dialect=DIALECT, limit=1)
            views = self._ledger.find(caller.tenant, named, caller.visible).views
        else:
            views = list(self._ledger.views_at(caller.tenant, [index]).values())
        for view in views:
            if _is_shown_as(view, object_id) and self._ledger.may_see(view, caller.visible):
                return view
        raise NotFound("there is no such event")

    # Writing

    async def record(self, request: Request) -> Response:
        """Record an event and answer it as it will be read."""
        run = self._services.door().run
        caller: KvassCaller = await run(caller_of, self._services, request, Scope.WRITE)
        document = json_text.decode_object(await self._services.body(request, _BODY_BYTES))
        key = request.headers.get("idempotency-key")
        return await run(self._record, caller, document, key)

    def _record(self, caller: KvassCaller, document: Json, key: str | None) -> Response:
        draft = self._draft(caller, document)
        claim_key(draft, key, document)
        if is_update(draft.kind) and draft.previous is None:
            accepted = self._ledger.differences.append(
                caller.tenant, [draft], ignore=wire.BOOKKEEPING, state=self._state(caller, draft)
            )[0]
        else:
            accepted = self._ledger.append(caller.tenant, [draft])[0]
        view = self._ledger.view_at(caller.tenant, accepted.index)
        if not isinstance(caller.visible, Everything):
            # A caller who may only record does not learn what the object was before.
            told = msgspec.structs.replace(view.first, previous=draft.previous)
            view = msgspec.structs.replace(view, first=told)
        shown = wire.render(view, caller.company)
        location = f"/events/{shown['_id']['$oid']}"
        return _json(shown, 201, {"Location": location})

    def _draft(self, caller: KvassCaller, document: Json) -> Draft:
        author = None
        if caller.user is not None:
            author = wire.author_of(caller.user, caller.company, ("admin",))
        draft = wire.to_draft(document, company=caller.company, author=author)
        draft.actor = self._known(caller.tenant, draft.actor)
        return draft

    def _known(self, tenant: str, actor: Resource | None) -> Resource | None:
        """Return the actor under the id that the user has here, if an alias was given."""
        if actor is None:
            return None
        user = self._services.identity.user_by_alias(tenant, actor.id)
        return actor if user is None else msgspec.structs.replace(actor, id=user.id)

    def _state(self, caller: KvassCaller, draft: Draft) -> Callable[[int], Json | None]:
        """Return how to learn what the object was after the latest event about it.

        Others may record events about it that are none of this API; those do not count.
        """
        target = draft.target
        assert target is not None, "the codec gives every draft a target"
        about = Find(
            where=Eq("target", to_text(*target.key)),
            dialect=DIALECT,
            sort=(Sort("index", descending=True),),
            limit=1,
        )

        def state(index: int) -> Json | None:
            view = self._ledger.view_at(caller.tenant, index)
            if not wire.shows(view):
                views = self._ledger.find(caller.tenant, about, Everything()).views
                if not views:
                    return None
                view = views[0]
            return None if "data" in view.first.erased else wire.object_of(view.first)

        return state

    async def kinds(self, request: Request) -> Response:
        """Answer the kinds that are taken, with their meaning."""
        listed = [{"kind": kind, "description": told} for kind, told in KINDS.items()]
        return _json(listed)

    async def preflight(self, request: Request) -> Response:
        """Answer a browser that asks whether it may send its headers."""
        return Response(status_code=204, headers=_CORS)


def standing_headers(request: Request) -> dict[str, str]:
    """Return what every answer carries."""
    return {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": f"{TOTAL_HEADER}, Tally-Checkpoint, Link",
    }


def owns(path: str) -> bool:
    """Tell whether a path lies in this API's URL space."""
    return any(
        path == root or path.startswith(f"{root}/") for root in ("/events", "/extensions/kvass")
    )


def _is_shown_as(view: View, object_id: str) -> bool:
    ordinary = view.first.op is Op.RECORD and wire.shows(view)
    return ordinary and wire.object_id(view.first) == object_id


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json_text.encode(value), status, headers, "application/json")

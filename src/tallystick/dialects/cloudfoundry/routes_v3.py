"""Version 3 of the Cloud Foundry dialect: audit events, and resources by name. Handlers only.

Source: wire specification of Cloud Foundry 1, 4 and 11.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick.dialects.answers import rows_response
from tallystick.dialects.cloudfoundry import discovery, inventory, responses, v3
from tallystick.dialects.cloudfoundry.caller import Caller, reader_of
from tallystick.dialects.cloudfoundry.errors import NoSuchEvent
from tallystick.dialects.cloudfoundry.inventory import APP, PARENTS, Inventory, Row
from tallystick.dialects.cloudfoundry.routes import NOT_FOUND, Events, base_url
from tallystick.dialects.cloudfoundry.wire import DIALECT, ORGANIZATION, SPACE
from tallystick.dialects.services import Services
from tallystick.query.question import Find

_RESOURCE_ORDERS = ("created_at", "updated_at", "name")

Handler = Callable[[Request, Caller], Response]


class V3Api:
    """Handlers of version 3."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger
        self._events = Events(services)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        get, read = ["GET"], self._reading
        return [
            Route("/v3", self.root, methods=get),
            Route("/v3/audit_events", read(self._list_events), methods=get),
            Route("/v3/audit_events/{guid}", read(self._get_event), methods=get),
            Route("/v3/organizations", read(self._list_of(ORGANIZATION)), methods=get),
            Route("/v3/organizations/{guid}", read(self._one_of(ORGANIZATION)), methods=get),
            Route("/v3/spaces", read(self._list_of(SPACE)), methods=get),
            Route("/v3/spaces/{guid}", read(self._one_of(SPACE)), methods=get),
            Route("/v3/apps", read(self._list_of(APP)), methods=get),
            Route("/v3/apps/{guid}", read(self._one_of(APP)), methods=get),
        ]

    def _reading(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            caller = reader_of(self._services, request)
            response: Response = await self._services.door().run(handler, request, caller)
            return response

        return guarded

    async def root(self, request: Request) -> Response:
        """Answer where everything of version 3 is."""
        return responses.compact_response(discovery.v3_root(base_url(self._services, request)))

    def _list_events(self, request: Request, caller: Caller) -> Response:
        asked = v3.parse(responses.parameters(request), v3.EVENT_FILTERS, v3.EVENT_ORDERS)
        question = Find(
            where=v3.where(asked, lambda guids: self._events.indexes_of(caller.tenant, guids)),
            dialect=DIALECT,
            sort=v3.sort(asked),
            limit=asked.paging.size,
            offset=asked.paging.offset,
            total=True,
        )
        page = self._ledger.select(caller.tenant, question, caller.visible)
        base = base_url(self._services, request)
        url = f"{base}/v3/audit_events"
        return rows_response(
            self._services.door(),
            page,
            lambda row: v3.from_event(row[0], base),
            lambda rows: responses.compact_response(v3.envelope(url, asked, page.total or 0, rows)),
        )

    def _get_event(self, request: Request, caller: Caller) -> Response:
        guid = request.path_params["guid"]
        view = self._events.view(caller.tenant, guid)
        if not self._ledger.may_see(view, caller.visible):
            raise NoSuchEvent(guid)
        base = base_url(self._services, request)
        return responses.compact_response(v3.from_event(view, base))

    def _list_of(self, type: str) -> Handler:
        filters = ("guids", "names", *(f"{parent}_guids" for parent in PARENTS[type]))

        def handler(request: Request, caller: Caller) -> Response:
            asked = v3.parse(responses.parameters(request), filters, _RESOURCE_ORDERS)
            rows = self._rows(caller, type, asked)
            offset, size = asked.paging.offset, asked.paging.size
            base = base_url(self._services, request)
            shown = [inventory.to_v3(row, base) for row in rows[offset : offset + size]]
            url = f"{base}/v3/{type}s"
            return responses.compact_response(v3.envelope(url, asked, len(rows), shown))

        return handler

    def _rows(self, caller: Caller, type: str, asked: v3.Listing) -> list[Row]:
        allowed = {name.removesuffix("s"): values for name, values in v3.lists(asked).items()}

        def wanted(row: Row) -> bool:
            return all(row.value(key) in values for key, values in allowed.items())

        names = allowed.get("name", ())
        name = names[0] if len(names) == 1 else None
        rows = Inventory(self._ledger, caller).select(type, wanted, name=name)
        if asked.order == "name":
            rows.sort(key=lambda row: row.value("name"))
        if asked.paging.descending:
            rows.reverse()
        return rows

    def _one_of(self, type: str) -> Handler:
        def handler(request: Request, caller: Caller) -> Response:
            guid = request.path_params["guid"]
            row = Inventory(self._ledger, caller).find(type, guid)
            if row is None:
                raise NOT_FOUND[type](guid)
            base = base_url(self._services, request)
            return responses.compact_response(inventory.to_v3(row, base))

        return handler

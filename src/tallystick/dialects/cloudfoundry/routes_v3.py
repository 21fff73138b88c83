"""Version 3 of the Cloud Foundry dialect: audit events, and resources by name. Handlers only.

Source: wire specification of Cloud Foundry 1, 4 and 11.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tallystick.dialects.answers import rows_response
from tallystick.dialects.cloudfoundry import discovery, including, inventory, responses, v3
from tallystick.dialects.cloudfoundry.caller import CloudFoundryCaller, reader_of
from tallystick.dialects.cloudfoundry.errors import NoSuchEvent
from tallystick.dialects.cloudfoundry.inventory import (
    APP,
    NOT_FOUND,
    PARENTS,
    Inventory,
    InventoryRow,
)
from tallystick.dialects.cloudfoundry.routes import EventsOfSpaces, base_url
from tallystick.dialects.cloudfoundry.wire import DIALECT, ORGANIZATION, SPACE
from tallystick.dialects.services import Services
from tallystick.errors import NotFound
from tallystick.events.event import Json
from tallystick.query.question import Find

_RESOURCE_ORDERS: dict[str, Callable[[InventoryRow], Any]] = {
    "created_at": lambda row: row.created_ms,
    "updated_at": lambda row: row.updated_ms,
    "name": lambda row: row.value("name"),
}

EMPTY_LISTS: dict[str | None, frozenset[str]] = {
    None: frozenset({
        "app_usage_events", "buildpacks", "builds", "deployments", "domains", "droplets",
        "feature_flags", "isolation_segments", "organization_quotas", "packages", "processes",
        "revisions", "roles", "route_policies", "routes", "security_groups", "service_brokers",
        "service_credential_bindings", "service_instances", "service_offerings", "service_plans",
        "service_route_bindings", "service_usage_events", "space_quotas", "stacks", "tasks",
        "users",
    }),
    "organizations": frozenset({"domains", "users"}),
    "spaces": frozenset({
        "features", "running_security_groups", "staging_security_groups", "users",
    }),
    "apps": frozenset({
        "builds", "droplets", "features", "packages", "processes", "revisions", "routes",
        "sidecars", "tasks",
    }),
}  # fmt: skip
"""Lists that clients ask for on their way, of which no event tells, by what they are inside."""

Handler = Callable[[Request, CloudFoundryCaller], Response]


class V3Api:
    """Handlers of version 3."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger
        self._events = EventsOfSpaces(services)

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        get, read = ["GET"], self._reading
        return [
            Route("/v3", self.root, methods=get),
            Route("/v3/info", self.info, methods=get),
            Route("/v3/audit_events", read(self._list_events), methods=get),
            Route("/v3/audit_events/{guid}", read(self._get_event), methods=get),
            Route("/v3/organizations", read(self._list_of(ORGANIZATION)), methods=get),
            Route("/v3/organizations/{guid}", read(self._one_of(ORGANIZATION)), methods=get),
            Route("/v3/spaces", read(self._list_of(SPACE)), methods=get),
            Route("/v3/spaces/{guid}", read(self._one_of(SPACE)), methods=get),
            Route("/v3/apps", read(self._list_of(APP)), methods=get),
            Route("/v3/apps/{guid}", read(self._one_of(APP)), methods=get),
            Route("/v3/{list}", read(self._list_nothing), methods=get),
            Route("/v3/{type}/{guid}/{list}", read(self._list_nothing), methods=get),
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

    async def info(self, request: Request) -> Response:
        """Answer what the server is."""
        return responses.compact_response(discovery.v3_info(base_url(self._services, request)))

    def _list_events(self, request: Request, caller: CloudFoundryCaller) -> Response:
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

    def _get_event(self, request: Request, caller: CloudFoundryCaller) -> Response:
        guid = request.path_params["guid"]
        view = self._events.view(caller.tenant, guid)
        if not self._ledger.may_see(view, caller.visible):
            raise NoSuchEvent(guid)
        base = base_url(self._services, request)
        return responses.compact_response(v3.from_event(view, base))

    def _list_of(self, type: str) -> Handler:
        filters = ("guids", "names", *(f"{parent}_guids" for parent in PARENTS[type]))
        if including.takes_include(type):
            filters = (*filters, including.PARAMETER)

        def handler(request: Request, caller: CloudFoundryCaller) -> Response:
            asked = v3.parse(responses.parameters(request), filters, tuple(_RESOURCE_ORDERS))
            wanted = including.wanted_types(type, asked.filters.get(including.PARAMETER))
            rows = self._rows(caller, type, asked)
            offset, size = asked.paging.offset, asked.paging.size
            base = base_url(self._services, request)
            page = rows[offset : offset + size]
            shown = [inventory.to_v3(row, base) for row in page]
            answer = v3.envelope(f"{base}/v3/{type}s", asked, len(rows), shown)
            return self._with_included(answer, caller, page, wanted, base)

        return handler

    def _rows(
        self, caller: CloudFoundryCaller, type: str, asked: v3.V3Listing
    ) -> list[InventoryRow]:
        allowed = {
            name.removesuffix("s"): values
            for name, values in v3.lists(asked).items()
            if name != including.PARAMETER
        }

        def wanted(row: InventoryRow) -> bool:
            return all(row.value(key) in values for key, values in allowed.items())

        names = allowed.get("name", ())
        name = names[0] if len(names) == 1 else None
        rows = Inventory(self._ledger, caller).select(type, wanted, name=name)
        if asked.order is not None:
            rows.sort(key=_RESOURCE_ORDERS[asked.order], reverse=asked.paging.descending)
        return rows

    def _list_nothing(self, request: Request, caller: CloudFoundryCaller) -> Response:
        """Answer with the empty page of a list of what no event tells."""
        parent, guid = request.path_params.get("type"), request.path_params.get("guid")
        name = request.path_params["list"]
        if name not in EMPTY_LISTS.get(parent, ()):
            raise NotFound
        if parent is not None:
            type = parent.removesuffix("s")
            if Inventory(self._ledger, caller).find(type, guid or "") is None:
                raise NOT_FOUND[type](guid)
        asked = v3.parse_any(responses.parameters(request))
        path = "/".join(quote(part, safe="") for part in (parent, guid, name) if part)
        url = f"{base_url(self._services, request)}/v3/{path}"
        return responses.compact_response(v3.envelope(url, asked, 0, []))

    def _one_of(self, type: str) -> Handler:
        def handler(request: Request, caller: CloudFoundryCaller) -> Response:
            guid = request.path_params["guid"]
            row = Inventory(self._ledger, caller).find(type, guid)
            if row is None:
                raise NOT_FOUND[type](guid)
            base = base_url(self._services, request)
            text = dict(responses.parameters(request)).get(including.PARAMETER)
            wanted: frozenset[str] = frozenset()
            if including.takes_include(type):
                wanted = including.wanted_types(type, text)
            return self._with_included(inventory.to_v3(row, base), caller, [row], wanted, base)

        return handler

    def _with_included(
        self,
        answer: Json,
        caller: CloudFoundryCaller,
        rows: Sequence[InventoryRow],
        types: frozenset[str],
        base: str,
    ) -> Response:
        """Answer with rows, and with their parents of the types that were wanted beside them."""
        if types:
            known = Inventory(self._ledger, caller)
            answer = {**answer, "included": including.included(known, rows, types, base)}
        return responses.compact_response(answer)

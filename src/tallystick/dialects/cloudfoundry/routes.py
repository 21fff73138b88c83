"""Version 2, discovery and the extension routes of the Cloud Foundry dialect.

Handlers only: parameters are read by `listing` and `query`, events are rendered by `wire`. Source:
seed, "Route"; wire specification of Cloud Foundry 1, 3 and 4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tallystick import limits
from tallystick.dialects.answers import rows_response
from tallystick.dialects.cloudfoundry import discovery, inventory, listing, query, responses, wire
from tallystick.dialects.cloudfoundry.caller import (
    CloudFoundryCaller,
    authenticate,
    reader_of,
    v2_reader_of,
    writer_of,
)
from tallystick.dialects.cloudfoundry.errors import Immutable, NoSuchEvent
from tallystick.dialects.cloudfoundry.inventory import APP, PARENTS, Inventory, InventoryRow
from tallystick.dialects.cloudfoundry.timestamps import to_text
from tallystick.dialects.cloudfoundry.wire import DIALECT, ORGANIZATION, SPACE, Style
from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, InvalidQuery, Malformed, NotFound, TallystickError
from tallystick.events import entry
from tallystick.events.event import Json, Op, View
from tallystick.identity.access import Principal
from tallystick.log.idempotency import claim_key
from tallystick.log.sequencer import Item, Outcome
from tallystick.query.expr import NEWEST_FIRST, Eq, Expr, Sort, all_of
from tallystick.query.question import Find

_RESOURCE_ORDERS = ("name", "id")

EMPTY_LISTS: dict[str | None, frozenset[str]] = {
    None: frozenset({
        "app_usage_events", "buildpacks", "domains", "private_domains", "quota_definitions",
        "route_mappings", "routes", "security_groups", "service_bindings", "service_brokers",
        "service_instances", "service_keys", "service_plan_visibilities", "service_plans",
        "service_usage_events", "services", "shared_domains", "space_quota_definitions", "stacks",
        "user_provided_service_instances", "users",
    }),
    "organizations": frozenset({
        "auditors", "billing_managers", "domains", "managers", "private_domains", "services",
        "space_quota_definitions", "users",
    }),
    "spaces": frozenset({
        "auditors", "developers", "domains", "managers", "routes", "security_groups",
        "service_instances", "services", "staging_security_groups",
    }),
    "apps": frozenset({"route_mappings", "routes", "service_bindings"}),
}  # fmt: skip
"""Lists that clients ask for on their way, of which no event tells, by what they are inside."""

Handler = Callable[[Request, CloudFoundryCaller], Response]


class EventsOfSpaces:
    """Finds events for both versions of the API."""

    def __init__(self, services: Services) -> None:
        self._ledger = services.ledger

    def view(self, tenant: str, guid: str) -> View:
        """Return the event with a guid, for any caller.

        Raises: NoSuchEvent.
        """
        index = self.index_of(tenant, guid)
        view = None if index is None else self._ledger.view_at(tenant, index)
        if (
            view is None
            or view.first.op is not Op.RECORD
            or not wire.shows(view)
            or not _has_guid(view, guid)
        ):
            raise NoSuchEvent(guid)
        return view

    def index_of(self, tenant: str, guid: str) -> int | None:
        """Return where the event with a guid stands, if there is one."""
        if not wire.is_guid(guid):
            return None
        return self._ledger.index_of(tenant, wire.id_of(guid))

    def indexes_of(self, tenant: str, guids: Iterable[str]) -> list[int]:
        """Return where the events with some guids stand, those there are."""
        places = {
            guid: index for guid in guids if (index := self.index_of(tenant, guid)) is not None
        }
        views = self._ledger.views_at(tenant, set(places.values()))
        return [index for guid, index in places.items() if _has_guid(views.get(index), guid)]


class V2Api:
    """Handlers of version 2, of discovery and of the extension."""

    def __init__(self, services: Services, style: Style) -> None:
        self._services = services
        self._ledger = services.ledger
        self._style = style
        self._events = EventsOfSpaces(services)

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        get, read = ["GET"], self._reading
        return [
            Route("/", self.root, methods=get),
            Route("/v2/info", self.info, methods=get),
            Route("/login", self.login, methods=get),
            Route("/info", self.login, methods=get),
            Route("/v2/events", read(self._list_events), methods=get),
            Route("/v2/events", self.refuse, methods=["POST"]),
            Route("/v2/events/{guid}", read(self._get_event), methods=get),
            Route("/v2/events/{guid}", self.refuse, methods=["PUT", "DELETE"]),
            Route("/v2/organizations", read(self._list_of(ORGANIZATION)), methods=get),
            Route("/v2/organizations/{guid}", read(self._one_of(ORGANIZATION)), methods=get),
            Route(
                "/v2/organizations/{guid}/spaces",
                read(self._list_inside(ORGANIZATION, SPACE)),
                methods=get,
            ),
            Route("/v2/spaces", read(self._list_of(SPACE)), methods=get),
            Route("/v2/spaces/{guid}", read(self._one_of(SPACE)), methods=get),
            Route("/v2/spaces/{guid}/events", read(self._list_space_events), methods=get),
            Route("/v2/spaces/{guid}/summary", read(self._summary), methods=get),
            Route("/v2/spaces/{guid}/apps", read(self._list_inside(SPACE, APP)), methods=get),
            Route("/v2/apps", read(self._list_of(APP)), methods=get),
            Route("/v2/apps/{guid}", read(self._one_of(APP)), methods=get),
            Route("/v2/{list}", read(self._list_nothing), methods=get),
            Route("/v2/{type}/{guid}/{list}", read(self._list_nothing), methods=get),
            Route("/extensions/cloudfoundry/events", self.record, methods=["POST"]),
            Route("/extensions/cloudfoundry/imports", self.imports, methods=get),
        ]

    def _reading(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            caller = v2_reader_of(self._services, request)
            response: Response = await self._services.door().run(handler, request, caller)
            return response

        return guarded

    # Discovery

    async def root(self, request: Request) -> Response:
        """Answer where everything is."""
        return responses.compact_response(discovery.root(base_url(self._services, request)))

    async def info(self, request: Request) -> Response:
        """Answer what the server is, and who asks if that is known."""
        try:
            user = authenticate(self._services, request).user
        except TallystickError:
            user = None
        info = discovery.v2_info(base_url(self._services, request), user)
        return responses.v2_response(request, info)

    async def login(self, request: Request) -> Response:
        """Answer what the login server asks of users."""
        now = to_text(self._services.clock.now_ms())
        return responses.compact_response(discovery.login(base_url(self._services, request), now))

    # Events

    def _list_events(self, request: Request, caller: CloudFoundryCaller) -> Response:
        asked = listing.parse(responses.parameters(request), listing.EVENT_ORDERS)
        sort = Sort("occurred_ms", descending=asked.paging.descending)
        where, order = _conditions(asked), listing.EVENT_ORDER
        return self._page(request, caller, asked, "/v2/events", where, sort, order)

    def _list_space_events(self, request: Request, caller: CloudFoundryCaller) -> Response:
        guid = request.path_params["guid"]
        Inventory(self._ledger, caller).require(SPACE, guid)
        asked = listing.parse(responses.parameters(request), listing.EVENT_ORDERS)
        where = all_of((Eq(query.SPACE_FIELD, guid), _conditions(asked)))
        path = f"/v2/spaces/{quote(guid, safe='')}/events"
        sort = Sort("index", descending=asked.paging.descending)
        return self._page(request, caller, asked, path, where, sort)

    def _page(
        self,
        request: Request,
        caller: CloudFoundryCaller,
        asked: listing.V2Listing,
        path: str,
        where: Expr,
        sort: Sort,
        order: Sequence[str] = (),
    ) -> Response:
        question = Find(
            where=where,
            dialect=DIALECT,
            sort=(sort,),
            limit=asked.paging.size,
            offset=asked.paging.offset,
            total=True,
        )
        page = self._ledger.select(caller.tenant, question, caller.visible)
        total = page.total or 0
        return rows_response(
            self._services.door(),
            page,
            lambda row: wire.from_event(row[0], self._style, asked.relations),
            lambda rows: responses.v2_response(
                request, listing.envelope(path, asked, total, rows, order)
            ),
            layout=responses.rows_layout(request),
        )

    def _get_event(self, request: Request, caller: CloudFoundryCaller) -> Response:
        view = self._events.view(caller.tenant, request.path_params["guid"])
        if not self._ledger.may_see(view, caller.visible):
            raise Forbidden("the event is outside the caller's roles")
        relations = listing.relations_of(responses.parameters(request))
        return responses.v2_response(request, wire.from_event(view, self._style, relations))

    async def refuse(self, request: Request) -> Response:
        """Refuse to change or delete an event, to any caller, whether it exists or not."""
        authenticate(self._services, request)
        if request.method == "POST":
            raise Immutable("events are recorded through /extensions/cloudfoundry/events")
        raise Immutable("this server keeps every event as it was recorded")

    # Organizations, spaces and apps

    def _list_of(self, type: str) -> Handler:
        def handler(request: Request, caller: CloudFoundryCaller) -> Response:
            return self._list_resources(request, caller, type, f"/v2/{type}s", [])

        return handler

    def _list_inside(self, parent: str, type: str) -> Handler:
        def handler(request: Request, caller: CloudFoundryCaller) -> Response:
            guid = request.path_params["guid"]
            Inventory(self._ledger, caller).require(parent, guid)
            path = f"/v2/{parent}s/{quote(guid, safe='')}/{type}s"
            inside = query.FilterCondition(f"{parent}_guid", ":", guid)
            return self._list_resources(request, caller, type, path, [inside])

        return handler

    def _summary(self, request: Request, caller: CloudFoundryCaller) -> Response:
        """Answer a space with all of its apps, as clients ask for them at once."""
        known = Inventory(self._ledger, caller)
        space = known.require(SPACE, request.path_params["guid"])
        apps = known.select(APP, lambda app: app.parents[SPACE] == space.resource.id)
        return responses.v2_response(request, inventory.to_summary(space, apps))

    def _list_nothing(self, request: Request, caller: CloudFoundryCaller) -> Response:
        """Answer with the empty page of a list of what no event tells."""
        parent, guid = request.path_params.get("type"), request.path_params.get("guid")
        name = request.path_params["list"]
        if name not in EMPTY_LISTS.get(parent, ()):
            raise NotFound
        if parent is not None:
            Inventory(self._ledger, caller).require(parent.removesuffix("s"), guid or "")
        pairs = [pair for pair in responses.parameters(request) if pair[0] != "order-by"]
        asked = listing.parse(pairs, ())
        path = "/v2/" + "/".join(quote(part, safe="") for part in (parent, guid, name) if part)
        return responses.v2_response(request, listing.envelope(path, asked, 0, []))

    def _list_resources(
        self,
        request: Request,
        caller: CloudFoundryCaller,
        type: str,
        path: str,
        inside: list[query.FilterCondition],
    ) -> Response:
        asked = listing.parse(responses.parameters(request), _RESOURCE_ORDERS)
        keys = ("name", *(f"{parent}_guid" for parent in PARENTS[type]))
        conditions = [*query.parse(asked.q, keys), *inside]

        def wanted(row: InventoryRow) -> bool:
            return all(query.holds(condition, row.value(condition.key)) for condition in conditions)

        names = (c.value for c in conditions if (c.key, c.operator) == ("name", ":"))
        rows = Inventory(self._ledger, caller).select(type, wanted, name=next(names, None))
        if asked.order_by == "name":
            rows.sort(key=lambda row: row.value("name"), reverse=asked.paging.descending)
        elif asked.paging.descending:
            rows.reverse()
        offset, size = asked.paging.offset, asked.paging.size
        shown = [inventory.to_v2(row) for row in rows[offset : offset + size]]
        order = () if asked.order_by is None else (asked.order_by,)
        envelope = listing.envelope(path, asked, len(rows), shown, order)
        return responses.v2_response(request, envelope)

    def _one_of(self, type: str) -> Handler:
        def handler(request: Request, caller: CloudFoundryCaller) -> Response:
            guid = request.path_params["guid"]
            row = Inventory(self._ledger, caller).require(type, guid)
            return responses.v2_response(request, inventory.to_v2(row))

        return handler

    # The extension

    async def record(self, request: Request) -> Response:
        """Store an event, or a list of events whole or not at all."""
        principal = writer_of(self._services, request)
        door = self._services.door()
        body = await self._services.body(request, limits.BATCH_BYTES)
        items, is_list = await door.run(_items, request, body)
        outcomes = await door.append(principal.tenant, items, atomic=True)
        response: Response = await door.run(self._recorded, request, principal, outcomes, is_list)
        return response

    def _recorded(
        self, request: Request, principal: Principal, outcomes: Sequence[Outcome], is_list: bool
    ) -> Response:
        indexes: list[int] = []
        status = 200
        for outcome in outcomes:
            if isinstance(outcome, TallystickError):
                raise outcome
            indexes.append(outcome.index)
            status = status if outcome.replayed else 201
        views = self._ledger.views_at(principal.tenant, indexes)
        resources = [wire.from_event(views[index], self._style) for index in indexes]
        answer: Json = {"resources": resources} if is_list else resources[0]
        return responses.v2_response(request, answer, status)

    async def imports(self, request: Request) -> Response:
        """Answer how far the copying of a deployment's events has come."""
        caller = reader_of(self._services, request)
        response: Response = await self._services.door().run(self._imports, request, caller)
        return response

    def _imports(self, request: Request, caller: CloudFoundryCaller) -> Response:
        source = dict(responses.parameters(request)).get("source")
        if not source:
            raise InvalidQuery("source names the deployment that events were copied from")
        question = Find(
            where=Eq("cloudfoundry.source", source),
            dialect=DIALECT,
            sort=NEWEST_FIRST,
            limit=1,
            total=True,
        )
        page = self._ledger.find(caller.tenant, question, caller.visible)
        newest = [to_text(view.first.occurred_ms) for view in page.views]
        answer: Json = {
            "source": source,
            "total_results": page.total,
            "timestamp": newest[0] if newest else None,
        }
        return responses.v2_response(request, answer)


def base_url(services: Services, request: Request) -> str:
    """Return the address under which the caller reaches the server, without a final slash."""
    return services.base_url(request.scope)


def _has_guid(view: View | None, guid: str) -> bool:
    # The id that stands for a guid elsewhere is nothing that clients know.
    return view is not None and wire.guid_of(view.first).lower() == guid.lower()


def _conditions(asked: listing.V2Listing) -> Expr:
    return query.to_expr(query.parse(asked.q, query.EVENT_KEYS))


def _items(request: Request, body: bytes) -> tuple[list[Item], bool]:
    source = dict(responses.parameters(request)).get("source")
    key = request.headers.get("idempotency-key")
    resources, is_list = wire.decode(body)
    items: list[Item] = []
    for n, resource in enumerate(resources):
        try:
            draft = wire.to_draft(resource, source=source)
            claim_key(draft, key, resource, n + 1)
            items.append(Item(entry.prepare(draft)))
        except Malformed as error:
            # Limits for events of every API have common names.
            path = "/entity/metadata" if error.path == "data" else error.path
            place = f"/{n}{path or ''}" if is_list else path
            raise Malformed(error.message, path=place) from None
    return items, is_list

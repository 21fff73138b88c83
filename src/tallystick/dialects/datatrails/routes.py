"""Events, tenancies and allowances over HTTP.

Handlers only: `wire` reads and writes bodies, `events` finds. Source: seed "Events API (preview)";
wire specification of DataTrails 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text, limits
from tallystick.dialects.answers import rows_response
from tallystick.dialects.datatrails import attachments, errors, quotas, rendering, storage, wire
from tallystick.dialects.datatrails.applications import is_application
from tallystick.dialects.datatrails.caller import DataTrailsCaller, actor_of, caller_of
from tallystick.dialects.datatrails.events import TrailEvents
from tallystick.dialects.datatrails.options import Options
from tallystick.dialects.datatrails.quotas import RateLimit
from tallystick.dialects.errors import ErrorAnswer
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound, TallystickError
from tallystick.events import entry
from tallystick.events.event import Draft, Json
from tallystick.identity.access import Scope
from tallystick.identity.records import OAuthClient
from tallystick.log.idempotency import claim_key
from tallystick.log.sequencer import Item
from tallystick.query.expr import Eq, Everything

BASE = "/archivist/v1"
TOTAL_COUNT = "x-total-count"
_SEARCH_BYTES = 64 * 1024
_ROOTS = ("/archivist", "/verifiabledata", f"/extensions/{rendering.DIALECT}")


class EventsApi:
    """Handlers of events."""

    def __init__(self, services: Services, options: Options) -> None:
        self._services = services
        self._ledger = services.ledger
        self._options = options
        self._events = TrailEvents(services)
        self._rate = RateLimit(options.events_per_second)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        search = [
            Route(f"{BASE}/events/search{slash}", self.search, methods=["POST"])
            for slash in ("", "/")
        ]
        return [
            Route(f"{BASE}/events", self.create, methods=["POST"]),
            *search,
            Route(f"{BASE}/events/{{uuid}}", self.read, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """Store an event."""
        caller = self._caller(request, Scope.WRITE)
        body = await self._services.body(request, limits.DATATRAILS_EVENT_BYTES)
        draft = wire.decode_event(body, actor=actor_of(self._services, caller.principal))
        key = request.headers.get("idempotency-key")
        claim_key(draft, key, json_text.decode(body))
        # Earlier versions took the digest of the body as it was written.
        draft.earlier_digests += (partial(entry.digest_of, body),)
        door = self._services.door()
        if self._options.quotas.events is not None or attachments.has_blobs(draft.data):
            await door.run(self._check, caller.tenant, draft)
        outcome = (await door.append(caller.tenant, [Item(entry.prepare(draft))]))[0]
        if isinstance(outcome, TallystickError):
            raise outcome
        if outcome.replayed:
            return json_response(await door.run(self._events.created, caller, outcome.index))
        return json_response(wire.created(draft, outcome, caller.tenant, caller.tenant_uuid))

    async def read(self, request: Request) -> Response:
        """Answer an event."""
        caller = self._caller(request, Scope.READ)
        uuid = request.path_params["uuid"]
        return json_response(await self._services.door().run(self._events.read, caller, uuid))

    async def search(self, request: Request) -> Response:
        """Answer a page of events and how many match."""
        caller = self._caller(request, Scope.READ)
        asked = wire.decode_search(await self._services.body(request, _SEARCH_BYTES))
        return await self._services.door().run(self._page, caller, asked)

    def _page(self, caller: DataTrailsCaller, asked: wire.EventSearch) -> Response:
        page, render = self._events.search(caller, asked)
        headers = {TOTAL_COUNT: str(page.total or 0)}
        return rows_response(
            self._services.door(),
            page,
            render,
            lambda rows: json_response({"events": rows}, headers=headers),
        )

    def _caller(self, request: Request, right: Scope) -> DataTrailsCaller:
        caller = caller_of(self._services, request, right)
        self._rate.take(caller.tenant)
        return caller

    def _check(self, tenant: str, draft: Draft) -> None:
        """Let an event pass whose blobs are there and for which there is an allowance left."""
        attachments.check_attributes(draft.data, lambda id: self._services.blobs.get(tenant, id))
        quotas.require(self._options.quotas.events, lambda: self._stored(tenant), "events")

    def _stored(self, tenant: str) -> int:
        mine = Eq("dialect", rendering.DIALECT)
        return self._ledger.count(tenant, mine, Everything(), dialect=rendering.DIALECT)


class TenancyApi:
    """Handlers of what a tenant is and what it may still use."""

    def __init__(self, services: Services, options: Options) -> None:
        self._services = services
        self._identity = services.identity
        self._quotas = options.quotas

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route(f"{BASE}/tenancies/self", self.self_, methods=["GET"]),
            Route(f"{BASE}/tenancies/{{uuid}}:publicinfo", self.public_info, methods=["GET"]),
            Route(f"{BASE}/caps", self.caps, methods=["GET"]),
        ]

    async def self_(self, request: Request) -> Response:
        """Answer the caller's tenant."""
        caller = caller_of(self._services, request, Scope.READ)
        return json_response(self._tenancy(caller))

    async def public_info(self, request: Request) -> Response:
        """Answer the caller's tenant by its UUID; others are not told about."""
        caller = caller_of(self._services, request, Scope.READ)
        if request.path_params["uuid"].lower() != str(caller.tenant_uuid):
            raise NotFound("there is no such tenant")
        return json_response(self._tenancy(caller))

    async def caps(self, request: Request) -> Response:
        """Answer how many more of something the tenant may have."""
        caller = caller_of(self._services, request, Scope.READ)
        service = request.query_params.get("service", "")
        caps = await self._services.door().run(self._caps, caller.tenant, service)
        return json_response({"caps": caps})

    def _tenancy(self, caller: DataTrailsCaller) -> Json:
        tenant = self._identity.tenant(caller.tenant)
        return {
            "identity": caller.tenant_identity,
            "display_name": tenant.name,
            "verified_domain": "",
        }

    def _caps(self, tenant: str, service: str) -> list[Json]:
        if service not in ("", "applications", "blobs"):
            raise Malformed("service is one of applications, blobs", path="service")
        caps: list[Json] = []
        if service in ("", "applications"):
            left = quotas.remaining(
                self._quotas.applications,
                lambda: sum(map(is_application, self._identity.list(OAuthClient, tenant))),
            )
            caps.append({"resource_type": "applications", "resource_remaining": str(left)})
        if service in ("", "blobs"):
            blobs = self._services.blobs
            left = quotas.remaining(self._quotas.blobs, lambda: len(blobs.list(tenant)))
            caps.append({"resource_type": "blobs", "resource_remaining": str(left)})
        return caps


def owns(path: str) -> bool:
    """Tell whether a path lies in this dialect's URL space."""
    return any(path == root or path.startswith(f"{root}/") for root in _ROOTS)


def error_answer(request: Request, error: TallystickError) -> ErrorAnswer:
    """Return the answer to an error; of the public log's files, as storage gives it."""
    missing = storage.error_answer(request, error)
    if missing is not None:
        return missing
    state = request.scope["state"]
    return errors.answer(
        error, request_id=state.get("request_id"), tenant=state.get("tenant_identity")
    )


def json_response(
    value: Json, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer with a JSON body."""
    return Response(json_text.encode(value), status, headers, "application/json")

"""The public log over HTTP: its files for everybody, receipts and trails for the tenant.

Source: wire specification of DataTrails 4.5 and 6; receipts and trails are extensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick.dialects import range_header
from tallystick.dialects.datatrails import storage, trails, wire
from tallystick.dialects.datatrails.caller import DataTrailsCaller, caller_of
from tallystick.dialects.datatrails.events import TrailEvents
from tallystick.dialects.datatrails.merklelog.receipts import Form
from tallystick.dialects.datatrails.publiclog import receipts, tags
from tallystick.dialects.datatrails.publiclog.follower import PublicLogFollower
from tallystick.dialects.datatrails.publiclog.log import open_public_log
from tallystick.dialects.datatrails.rendering import DIALECT, created_at
from tallystick.dialects.datatrails.routes import json_response
from tallystick.dialects.datatrails.routes_blobs import unsatisfiable
from tallystick.dialects.services import Services
from tallystick.errors import InvalidQuery, Malformed, NotFound
from tallystick.events.event import Json
from tallystick.identity.access import Scope
from tallystick.identity.records import Tenant

LOGS = "/verifiabledata/merklelogs/v1/mmrs/tenant/{uuid}/0"
EXTENSION = f"/extensions/{DIALECT}"
"""Below it is what the original did not have."""

_NUMBER_DIGITS = 16
_FOREVER = "public, max-age=31536000, immutable"
_SHORTLY = "no-cache"
_TOP, _TOP_MAX = 20, 50
_FOUND_MAX = 5_000


class LogApi:
    """Handlers of the public log's files."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._files = services.followers.public_files

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route(f"{LOGS}/massifs/{{number}}.log", self.massif, methods=["GET"]),
            Route(f"{LOGS}/massifseals/{{number}}.sth", self.seal, methods=["GET"]),
            *(Route(storage.ROOT + end, self.search, methods=["GET"]) for end in ("", "/")),
        ]

    async def search(self, request: Request) -> Response:
        """Answer which files of the logs have some tags."""
        return await self._services.door().run(self._search, request)

    async def massif(self, request: Request) -> Response:
        """Answer a massif file, or those of its bytes that a range asks for."""
        return await self._services.door().run(self._massif, request)

    async def seal(self, request: Request) -> Response:
        """Answer the latest seal of a massif."""
        return await self._services.door().run(self._seal, request)

    def _search(self, request: Request) -> Response:
        """Answer a page of the files of all public logs that satisfy `where`."""
        asked = request.query_params
        if asked.get("comp") != "blobs":
            raise NotFound("the logs are not listed: ask for files, or for tags with comp=blobs")
        where = asked.get("where", "")
        conditions = storage.conditions_of(where)
        size, start = _page(asked.get("maxresults"), asked.get("marker"))
        found = (
            blob
            for tenant in self._services.identity.tenants()
            if tenant.public_log
            for blob in tags.blobs_of(self._files, tenant)
            if storage.satisfies(conditions, blob)
        )
        page = list(islice(found, start, start + size + 1))
        following = str(start + size) if len(page) > size else ""
        prefix = request.scope.get("root_path", "")
        endpoint = str(request.url.replace(path=f"{prefix}{storage.ROOT}/", query=""))
        search = storage.TagSearch(endpoint, where, conditions)
        return storage.found_response(search, page[:size], following)

    def _massif(self, request: Request) -> Response:
        tenant, number = self._tenant(request), _number(request)
        size = self._files.size(tenant.id, number)
        if size is None:
            raise NotFound(f"the log has no massif {number}")
        headers = {"Accept-Ranges": "bytes", "Cache-Control": self._lasting(tenant, number)}
        if request.method == "HEAD":
            return _binary(b"", 200, headers | {"Content-Length": str(size)})
        try:
            part = range_header.part_of(request.headers.get("range"), size)
        except range_header.Unsatisfiable as error:
            return unsatisfiable(error)
        if part is None:
            return _binary(self._files.read(tenant.id, number) or b"", 200, headers)
        content = self._files.read(tenant.id, number, part.start, part.stop)
        return _binary(content or b"", 206, headers | part.headers())

    def _seal(self, request: Request) -> Response:
        tenant, number = self._tenant(request), _number(request)
        seal = self._files.seal(tenant.id, number)
        if seal is None:
            raise NotFound(f"massif {number} has no seal yet")
        return _binary(seal.data, 200, {"Cache-Control": self._lasting(tenant, number)})

    def _lasting(self, tenant: Tenant, number: int) -> str:
        """Return for how long a file may be kept: once there is a next one it never changes."""
        finished = self._files.size(tenant.id, number + 1) is not None
        if finished and tenant.public_log:
            return _FOREVER
        return _SHORTLY

    def _tenant(self, request: Request) -> Tenant:
        """Return the tenant of a path; a log that is not public is its tenant's only."""
        uuid = request.path_params["uuid"].lower()
        tenant = self._services.identity.tenant_of_alias(uuid)
        if tenant is not None and tenant.uuid == uuid:
            if tenant.public_log:
                return tenant
            if caller_of(self._services, request, Scope.READ).tenant == tenant.id:
                return tenant
        raise NotFound(f"there is no log of tenant/{uuid}")


class ExtensionApi:
    """Handlers of receipts, the key of seals, and trails."""

    def __init__(self, services: Services, follower: PublicLogFollower) -> None:
        self._services = services
        self._follower = follower
        self._events = TrailEvents(services)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        events = f"{EXTENSION}/receipts/events/{{uuid}}"
        return [
            Route(events, self.inclusion, methods=["GET"]),
            Route(f"{EXTENSION}/receipts/consistency", self.consistency, methods=["GET"]),
            Route(f"{EXTENSION}/seal-key", self.seal_key, methods=["GET"]),
            Route(f"{EXTENSION}/trails", self.trails, methods=["GET"]),
        ]

    async def inclusion(self, request: Request) -> Response:
        """Answer a receipt that an event's leaf is in the log."""
        caller = caller_of(self._services, request, Scope.READ)
        return await self._services.door().run(self._inclusion, caller, request)

    async def consistency(self, request: Request) -> Response:
        """Answer a receipt that the log only grew between two sizes."""
        caller = caller_of(self._services, request, Scope.READ)
        return await self._services.door().run(self._consistency, caller, request)

    async def seal_key(self, request: Request) -> Response:
        """Answer the public key that verifies seals and receipts; for everybody."""
        return json_response(self._follower.public_jwk())

    async def trails(self, request: Request) -> Response:
        """Answer which trails there are."""
        caller = caller_of(self._services, request, Scope.READ)
        return await self._services.door().run(self._trails, caller, request)

    def _inclusion(self, caller: DataTrailsCaller, request: Request) -> Response:
        vds = _natural(request, "vds", Form.DRAFT)
        if vds not in (receipts.VDS_RFC9162, *Form):
            raise Malformed("vds is 1, 2 or 3", path="vds")
        index = self._events.view(caller, request.path_params["uuid"]).index
        sealer = self._follower.sealer(caller.tenant)
        if vds == receipts.VDS_RFC9162:
            proof = self._services.ledger.proofs.inclusion(caller.tenant, index)
            return _cose(receipts.own_inclusion(proof, sealer))
        log = open_public_log(self._services.followers.public_files, caller.tenant)
        return _cose(receipts.inclusion(log, index, sealer, Form(vds)))

    def _consistency(self, caller: DataTrailsCaller, request: Request) -> Response:
        old, new = _natural(request, "from", 0), _natural(request, "to", 0)
        log = open_public_log(self._services.followers.public_files, caller.tenant)
        sealer = self._follower.sealer(caller.tenant)
        return _cose(receipts.consistency(log, old, new or None, sealer))

    def _trails(self, caller: DataTrailsCaller, request: Request) -> Response:
        limit, offset = _natural(request, "top", _TOP), _natural(request, "skip", 0)
        if limit > _TOP_MAX:
            raise Malformed(f"top is an integer from 0 to {_TOP_MAX}", path="top")
        found = trails.largest_trails(
            self._services.ledger, caller.tenant, caller.visible, limit=limit, offset=offset
        )
        shown: list[Json] = [
            {
                "trail": trail.name,
                "events": trail.events,
                "last_event": {
                    "identity": wire.identity(trail.last.first.id),
                    "event_type": trail.last.first.kind,
                    "created_at": created_at(trail.last.first),
                },
            }
            for trail in found
        ]
        return json_response({"trails": shown})


def _page(size: str | None, marker: str | None) -> tuple[int, int]:
    """Return how many files a page of a search may have, and how many come before it."""
    numbers: list[int] = []
    for text, default in ((size, _FOUND_MAX), (marker, 0)):
        given = text or str(default)
        if not (given.isascii() and given.isdigit()) or len(given) > 18:
            raise InvalidQuery("maxresults and marker are natural numbers")
        numbers.append(int(given))
    if not 1 <= numbers[0] <= _FOUND_MAX:
        raise InvalidQuery(f"maxresults is from 1 to {_FOUND_MAX}")
    return numbers[0], numbers[1]


def _number(request: Request) -> int:
    digits = request.path_params["number"]
    if len(digits) != _NUMBER_DIGITS or not (digits.isascii() and digits.isdigit()):
        raise NotFound(f"files are named by {_NUMBER_DIGITS} digits")
    return int(digits)


def _natural(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise Malformed(f"{name} is a natural number", path=name)
    return int(text)


def _binary(content: bytes, status: int, headers: dict[str, str]) -> Response:
    return Response(content, status, headers, "application/octet-stream")


def _cose(receipt: bytes) -> Response:
    return Response(receipt, 200, {"Cache-Control": "no-store"}, "application/cose")

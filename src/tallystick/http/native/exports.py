"""Exports as streams: the rows of an export as they are read, for programs and the command line.

`size` pins an export to a state of the log, `start` goes on behind what a client has already: the
rows of two requests, one behind the other, are those of one. What leaves is recorded: an entry
before the first row, and one that says how many left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tallystick.dialects.services import Services
from tallystick.errors import Conflict, NotFound
from tallystick.events.event import Json
from tallystick.exports.account import StreamAccount
from tallystick.exports.rows import ExportSlice, export_slices
from tallystick.http.auth import Authenticator
from tallystick.http.native import parameters
from tallystick.http.native.follow import check_no_secret
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.query.expr import Expr, all_of
from tallystick.query.native_filter import FILTER_PARAMETERS
from tallystick.store.base import LogHead
from tallystick.tlog.encoding import to_base64

Handler = Callable[[Request, Principal], Awaitable[Response]]
Guard = Callable[[Right, Handler], Callable[[Request], Awaitable[Response]]]

_PARAMETERS = FILTER_PARAMETERS | {"size", "start"}
_INDEX_MAX = 2**53


class ExportsApi:
    """Handlers of exports."""

    def __init__(self, services: Services, authenticator: Authenticator) -> None:
        self._services = services
        self._authenticator = authenticator
        self._ledger = services.ledger

    def routes(self, guarded: Guard) -> Sequence[BaseRoute]:
        """Return the routes; they go before the one of a single event."""
        return [Route("/v1/events/export", guarded(Right.READ, self.export), methods=["GET"])]

    async def export(self, request: Request, principal: Principal) -> Response:
        """Answer every event that matches, in the order of the log, as of a size of it."""
        run = self._services.door().run
        where, head, start, size = await run(self._question, request, principal)
        headers = {
            "X-Tallystick-Origin": head.origin,
            "X-Tallystick-Size": str(size),
            "Cache-Control": "no-store",
            "Content-Disposition": 'attachment; filename="events.ndjson"',
        }
        if size == head.size:
            headers["X-Tallystick-Root"] = to_base64(head.root)
        if request.method == "HEAD":
            return Response(headers=headers, media_type="application/x-ndjson")
        slices = export_slices(self._ledger.store, head.tenant, where, start=start, size=size)
        actor = await run(self._authenticator.actor, principal)
        told: Json = {
            "format": "ndjson",
            "query": {
                name: request.query_params.getlist(name)
                for name in sorted(FILTER_PARAMETERS)
                if name in request.query_params
            },
            "size": size,
            "start": start,
        }
        account = StreamAccount(self._ledger, head, actor, told)
        await run(account.begin)
        return StreamingResponse(
            self._bodies(slices, account), headers=headers, media_type="application/x-ndjson"
        )

    async def _bodies(
        self, slices: Iterator[ExportSlice], account: StreamAccount
    ) -> AsyncIterator[bytes]:
        run = self._services.door().run
        try:
            while (part := await run(next, slices, None)) is not None:
                # A part is sent even if it is empty: the credential is looked at again before each.
                yield part.body
                account.add(part.body)
            # Before the body ends: an export that is whole is one that the log tells of.
            await run(account.complete)
        finally:
            account.cut_off()

    def _question(self, request: Request, principal: Principal) -> tuple[Expr, LogHead, int, int]:
        params = request.query_params
        check_no_secret(params)
        parameters.check_names(params, _PARAMETERS)
        visible = access.visible(principal)
        fields = parameters.fields_of(self._ledger.paths, principal.tenant, visible)
        where = all_of((parameters.filter_of(params).where(fields), visible))
        head = self._ledger.store.log_head(principal.tenant)
        if head is None:
            raise NotFound(f"tenant {principal.tenant!r} has no log")
        size = parameters.whole(params, "size", head.size, 0, _INDEX_MAX)
        start = parameters.whole(params, "start", 0, 0, _INDEX_MAX)
        if size > head.size:
            raise Conflict(
                f"the log has {head.size} entries, not {size}",
                hint="it was restored to an older state; begin the export again without size",
            )
        return where, head, start, size

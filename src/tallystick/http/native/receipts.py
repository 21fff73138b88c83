"""Receipts over HTTP: of one event as JSON or COSE, of the events of a page as lines."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text, limits
from tallystick.dialects.answers import streamed
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound, TooLarge
from tallystick.events.rendering import EventOut
from tallystick.http.native import parameters
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.log.cose_receipts import MEDIA_TYPE
from tallystick.log.proofs import Proofs

Handler = Callable[[Request, Principal], Awaitable[Response]]
Guarded = Callable[[Right, Handler], Callable[[Request], Awaitable[Response]]]

_RUN = re.compile(r"(0|[1-9][0-9]{0,15})(?:-(0|[1-9][0-9]{0,15}))?", re.ASCII)
_AT_ONCE = 64


class ReceiptsApi:
    """Handlers that answer receipts."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger

    def routes(self, guarded: Guarded) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route("/v1/events/{id}/receipt", guarded(Right.READ, self.receipt), methods=["GET"]),
            Route("/v1/receipts", guarded(Right.READ, self.receipts), methods=["GET"]),
        ]

    async def receipt(self, request: Request, principal: Principal) -> Response:
        """Answer the receipt of an entry: an event the caller may see, retracted or not."""
        return await self._services.door().run(self._receipt, request, principal)

    def _receipt(self, request: Request, principal: Principal) -> Response:
        params = request.query_params
        parameters.check_names(params, {"format"})
        form = parameters.one_of(params, "format", {"json": "json", "cose": "cose"}, "json")
        event_id = request.path_params["id"]
        index = self._ledger.index_of(principal.tenant, event_id)
        if index is None:
            raise NotFound(f"no such event: {event_id!r}")
        try:
            view = self._ledger.view_at(principal.tenant, index, access.visible(principal))
        except NotFound:
            raise NotFound(f"no such event: {event_id!r}") from None
        if form == "cose":
            body = self._ledger.proofs.cose_receipt(principal.tenant, index, view.first.id)
            media_type, ending = MEDIA_TYPE, "receipt.cose"
        else:
            body = self._ledger.proofs.receipt(principal.tenant, index)
            media_type, ending = "application/json", "receipt.json"
        disposition = f'attachment; filename="{event_id.lower()}.{ending}"'
        return Response(body, media_type=media_type, headers={"Content-Disposition": disposition})

    async def receipts(self, request: Request, principal: Principal) -> Response:
        """Answer the receipts of the entries in a list that the caller may see, one a line."""
        indexes = _indexes(request)
        pieces = self._lines(principal, indexes)
        headers = {"Content-Type": "application/x-ndjson"}
        return streamed(self._services.door(), pieces, 200, headers)

    def _lines(self, principal: Principal, indexes: Sequence[int]) -> Iterator[bytes]:
        """Yield receipts of what the caller may see, as many lines at a time as are not long.

        All stand under the checkpoint of the same moment, so that they are one statement.
        """
        tenant, visible = principal.tenant, access.visible(principal)
        kept = self._ledger.proofs.at_head(tenant)
        for views in self._ledger.views_in_slices(tenant, indexes):
            seen = [
                index
                for index, view in views.items()
                if index < kept.size and self._ledger.may_see(view, visible)
            ]
            for at in range(0, len(seen), _AT_ONCE):
                found = kept.receipts(seen[at : at + _AT_ONCE])
                yield b"".join(json_text.encode(receipt) + b"\n" for receipt in found)


def inline(proofs: Proofs, tenant: str, events: Sequence[EventOut]) -> None:
    """Give each event of an answer the receipt of its entry, all under one checkpoint."""
    receipts = proofs.receipts(tenant, [event.index for event in events])
    for event, receipt in zip(events, receipts, strict=True):
        event.proof = receipt


def wants_inline(request: Request) -> bool:
    """Tell whether `proof=inline` was asked for.

    Raises: Malformed for any other value.
    """
    words = {"header": False, "inline": True}
    return parameters.one_of(request.query_params, "proof", words, "header")


def _indexes(request: Request) -> list[int]:
    """Return the entries that `indexes=3-9,12` names, which rise."""
    parameters.check_names(request.query_params, {"indexes"})
    text = request.query_params.get("indexes", "")
    found: list[int] = []
    for part in text.split(","):
        match = _RUN.fullmatch(part)
        first = int(match[1]) if match else -1
        last = int(match[2] or match[1]) if match else -1
        if match is None or last < first or (found and first <= found[-1]):
            raise Malformed("indexes must be in ascending order, such as 3-9,12", path="indexes")
        if len(found) + last - first >= limits.RECEIPTS:
            raise TooLarge(
                f"one answer has the receipts of {limits.RECEIPTS:,} entries at most",
                limit=limits.RECEIPTS,
                actual=len(found) + last - first + 1,
            )
        found += range(first, last + 1)
    return found

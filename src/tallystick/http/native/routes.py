"""The native API under `/v1`: reading, changing and proving events.

The hot write path is in `append`, administration in `admin`; `openapi.yaml` beside this file says
what every route takes and answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text, limits, times
from tallystick.dialects.services import Services
from tallystick.errors import PreconditionFailed
from tallystick.events import rendering
from tallystick.events.event import Json, Op, View
from tallystick.exports.jobs.jobs import ExportJobs
from tallystick.http.auth import Authenticator
from tallystick.http.body import body_of
from tallystick.http.live.hub import Hub
from tallystick.http.native import parameters, wire
from tallystick.http.native.blobs import NativeBlobsApi
from tallystick.http.native.bundles import BundlesApi
from tallystick.http.native.export_jobs import ExportJobsApi, JobServices
from tallystick.http.native.exports import ExportsApi
from tallystick.http.native.facets import AnalysisApi
from tallystick.http.native.feed import FeedApi
from tallystick.http.native.follow import LogFollower
from tallystick.http.native.receipts import ReceiptsApi, inline, wants_inline
from tallystick.http.native.resources import ResourcesApi
from tallystick.http.problem import of_body
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.log.sequencer import Accepted
from tallystick.query import cursor
from tallystick.query.question import Over
from tallystick.tlog.encoding import to_base64

T = TypeVar("T")
_PROOF = frozenset(("proof",))
Handler = Callable[[Request, Principal], Awaitable[Response]]


class NativeApi:
    """Handlers of the native API."""

    def __init__(
        self, services: Services, authenticator: Authenticator, hub: Hub, jobs: ExportJobs
    ) -> None:
        self._services = services
        self._jobs = JobServices(services, authenticator, jobs)
        self._ledger = services.ledger
        self._authenticator = authenticator
        self._follower = LogFollower(services, hub)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes; `POST /v1/events` is served before routing."""
        read, write = Right.READ, Right.WRITE
        return [
            Route("/v1/events", self._guarded(read, self.list_events), methods=["GET"]),
            *AnalysisApi(self._services).routes(self._guarded),
            Route("/v1/events/stream", self._guarded(read, self._follower.stream), methods=["GET"]),
            *ExportsApi(self._services, self._authenticator).routes(self._guarded),
            Route("/v1/events/{id}", self._guarded(read, self.get_event), methods=["GET"]),
            *ReceiptsApi(self._services).routes(self._guarded),
            *BundlesApi(self._jobs).routes(self._guarded),
            *ExportJobsApi(self._jobs).routes(self._guarded),
            Route("/v1/events/{id}/revise", self._guarded(write, self.revise), methods=["POST"]),
            Route(
                "/v1/events/{id}/retract",
                self._guarded(Right.PURGE, self.retract),
                methods=["POST"],
            ),
            *ResourcesApi(self._services).routes(self._guarded),
            *FeedApi(self._services).routes(self._guarded),
            *NativeBlobsApi(self._services, self._authenticator).routes(self._guarded),
            Route("/v1/checkpoint", self._guarded(read, self.checkpoint), methods=["GET"]),
            Route("/v1/proofs/consistency", self._guarded(read, self.consistency), methods=["GET"]),
        ]

    def _guarded(self, right: Right, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            principal = self._authenticator.of_scope(request.scope)
            access.require(principal, right)
            return await handler(request, principal)

        return guarded

    async def list_events(self, request: Request, principal: Principal) -> Response:
        """Answer a page of events."""
        answer = partial(self._list_events, request, principal)
        return await self._services.door().run(
            parameters.answer_as_of, request.query_params, answer
        )

    def _list_events(self, request: Request, principal: Principal) -> Response:
        params = request.query_params
        if parameters.flag(params, "follow"):
            followed = self._follower.page(principal, params)
            return _json(followed.answer, headers=_link_to(request, followed.next))
        visible = access.visible(principal)
        question = parameters.question(
            self._ledger.paths, principal.tenant, params, visible, more=_PROOF | {"follow"}
        )
        same = msgspec.structs.replace(question, limit=0, offset=0, total=False)
        fingerprint = cursor.fingerprint(same)
        if "cursor" in params:
            position = cursor.decode(params["cursor"], fingerprint)
            # An offset says where to begin; a client may send it along on every page.
            question = msgspec.structs.replace(question, after=position, offset=0)
        page = self._ledger.find(
            principal.tenant, question, visible, max_bytes=self._services.settings.page_bytes
        )
        render = _recorded if question.over is Over.LOG else rendering.from_view
        events = [render(view) for view in page.views]
        if wants_inline(request):
            inline(self._ledger.proofs, principal.tenant, events)
        answer: Json = {"events": events, "next": None}
        headers: dict[str, str] = {}
        if page.more and page.hits:
            answer["next"] = cursor.encode(page.hits[-1].position, fingerprint)
            headers = _link_to(request, answer["next"])
        if page.total is not None:
            answer["total"] = page.total
        if parameters.flag(params, "explain"):
            answer["plan"] = {"index": page.plan.index, "reason": page.plan.reason}
        return _json(answer, headers=headers)

    async def get_event(self, request: Request, principal: Principal) -> Response:
        """Answer one event, its latest revision folded in."""
        view = await self._view(request, principal)
        headers = {"ETag": wire.etag(view.revision)}
        if wire.is_known(request.headers.getlist("if-none-match"), view.revision):
            return Response(status_code=304, headers=headers)
        event = rendering.from_view(view)
        if wants_inline(request):
            run = self._services.door().run
            await run(inline, self._ledger.proofs, principal.tenant, [event])
        return _json(event, headers=headers)

    async def revise(self, request: Request, principal: Principal) -> Response:
        """Show an event with other content from here on."""
        body = await body_of(request, limits.EVENT_BYTES * 2)
        revision = json_text.decode_as(wire.REVISION, body)
        run = self._services.door().run
        actor = revision.actor or await run(self._authenticator.actor, principal)
        expected = await self._expected(request, principal)
        with of_body():
            view = await run(
                self._ledger.revise,
                principal.tenant,
                request.path_params["id"],
                revision.data,
                visible=access.visible(principal),
                dialect="native",
                actor=actor,
                previous=revision.previous,
                expected=expected,
            )
        return _json(rendering.from_view(view), headers={"ETag": wire.etag(view.revision)})

    async def retract(self, request: Request, principal: Principal) -> Response:
        """Stop showing an event, and with `erase` destroy its content."""
        body = await body_of(request, limits.EVENT_BYTES)
        retraction = json_text.decode_as(wire.RETRACTION, body or b"{}")
        run = self._services.door().run
        actor = retraction.actor or await run(self._authenticator.actor, principal)
        expected = await self._expected(request, principal)
        event_id = request.path_params["id"]

        def take_away() -> tuple[Op, Accepted]:
            visible, ledger = access.visible(principal), self._ledger
            if retraction.erase:
                return ledger.erase_event(
                    principal.tenant, event_id, visible=visible, actor=actor, expected=expected
                )
            accepted = ledger.retract(
                principal.tenant, event_id,
                visible=visible, dialect="native", actor=actor, expected=expected,
            )  # fmt: skip
            return Op.RETRACT, accepted

        with of_body():
            op, accepted = await run(take_away)
        return _json(
            {
                "id": accepted.id,
                "index": accepted.index,
                "op": op,
                "recorded_at": times.to_rfc3339(accepted.recorded_ms),
                "subject": event_id.lower(),
                "receipt": rendering.receipt_link(accepted.id),
            }
        )

    async def _expected(self, request: Request, principal: Principal) -> frozenset[int] | None:
        """Return the revisions that a change is meant for; None for any.

        Raises: Malformed; PreconditionFailed, NotFound where If-None-Match names the event.
        """
        unwanted = request.headers.getlist("if-none-match")
        if unwanted:
            view = await self._view(request, principal)
            if wire.is_known(unwanted, view.revision):
                raise PreconditionFailed(f"the event exists, at revision {view.revision}")
        return wire.expected_revisions(request.headers.getlist("if-match"))

    async def checkpoint(self, request: Request, principal: Principal) -> Response:
        """Answer the signed checkpoint of the caller's log."""
        head = await self._services.door().run(self._ledger.proofs.head, principal.tenant)
        return _json(
            {
                "origin": head.origin,
                "size": head.size,
                "root": to_base64(head.root),
                "checkpoint": head.checkpoint,
                "verifier_key": self._ledger.proofs.verifier_key(principal.tenant),
                "recorded_at": times.to_rfc3339(head.recorded_ms),
            }
        )

    async def consistency(self, request: Request, principal: Principal) -> Response:
        """Answer the proof that the log only grew between two sizes."""
        params = request.query_params
        old_size = parameters.whole(params, "from", None, 0, 2**53)
        new_size = parameters.whole(params, "to", None, 0, 2**53)
        proof = await self._services.door().run(
            self._ledger.proofs.consistency, principal.tenant, old_size, new_size
        )
        return _json(
            {"from": old_size, "to": new_size, "hashes": [to_base64(hash) for hash in proof]}
        )

    async def _view(self, request: Request, principal: Principal) -> View:
        view: View = await self._services.door().run(
            self._ledger.get,
            principal.tenant,
            request.path_params["id"],
            access.visible(principal),
        )
        return view


def _recorded(view: View) -> rendering.EventOut:
    return rendering.from_recorded(view.first)


def _link_to(request: Request, position: str) -> dict[str, str]:
    """Return the header that says where the next page is."""
    kept = [(k, v) for k, v in request.query_params.multi_items() if k not in ("cursor", "offset")]
    path = f"{request.url.path}?{urlencode([*kept, ('cursor', position)])}"
    return {"Link": f'<{path}>; rel="next"'}


def _json(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(wire.to_json(value), status, headers, "application/json")

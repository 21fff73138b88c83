"""Evidence bundles over HTTP: asked for, watched, fetched, deleted. Each is an export job."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text
from tallystick.errors import Malformed, NotFound
from tallystick.events.event import Json
from tallystick.evidence.jobs import told_by
from tallystick.exports.jobs.files import Words
from tallystick.exports.jobs.jobs import ExportRequest, ExportView
from tallystick.http.native import parameters
from tallystick.http.native.export_jobs import JobServices
from tallystick.http.native.facets import Guard
from tallystick.http.native.file_download import file_response
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.query.native_filter import FILTER_PARAMETERS

_STATUS = {"queued": "running", "running": "running", "done": "done"}


class BundlesApi:
    """Handlers of evidence bundles."""

    def __init__(self, shared: JobServices) -> None:
        self._shared = shared
        self._services = shared.services
        self._jobs = shared.jobs

    def routes(self, guarded: Guard) -> Sequence[BaseRoute]:
        """Return the routes."""
        one = "/v1/bundles/{id}"
        read = Right.READ
        return [
            Route("/v1/bundles", guarded(read, self.start), methods=["POST"]),
            Route(one, guarded(read, self.get), methods=["GET"]),
            Route(one, guarded(read, self.delete), methods=["DELETE"]),
            Route(f"{one}/content", guarded(read, self.content), methods=["GET"]),
        ]

    async def start(self, request: Request, principal: Principal) -> Response:
        """Begin a bundle of the events that the parameters ask for."""
        view = await self._services.door().run(self._start, request, principal)
        location = {"Location": f"/v1/bundles/{view.job.id}"}
        return _json(view, 202 if view.phase != "done" else 200, location)

    async def get(self, request: Request, principal: Principal) -> Response:
        """Answer how far a bundle is."""
        return _json(await self._services.door().run(self._view, request, principal))

    async def content(self, request: Request, principal: Principal) -> Response:
        """Answer a finished bundle, whole or from an offset on."""
        door = self._services.door()
        view = await door.run(self._view, request, principal)
        if view.phase in ("queued", "running"):
            raise NotFound("the bundle is not finished", hint="its status says how far it is")
        file = await door.run(self._jobs.file, principal.tenant, view.job.id)
        name = f"{view.job.id}.zip"
        return file_response(request, door, file, media_type="application/zip", name=name)

    async def delete(self, request: Request, principal: Principal) -> Response:
        """Delete a bundle."""
        run = self._services.door().run
        view = await run(self._view, request, principal)
        actor = await run(self._shared.authenticator.actor, principal)
        await run(self._jobs.delete, principal.tenant, view.job.id, actor)
        return Response(status_code=204)

    def _start(self, request: Request, principal: Principal) -> ExportView:
        params = request.query_params
        parameters.check_names(params, FILTER_PARAMETERS | {"at", "first", "stop"})
        self._shared.check(params, principal)
        head = self._services.ledger.proofs.head(principal.tenant)
        size = parameters.whole(params, "at", head.size, 0, head.size)
        first = parameters.whole(params, "first", 0, 0, size)
        if first > parameters.whole(params, "stop", size, 0, size):
            raise Malformed("first is not greater than stop", path="first")
        words: Words = {
            name: params.getlist(name) for name in sorted(params.keys()) if name != "at"
        }
        return self._jobs.create(
            ExportRequest(
                tenant=principal.tenant,
                what="bundle",
                format="bundle",
                words=words,
                size=size,
                maker=self._shared.maker(request, principal),
                actor=self._shared.authenticator.actor(principal),
            )
        )

    def _view(self, request: Request, principal: Principal) -> ExportView:
        view = self._shared.job(request, principal)
        if view.job.what != "bundle":
            raise NotFound(f"no such bundle {view.job.id!r}")
        return view


def _json(view: ExportView, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    job, state = view.job, view.state
    shown: Json = {
        "id": job.id,
        "status": _STATUS.get(view.phase, "failed"),
        "question": None if view.words is None else told_by(view.words),
        "size": job.size,
        "done": state.done,
        "total": state.total or None,
    }
    if problem := job.ended or state.problem:
        shown["error"] = problem
    if view.phase == "done" and state.written is not None:
        shown |= {
            "sha256": state.written.sha256,
            "entries": state.written.entries,
            "events": state.written.events,
            "begun_again": state.begun_again,
            "content": f"/v1/bundles/{job.id}/content",
        }
    return Response(json_text.encode(shown), status, headers, "application/json")

"""Evidence bundles over HTTP: asked for, watched, fetched, deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound
from tallystick.evidence.jobs import BundleJobs, Job
from tallystick.evidence.selection import Question
from tallystick.http.auth import Authenticator
from tallystick.http.native import parameters
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.query.expr import Everything

Handler = Callable[[Request, Principal], Awaitable[Response]]
Guarded = Callable[[Right, Handler], Callable[[Request], Awaitable[Response]]]

_OWN = frozenset(("at", "first", "stop"))
_FILTERS = frozenset(("q", "kind", "actor", "target", "scope", "trail", "dialect", "from", "to"))


class BundlesApi:
    """Handlers of evidence bundles."""

    def __init__(self, services: Services, authenticator: Authenticator, jobs: BundleJobs) -> None:
        self._services = services
        self._ledger = services.ledger
        self._authenticator = authenticator
        self._jobs = jobs

    def routes(self, guarded: Guarded) -> Sequence[BaseRoute]:
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
        run = self._services.door().run
        actor = await run(self._authenticator.actor, principal)
        question = await run(self._question, request, principal)
        told = _told(request)
        job = await run(self._jobs.start, question, told, actor)
        location = {"Location": f"/v1/bundles/{job.id}"}
        return _json(job, 202 if job.written is None else 200, location)

    async def get(self, request: Request, principal: Principal) -> Response:
        """Answer how far a bundle is."""
        return _json(self._job(request, principal))

    async def content(self, request: Request, principal: Principal) -> Response:
        """Answer a finished bundle, whole or from an offset on."""
        job = self._job(request, principal)
        if job.written is None:
            raise NotFound("the bundle is not finished", hint="its status says how far it is")
        name = f"{job.id}.zip"
        return FileResponse(job.file, media_type="application/zip", filename=name)

    async def delete(self, request: Request, principal: Principal) -> Response:
        """Delete a finished bundle."""
        job = self._job(request, principal)
        await self._services.door().run(self._jobs.delete, principal.tenant, job.id)
        return Response(status_code=204)

    def _job(self, request: Request, principal: Principal) -> Job:
        job = self._jobs.get(principal.tenant, request.path_params["id"])
        if job.visible != access.visible(principal):
            # Made for somebody who may see something else.
            raise NotFound(f"no bundle {job.id!r}")
        return job

    def _question(self, request: Request, principal: Principal) -> Question:
        params = request.query_params
        parameters.check_names(params, _FILTERS | _OWN)
        visible = access.visible(principal)
        found = parameters.question(
            self._ledger.paths, principal.tenant, params, visible, more=_OWN
        )
        head = self._ledger.proofs.head(principal.tenant)
        size = parameters.whole(params, "at", head.size, 0, head.size)
        has_range = "first" in params or "stop" in params
        first = parameters.whole(params, "first", 0, 0, size)
        stop = parameters.whole(params, "stop", size, 0, size)
        if first > stop:
            raise Malformed("first is not greater than stop", path="first")
        is_complete = has_range or isinstance(found.where, Everything)
        return Question(principal.tenant, size, first, stop, found.where, visible, is_complete)


def _told(request: Request) -> dict[str, object]:
    """Return the question in the words of the request, names with several values as lists."""
    params = request.query_params
    return {
        name: values if len(values) > 1 else values[0]
        for name in sorted(params.keys() - {"at"})
        if (values := params.getlist(name))
    }


def _json(job: Job, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json_text.encode(job.to_json()), status, headers, "application/json")

"""Export jobs over HTTP: asked for, watched, fetched, deleted; bundles are jobs too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text, limits, times
from tallystick.dialects.services import Services
from tallystick.errors import Conflict, Malformed, NotFound
from tallystick.events.event import Json
from tallystick.exports.formats import FORMATS
from tallystick.exports.jobs.files import Words
from tallystick.exports.jobs.jobs import ExportJobs, ExportRequest, ExportView
from tallystick.exports.jobs.rights import may_see
from tallystick.http.auth import CONTROL, Authenticator
from tallystick.http.body import body_of
from tallystick.http.native import parameters
from tallystick.http.native.facets import Guard
from tallystick.http.native.file_download import file_response
from tallystick.http.problem import of_body
from tallystick.identity import access, makers
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.identity.exports import ExportJob
from tallystick.identity.streams import Maker
from tallystick.query.expr import Expr
from tallystick.query.native_filter import FILTER_PARAMETERS

_MEMBERS = FILTER_PARAMETERS | {"format", "size"}
_BODY_BYTES = limits.QUERY_BYTES * 8


class JobServices(NamedTuple):
    """What routes about jobs share."""

    services: Services
    authenticator: Authenticator
    jobs: ExportJobs

    def maker(self, request: Request, principal: Principal) -> Maker:
        """Return for whom a job reads.

        Raises: Forbidden for one that nobody could look up again.
        """
        if request.scope["state"].get(CONTROL):
            return makers.OPERATOR
        return makers.maker_of(self.services.identity, principal)

    def job(self, request: Request, principal: Principal) -> ExportView:
        """Return the job of a request's path, if the caller made it or administers the tenant.

        Raises: NotFound.
        """
        view = self.jobs.get(principal.tenant, request.path_params["id"])
        if not self.may_see(view.job, principal):
            raise NotFound(f"no such export {view.job.id!r}")
        return view

    def may_see(self, job: ExportJob, principal: Principal) -> bool:
        """Tell whether the caller may see all that a job shows."""
        return may_see(self.services.identity, job, principal)

    def check(self, params: QueryParams, principal: Principal) -> Expr:
        """Return the condition that the parameters make, as a list would read it.

        Raises: Malformed, InvalidQuery.
        """
        fields = parameters.fields_of(
            self.services.ledger.paths, principal.tenant, access.visible(principal)
        )
        return parameters.filter_of(params).where(fields)


class ExportJobsApi:
    """Handlers of export jobs."""

    def __init__(self, shared: JobServices) -> None:
        self._shared = shared
        self._services = shared.services
        self._jobs = shared.jobs

    def routes(self, guarded: Guard) -> Sequence[BaseRoute]:
        """Return the routes."""
        one = "/v1/exports/{id}"
        read = Right.READ
        return [
            Route("/v1/exports", guarded(read, self.create), methods=["POST"]),
            Route("/v1/exports", guarded(read, self.list), methods=["GET"]),
            Route(one, guarded(read, self.get), methods=["GET"]),
            Route(one, guarded(read, self.delete), methods=["DELETE"]),
            Route(f"{one}/content", guarded(read, self.content), methods=["GET"]),
        ]

    async def create(self, request: Request, principal: Principal) -> Response:
        """Begin an export, or answer the one of the same question."""
        body = await body_of(request, _BODY_BYTES)
        run = self._services.door().run
        with of_body():
            params = _params(request.query_params, body)
            view = await run(self._create, request, principal, params)
        status = 200 if view.phase == "done" else 202
        return _json(_shown(view), status, {"Location": f"/v1/exports/{view.job.id}"})

    def _create(self, request: Request, principal: Principal, params: QueryParams) -> ExportView:
        parameters.check_names(params, _MEMBERS)
        name = parameters.one_of(params, "format", {name: name for name in FORMATS}, "ndjson")
        FORMATS[name].require()
        self._shared.check(params, principal)
        head = self._services.ledger.proofs.head(principal.tenant)
        size = parameters.whole(params, "size", head.size, 0, 2**53)
        if size > head.size:
            raise Conflict(f"the log has {head.size} entries, not {size}")
        words: Words = {
            name: params.getlist(name) for name in sorted(FILTER_PARAMETERS) if name in params
        }
        return self._jobs.create(
            ExportRequest(
                tenant=principal.tenant,
                what="events",
                format=name,
                words=words,
                size=size,
                maker=self._shared.maker(request, principal),
                actor=self._shared.authenticator.actor(principal),
            )
        )

    async def list(self, request: Request, principal: Principal) -> Response:
        """Answer the exports that the caller made, or all of the tenant to its administrator."""
        views = await self._services.door().run(self._jobs.all, principal.tenant)
        shown = [_shown(view) for view in views if self._shared.may_see(view.job, principal)]
        return _json({"exports": shown})

    async def get(self, request: Request, principal: Principal) -> Response:
        """Answer how far an export is."""
        view = await self._services.door().run(self._shared.job, request, principal)
        return _json(_shown(view))

    async def content(self, request: Request, principal: Principal) -> Response:
        """Answer the file of an export, whole or from an offset on."""
        door = self._services.door()
        view = await door.run(self._shared.job, request, principal)
        file = await door.run(self._jobs.file, principal.tenant, view.job.id)
        media_type, suffix = _form_of(view.job)
        name = f"events-{view.job.size}{suffix}"
        return file_response(request, door, file, media_type=media_type, name=name)

    async def delete(self, request: Request, principal: Principal) -> Response:
        """End an export and remove its file."""
        run = self._services.door().run
        view = await run(self._shared.job, request, principal)
        actor = await run(self._shared.authenticator.actor, principal)
        await run(self._jobs.delete, principal.tenant, view.job.id, actor)
        return Response(status_code=204)


def _form_of(job: ExportJob) -> tuple[str, str]:
    if job.what == "bundle":
        return "application/zip", ".zip"
    form = FORMATS[job.format]
    return form.media_type, form.suffix


def _params(query: QueryParams, body: bytes) -> QueryParams:
    """Return the members of a body beside the parameters of the URL, as parameters.

    Raises: Malformed.
    """
    told = json_text.decode(body) if body.strip() else {}
    if not isinstance(told, dict):
        raise Malformed('an export is asked for by an object such as {"format": "csv"}')
    return QueryParams([*query.multi_items(), *_pairs(told)])


def _pairs(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in told.items():
        if name == "filter" and isinstance(value, dict):
            yield from _pairs(value)
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, bool) or not isinstance(each, str | int):
                raise Malformed(f"{name} is a text or a list of texts", path=f"/{name}")
            yield name, str(each)


def _shown(view: ExportView) -> Json:
    job, state = view.job, view.state
    shown: Json = {
        "id": job.id,
        "state": view.phase,
        "format": job.format,
        "query": view.words,
        "size": job.size,
        "created_at": times.to_rfc3339(job.created_ms),
        "expires_at": times.to_rfc3339(job.expires_ms),
        "progress": {"done": state.done, "total": state.total or job.size},
        "begun_again": state.begun_again,
    }
    problem = job.ended or state.problem
    if problem is not None:
        shown["problem"] = problem
    if view.phase == "done" and state.written is not None:
        written = state.written
        shown |= {
            "count": written.events,
            "first_index": written.first_index,
            "last_index": written.last_index,
            "bytes": written.bytes,
            "sha256": written.sha256,
            "content": f"/v1/exports/{job.id}/content",
        }
    return shown


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json_text.encode(value), status, headers, "application/json")

"""The page of exports: files that the reader asked for, how far each is, and the way to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.console.gate import Gate, Visit
from tallystick.console.pages.admin_frame import latest_acts
from tallystick.console.questions import Asked, Questions, asked_of
from tallystick.console.services import ConsoleServices
from tallystick.console.session import PATH
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound, RequestError
from tallystick.exports.formats import FORMATS
from tallystick.exports.jobs.files import Words
from tallystick.exports.jobs.jobs import ExportRequest, ExportView
from tallystick.exports.jobs.rights import may_see
from tallystick.identity import makers
from tallystick.identity.access import Scope
from tallystick.identity.streams import Maker
from tallystick.query.expr import Prefix

_EXPORTS = f"{PATH}/exports"
_FORMAT_NAMES = {
    "ndjson": "JSON lines",
    "csv": "CSV, cells safe for spreadsheets",
    "csv-raw": "CSV, cells as they are",
    "cloudevents": "CloudEvents",
    "ecs": "Elastic Common Schema",
    "ocsf": "OCSF",
    "parquet": "Parquet",
}


class ExportRow(NamedTuple):
    """An export as the page shows it."""

    view: ExportView
    question: str
    is_own: bool
    percent: int


class ExportPages:
    """Handlers of exports; each reads with the rights of who asked for it."""

    def __init__(
        self, services: Services, gate: Gate, parts: ConsoleServices, questions: Questions
    ) -> None:
        self._services = services
        self._identity = services.identity
        self._ledger = services.ledger
        self._gate = gate
        self._jobs = parts.exports
        self._send_file = parts.send_file
        self._questions = questions

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        reading, one = self._gate.reading, f"{_EXPORTS}/{{id}}"
        return [
            Route(_EXPORTS, reading(self._page), methods=["GET"]),
            Route(_EXPORTS, reading(self._create), methods=["POST"]),
            Route(f"{one}/content", self._content, methods=["GET"]),
            Route(f"{one}/delete", reading(self._delete), methods=["POST"]),
        ]

    def _page(self, visit: Visit, error: RequestError | None = None) -> Response:
        principal = visit.visitor.principal
        views = [
            view
            for view in reversed(self._jobs.all(visit.tenant))
            if may_see(self._identity, view.job, principal)
        ]
        rows = [self._row(visit, view) for view in views]
        # With an error, what was asked for stays in the form.
        query = visit.form.get("query", "") if error else visit.request.url.query
        return visit.show(
            "exports.html", 400 if error else 200, rows=rows, error=error, query=query,
            asked=self._words(visit, query) if error is None else {},
            formats=_FORMAT_NAMES, is_moving=any(row.view.phase in _MOVING for row in rows),
            acts=latest_acts(self._ledger, visit, Prefix("kind", "export.")),
        )  # fmt: skip

    def _row(self, visit: Visit, view: ExportView) -> ExportRow:
        words, state = view.words, view.state
        question = "" if words is None else ", ".join(
            f"{name} {value}" for name, values in words.items() for value in values
        )  # fmt: skip
        total = state.total or view.job.size
        percent = min(100, round(100 * state.done / total)) if total else 0
        return ExportRow(view, question, view.job.maker == self._maker(visit), percent)

    def _create(self, visit: Visit) -> Response:
        try:
            self._begin(visit)
        except RequestError as error:
            return self._page(visit, error)
        return RedirectResponse(_EXPORTS, 303)

    def _begin(self, visit: Visit) -> None:
        form = FORMATS.get(visit.form.get("format", ""))
        if form is None:
            raise Malformed("Choose a format.", path="format")
        form.require()
        words = self._words(visit, visit.form.get("query", ""))
        self._jobs.create(
            ExportRequest(
                tenant=visit.tenant,
                what="events",
                format=form.name,
                words=words,
                size=self._ledger.proofs.head(visit.tenant).size,
                maker=self._maker(visit),
                actor=visit.visitor.actor,
            )
        )

    def _words(self, visit: Visit, query: str) -> Words:
        """Return what the address of a page of events asks for, as an export is asked for it.

        Raises: Malformed, InvalidQuery.
        """
        params = QueryParams(parse_qsl(query, keep_blank_values=True))
        asked: Asked = asked_of(params, visit.zone, self._services.clock.now_ms())
        self._questions.where(visit.visitor.principal, asked)
        words: dict[str, list[str]] = {}
        for name, time_ms in (("from", asked.from_ms), ("to", asked.to_ms)):
            if time_ms is not None:
                words[name] = [times.to_rfc3339(time_ms)]
        if asked.q:
            words["q"] = [asked.q]
        return dict(sorted(words.items()))

    async def _content(self, request: Request) -> Response:
        """Answer the file of an export."""
        visit = await self._gate.visit(request, Scope.READ)
        door = self._services.door()
        view = await door.run(self._view, visit)
        file = await door.run(self._jobs.file, visit.tenant, view.job.id)
        is_bundle = view.job.what == "bundle"
        media_type, suffix = "application/zip", ".zip"
        if not is_bundle:
            form = FORMATS[view.job.format]
            media_type, suffix = form.media_type, form.suffix
        name = f"events-{view.job.size}{suffix}"
        return self._send_file(request, door, file, media_type=media_type, name=name)

    def _delete(self, visit: Visit) -> Response:
        view = self._view(visit)
        self._jobs.delete(visit.tenant, view.job.id, visit.visitor.actor)
        return RedirectResponse(_EXPORTS, 303)

    def _view(self, visit: Visit) -> ExportView:
        view = self._jobs.get(visit.tenant, visit.request.path_params["id"])
        if not may_see(self._identity, view.job, visit.visitor.principal):
            raise NotFound("You have no such export.")
        return view

    def _maker(self, visit: Visit) -> Maker:
        if visit.visitor.token.kind == "operator":
            return makers.OPERATOR
        return makers.maker_of(self._identity, visit.visitor.principal)


_MOVING = ("queued", "running")

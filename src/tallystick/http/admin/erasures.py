"""Administration of erasures: destroying what the log holds of a person."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.dialects.services import Services
from tallystick.events import references
from tallystick.events.event import Json
from tallystick.http.admin.guard import ONE, AdminGuard, Input, decode, json_response
from tallystick.identity.access import Scope
from tallystick.ledger.erasures import BATCH_ENTRIES, DONE, ErasurePlan, ErasureRecord, Erasures
from tallystick.ledger.person import PersonQuery

_ERASURES = ONE + "/erasures"
_AT_ONCE = 8 * BATCH_ENTRIES
"""Entries that a request waits for; more are erased after its answer."""


class ErasureIn(Input, frozen=True, rename={"from_": "from"}):
    """A person to be erased, and from what."""

    subject: str
    reason: str = ""
    paths: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    from_: str | None = None
    to: str | None = None
    dry_run: bool = False


class AdminErasuresApi:
    """Handlers of erasures; each is an entry in the tenant's log."""

    def __init__(self, services: Services, guard: AdminGuard, erasures: Erasures) -> None:
        self._identity = services.identity
        self._guard = guard
        self._erasures = erasures

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(_ERASURES, on(self._list), methods=["GET"]),
            Route(_ERASURES, on(self._erase, Scope.PURGE), methods=["POST"]),
            Route(_ERASURES + "/{id}", on(self._get), methods=["GET"]),
            Route(_ERASURES + "/{id}/certificate", on(self._certify), methods=["GET"]),
        ]

    def _list(self, request: Request, tenant: str) -> Response:
        self._identity.tenant(tenant)
        found = self._erasures.all(tenant)
        return json_response({"erasures": [self._told(record) for record in found]})

    def _get(self, request: Request, tenant: str) -> Response:
        self._identity.tenant(tenant)
        return json_response(self._told(self._erasures.get(tenant, request.path_params["id"])))

    def _certify(self, request: Request, tenant: str) -> Response:
        self._identity.tenant(tenant)
        return json_response(self._erasures.certificate(tenant, request.path_params["id"]))

    def _erase(self, request: Request, tenant: str) -> Response:
        wanted = decode(ErasureIn, request.state.body)
        self._identity.tenant(tenant)
        query = PersonQuery(
            subject=wanted.subject,
            paths=wanted.paths,
            sections=wanted.sections,
            from_ms=_time(wanted.from_, "/from"),
            to_ms=_time(wanted.to, "/to"),
        )
        plan = self._erasures.plan(tenant, query)
        if wanted.dry_run:
            return json_response(_planned(plan))
        record = self._erasures.request(
            tenant, query, reason=wanted.reason, by=self._guard.actor(request), plan=plan
        )
        if record.events <= _AT_ONCE:
            record = self._erasures.run(tenant, record.id)
        return json_response(self._told(record), 201 if record.state == DONE else 202)

    def _told(self, record: ErasureRecord) -> Json:
        request = self._erasures.request_of(record)
        gone = self._erasures.progress(record.id)
        return {
            "id": record.id,
            "tenant": record.tenant,
            "state": record.state,
            "subject": request.get("subject"),
            "reason": request.get("reason"),
            "requested_at": times.to_rfc3339(record.requested_ms),
            "requested_by": references.to_text(*record.requested_by),
            "size": record.size,
            "events": record.events,
            "kinds": record.kinds,
            "erased": max(record.erased, gone),
            "blocked": _blocked(record.blocked),
            "completed_at": None
            if record.completed_ms is None
            else times.to_rfc3339(record.completed_ms),
        }


def _planned(plan: ErasurePlan) -> Json:
    return {"events": len(plan.selected), "kinds": plan.kinds, "blocked": _blocked(plan.blocked)}


def _blocked(blocked: dict[str, int]) -> list[Json]:
    return [{"hold": hold, "events": count} for hold, count in sorted(blocked.items())]


def _time(text: str | None, path: str) -> int | None:
    return None if text is None else times.from_rfc3339(text, path)

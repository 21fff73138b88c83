"""Administration of legal holds: what keeps events from being changed, hidden or destroyed."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.dialects.services import Services
from tallystick.errors import FollowerBehind, InvalidQuery, Malformed
from tallystick.events.event import CLOCK_CONFIRMED, Draft, Json, Op, Resource
from tallystick.http.admin.guard import ONE, AdminGuard, Input, decode, json_response
from tallystick.http.native import parameters
from tallystick.ledger import holds
from tallystick.ledger.holds import Hold
from tallystick.query.expr import Everything
from tallystick.query.question import Find, Over

_HOLDS = ONE + "/holds"
_HOLDS_NOTHING = "no event matches the query now; it holds those that match from here on"


class HoldIn(Input, frozen=True, rename={"from_": "from"}):
    """A hold to be placed: on what a query matches, and when it occurred."""

    query: str
    reason: str
    id: str | None = None
    from_: str | None = None
    to: str | None = None


class LiftIn(Input, frozen=True):
    """Why a hold is lifted."""

    reason: str


class ComplianceIn(Input, frozen=True):
    """Until when nothing may be changed or erased, and why."""

    until: str
    reason: str


class AdminHoldsApi:
    """Handlers of legal holds; placing and lifting are entries in the tenant's log."""

    def __init__(self, services: Services, guard: AdminGuard) -> None:
        self._services = services
        self._ledger = services.ledger
        self._guard = guard

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(_HOLDS, on(self._list), methods=["GET"]),
            Route(_HOLDS, on(self._place), methods=["POST"]),
            Route(_HOLDS + "/{id:path}/lift", on(self._lift), methods=["POST"]),
            Route(ONE + "/compliance", on(self._comply), methods=["POST"]),
            Route(ONE + "/clock", on(self._confirm_clock), methods=["POST"]),
        ]

    def _list(self, request: Request, tenant: str) -> Response:
        self._services.identity.tenant(tenant)
        lifted_too = parameters.flag(request.query_params, "all")
        found = [hold for hold in self._ledger.holds.all(tenant) if hold.active or lifted_too]
        return json_response({"holds": [_hold(hold) for hold in found]})

    def _place(self, request: Request, tenant: str) -> Response:
        wanted = decode(HoldIn, request.state.body)
        self._services.identity.tenant(tenant)
        hold, act = holds.place(
            tenant,
            wanted.query,
            reason=wanted.reason,
            by=self._guard.actor(request),
            now_ms=self._services.clock.now_ms(),
            id=wanted.id,
            from_ms=_time(wanted.from_, "/from"),
            to_ms=_time(wanted.to, "/to"),
        )
        self._ledger.administer(tenant, act)
        # Counted afterwards: nothing that keeps an index from counting may keep a hold away.
        return json_response(_hold(hold) | self._extent(tenant, hold), 201)

    def _extent(self, tenant: str, hold: Hold) -> Json:
        """Return how many events and items a hold covers as they are shown now."""
        question = Find(where=hold.where(), over=Over.BOTH, limit=0, total=True)
        try:
            count = self._ledger.find(tenant, question, Everything()).total
        except (InvalidQuery, FollowerBehind) as error:
            return {"count": None, "warning": f"what it holds was not counted: {error.message}"}
        return {"count": count} if count else {"count": 0, "warning": _HOLDS_NOTHING}

    def _lift(self, request: Request, tenant: str) -> Response:
        wanted = decode(LiftIn, request.state.body)
        hold, act = self._ledger.holds.lifted(
            tenant,
            request.path_params["id"],
            reason=wanted.reason,
            by=self._guard.actor(request),
            now_ms=self._services.clock.now_ms(),
        )
        self._ledger.administer(tenant, act)
        return json_response(_hold(hold))

    def _comply(self, request: Request, tenant: str) -> Response:
        wanted = decode(ComplianceIn, request.state.body)
        self._services.identity.tenant(tenant)
        hold, act = self._ledger.holds.comply(
            tenant,
            until_ms=times.from_rfc3339(wanted.until, "/until"),
            reason=wanted.reason,
            by=self._guard.actor(request),
            now_ms=self._services.clock.now_ms(),
        )
        self._ledger.administer(tenant, act)
        return json_response(_hold(hold))

    def _confirm_clock(self, request: Request, tenant: str) -> Response:
        wanted = decode(LiftIn, request.state.body)
        if not wanted.reason.strip():
            raise Malformed("confirming a clock needs a reason", path="/reason")
        self._services.identity.tenant(tenant)
        draft = Draft(
            kind=CLOCK_CONFIRMED,
            op=Op.SYSTEM,
            actor=self._guard.actor(request),
            target=Resource("clock", tenant),
            data={"reason": wanted.reason},
        )
        [accepted] = self._ledger.append(tenant, [draft])
        return json_response({"recorded_at": times.to_rfc3339(accepted.recorded_ms)})


def _time(text: str | None, path: str) -> int | None:
    return None if text is None else times.from_rfc3339(text, path)


def _hold(hold: Hold) -> Json:
    told: Json = {
        "id": hold.id,
        "tenant": hold.tenant,
        "active": hold.active,
        "query": hold.query,
        "from": _told_time(hold.from_ms),
        "to": _told_time(hold.to_ms),
        "reason": hold.reason,
        "placed_at": _told_time(hold.placed_ms),
        "placed_by": _told_resource(hold.placed_by),
    }
    if hold.until_ms is not None:
        told["until"] = times.to_rfc3339(hold.until_ms)
    if hold.lifted_by is not None:
        told |= {
            "lifted_at": _told_time(hold.lifted_ms),
            "lifted_by": _told_resource(hold.lifted_by),
            "lift_reason": hold.lift_reason,
        }
    return told


def _told_time(time_ms: int | None) -> str | None:
    return None if time_ms is None else times.to_rfc3339(time_ms)


def _told_resource(resource: Resource) -> Json:
    return {"type": resource.type, "id": resource.id, "name": resource.name}

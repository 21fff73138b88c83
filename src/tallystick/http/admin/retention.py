"""Administration of retention: policies, what they remove, and runs."""

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
from tallystick.http.native import parameters
from tallystick.identity.access import Scope
from tallystick.identity.policies import RetentionPolicy
from tallystick.ledger.retention import PolicyPlan, RetentionPlan
from tallystick.ledger.retention_run import Retention
from tallystick.tlog.encoding import to_base64

_RETENTION = ONE + "/retention"
_DELETE_PARAMETERS = frozenset({"confirm", "reason"})


class RetentionPolicyIn(Input, frozen=True):
    """A policy to be made or replaced."""

    query: str
    id: str = "default"
    days: int | None = None
    floor: int | None = None
    reason: str | None = None
    confirm: bool = False


class RetentionRunIn(Input, frozen=True):
    """A run: of all policies or one, for real or not."""

    policy: str | None = None
    dry_run: bool = False
    confirm: bool = False


class AdminRetentionApi:
    """Handlers of retention; each policy and each run is an entry in the tenant's log."""

    def __init__(self, services: Services, guard: AdminGuard, retention: Retention) -> None:
        self._services = services
        self._identity = services.identity
        self._guard = guard
        self._retention = retention

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(_RETENTION, on(self._list), methods=["GET"]),
            Route(_RETENTION, on(self._set, Scope.PURGE), methods=["POST"]),
            Route(_RETENTION + "/run", on(self._run, Scope.PURGE), methods=["POST"]),
            Route(_RETENTION + "/{id}", on(self._get), methods=["GET"]),
            Route(_RETENTION + "/{id}", on(self._delete, Scope.PURGE), methods=["DELETE"]),
        ]

    def _list(self, request: Request, tenant: str) -> Response:
        self._identity.tenant(tenant)
        return json_response({"policies": [_policy(p) for p in self._retention.policies(tenant)]})

    def _get(self, request: Request, tenant: str) -> Response:
        self._identity.tenant(tenant)
        return json_response(_policy(self._retention.policy(tenant, request.path_params["id"])))

    def _set(self, request: Request, tenant: str) -> Response:
        wanted = decode(RetentionPolicyIn, request.state.body)
        self._identity.tenant(tenant)
        policy = RetentionPolicy(
            id=wanted.id,
            tenant=tenant,
            query=wanted.query,
            days=wanted.days,
            floor=wanted.floor,
            reason=wanted.reason,
            set_ms=self._services.clock.now_ms(),
            set_by=self._guard.actor(request),
        )
        made = self._retention.set_policy(policy, confirm=wanted.confirm)
        return json_response(_policy(made), 201)

    def _delete(self, request: Request, tenant: str) -> Response:
        params = request.query_params
        parameters.check_names(params, _DELETE_PARAMETERS)
        self._identity.tenant(tenant)
        self._retention.delete_policy(
            tenant,
            request.path_params["id"],
            by=self._guard.actor(request),
            reason=params.get("reason"),
            confirm=parameters.flag(params, "confirm"),
        )
        return Response(status_code=204)

    def _run(self, request: Request, tenant: str) -> Response:
        wanted = decode(RetentionRunIn, request.state.body)
        self._identity.tenant(tenant)
        if wanted.dry_run:
            plan = self._retention.plan(tenant, policy=wanted.policy, confirm=wanted.confirm)
            return json_response(_planned(plan))
        id, plan = self._retention.run(
            tenant,
            by=self._guard.actor(request),
            policy=wanted.policy,
            confirm=wanted.confirm,
        )
        return json_response({"run": id, **_planned(plan)})


def _policy(policy: RetentionPolicy) -> Json:
    return {
        "id": policy.id,
        "tenant": policy.tenant,
        "query": policy.query,
        "days": policy.days,
        "floor": policy.floor,
        "reason": policy.reason,
        "set_at": times.to_rfc3339(policy.set_ms),
        "set_by": references.to_text(*policy.set_by.key),
        "runs": policy.runs,
        "run_at": None if policy.run_ms is None else times.to_rfc3339(policy.run_ms),
        "removed": policy.removed,
    }


def _planned(plan: RetentionPlan) -> Json:
    return {
        "size": plan.head.size,
        "root": to_base64(plan.head.root),
        "events": plan.events,
        "policies": [_told(each) for each in plan.policies.values()],
    }


def _told(plan: PolicyPlan) -> Json:
    return {
        "policy": plan.policy,
        "events": plan.events,
        "ranges": plan.ranges,
        "blocked": [
            {"hold": hold, "events": count} for hold, count in sorted(plan.blocked.items())
        ],
        "left": plan.left,
    }

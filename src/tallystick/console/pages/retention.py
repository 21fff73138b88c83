"""The page of retention: policies, what a run would remove, and a run that names it first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick.console.gate import Gate, Visit
from tallystick.console.pages.admin_frame import ADMIN, AdminFrame, acting
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, RequestError
from tallystick.identity import access
from tallystick.identity.access import Scope
from tallystick.identity.policies import RetentionPolicy
from tallystick.ledger.retention import RetentionPlan
from tallystick.ledger.retention_run import Retention

_RETENTION = f"{ADMIN}/retention"
_DAYS_DIGITS = 6


class PlannedPolicy(NamedTuple):
    """What a run removes by one policy, as a page shows it."""

    policy: str
    events: int
    left: int
    blocked: Sequence[tuple[str, str, int]]


class RetentionPages:
    """Handlers of retention."""

    def __init__(
        self, services: Services, gate: Gate, frame: AdminFrame, retention: Retention
    ) -> None:
        self._services = services
        self._holds = services.ledger.holds
        self._gate = gate
        self._frame = frame
        self._retention = retention

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._gate.administering
        set_policy = acting(self._gate, self._set, _back, self._after)
        delete_policy = acting(self._gate, self._delete, _back, self._after)
        return [
            Route(_RETENTION, on(self._list), methods=["GET"]),
            Route(f"{_RETENTION}/set", set_policy, methods=["POST"]),
            Route(f"{_RETENTION}/delete", delete_policy, methods=["POST"]),
            Route(f"{_RETENTION}/plan", on(self._plan), methods=["POST"]),
            Route(f"{_RETENTION}/run", on(self._run), methods=["POST"]),
        ]

    # Pages

    def _list(self, visit: Visit, error: RequestError | None = None) -> Response:
        return self._frame.show(
            visit, "retention", error=error, policies=self._retention.policies(visit.tenant),
            may_remove=visit.visitor.principal.may(Scope.PURGE),
            hours=self._services.settings.retention_hours,
        )  # fmt: skip

    def _after(self, visit: Visit, error: RequestError | None, secret: str | None) -> Response:
        return self._list(visit, error)

    def _plan(self, visit: Visit) -> Response:
        access.require(visit.visitor.principal, Scope.PURGE)
        try:
            plan = self._planned(visit)
        except RequestError as error:
            return self._list(visit, error)
        return self._confirmation(visit, plan)

    def _planned(self, visit: Visit) -> RetentionPlan:
        policy, is_all = visit.form.get("policy") or None, visit.form.get("all") == "1"
        return self._retention.plan(visit.tenant, policy=policy, confirm=is_all)

    def _confirmation(
        self, visit: Visit, plan: RetentionPlan, error: RequestError | None = None
    ) -> Response:
        reasons = {hold.id: hold.reason for hold in self._holds.all(visit.tenant)}
        shown = [
            PlannedPolicy(
                each.policy, each.events, each.left,
                [(id, reasons.get(id, ""), n) for id, n in sorted(each.blocked.items())],
            )
            for each in plan.policies.values()
        ]  # fmt: skip
        return self._frame.show(
            visit, "retention", "admin_retention_plan.html", error=error, plan=plan, planned=shown,
            policy=visit.form.get("policy", ""), is_all=visit.form.get("all") == "1",
            left=sum(each.left for each in shown),
        )  # fmt: skip

    # Acts

    def _set(self, visit: Visit) -> None:
        access.require(visit.visitor.principal, Scope.PURGE)
        policy = RetentionPolicy(
            id=visit.form.get("id", "").strip(),
            tenant=visit.tenant,
            query=visit.form.get("query", "").strip(),
            days=_days(visit, "days"),
            floor=_days(visit, "floor"),
            reason=visit.form.get("reason", "").strip() or None,
            set_ms=self._services.clock.now_ms(),
            set_by=visit.visitor.actor,
        )
        self._retention.set_policy(policy, confirm=visit.form.get("confirm") == "1")

    def _delete(self, visit: Visit) -> None:
        access.require(visit.visitor.principal, Scope.PURGE)
        self._retention.delete_policy(
            visit.tenant,
            visit.form.get("id", ""),
            by=visit.visitor.actor,
            reason=visit.form.get("reason", "").strip() or None,
            confirm=visit.form.get("confirm") == "1",
        )

    def _run(self, visit: Visit) -> Response:
        access.require(visit.visitor.principal, Scope.PURGE)
        try:
            plan = self._planned(visit)
        except RequestError as error:
            return self._list(visit, error)
        if (wrong := _wrong(visit, plan)) is not None:
            return self._confirmation(visit, plan, wrong)
        self._retention.run(
            visit.tenant,
            by=visit.visitor.actor,
            policy=visit.form.get("policy") or None,
            confirm=visit.form.get("all") == "1",
        )
        return RedirectResponse(_RETENTION, 303)


def _back(visit: Visit) -> str:
    return _RETENTION


def _wrong(visit: Visit, plan: RetentionPlan) -> Malformed | None:
    """Return why a confirmation does not count."""
    if visit.form.get("confirm", "").strip() != visit.tenant:
        return Malformed("Nothing was removed: what you typed is not the tenant's id.")
    if visit.form.get("events", "") != str(plan.events):
        return Malformed("Nothing was removed: other events go now. Look at them again.")
    return None


def _days(visit: Visit, field: str) -> int | None:
    text = visit.form.get(field, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DAYS_DIGITS):
        raise Malformed("Days are a whole number.", path=field)
    return int(text)

"""The pages of erasing a person: what would go, a confirmation that names it, and the outcome.

The first step reads the log and changes nothing. The second carries out what the first one showed:
if the log has grown by entries about the person meanwhile, it is shown again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text
from tallystick.console.gate import Gate, Visit
from tallystick.console.pages.admin_frame import ADMIN, AdminFrame
from tallystick.console.questions import moment
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, RequestError
from tallystick.events import references
from tallystick.events.entry import SECTIONS
from tallystick.identity import access
from tallystick.identity.access import Scope
from tallystick.identity.records import User
from tallystick.ledger.erasures import BATCH_ENTRIES, ErasurePlan, ErasureRecord, Erasures
from tallystick.ledger.holds import Hold
from tallystick.ledger.person import PersonQuery

_ERASURES = f"{ADMIN}/erasures"
_AT_ONCE = 8 * BATCH_ENTRIES
"""Entries that a request waits for; more are erased after its answer."""


class ErasureRow(NamedTuple):
    """An erasure as a page shows it."""

    record: ErasureRecord
    subject: str | None
    reason: str | None
    erased: int
    blocked: Sequence[tuple[str, str, int]]
    """Of each hold in the way its id, its reason and how many entries it covers."""


class ErasurePages:
    """Handlers of erasures."""

    def __init__(
        self, services: Services, gate: Gate, frame: AdminFrame, erasures: Erasures
    ) -> None:
        self._services = services
        self._ledger = services.ledger
        self._gate = gate
        self._frame = frame
        self._erasures = erasures

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._gate.administering
        return [
            Route(_ERASURES, on(self._list), methods=["GET"]),
            Route(f"{_ERASURES}/plan", on(self._plan), methods=["POST"]),
            Route(f"{_ERASURES}/erase", on(self._erase), methods=["POST"]),
            Route(f"{_ERASURES}/{{id}}", on(self._one), methods=["GET"]),
            Route(f"{_ERASURES}/{{id}}/certificate", on(self._certificate), methods=["GET"]),
        ]

    # Pages

    def _list(self, visit: Visit, error: RequestError | None = None) -> Response:
        records = reversed(self._erasures.all(visit.tenant))
        return self._frame.show(
            visit, "erasures", error=error, erasures=[self._row(record) for record in records],
            parts=SECTIONS, may_erase=visit.visitor.principal.may(Scope.PURGE),
        )  # fmt: skip

    def _one(self, visit: Visit) -> Response:
        record = self._erasures.get(visit.tenant, visit.request.path_params["id"])
        return self._frame.show(visit, "erasures", "admin_erasure.html", erasure=self._row(record))

    def _certificate(self, visit: Visit) -> Response:
        id = visit.request.path_params["id"]
        body = json_text.encode(self._erasures.certificate(visit.tenant, id))
        disposition = f'attachment; filename="erasure-{id}.json"'
        return Response(
            body, media_type="application/json", headers={"Content-Disposition": disposition}
        )

    def _plan(self, visit: Visit) -> Response:
        access.require(visit.visitor.principal, Scope.PURGE)
        try:
            query = _query(visit)
            plan = self._erasures.plan(visit.tenant, query)
        except Malformed as error:
            return self._list(visit, error)
        return self._confirmation(visit, query, plan)

    def _confirmation(
        self, visit: Visit, query: PersonQuery, plan: ErasurePlan, error: Malformed | None = None
    ) -> Response:
        return self._frame.show(
            visit, "erasures", "admin_erasure_plan.html", error=error, query=query, plan=plan,
            name=self._name(visit, query), account=self._account(visit, query),
            blocked=self._holds(visit.tenant, plan.blocked), filled=visit.form,
        )  # fmt: skip

    # Acts

    def _erase(self, visit: Visit) -> Response:
        access.require(visit.visitor.principal, Scope.PURGE)
        try:
            query = _query(visit)
            plan = self._erasures.plan(visit.tenant, query)
        except Malformed as error:
            return self._list(visit, error)
        if (wrong := _wrong(visit, query, plan)) is not None:
            return self._confirmation(visit, query, plan, wrong)
        try:
            record = self._erasures.request(
                visit.tenant, query, reason=visit.form.get("reason", ""),
                by=visit.visitor.actor, plan=plan,
            )  # fmt: skip
        except Malformed as error:
            return self._confirmation(visit, query, plan, error)
        if record.events <= _AT_ONCE:
            record = self._erasures.run(visit.tenant, record.id)
        return RedirectResponse(f"{_ERASURES}/{record.id}", 303)

    def _row(self, record: ErasureRecord) -> ErasureRow:
        request = self._erasures.request_of(record)
        erased = max(record.erased, self._erasures.progress(record.id))
        blocked = self._holds(record.tenant, record.blocked)
        return ErasureRow(record, request.get("subject"), request.get("reason"), erased, blocked)

    def _holds(self, tenant: str, blocked: dict[str, int]) -> list[tuple[str, str, int]]:
        reasons = {hold.id: hold.reason for hold in self._all_holds(tenant)} if blocked else {}
        return [(id, reasons.get(id, ""), count) for id, count in sorted(blocked.items())]

    def _all_holds(self, tenant: str) -> Sequence[Hold]:
        return self._ledger.holds.all(tenant)

    def _account(self, visit: Visit, query: PersonQuery) -> User | None:
        """Return the account that is deleted together with a user."""
        type, id = references.parse(query.subject) or ("", "")
        return self._services.identity.get(User, visit.tenant, id) if type == "user" else None

    def _name(self, visit: Visit, query: PersonQuery) -> str | None:
        key = references.parse(query.subject)
        known = self._ledger.resource(visit.tenant, *key) if key is not None else None
        return None if known is None else known.name


def _wrong(visit: Visit, query: PersonQuery, plan: ErasurePlan) -> Malformed | None:
    """Return why a confirmation does not count."""
    if visit.form.get("confirm", "").strip() != query.subject:
        return Malformed(
            "Nothing was erased: what you typed is not the person's type and id.", path="confirm"
        )
    if visit.form.get("events", "") != str(len(plan.selected)):
        return Malformed("Nothing was erased: other entries go now. Look at them again.")
    return None


def _query(visit: Visit) -> PersonQuery:
    """Return who is to be erased, and from what.

    Raises: Malformed.
    """
    form = visit.form
    lines = (line.strip() for line in form.get("paths", "").splitlines())
    return PersonQuery(
        subject=form.get("subject", "").strip(),
        paths=tuple(line for line in lines if line),
        sections=tuple(name for name in SECTIONS if form.get(f"section-{name}") == "1"),
        from_ms=moment(form.get("from", ""), visit.zone, "from"),
        to_ms=moment(form.get("to", ""), visit.zone, "to"),
    )

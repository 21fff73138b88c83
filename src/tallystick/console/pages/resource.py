"""The pages of a resource, an actor among them, and of a trail: timeline, state, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick.console.differences import differences, pretty_json
from tallystick.console.gate import Gate, Visit, is_fragment
from tallystick.console.markup import with_query
from tallystick.console.pages.events import EventRow, row_of
from tallystick.console.questions import PAGE_EVENTS, asked_of, clause, moment, refined
from tallystick.console.session import PATH
from tallystick.console.states import StateThen, state_at
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound
from tallystick.events.event import Resource, View
from tallystick.events.references import to_text
from tallystick.query import cursor
from tallystick.query.expr import Eq, Expr, any_of
from tallystick.query.question import Find

ROLES: Mapping[str, str] = {
    "": "Everything",
    "target": "What happened to it",
    "actor": "What it did",
    "scope": "What happened inside",
}


class ResourcePages:
    """Handlers of the pages of resources and trails."""

    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._ledger = services.ledger
        self._gate = gate

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        reading = self._gate.reading
        return [
            Route(f"{PATH}/resource", reading(self._resource), methods=["GET"]),
            Route(f"{PATH}/trail", reading(self._trail), methods=["GET"]),
        ]

    def _resource(self, visit: Visit) -> Response:
        resource = Resource(visit.params.get("type", ""), visit.params.get("id", ""))
        if not resource.type or not resource.id:
            raise Malformed("A resource has a type and an id.", path="type")
        role = visit.params.get("role", "")
        if role not in ROLES:
            raise Malformed(f"{role!r} is not a role of a resource.", path="role")
        name = to_text(resource.type, resource.id)
        roles = [role] if role else ["target", "actor", "scope"]
        where = any_of(Eq(each, name) for each in roles)
        rows, more, total = self._timeline(visit, where)
        if is_fragment(visit.request):
            return self._more(visit, rows, more)
        before, after = self._states(visit, resource)
        if not rows and after is None and "cursor" not in visit.params and not role:
            raise NotFound("No event that you may see is about this.")
        known = _known_as(resource, rows)
        state, cut = pretty_json(after.members) if after else ("", False)
        changes = differences(before.members, after.members) if before and after else []
        query = clause(role, name) if role else None
        return visit.show(
            "resource.html",
            resource=known, role=role, roles=ROLES, rows=rows, more=more, total=total,
            state=after, state_text=state, state_cut=cut, before=before, changes=changes,
            asked=asked_of(type(visit.params)({}), visit.zone, 0), refine=refined,
            compares="then" in visit.params and bool(visit.params["then"]), query=query,
            at=visit.params.get("at", ""), then=visit.params.get("then", ""),
        )  # fmt: skip

    def _states(
        self, visit: Visit, resource: Resource
    ) -> tuple[StateThen | None, StateThen | None]:
        """Return the state at `then`, if that is asked for, and at `at`, else now."""

        def state(name: str) -> StateThen | None:
            at_ms = moment(visit.params.get(name, ""), visit.zone, name)
            return state_at(self._ledger, visit.tenant, resource, at_ms, visit.visible)

        before = state("then") if visit.params.get("then") else None
        if visit.params.get("then") and before is None:
            before = StateThen({}, False, 0, False)
        after = state("at")
        if before is not None and after is None:
            after = StateThen({}, False, 0, False)
        return before, after

    def _trail(self, visit: Visit) -> Response:
        name = visit.params.get("name", "")
        if not name:
            raise Malformed("A trail has a name.", path="name")
        rows, more, total = self._timeline(visit, Eq("trail", name))
        if is_fragment(visit.request):
            return self._more(visit, rows, more)
        if not rows and "cursor" not in visit.params:
            raise NotFound("No event that you may see is on this trail.")
        return visit.show(
            "trail.html", name=name, rows=rows, more=more, total=total, refine=refined,
            asked=asked_of(type(visit.params)({}), visit.zone, 0),
            query=clause("trail", name),
        )  # fmt: skip

    def _more(self, visit: Visit, rows: Sequence[EventRow], more: str | None) -> Response:
        asked = asked_of(type(visit.params)({}), visit.zone, 0)
        return visit.show("_more.html", asked=asked, rows=rows, more=more, refine=refined)

    def _timeline(self, visit: Visit, where: Expr) -> tuple[list[EventRow], str | None, int | None]:
        """Return a page of events, the address of the next, and how many there are in all."""
        fingerprint = cursor.fingerprint(where)
        place = visit.params.get("cursor")
        question = Find(
            where=where,
            limit=PAGE_EVENTS,
            after=cursor.decode(place, fingerprint) if place else None,
            total=place is None,
        )
        limit_bytes = self._services.settings.page_bytes
        page = self._ledger.find(visit.tenant, question, visit.visible, max_bytes=limit_bytes)
        more = None
        if page.more and page.hits:
            params = {name: value for name, value in visit.params.items() if name != "cursor"}
            params["cursor"] = cursor.encode(page.hits[-1].position, fingerprint)
            more = with_query(visit.request.url.path, params)
        return [row_of(view, ()) for view in page.views], more, page.total


def _known_as(resource: Resource, rows: Sequence[EventRow]) -> Resource:
    """Return a resource with the name that the latest event calls it by."""
    for row in rows:
        name = _name_in(row.view, resource)
        if name is not None:
            return Resource(resource.type, resource.id, name)
    return resource


def _name_in(view: View, resource: Resource) -> str | None:
    event = view.event
    named = (event.target, event.actor, *event.scopes)
    return next((r.name for r in named if r is not None and r.key == resource.key), None)

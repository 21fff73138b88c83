"""Organizations, spaces and apps by name, as far as events tell of them.

They are there so that a client can be pointed at a space and an app; deleted ones are still
found, since their events are. What no event tells (times, state, quotas) is not made up. Source:
wire specification of Cloud Foundry 4 and 7.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tallystick.dialects.cloudfoundry.caller import Caller
from tallystick.dialects.cloudfoundry.wire import (
    DIALECT,
    ORGANIZATION,
    SPACE,
    related,
    relation_url,
    scope_id,
)
from tallystick.events.event import Json, Resource
from tallystick.ledger.ledger import Ledger
from tallystick.query.expr import Eq, Everything, all_of
from tallystick.query.question import Find, ResourceQuery, ResourceSummary

APP = "app"
PARENTS: dict[str, tuple[str, ...]] = {
    ORGANIZATION: (),
    SPACE: (ORGANIZATION,),
    APP: (SPACE, ORGANIZATION),
}
"""What a resource of a type is inside of, nearest first."""

_ROWS_AT_ONCE = 500


class Row(NamedTuple):
    """One organization, space or app; `parents` are guids by type, empty when no event tells."""

    resource: Resource
    parents: dict[str, str]

    def value(self, key: str) -> str:
        """Return what a filter's key means of this row."""
        if key == "name":
            return self.resource.name or ""
        if key == "guid":
            return self.resource.id
        return self.parents.get(key.removesuffix("_guid"), "")


class Inventory:
    """The organizations, spaces and apps that one caller may know of."""

    def __init__(self, ledger: Ledger, caller: Caller) -> None:
        self._ledger = ledger
        self._caller = caller

    def find(self, type: str, guid: str) -> Row | None:
        """Return one resource; None when there is none or the caller may not know of it."""
        summary = self._ledger.resource(self._caller.tenant, type, guid)
        if summary is None:
            return None
        row = self._row(summary)
        return row if self._may_know(row) else None

    def select(
        self, type: str, wanted: Callable[[Row], bool], *, name: str | None = None
    ) -> list[Row]:
        """Return the resources of a type that are wanted, by guid; `name` makes it quick."""
        rows = (self._row(summary) for summary in self._summaries(type, name))
        return [row for row in rows if wanted(row) and self._may_know(row)]

    def _summaries(self, type: str, name: str | None) -> Iterator[ResourceSummary]:
        question = ResourceQuery(type=type, name=name, limit=_ROWS_AT_ONCE)
        while True:
            rows = self._ledger.resources(self._caller.tenant, question)
            yield from rows
            if len(rows) < _ROWS_AT_ONCE:
                return
            question = ResourceQuery(
                type=type, name=name, low=rows[-1].id, low_inclusive=False, limit=_ROWS_AT_ONCE
            )

    def _row(self, summary: ResourceSummary) -> Row:
        known = dict(summary.parents)
        parents = {type: known.get(type, "") for type in PARENTS[summary.type]}
        if summary.type == SPACE and not parents[ORGANIZATION]:
            parents[ORGANIZATION] = self._organization_of(summary.id)
        return Row(Resource(summary.type, summary.id, summary.name), parents)

    def _organization_of(self, space: str) -> str:
        """Return the organization that the newest event inside a space names."""
        where = all_of((Eq("scope", f"{SPACE}:{space}"), Eq("scope.type", ORGANIZATION)))
        question = Find(where=where, dialect=DIALECT, limit=1)
        views = self._ledger.find(self._caller.tenant, question, Everything()).views
        return scope_id(views[0].first, ORGANIZATION) if views else ""

    def _may_know(self, row: Row) -> bool:
        caller, guid = self._caller, row.resource.id
        if caller.sees_all():
            return True
        if row.resource.type == ORGANIZATION:
            return guid in caller.organizations() or guid in self._organizations_of_spaces
        space = guid if row.resource.type == SPACE else row.parents[SPACE]
        return space in caller.spaces() or row.parents[ORGANIZATION] in caller.open_organizations()

    @functools.cached_property
    def _organizations_of_spaces(self) -> set[str]:
        found: set[str] = set()
        for space in self._caller.spaces():
            summary = self._ledger.resource(self._caller.tenant, SPACE, space)
            if summary is not None:
                found.add(self._row(summary).parents[ORGANIZATION])
        return found - {""}


def to_v2(row: Row) -> Json:
    """Return a row as version 2 shows it."""
    resource = row.resource
    entity: Json = {"name": resource.name}
    for type, guid in row.parents.items():
        if type == PARENTS[resource.type][0]:
            entity[f"{type}_guid"] = guid
            entity[f"{type}_url"] = relation_url(type, guid) if guid else None
    if resource.type == SPACE:
        entity["apps_url"] = relation_url(SPACE, resource.id) + "/apps"
        entity["events_url"] = relation_url(SPACE, resource.id) + "/events"
    return related(resource.type, resource.id, entity)


def to_v3(row: Row, base_url: str) -> Json:
    """Return a row as version 3 shows it; its times are null, since no event tells them."""
    resource = row.resource
    nearest = PARENTS[resource.type][:1]
    return {
        "guid": resource.id,
        "created_at": None,
        "updated_at": None,
        "name": resource.name,
        "relationships": {
            type: {"data": {"guid": row.parents[type]} if row.parents[type] else None}
            for type in nearest
        },
        "metadata": {"labels": {}, "annotations": {}},
        "links": {
            "self": {"href": base_url + relation_url(resource.type, resource.id, "v3")},
        },
    }

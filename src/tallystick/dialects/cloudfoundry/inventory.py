"""Organizations, spaces and apps by name, as far as events tell of them.

They are there so that a client can be pointed at a space and an app. Deleted ones are still found,
since their events are, but not beside a live one of the same name; of several live ones the latest
created comes first, since clients take the first. Source: wire specification of Cloud Foundry 4
and 7.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from tallystick.dialects.cloudfoundry.caller import CloudFoundryCaller
from tallystick.dialects.cloudfoundry.errors import NoSuchApp, NoSuchOrganization, NoSuchSpace
from tallystick.dialects.cloudfoundry.timestamps import to_text
from tallystick.dialects.cloudfoundry.wire import (
    DIALECT,
    ORGANIZATION,
    SPACE,
    related,
    relation_url,
    scope_id,
)
from tallystick.errors import Forbidden, NotFound
from tallystick.events import references
from tallystick.events.event import Event, Json, Resource
from tallystick.ledger.ledger import Ledger
from tallystick.query.expr import NEWEST_FIRST, Eq, Everything, In, all_of
from tallystick.query.question import Find, ResourceQuery, ResourceSummary

APP = "app"
PARENTS: dict[str, tuple[str, ...]] = {
    ORGANIZATION: (),
    SPACE: (ORGANIZATION,),
    APP: (SPACE, ORGANIZATION),
}
"""What a resource of a type is inside of, nearest first."""

NOT_FOUND: dict[str, type[NotFound]] = {
    ORGANIZATION: NoSuchOrganization,
    SPACE: NoSuchSpace,
    APP: NoSuchApp,
}

_ROWS_AT_ONCE = 500
_LIVES_AT_ONCE = 200
_EVENTS_AT_ONCE = 1000
_DELETED = "delete-request"


class InventoryRow(NamedTuple):
    """One organization, space or app; `parents` are guids by type, empty when no event tells.

    The times are those of the first and the last event that tell of it.
    """

    resource: Resource
    parents: dict[str, str]
    created_ms: int
    updated_ms: int

    def value(self, key: str) -> str:
        """Return what a filter's key means of this row."""
        if key == "name":
            return self.resource.name or ""
        if key == "guid":
            return self.resource.id
        return self.parents.get(key.removesuffix("_guid"), "")


class Inventory:
    """The organizations, spaces and apps that one caller may know of."""

    def __init__(self, ledger: Ledger, caller: CloudFoundryCaller) -> None:
        self._ledger = ledger
        self._caller = caller

    def find(self, type: str, guid: str) -> InventoryRow | None:
        """Return one resource; None when there is none or the caller may not know of it."""
        try:
            return self.require(type, guid)
        except (Forbidden, NotFound):
            return None

    def require(self, type: str, guid: str) -> InventoryRow:
        """Return one resource, as version 2 does: hidden ones are told apart from none.

        Raises: NoSuchOrganization, NoSuchSpace, NoSuchApp, Forbidden.
        """
        summary = self._ledger.resource(self._caller.tenant, type, guid)
        if summary is None:
            raise NOT_FOUND[type](guid)
        row = self._row(summary)
        if not self._may_know(row):
            raise Forbidden(f"the {type} is outside the caller's roles")
        return row

    def select(
        self, type: str, wanted: Callable[[InventoryRow], bool], *, name: str | None = None
    ) -> list[InventoryRow]:
        """Return the resources of a type that are wanted; `name` makes it quick.

        They are in the order of their guids, but those of one name stand together, the latest
        created first, and without the deleted ones if any is live.
        """
        rows = (self._row(summary) for summary in self._summaries(type, name))
        named: dict[str, list[InventoryRow]] = {}
        for row in rows:
            if wanted(row) and self._may_know(row):
                named.setdefault(row.resource.name or row.resource.id, []).append(row)
        namesakes = [row.resource.id for group in named.values() if group[1:] for row in group]
        deleted = self._deleted(type, namesakes)
        found: list[InventoryRow] = []
        for group in named.values():
            live = [row for row in group if row.resource.id not in deleted]
            found += sorted(live or group, key=lambda row: -row.created_ms)
        return found

    def _deleted(self, type: str, guids: Sequence[str]) -> set[str]:
        """Return which of some resources were deleted, and not created again after that."""
        deleted: set[str] = set()
        for start in range(0, len(guids), _LIVES_AT_ONCE):
            unknown = set(guids[start : start + _LIVES_AT_ONCE])
            for event in self._lives(type, sorted(unknown)):
                guid = "" if event.target is None else event.target.id
                # The newest comes first and decides.
                if guid in unknown and event.kind.endswith(_DELETED):
                    deleted.add(guid)
                unknown.discard(guid)
                if not unknown:
                    break
        return deleted

    def _lives(self, type: str, guids: Sequence[str]) -> Iterator[Event]:
        """Yield the events that tell of the creation or deletion of resources, newest first."""
        kinds = tuple(f"audit.{type}.{what}" for what in ("create", _DELETED))
        about = In("target", tuple(references.to_text(type, guid) for guid in guids))
        question = Find(
            where=all_of((about, In("kind", kinds))),
            dialect=DIALECT,
            sort=NEWEST_FIRST,
            limit=_EVENTS_AT_ONCE,
        )
        while True:
            views = self._ledger.find(self._caller.tenant, question, Everything()).views
            yield from (view.first for view in views)
            if len(views) < _EVENTS_AT_ONCE:
                return
            question = msgspec.structs.replace(question, offset=question.offset + len(views))

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

    def _row(self, summary: ResourceSummary) -> InventoryRow:
        known = dict(summary.parents)
        parents = {type: known.get(type, "") for type in PARENTS[summary.type]}
        if summary.type == SPACE and not parents[ORGANIZATION]:
            parents[ORGANIZATION] = self._organization_of(summary.id)
        resource = Resource(summary.type, summary.id, summary.name)
        return InventoryRow(resource, parents, summary.first_ms, summary.last_ms)

    def _organization_of(self, space: str) -> str:
        """Return the organization that the newest event inside a space names."""
        where = all_of((Eq("scope", f"{SPACE}:{space}"), Eq("scope.type", ORGANIZATION)))
        question = Find(where=where, dialect=DIALECT, limit=1)
        views = self._ledger.find(self._caller.tenant, question, Everything()).views
        return scope_id(views[0].first, ORGANIZATION) if views else ""

    def _may_know(self, row: InventoryRow) -> bool:
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


def to_v2(row: InventoryRow) -> Json:
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


def to_summary(space: InventoryRow, apps: Sequence[InventoryRow]) -> Json:
    """Return a space with its apps as the summary of version 2 shows them.

    What no event tells (instances, memory, routes, services) is none.
    """
    return {
        "guid": space.resource.id,
        "name": space.resource.name,
        "apps": [
            {
                "guid": app.resource.id,
                "name": app.resource.name,
                "space_guid": space.resource.id,
                **_SUMMARY_MEMBERS,
            }
            for app in apps
        ],
        "services": [],
    }


def to_v3(row: InventoryRow, base_url: str) -> Json:
    """Return a row as version 3 shows it: with every member that clients cannot do without.

    What no event tells in passing (state, lifecycle, quotas) has the value that means nothing
    special.
    """
    resource = row.resource
    nearest = PARENTS[resource.type][:1]
    return {
        "guid": resource.id,
        "created_at": to_text(row.created_ms),
        "updated_at": to_text(row.updated_ms),
        "name": resource.name or resource.id,
        **_V3_MEMBERS[resource.type],
        "relationships": {
            **{
                type: {"data": {"guid": row.parents[type]} if row.parents[type] else None}
                for type in nearest
            },
            **{name: {"data": None} for name in _V3_RELATIONS[resource.type]},
        },
        "metadata": {"labels": {}, "annotations": {}},
        "links": {
            "self": {"href": base_url + relation_url(resource.type, resource.id, "v3")},
        },
    }


_SUMMARY_MEMBERS: Json = {
    "urls": [], "routes": [], "service_count": 0, "service_names": [], "running_instances": 0,
    "production": False, "stack_guid": None, "buildpack": None, "detected_buildpack": None,
    "environment_json": {}, "memory": 0, "instances": 0, "disk_quota": 0, "state": "STARTED",
    "version": None, "command": None, "console": False, "debug": None, "staging_task_id": None,
    "package_state": "STAGED", "health_check_type": "port", "health_check_timeout": None,
}  # fmt: skip
_V3_MEMBERS: dict[str, Json] = {
    ORGANIZATION: {"suspended": False},
    SPACE: {},
    APP: {
        "state": "STARTED",
        "lifecycle": {"type": "buildpack", "data": {"buildpacks": [], "stack": ""}},
    },
}
_V3_RELATIONS = {ORGANIZATION: ("quota",), SPACE: ("quota",), APP: ("current_droplet",)}

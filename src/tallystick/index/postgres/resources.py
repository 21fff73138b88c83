"""What is known of each resource: its latest name, document and parents, by type and id.

It says the same as `views.resources` and reads and writes it in batches. What one batch learnt is
kept for the next as long as nobody else has written to the tenant in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tallystick.events.event import Event, Op, View
from tallystick.index.lists.resources import (
    Identity,
    ResourceState,
    Sightings,
    learn,
    retold,
    sightings,
)
from tallystick.index.postgres.sql import execute, select
from tallystick.index.postgres.terms import Numbering
from tallystick.store.postgres.binary_arrays import (
    bools,
    byteas,
    byteas_or_null,
    int8s,
    int8s_or_null,
)
from tallystick.store.postgres.connection import Connection
from tallystick.store.postgres.rows import from_bytes, to_bytes

_CACHED = 20_000

_parents = msgspec.json.Decoder(tuple[Identity, ...])


class Resources:
    """The resources of one tenant; used by the thread that holds its head."""

    def __init__(self, tenant: bytes, number_of: Numbering) -> None:
        self._tenant = tenant
        self._number_of = number_of
        self._known: dict[Identity, ResourceState] = {}
        # What was read and is not written yet.
        self._changed: dict[Identity, ResourceState] = {}
        self._sources: list[tuple[int, Identity]] = []
        self._moved: dict[Identity, tuple[Identity, ...]] = {}

    def read(
        self,
        connection: Connection,
        views: Sequence[View],
        current: frozenset[int],
        sightings_of: Sightings,
    ) -> list[int]:
        """Take in entries in their order; return the documents that are no longer the latest."""
        self._changed, self._sources, self._moved = {}, [], {}
        seen = [
            (view.event, resource.key, resource, inside)
            for view in views
            for resource, inside in sightings(view.event)
        ]
        known = self._known
        self._fetch(connection, {key for _, key, _, _ in seen if key not in known})
        replaced: list[int] = []
        for event, key, resource, inside in seen:
            state = known[key]
            document = state.document
            if event.op is Op.DOCUMENT and resource is event.target:
                if document is not None:
                    replaced.append(document)
                document = event.index if event.index in current else None
            learnt = learn(state, event, (resource, inside), sightings_of)
            self._sources += ((index, key) for index in learnt.sources)
            name, parents = learnt.name, learnt.parents
            if parents != state.parents:
                self._moved.setdefault(key, state.parents)
            elif name == state.name and document == state.document and not state.new:
                continue
            state.name, state.document, state.parents = name, document, parents
            state.new = False
            self._changed[key] = state
            self._sources.append((event.index, key))
        return replaced

    def write(self, connection: Connection) -> None:
        """Write what was learnt; nothing of it is waited for."""
        self._write(connection, self._changed, self._sources, self._moved)
        if len(self._known) > _CACHED:
            self._known.clear()

    def forget(self) -> None:
        """Drop what is kept in memory: when a name was last told may be what an entry told."""
        self._known.clear()

    def sourced_by(self, connection: Connection, index: int) -> list[Identity]:
        """Return the resources that owe something to an entry, which tells nothing any more."""
        found = select(connection, "sourced_by", tenant=self._tenant, idx=index)
        execute(connection, "delete_sources", tenant=self._tenant, idx=index)
        return [(from_bytes(type), from_bytes(id)) for type, id in found]

    def relearn(
        self,
        connection: Connection,
        key: Identity,
        last_first: Iterable[Event],
        document: int | None,
    ) -> None:
        """Replace what is known of a resource by what the entries that are left tell."""
        self._fetch(connection, {key})
        old = self._known.pop(key)
        type, id = self._keys(key)
        place = {"tenant": self._tenant, "type": type, "id": id}
        parents = int8s(parent_number(self._number_of, parent) for parent in old.parents)
        execute(connection, "delete_child", **place, parents=parents)
        execute(connection, "delete_left_child", **place)
        execute(connection, "delete_resource", **place)
        state, sources = retold(key, last_first, document)
        if state is not None:
            rows = [(index, key) for index in sorted(sources)]
            self._write(connection, {key: state}, rows, {key: ()})

    def _fetch(self, connection: Connection, keys: set[Identity]) -> None:
        missing = [key for key in keys if key not in self._known]
        if not missing:
            return
        numbered = {self._keys(key): key for key in missing}
        found = select(
            connection,
            "resource_states",
            tenant=self._tenant,
            types=int8s(type for type, _ in numbered),
            ids=byteas(id for _, id in numbered),
        )
        for key in missing:
            self._known[key] = ResourceState(new=True)
        for type, id, name, document, parents in found:
            self._known[numbered[type, id]] = ResourceState.of_row(
                None if name is None else from_bytes(name), document, parents_of(parents)
            )

    def _write(
        self,
        connection: Connection,
        changed: dict[Identity, ResourceState],
        sources: Sequence[tuple[int, Identity]],
        moved: dict[Identity, tuple[Identity, ...]],
    ) -> None:
        if sources:
            execute(
                connection,
                "insert_sources",
                tenant=self._tenant,
                idx=int8s(index for index, _ in sources),
                numbers=int8s(resource_number(self._number_of, key) for _, key in sources),
                types=byteas(to_bytes(key[0]) for _, key in sources),
                ids=byteas(to_bytes(key[1]) for _, key in sources),
            )
        if not changed:
            return
        keys = [self._keys(key) for key in changed]
        names = [state.name for state in changed.values()]
        execute(
            connection,
            "upsert_resources",
            tenant=self._tenant,
            types=int8s(type for type, _ in keys),
            ids=byteas(id for _, id in keys),
            names=byteas_or_null(None if name is None else to_bytes(name) for name in names),
            documents=int8s_or_null([state.document for state in changed.values()]),
            parents=byteas(msgspec.json.encode(state.parents) for state in changed.values()),
            named=int8s_or_null([None if n is None else self._number_of("name", n) for n in names]),
        )
        self._move(connection, [(key, old, changed[key].parents) for key, old in moved.items()])

    def _move(
        self,
        connection: Connection,
        moved: Sequence[tuple[Identity, tuple[Identity, ...], tuple[Identity, ...]]],
    ) -> None:
        """Take resources out of the parents they had and put them into those they have now."""
        placed = {
            (parent, key): parent in new
            for key, old, new in moved
            for parent in (*old, *new)
            if (parent in old) != (parent in new)
        }
        if placed:
            keys = [self._keys(key) for _, key in placed]
            execute(
                connection,
                "put_children",
                tenant=self._tenant,
                parents=int8s(parent_number(self._number_of, parent) for parent, _ in placed),
                types=int8s(type for type, _ in keys),
                ids=byteas(id for _, id in keys),
                live=bools(list(placed.values())),
            )

    def _keys(self, key: Identity) -> tuple[int, bytes]:
        return self._number_of("type", key[0]), to_bytes(key[1])


def resource_number(number_of: Numbering, key: Identity) -> int:
    """Return the number of a resource, whatever its role."""
    return number_of("resource", _text(key))


def parent_number(number_of: Numbering, parent: Identity) -> int:
    """Return the number by which the children of a resource are found."""
    return number_of("parent", _text(parent))


def _text(key: Identity) -> str:
    """Return one text for a type and an id, whatever characters they have."""
    return f"{len(key[0])}:{key[0]}:{key[1]}"


def parents_of(stored: bytes) -> tuple[Identity, ...]:
    """Return parents as read from a row."""
    return _parents.decode(stored)

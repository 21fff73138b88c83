"""What is known of each resource: its latest name, document and parents, by (type, id).

The latest is what was recorded last. A resource is sighted where an entry has it as actor, target
or scope; its parents are the scopes it stood in when last a target, or the scopes named before it
when last a scope (scopes are named from the outside in). Rows change only when something
new is learnt, so most entries cost a lookup in memory. Counts and first and last times are not
kept: the blocks know them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import apsw
import msgspec

from tallystick.events.event import Event, Op, Resource, View

_CACHED = 20_000

Identity = tuple[str, str]


class State(msgspec.Struct):
    """What a resource's row says."""

    name: str | None = None
    document: int | None = None
    parents: tuple[Identity, ...] = ()
    new: bool = False


class ResourceTable:
    """Writes the rows of resources; used by one thread, within its transactions."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[int, str, str], State] = {}

    def forget(self) -> None:
        """Drop what is kept in memory, after a transaction failed."""
        self._known.clear()

    def learn(self, tenant: int, views: Iterable[View], current: frozenset[int]) -> list[int]:
        """Take in entries in their order; return the documents that are no longer the latest."""
        changed: dict[Identity, State] = {}
        replaced: list[int] = []
        sources: list[tuple[int, int, str, str]] = []
        moved: dict[Identity, tuple[Identity, ...]] = {}
        for view in views:
            event = view.event
            for resource, inside in sightings(event):
                key = resource.key
                state = self._state(tenant, key)
                document = state.document
                if event.op is Op.DOCUMENT and resource is event.target:
                    if document is not None:
                        replaced.append(document)
                    document = event.index if event.index in current else None
                name = state.name if resource.name is None else resource.name
                parents = inside or state.parents
                if parents != state.parents:
                    moved.setdefault(key, state.parents)
                elif (name, document) == (state.name, state.document) and not state.new:
                    continue
                state.name, state.document, state.parents = name, document, parents
                state.new = False
                changed[key] = state
                sources.append((tenant, event.index, *key))
        self._write(tenant, changed, sources, moved)
        self._trim()
        return replaced

    def sourced_by(self, tenant: int, index: int) -> list[Identity]:
        """Return the resources whose rows owe something to an entry."""
        rows = self._connection.execute(
            "SELECT type, id FROM sources WHERE tenant = ? AND idx = ?", (tenant, index)
        )
        return [(type, id) for type, id in rows]

    def relearn(
        self, tenant: int, key: Identity, newest_first: Iterable[Event], document: int | None
    ) -> None:
        """Replace what a row says by what the entries that are left tell."""
        self._remove(tenant, key)
        state, sources = retold(key, newest_first, document)
        if state is not None:
            rows = [(tenant, index, *key) for index in sorted(sources)]
            self._write(tenant, {key: state}, rows, {key: ()})

    def unlink(self, tenant: int, index: int) -> None:
        """Forget which resources an entry told something of."""
        self._connection.execute(
            "DELETE FROM sources WHERE tenant = ? AND idx = ?", (tenant, index)
        )

    def _state(self, tenant: int, key: Identity) -> State:
        known = self._known
        state = known.get((tenant, *key))
        if state is None:
            row = self._connection.execute(
                "SELECT name, document, parents FROM resources"
                " WHERE tenant = ? AND type = ? AND id = ?",
                (tenant, *key),
            ).fetchone()
            state = State(new=True) if row is None else _state_of(*row)
            known[(tenant, *key)] = state
        return state

    def _trim(self) -> None:
        if len(self._known) > _CACHED:
            self._known.clear()

    def _write(
        self,
        tenant: int,
        changed: dict[Identity, State],
        sources: Sequence[tuple[int, int, str, str]],
        moved: dict[Identity, tuple[Identity, ...]],
    ) -> None:
        if not changed:
            return
        many = self._connection.executemany
        many(
            "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?, ?)",
            [
                (tenant, *key, state.name, state.document, _text(state.parents))
                for key, state in sorted(changed.items(), key=lambda item: item[0])
            ],
        )
        many("INSERT OR IGNORE INTO sources VALUES (?, ?, ?, ?)", sources)
        many(
            "DELETE FROM children WHERE tenant = ? AND parent_type = ? AND parent_id = ?"
            " AND type = ? AND id = ?",
            [(tenant, *parent, *key) for key, old in moved.items() for parent in old],
        )
        many(
            "INSERT OR IGNORE INTO children VALUES (?, ?, ?, ?, ?)",
            [(tenant, *parent, *key) for key in moved for parent in changed[key].parents],
        )

    def _remove(self, tenant: int, key: Identity) -> None:
        state = self._state(tenant, key)
        self._connection.executemany(
            "DELETE FROM children WHERE tenant = ? AND parent_type = ? AND parent_id = ?"
            " AND type = ? AND id = ?",
            [(tenant, *parent, *key) for parent in state.parents],
        )
        self._connection.execute(
            "DELETE FROM resources WHERE tenant = ? AND type = ? AND id = ?", (tenant, *key)
        )
        del self._known[(tenant, *key)]


def sightings(event: Event) -> Iterator[tuple[Resource, tuple[Identity, ...]]]:
    """Yield the resources that an entry names, each with the resources it stands in."""
    if event.op not in (Op.RECORD, Op.DOCUMENT):
        return
    scopes = tuple(scope.key for scope in event.scopes)
    if event.target is not None:
        yield event.target, scopes
    if event.actor is not None:
        yield event.actor, ()
    for at, scope in enumerate(event.scopes):
        yield scope, scopes[:at]


def retold(
    key: Identity, newest_first: Iterable[Event], document: int | None
) -> tuple[State | None, set[int]]:
    """Return what entries tell of a resource, and the indexes of those that do.

    Shape: None when no entry names it. `document` is the index of its latest document.
    """
    state = State(document=document)
    sources: set[int] = set() if document is None else {document}
    sighted = False
    for event in newest_first:
        # Where an entry names a resource twice, the last mention wins, as it did at first.
        for resource, inside in reversed(tuple(sightings(event))):
            if resource.key != key:
                continue
            sighted = True
            if state.name is None and resource.name is not None:
                state.name = resource.name
                sources.add(event.index)
            if not state.parents and inside:
                state.parents = inside
                sources.add(event.index)
        if state.name is not None and state.parents:
            break
    return (state if sighted else None), sources


def _state_of(name: str | None, document: int | None, parents: str | None) -> State:
    return State(name, document, parents_of(parents))


def parents_of(text: str | None) -> tuple[Identity, ...]:
    """Return parents as read from a row."""
    return () if text is None else tuple((type, id) for type, id in json.loads(text))


def _text(parents: tuple[Identity, ...]) -> str | None:
    return json.dumps(parents, separators=(",", ":")) if parents else None

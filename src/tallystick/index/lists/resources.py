"""What is known of each resource: its latest name, document and parents, by (type, id).

The latest name and parents are those of the entry that occurred last, so that an event that comes
late renames nothing; the latest document is the one recorded last. A resource is sighted where an
entry has it as actor, target or scope; its parents are the scopes it stood in when last a target,
or the scopes named before it when last a scope (scopes are named from the outside in). Rows change
only when something new is learnt, so most entries cost a lookup in memory. Counts and first and
last times are not kept: the blocks know them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence

import apsw
import msgspec

from tallystick.events.event import Event, Op, Resource, View

_CACHED = 20_000

Identity = tuple[str, str]
Moment = tuple[int, int]
"""When an entry occurred, and its index."""

Sightings = Callable[[Identity], Iterator[Event]]
"""Yields the listed entries that name a resource, the last to occur first."""

_NEVER = (-(1 << 63), -1)


class Latest(msgspec.Struct):
    """The last entry known to tell a name, or parents, since the row was read.

    It is `exact` when no entry that occurred later is listed. It is kept in memory only: in a row
    it would have to be written for every entry.
    """

    at: Moment = _NEVER
    exact: bool = True

    def takes(self, moment: Moment, is_same: bool, stored: Callable[[], Moment]) -> bool:
        """Tell whether what the entry of a moment tells replaces what is known.

        `stored` finds the latest moment in the lists: asked only when something else is told.
        """
        if is_same:
            self.at = max(self.at, moment)
            return False
        # An entry may name a resource twice: its first mention proves nothing for the second.
        if moment >= self.at and not self.exact:
            self.at, self.exact = max(self.at, stored()), True
        if moment < self.at:
            return False
        self.at = moment
        return True


class ResourceState(msgspec.Struct):
    """What a resource's row says, and which entries it owes that to."""

    name: str | None = None
    document: int | None = None
    parents: tuple[Identity, ...] = ()
    new: bool = False
    named: Latest = msgspec.field(default_factory=Latest)
    placed: Latest = msgspec.field(default_factory=Latest)

    @classmethod
    def of_row(
        cls, name: str | None, document: int | None, parents: tuple[Identity, ...]
    ) -> ResourceState:
        """Return the state of a stored row: the lists know since when its values hold."""
        return cls(
            name=name,
            document=document,
            parents=parents,
            named=Latest(exact=name is None),
            placed=Latest(exact=not parents),
        )


class Learnt(msgspec.Struct):
    """What a sighting changed of a state; `sources` are the entries that decided it."""

    name: str | None
    parents: tuple[Identity, ...]
    sources: list[int]


def learn(
    state: ResourceState,
    event: Event,
    sighting: tuple[Resource, tuple[Identity, ...]],
    sightings_of: Sightings,
) -> Learnt:
    """Return the name and the parents of a resource after a sighting of it."""
    (resource, inside), key = sighting, sighting[0].key
    moment = (event.occurred_ms, event.index)
    learnt = Learnt(state.name, state.parents, [])
    if resource.name is not None:
        same = resource.name == state.name
        if state.named.takes(moment, same, lambda: _last(key, sightings_of(key), _names)):
            learnt.name = resource.name
        elif not same:
            # The later entry that kept the name: without it, this one would give it.
            learnt.sources.append(state.named.at[1])
    if inside:
        same = inside == state.parents
        if state.placed.takes(moment, same, lambda: _last(key, sightings_of(key), _places)):
            learnt.parents = inside
        elif not same:
            learnt.sources.append(state.placed.at[1])
    return learnt


def _names(resource: Resource, inside: tuple[Identity, ...]) -> bool:
    return resource.name is not None


def _places(resource: Resource, inside: tuple[Identity, ...]) -> bool:
    return bool(inside)


def _last(
    key: Identity,
    last_first: Iterable[Event],
    tells: Callable[[Resource, tuple[Identity, ...]], bool],
) -> Moment:
    """Return when the last of some entries told something of a resource."""
    for event in last_first:
        if any(one.key == key and tells(one, inside) for one, inside in sightings(event)):
            return event.occurred_ms, event.index
    return _NEVER


class ResourceTable:
    """Writes the rows of resources; used by one thread, within its transactions."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[int, str, str], ResourceState] = {}

    def forget(self) -> None:
        """Drop what is kept in memory, after a transaction failed."""
        self._known.clear()

    def learn(
        self,
        tenant: int,
        views: Iterable[View],
        current: frozenset[int],
        sightings_of: Sightings,
    ) -> list[int]:
        """Take in entries in their order; return the documents that are no longer the latest."""
        changed: dict[Identity, ResourceState] = {}
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
                learnt = learn(state, event, (resource, inside), sightings_of)
                sources += ((tenant, index, *key) for index in learnt.sources)
                name, parents = learnt.name, learnt.parents
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
        self, tenant: int, key: Identity, last_first: Iterable[Event], document: int | None
    ) -> None:
        """Replace what a row says by what the entries that are left tell."""
        self._remove(tenant, key)
        state, sources = retold(key, last_first, document)
        if state is not None:
            rows = [(tenant, index, *key) for index in sorted(sources)]
            self._write(tenant, {key: state}, rows, {key: ()})

    def unlink(self, tenant: int, index: int) -> None:
        """Forget which resources an entry told something of."""
        self._connection.execute(
            "DELETE FROM sources WHERE tenant = ? AND idx = ?", (tenant, index)
        )

    def _state(self, tenant: int, key: Identity) -> ResourceState:
        known = self._known
        state = known.get((tenant, *key))
        if state is None:
            row = self._connection.execute(
                "SELECT name, document, parents FROM resources"
                " WHERE tenant = ? AND type = ? AND id = ?",
                (tenant, *key),
            ).fetchone()
            state = ResourceState(new=True) if row is None else _state_of(*row)
            known[(tenant, *key)] = state
        return state

    def _trim(self) -> None:
        if len(self._known) > _CACHED:
            self._known.clear()

    def _write(
        self,
        tenant: int,
        changed: dict[Identity, ResourceState],
        sources: Sequence[tuple[int, int, str, str]],
        moved: dict[Identity, tuple[Identity, ...]],
    ) -> None:
        many = self._connection.executemany
        if sources:
            many("INSERT OR IGNORE INTO sources VALUES (?, ?, ?, ?)", sources)
        if not changed:
            return
        many(
            "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?, ?)",
            [
                (tenant, *key, state.name, state.document, _text(state.parents))
                for key, state in sorted(changed.items(), key=lambda item: item[0])
            ],
        )
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
    key: Identity, last_first: Iterable[Event], document: int | None
) -> tuple[ResourceState | None, set[int]]:
    """Return what entries tell of a resource, and the indexes of those that do.

    Shape: None when no entry names it. `document` is the index of its latest document.
    """
    state = ResourceState(document=document)
    sources: set[int] = set() if document is None else {document}
    sighted = False
    for event in last_first:
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


def _state_of(name: str | None, document: int | None, parents: str | None) -> ResourceState:
    return ResourceState.of_row(name, document, parents_of(parents))


def parents_of(text: str | None) -> tuple[Identity, ...]:
    """Return parents as read from a row."""
    return () if text is None else tuple((type, id) for type, id in json.loads(text))


def _text(parents: tuple[Identity, ...]) -> str | None:
    return json.dumps(parents, separators=(",", ":")) if parents else None

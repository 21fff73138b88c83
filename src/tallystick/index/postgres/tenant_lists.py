"""Lists slices of one tenant's log, in a transaction that holds its head.

What is learnt of one slice (kinds, resources, numbers of terms) is kept for the next as long as
nobody else has written to the tenant in between, so that most batches are written unread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate, islice

from tallystick import limits
from tallystick.events.dialect_rules import Rules
from tallystick.events.event import Event, HeadSlot, View
from tallystick.events.references import to_text
from tallystick.followers.follow import Slice
from tallystick.index.lists.resources import Identity
from tallystick.index.postgres.binary_copy import copy_in
from tallystick.index.postgres.counts import Members, Moved, add_counts, count, counted_members
from tallystick.index.postgres.removal import Old, take_out
from tallystick.index.postgres.resources import Resources
from tallystick.index.postgres.rows import Listed, RowMaker
from tallystick.index.postgres.sql import execute, select
from tallystick.index.postgres.terms import Numbering, Sight
from tallystick.index.postgres.totals import Tally, add_totals, tally
from tallystick.index.postgres.transaction_store import InsideStore
from tallystick.log.views import event_of, events_of, recorded_view
from tallystick.store.base import head_key
from tallystick.store.postgres.binary_arrays import bools, byteas, int8s, int8s_of, int8s_or_null
from tallystick.store.postgres.connection import Connection
from tallystick.store.postgres.rows import from_bytes, to_bytes
from tallystick.store.postgres.statements import STATEMENTS as STORE_STATEMENTS

_READ_AT_ONCE = 64
_INT8_MAX = (1 << 63) - 1
_SAYING_WHO = frozenset(("actor", "target", "place"))
_READABLE = ("resources", "children", "sources")
"""Tables that hold ids and names as they are: what was erased from them is to be vacuumed."""


class TenantListing:
    """One tenant's lists under a key.

    `root` is that of the log as it was listed last, None while what is remembered may not be true.
    `counted` are the terms by which counts are kept, as of `changes` to the lists.
    """

    def __init__(self, tenant: str, key: bytes, uuid: str, sight: Sight, rules: Rules) -> None:
        self.key = key
        self.root: bytes | None = None
        self.changes: int | None = None
        self.counted: Members = {}
        self._name = tenant
        self._tenant = to_bytes(tenant)
        self._number_of = Numbering(key)
        self._row_of = RowMaker(self._number_of, sight, rules, uuid)
        self._resources = Resources(self._tenant, self._number_of)
        self._kinds: set[str] | None = None

    def learn_counted(self, connection: Connection, changes: int) -> None:
        """Read by which terms counts are kept, unless nothing has changed."""
        if changes != self.changes:
            self.counted, self.changes = counted_members(connection, self._tenant), changes

    def begin(self, connection: Connection, part: Slice) -> Taking:
        """Begin to list a slice, reading what is not known yet of what it names."""
        sightings_of = partial(self._sightings, connection, part.start)
        replaced = self._resources.read(connection, part.fresh, part.current, sightings_of)
        return Taking(self, part, replaced, self._new_kinds(connection, part.fresh))

    def row_of(self, view: View, current: frozenset[int]) -> Listed:
        """Return what stands in the lists for a view."""
        return self._row_of(view, current)

    def copy(self, connection: Connection, listed: Sequence[Listed]) -> None:
        """Copy entries of which nothing stands in the lists; not in a pipeline."""
        copy_in(connection, self._tenant, listed)

    def write(self, connection: Connection, taking: Taking, listed: Sequence[Listed]) -> None:
        """Write everything but what was copied; `listed` are the entries that were not."""
        part = taking.part
        again = self._changed(connection, part, taking.replaced)
        if again:
            taking.count(take_out(connection, self._tenant, list(again)), -1)
            renewed = [self._row_of(view, part.current) for view in again.values()]
            taking.count(renewed)
            listed = [*listed, *renewed]
            execute(connection, "change_lists", tenant=self._tenant)
            self.changes = None if self.changes is None else self.changes + 1
        _insert(connection, self._tenant, listed)
        add_totals(connection, self._tenant, taking.totals)
        add_counts(connection, self._tenant, taking.moved)
        if taking.new_kinds:
            kinds = byteas(map(to_bytes, taking.new_kinds))
            execute(connection, "insert_kinds", tenant=self._tenant, kinds=kinds)
        self._resources.write(connection)
        for view in part.changed:
            if _SAYING_WHO.intersection(view.first.erased):
                self._relearn(connection, part, view.index)

    def _changed(
        self, connection: Connection, part: Slice, replaced: Sequence[int]
    ) -> dict[int, View]:
        """Return what is to be listed again: what looks different, and documents now outdated."""
        again = {view.index: view for view in part.changed}
        earlier = [index for index in replaced if index < part.start and index not in again]
        if earlier:
            rows = InsideStore(connection).rows_at(self._name, earlier)
            again |= {index: recorded_view(self._name, row) for index, row in rows.items()}
        return again

    def _new_kinds(self, connection: Connection, views: Sequence[View]) -> list[str]:
        if self._kinds is None:
            found = select(connection, "kinds", tenant=self._tenant)
            self._kinds = {from_bytes(kind) for (kind,) in found}
        new = {view.first.kind for view in views} - self._kinds
        # Beyond so many nobody can list them, and questions by pattern go to the search.
        added = list(islice(sorted(new), max(limits.QUERY_TERMS - len(self._kinds), 0)))
        self._kinds.update(added)
        return added

    def _relearn(self, connection: Connection, part: Slice, index: int) -> None:
        """Work out again what is known of the resources that owe something to an erased entry."""
        self._resources.forget()
        for key in self._resources.sourced_by(connection, index):
            document = self._latest_document(connection, part, key)
            events = self._sightings(connection, part.stop, key)
            self._resources.relearn(connection, key, events, document)
        for relation in _READABLE:
            connection.execute(
                STORE_STATEMENTS["note_changed"],
                {"tenant": self._tenant, "relation": relation.encode()},
            )

    def _sightings(self, connection: Connection, before: int, key: Identity) -> Iterator[Event]:
        """Yield the entries below an index that name a resource, the last to occur first."""
        inside, ms, idx = InsideStore(connection), _INT8_MAX, _INT8_MAX
        while True:
            found = select(
                connection,
                "sightings",
                tenant=self._tenant,
                before=before,
                ms=ms,
                idx=idx,
                limit=_READ_AT_ONCE,
                **named(self._number_of, key),
            )
            rows = inside.rows_at(self._name, [index for _, index in found])
            yield from events_of(self._name, [rows[index] for _, index in found])
            if len(found) < _READ_AT_ONCE:
                return
            ms, idx = found[-1]

    def _latest_document(self, connection: Connection, part: Slice, key: Identity) -> int | None:
        found = documents(
            connection, self._tenant, self._number_of, key, before=part.stop, limit=1, offset=0
        )
        if not found:
            return None
        inside, [index] = InsideStore(connection), found
        heads = inside.resource_heads(self._name, [head_key(HeadSlot.DOCUMENT, *key)])
        head = next(iter(heads.values()), None)
        # A later document whose target was erased is not listed, and yet it replaced this one.
        if head is not None and index < head.index < part.stop:
            return None
        event = event_of(self._name, inside.rows_at(self._name, [index])[index])
        return None if event.kind.endswith(".delete") else index


class Taking:
    """A slice that is being listed, and the new state of earlier entries that it changes."""

    def __init__(
        self, listing: TenantListing, part: Slice, replaced: Sequence[int], new_kinds: Sequence[str]
    ) -> None:
        self.part = part
        self.replaced = replaced
        self.new_kinds = new_kinds
        self._listing = listing
        self._waiting = iter(part.fresh)
        self._listed: list[Listed] = []
        self.totals: Tally = Counter()
        self.moved: Moved = Counter()

    def make(self, count: int) -> None:
        """Make rows of the next entries."""
        current, row_of = self.part.current, self._listing.row_of
        made = [row_of(view, current) for view in islice(self._waiting, count)]
        self.count(made)
        self._listed += made

    def count(self, rows: Sequence[Listed] | Sequence[Old], n: int = 1) -> None:
        """Count entries in, or out."""
        tally(self.totals, rows, n)
        count(self.moved, self._listing.counted, rows, n)

    def copy(self, connection: Connection) -> None:
        """Copy the rows of all entries; not in a pipeline."""
        self.make(len(self.part.fresh))
        self._listing.copy(connection, self._listed)
        self._listed = []

    def write(self, connection: Connection) -> None:
        """Write everything that was not copied."""
        self.make(len(self.part.fresh))
        self._listing.write(connection, self, self._listed)


def named(number_of: Numbering, key: Identity) -> dict[str, int | list[int]]:
    """Return the values by which statements find the entries that name a resource."""
    type, id = key
    value = to_text(type, id)
    return {
        "target_id": number_of("target.id", id),
        "actor_id": number_of("actor.id", id),
        "named": [number_of("target", value), number_of("actor", value)],
        "scope": number_of("scope", value),
    }


def documents(
    connection: Connection,
    tenant: bytes,
    number_of: Numbering,
    key: Identity,
    *,
    before: int,
    limit: int,
    offset: int,
) -> list[int]:
    """Return the indexes below `before` of a resource's documents, the latest first."""
    found = select(
        connection,
        "history",
        tenant=tenant,
        target_id=number_of("target.id", key[1]),
        target=number_of("target", to_text(*key)),
        before=before,
        limit=limit,
        offset=offset,
    )
    return [index for (index,) in found]


def _insert(connection: Connection, tenant: bytes, listed: Sequence[Listed]) -> None:
    if not listed:
        return
    indexes, ms, seen, kinds, actors, targets, are_documents, terms, _ = zip(*listed, strict=True)
    stops = list(accumulate(len(each) // 12 for each in terms))
    execute(
        connection,
        "insert_lists",
        tenant=tenant,
        idx=int8s(indexes),
        ms=int8s(ms),
        seen=int8s(seen),
        kind=int8s(kinds),
        actor_id=int8s_or_null(actors),
        target_id=int8s_or_null(targets),
        document=bools(are_documents),
        first=int8s([1, *(stop + 1 for stop in stops[:-1])]),
        last=int8s(stops),
        terms=int8s_of(terms),
    )
    places = [(term, each.ms, each.index, each.seen) for each in listed for term in each.places]
    if places:
        numbers, placed_ms, placed_at, placed_seen = map(int8s, zip(*places, strict=True))
        execute(
            connection,
            "insert_places",
            tenant=tenant,
            terms=numbers,
            ms=placed_ms,
            idx=placed_at,
            seen=placed_seen,
        )

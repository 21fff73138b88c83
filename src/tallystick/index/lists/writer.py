"""The follower that keeps lists, totals and resources.

New entries go into the open block of their tenant, which is sealed when it is full. An entry that
comes to look different is dropped where it stands and added again: the newest place counts.
Everything a round of slices does, cursors included, is one transaction, so that a kill at any
point leaves a state that some moment had.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from tallystick import limits
from tallystick.errors import StoreBusy
from tallystick.events.dialect_rules import Rules
from tallystick.events.event import Event, HeadSlot, Op, View
from tallystick.events.references import to_text
from tallystick.followers.damage import Cursor, ListsDamaged
from tallystick.followers.follow import Slice
from tallystick.index.document import derived_terms, seen_by
from tallystick.index.lists.block import IndexOrder, Key, TimeOrder
from tallystick.index.lists.block_query import AllOf, AnyOf, BlockNode, HasTerm
from tallystick.index.lists.compaction import Tidier
from tallystick.index.lists.paging import page
from tallystick.index.lists.resources import Identity, ResourceTable
from tallystick.index.lists.tenant_blocks import (
    ROW_BITS,
    Shelf,
    open_writer,
    read_meta,
    tenant_number,
    transaction,
    translated,
    verify_folder,
)
from tallystick.index.lists.term_hash import TermHasher
from tallystick.log.views import event_of, events_of, recorded_view
from tallystick.query.expr import Scalar
from tallystick.store.base import Store, head_key

SEALED_ROWS = 4_096
"""Rows of an open block that get it sealed: what a reader keeps in memory for a busy tenant."""

MERGED_BLOCKS = 16
"""Small blocks that are made one: what every question has to look at in vain, at most."""

_ROWS_MAX = 1 << 15
_SHELVES = 64
_READ_AT_ONCE = 64
_SAYING_WHO = frozenset({"actor", "target", "place"})


class ViewsWriter:
    """Keeps the lists in one folder; used by one thread."""

    name = "views"

    def __init__(
        self,
        folder: Path,
        store: Store,
        rules: Rules,
        *,
        sealed_rows: int = SEALED_ROWS,
        merged_blocks: int = MERGED_BLOCKS,
        purge_after_s: float = 60.0,
    ) -> None:
        self._store = store
        self._rules = rules
        self._sealed_rows = sealed_rows
        self._connection = open_writer(folder)
        with translated():
            key = read_meta(self._connection, "key")
        if key is None:
            raise ListsDamaged("the index lost its key", hint="rebuild the index")
        self._hash = TermHasher(key)
        self._resources = ResourceTable(self._connection)
        self._tidier = Tidier(
            folder, self._connection, merged_blocks=merged_blocks, purge_after_s=purge_after_s
        )
        self._shelves: OrderedDict[str, Shelf] = OrderedDict()
        # Of the transaction that is open: rows to be inserted, shelves whose blocks changed.
        self._arrivals: list[tuple[int, int, int, bytes]] = []
        self._reshaped: set[int] = set()

    def cursors(self) -> dict[str, Cursor]:
        """Return for each tenant how far its log is listed."""
        with translated():
            rows = self._connection.execute("SELECT tenant, next, mark FROM tenants")
            return {tenant: Cursor(next, mark) for tenant, next, mark in rows}

    def number_of(self, field: str, value: Scalar) -> int:
        """Return the number by which the blocks know a term."""
        return self._hash(field, value)

    def apply(self, parts: Sequence[Slice]) -> None:
        """Take in one slice of each of some tenants, all of them or none.

        Raises: StoreCorrupt, StoreFailed, StoreBusy.
        """
        try:
            with transaction(self._connection, "IMMEDIATE"):
                for part in parts:
                    self._apply(part)
        except BaseException:
            self._forget()
            raise
        if any(view.first.erased for part in parts for view in part.changed):
            self._empty_write_ahead_log()
        self._tidier.delete_files()
        while len(self._shelves) > _SHELVES:
            tenant, shelf = self._shelves.popitem(last=False)
            if shelf is self._tidier.shelf:
                self._shelves[tenant] = shelf

    def commit(self, *, urgent: bool) -> bool:
        """Do nothing: what was applied can be read at once."""
        return True

    def tidy(self) -> bool:
        """Do a few milliseconds of housekeeping; tell whether there is more to do."""
        try:
            return self._tidier.step(tuple(self._shelves.values()), self._shelf)
        except BaseException:
            self._forget()
            raise

    def verify(self) -> None:
        """Compare the checksums of the tables' pages and of every block.

        Raises: ListsDamaged.
        Cost: a pass over all files.
        """
        verify_folder(self._tidier.folder, self._connection)

    def residue(self) -> bool:
        """There is never any: blocks that held what was erased are rewritten by `tidy`."""
        return False

    def close(self) -> None:
        """Close the files; idempotent."""
        self._connection.close()

    def _empty_write_ahead_log(self) -> None:
        """Leave nothing in it of what was erased; a reader at work puts that off."""
        with suppress(StoreBusy), translated():
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _forget(self) -> None:
        """Drop what is in memory: the next slice reads it again as it is stored."""
        self._shelves.clear()
        self._resources.forget()
        self._tidier.forget()
        self._arrivals.clear()
        self._reshaped.clear()

    def _apply(self, part: Slice) -> None:
        shelf = self._shelf(part.tenant)
        if shelf.next != part.start:
            raise ListsDamaged(f"the lists are at {shelf.next}, the slice begins at {part.start}")
        replaced = self._resources.learn(
            shelf.number, part.fresh, part.current, partial(self._sightings, shelf, part.tenant)
        )
        again = {view.index: view for view in part.changed}
        earlier = [index for index in replaced if index < part.start and index not in again]
        for view in self._recorded(part.tenant, earlier):
            again[view.index] = view
        for view in again.values():
            self._hide(shelf, view)
        for view in (*part.fresh, *again.values()):
            self._add(shelf, view, part)
        for view in part.changed:
            if _SAYING_WHO.intersection(view.first.erased):
                self._relearn(shelf, part, view.index)
        self._finish(shelf, part)

    def _finish(self, shelf: Shelf, part: Slice) -> None:
        execute = self._connection.execute
        self._learn_kinds(shelf, part.fresh)
        if shelf.open.rows >= self._sealed_rows:
            self._seal(shelf)
        self._connection.executemany("INSERT INTO arrivals VALUES (?, ?, ?, ?)", self._arrivals)
        self._arrivals.clear()
        if shelf.number in self._reshaped:
            shelf.shape += 1
            self._reshaped.discard(shelf.number)
        shelf.next = part.stop
        execute(
            "UPDATE tenants SET next = ?, mark = ?, shape = ? WHERE number = ?",
            (shelf.next, part.mark, shelf.shape, shelf.number),
        )

    def _shelf(self, tenant: str) -> Shelf:
        shelf = self._shelves.get(tenant)
        if shelf is None:
            number = tenant_number(self._connection, tenant)
            if number is None:
                number = self._add_tenant(tenant)
            shelf = self._shelves[tenant] = Shelf(number)
            shelf.refresh(self._tidier.folder, self._connection)
        else:
            self._shelves.move_to_end(tenant)
        return shelf

    def _add_tenant(self, tenant: str) -> int:
        execute = self._connection.execute
        execute("INSERT INTO tenants (tenant, next, mark, shape) VALUES (?, 0, x'', 0)", (tenant,))
        number = self._connection.last_insert_rowid()
        execute("INSERT INTO blocks VALUES (NULL, ?, 0, 0, 0, 0, 0, x'')", (number,))
        return number

    def _add(self, shelf: Shelf, view: View, part: Slice) -> None:
        seen = seen_by(self._rules, view, part.current)
        terms = derived_terms(self._rules, view, part.tenant_uuid, seen)
        numbers = array("Q", self._hash.numbers_of(view, seen, terms))
        block = shelf.open
        row = block.add(view.index, view.first.occurred_ms, numbers)
        self._arrivals.append(
            ((block.id << ROW_BITS) + row, view.index, view.first.occurred_ms, numbers.tobytes())
        )
        if block.rows >= _ROWS_MAX:
            self._seal(shelf)

    def _hide(self, shelf: Shelf, view: View) -> None:
        """Drop the row in which an earlier entry stands now."""
        execute = self._connection.execute
        row = shelf.open.arrival_of(view.index)
        block = shelf.open.id
        if row is not None:
            shelf.open.drop(row)
            if view.first.erased:
                pos = (block << ROW_BITS) + row
                execute("UPDATE arrivals SET terms = x'' WHERE pos = ?", (pos,))
        else:
            block, row = shelf.hide_sealed(view.index)
        execute("INSERT INTO gone VALUES (?)", ((block << ROW_BITS) + row,))
        execute(
            "UPDATE blocks SET gone = gone + 1, erased = erased + ? WHERE id = ?",
            (int(bool(view.first.erased)), block),
        )
        self._reshaped.add(shelf.number)

    def _seal(self, shelf: Shelf) -> None:
        # Rows that arrived since the last transaction go into the file at once.
        self._arrivals.clear()
        self._tidier.seal(shelf)
        self._reshaped.add(shelf.number)

    def _learn_kinds(self, shelf: Shelf, views: Iterable[View]) -> None:
        known = shelf.kinds
        if known is None:
            rows = self._connection.execute(
                "SELECT kind FROM kinds WHERE tenant = ?", (shelf.number,)
            )
            known = shelf.kinds = {kind for (kind,) in rows}
        new = {view.first.kind for view in views} - known
        # Beyond so many nobody can list them, and questions by pattern go to the search.
        for kind in sorted(new)[: max(limits.QUERY_TERMS - len(known), 0)]:
            self._connection.execute("INSERT INTO kinds VALUES (?, ?)", (shelf.number, kind))
            known.add(kind)

    def _recorded(self, tenant: str, indexes: Sequence[int]) -> list[View]:
        if not indexes:
            return []
        rows = self._store.rows_at(tenant, indexes)
        return [recorded_view(tenant, rows[index]) for index in sorted(rows)]

    # What an erasure takes back

    def _relearn(self, shelf: Shelf, part: Slice, index: int) -> None:
        """Work out again what is known of the resources that owe something to an erased entry."""
        shelf.open.rank()
        # What is kept in memory may owe to the erased entry when a name was last told.
        self._resources.forget()
        keys = self._resources.sourced_by(shelf.number, index)
        self._resources.unlink(shelf.number, index)
        for key in keys:
            document = self._latest_document(shelf, part, key)
            events = self._sightings(shelf, part.tenant, key)
            self._resources.relearn(shelf.number, key, events, document)

    def _sightings(self, shelf: Shelf, tenant: str, key: Identity) -> Iterator[Event]:
        """Yield the entries that name a resource, the last to occur first."""
        shelf.open.rank()
        number_of, value = self._hash, to_text(*key)
        named = AnyOf(
            tuple(HasTerm((number_of(role, value),)) for role in ("actor", "target", "scope"))
        )
        node = AllOf((named, _any_op(number_of)))
        after: Key | None = None
        while True:
            rows = page(
                shelf.blocks, node, TimeOrder, descending=True, after=after, limit=_READ_AT_ONCE
            )
            stored = self._store.rows_at(tenant, [row.entry for row in rows])
            yield from events_of(tenant, [stored[row.entry] for row in rows])
            if len(rows) < _READ_AT_ONCE:
                return
            after = rows[-1].key

    def _latest_document(self, shelf: Shelf, part: Slice, key: Identity) -> int | None:
        number_of = self._hash
        node = AllOf(
            (
                HasTerm((number_of("target", to_text(*key)),)),
                HasTerm((number_of("op", Op.DOCUMENT.value),)),
            )
        )
        rows = page(shelf.blocks, node, IndexOrder, descending=True, limit=1)
        if not rows:
            return None
        index = rows[0].entry
        heads = self._store.resource_heads(part.tenant, [head_key(HeadSlot.DOCUMENT, *key)])
        head = next(iter(heads.values()), None)
        # A later document whose target was erased is not listed, and yet it replaced this one.
        if head is not None and index < head.index < part.stop:
            return None
        event = event_of(part.tenant, self._store.rows_at(part.tenant, [index])[index])
        return None if event.kind.endswith(".delete") else index


def _any_op(number_of: TermHasher) -> BlockNode:
    return HasTerm((number_of("op", Op.RECORD.value), number_of("op", Op.DOCUMENT.value)))

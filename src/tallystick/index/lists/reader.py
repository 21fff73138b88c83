"""Reading the lists' folder, from any number of threads.

Keeps the blocks of the tenants asked for last; brings them up to date when a question needs it.
One lock a tenant: a question and the refresh before it see one state.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tallystick.followers.damage import ListsDamaged
from tallystick.index.lists.resources import Identity, parents_of
from tallystick.index.lists.tenant_blocks import (
    Shelf,
    open_reader,
    read_meta,
    tenant_number,
    transaction,
    translated,
)
from tallystick.index.lists.term_hash import TermHasher
from tallystick.query.expr import Scalar
from tallystick.query.question import ResourceQuery

_SHELVES = 64
_TRIES = 20


class ResourceRow:
    """The row of one resource."""

    __slots__ = ("document", "id", "name", "parents", "type")

    def __init__(
        self, type: str, id: str, name: str | None, document: int | None, parents: str | None
    ) -> None:
        self.type = type
        self.id = id
        self.name = name
        self.document = document
        self.parents = parents_of(parents)


class ViewsReader:
    """Answers from one folder of lists; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Guards the connection, the hasher and the table of shelves; never held with a shelf's.
        self._lock = threading.RLock()
        self._connection = open_reader(folder)
        with translated():
            key = read_meta(self._connection, "key")
        if key is None:
            raise ListsDamaged("the index lost its key", hint="rebuild the index")
        self._hasher = TermHasher(key)
        self._shelves: OrderedDict[str, tuple[threading.RLock, Shelf]] = OrderedDict()

    def number_of(self, field: str, value: Scalar) -> int:
        """Return the number of a term."""
        with self._lock:
            return self._hasher(field, value)

    @contextmanager
    def shelf(self, tenant: str, size: int) -> Iterator[Shelf | None]:
        """Lend the blocks of a tenant with at least the first `size` entries in them.

        None for a tenant of which nothing is listed yet.
        """
        entry = self._entry(tenant)
        if entry is None:
            yield None
            return
        lock, shelf = entry
        with lock:
            if shelf.next < size or shelf.shape < 0:
                self._refresh(shelf)
            yield shelf

    def kinds(self, tenant: str) -> list[str]:
        """Return every kind of a tenant's entries, as far as they are listed."""
        with self._lock, translated():
            number = tenant_number(self._connection, tenant)
            rows = self._connection.execute("SELECT kind FROM kinds WHERE tenant = ?", (number,))
            return [kind for (kind,) in rows]

    def resource(self, tenant: str, key: Identity) -> ResourceRow | None:
        """Return the row of one resource."""
        with self._lock, translated():
            number = tenant_number(self._connection, tenant)
            row = self._connection.execute(
                "SELECT type, id, name, document, parents FROM resources"
                " WHERE tenant = ? AND type = ? AND id = ?",
                (number, *key),
            ).fetchone()
            return None if row is None else ResourceRow(*row)

    def resources(self, tenant: str, question: ResourceQuery) -> list[ResourceRow]:
        """Return a page of rows by id; each is found by a key, none is scanned past in vain."""
        with self._lock, translated():
            number = tenant_number(self._connection, tenant)
            sql, values = resource_sql(number, question)
            return [ResourceRow(*row) for row in self._connection.execute(sql, values)]

    def query_plan(self, tenant: str, question: ResourceQuery) -> list[str]:
        """Return how SQLite would find a page of resources."""
        with self._lock, translated():
            sql, values = resource_sql(tenant_number(self._connection, tenant), question)
            rows = self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
            return [str(row[3]) for row in rows]

    def close(self) -> None:
        """Close the files; idempotent."""
        with self._lock:
            self._connection.close()

    def _entry(self, tenant: str) -> tuple[threading.RLock, Shelf] | None:
        with self._lock:
            entry = self._shelves.get(tenant)
            if entry is not None:
                self._shelves.move_to_end(tenant)
                return entry
            with translated():
                number = tenant_number(self._connection, tenant)
            if number is None:
                return None
            entry = self._shelves[tenant] = (threading.RLock(), Shelf(number))
            if len(self._shelves) > _SHELVES:
                self._shelves.popitem(last=False)
            return entry

    def _refresh(self, shelf: Shelf) -> None:
        for _ in range(_TRIES):
            try:
                with self._lock, transaction(self._connection):
                    shelf.refresh(self._folder, self._connection)
                return
            except FileNotFoundError:
                # A merge took the file away between our look at the table and at the folder.
                shelf.shape = -1
        raise ListsDamaged("the index lost a file", hint="rebuild the index")


def resource_sql(
    number: int | None, question: ResourceQuery
) -> tuple[str, Sequence[int | str | None]]:
    """Return the statement that finds a page of resources, and its values."""
    values: list[int | str | None] = [number]
    source, where = "resources AS r", ["r.tenant = ?"]
    if question.parent is not None:
        source = "children AS c CROSS JOIN resources AS r USING (tenant, type, id)"
        where = ["c.tenant = ?", "c.parent_type = ?", "c.parent_id = ?", "c.type = ?"]
        values += [*question.parent, question.type]
        id = "c.id"
    else:
        where.append("r.type = ?")
        values.append(question.type)
        id = "r.id"
    if question.name is not None:
        where.append("r.name = ?")
        values.append(question.name)
    if question.low is not None:
        where.append(f"{id} {'>=' if question.low_inclusive else '>'} ?")
        values.append(question.low)
    if question.high is not None:
        where.append(f"{id} {'<=' if question.high_inclusive else '<'} ?")
        values.append(question.high)
    if question.live:
        where.append("r.document IS NOT NULL")
    values.append(question.limit)
    return (
        f"SELECT r.type, r.id, r.name, r.document, r.parents FROM {source}"
        f" WHERE {' AND '.join(where)} ORDER BY {id} LIMIT ?",
        values,
    )

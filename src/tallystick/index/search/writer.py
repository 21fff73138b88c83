"""The writing side of the search index: documents in, cursors out. Used by one thread.

Documents and cursors become true together: see `names` for how. What a crash leaves behind is not
there for the next one who opens the folder, so the log is read again from the cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tallystick.index.document import Document
from tallystick.index.search import engine, queries, terms
from tallystick.index.search.catalogue import NamesWriter, TenantRow
from tallystick.index.search.clauses.tenant_snapshot import INDEX_BITS
from tallystick.index.search.documents.encoder import Speller
from tallystick.index.search.documents.paths import TenantPaths

NAMES_FILE = "names.db"
SEGMENTS_FOLDER = "segments"

_HEAP_BYTES = 32 * 1024 * 1024
_KEYS_AT_ONCE = 1_000


class SearchWriter:
    """Fills a folder; what was committed shows to whoever reads it after `refresh`."""

    def __init__(self, path: Path, *, heap_bytes: int = _HEAP_BYTES) -> None:
        self._segments = path / SEGMENTS_FOLDER
        self._segments.mkdir(exist_ok=True)
        self._index = engine.IndexWriter(self._segments, heap_bytes)
        self._stamp = engine.stamp_of(self._segments)
        self._names = NamesWriter(path / NAMES_FILE, self._stamp)
        self._known = self._names.tenants()
        self._next = {tenant: cursor for tenant, (_, cursor) in self._known.items()}
        self._latest_ms: dict[str, int] = {}
        self._tenants: dict[str, TenantPaths] = {}
        self._touched: set[str] = set()
        self._speller = Speller(self._names.secret)
        self._closed = False

    def cursors(self) -> dict[str, int]:
        """Return for each tenant the next index, as of the last commit."""
        return {tenant: cursor for tenant, (_, cursor) in self._known.items()}

    def apply(
        self,
        tenant: str,
        documents: Sequence[Document],
        removed: Sequence[str],
        next_index: int,
    ) -> None:
        """Remove what has one of the keys, then add documents, in place of what has their keys."""
        paths = self._tenant(tenant)
        old = [key for document in documents if not document.fresh for key in document.keys]
        self._remove(paths, [*removed, *old])
        above = paths.ordinal << INDEX_BITS
        for document in documents:
            first = document.view.first
            fields = self._speller.fields(paths, document)
            self._index.add(above | first.index, first.occurred_ms, first.recorded_ms, *fields)
        latest_ms = max((one.view.first.occurred_ms for one in documents), default=0)
        self._latest_ms[tenant] = max(latest_ms, self._latest_ms.get(tenant, latest_ms))
        self._next[tenant] = next_index
        self._touched.add(tenant)

    def commit(self) -> None:
        """Make everything applied durable and readable, cursors and documents together."""
        self._names.write(
            self._stamp,
            [self._row(tenant) for tenant in sorted(self._touched)],
            [path for tenant in self._touched for path in self._tenants[tenant].changed()],
        )
        self._index.commit()
        self._stamp = engine.stamp_of(self._segments)
        for tenant in self._touched:
            self._known[tenant] = (self._tenants[tenant].ordinal, self._next[tenant])
        self._touched.clear()
        if self._speller.is_full:
            self._tenants.clear()
            self._speller.forget()

    def residue(self) -> int:
        """Return how many removed documents still have their words in the files.

        They show nowhere, but are destroyed only when their segment is merged, which nobody can
        force: who has to be rid of them fills another folder.
        """
        return engine.residue_of(self._segments)

    def close(self) -> None:
        """Drop what was not committed and release files; idempotent."""
        if not self._closed:
            self._closed = True
            self._index.close()
            self._names.close()

    def _tenant(self, tenant: str) -> TenantPaths:
        found = self._tenants.get(tenant)
        if found is None:
            ordinal, _ = self._known.setdefault(tenant, (self._next_ordinal(), 0))
            found = self._tenants[tenant] = TenantPaths(ordinal, self._names.paths(ordinal))
        return found

    def _next_ordinal(self) -> int:
        return max((ordinal for ordinal, _ in self._known.values()), default=-1) + 1

    def _row(self, tenant: str) -> TenantRow:
        ordinal, cursor = self._known[tenant]
        return TenantRow(tenant, ordinal, cursor, self._next[tenant], self._latest_ms[tenant])

    def _remove(self, paths: TenantPaths, keys: Iterable[str]) -> None:
        above = paths.ordinal << INDEX_BITS
        indexes: list[int] = []
        items: list[str] = []
        for key in keys:
            if key.isdecimal():
                indexes.append(above | int(key))
            else:
                items.append(terms.item_key(paths.prefix, key))
        for at in range(0, max(len(indexes), len(items)), _KEYS_AT_ONCE):
            part = queries.any_of(
                (
                    queries.keys_in(indexes[at : at + _KEYS_AT_ONCE]),
                    queries.any_fact(items[at : at + _KEYS_AT_ONCE]),
                )
            )
            if not isinstance(part, bool):
                self._index.remove(queries.to_query(part))

"""The writing side of the search index: documents in, cursors out. Used by one thread.

Documents and cursors become true together: see `names` for how. One document an entry is what each
commit keeps, whatever a crash left behind: before a process adds anything of a tenant, it removes
all beyond the tenant's cursor, and from there on a document is added either for the first time or
in the place of the one that is removed with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from tallystick.followers.damage import Cursor, SearchDamaged
from tallystick.index.document import Document
from tallystick.index.search import engine, queries
from tallystick.index.search.catalogue import NamesWriter, TenantRow
from tallystick.index.search.clauses.tenant_snapshot import INDEX_BITS, INDEX_MAX, documents_with
from tallystick.index.search.documents.encoder import Speller
from tallystick.index.search.documents.paths import TenantPaths
from tallystick.index.search.integrity import verify_segments

NAMES_FILE = "names.db"
SEGMENTS_FOLDER = "segments"

_HEAP_BYTES = 32 * 1024 * 1024
_KEYS_AT_ONCE = 1_000
_CHECKED_AT_ONCE = 4_096
_START = Cursor(0, b"")


class SearchWriter:
    """Fills a folder; readers see what was committed after `refresh`."""

    def __init__(self, path: Path, *, heap_bytes: int = _HEAP_BYTES) -> None:
        self._segments = path / SEGMENTS_FOLDER
        self._segments.mkdir(exist_ok=True)
        self._names = NamesWriter(path / NAMES_FILE)
        try:
            self._index = engine.IndexWriter(self._segments, self._names.id, heap_bytes)
            if engine.stamp_of(self._segments) < self._names.stamp:
                raise SearchDamaged("the search index is older than what is known of it")
        except BaseException:
            self._names.close()
            raise
        self._known = self._names.tenants()
        self._next = {tenant: cursor for tenant, (_, cursor) in self._known.items()}
        self._latest_ms: dict[str, int] = {}
        self._tenants: dict[str, TenantPaths] = {}
        self._touched: set[str] = set()
        # Tenants of which nothing is left that is beyond their cursors.
        self._cleared: set[str] = set()
        self._erased = False
        self._speller = Speller(self._names.secret)
        self._check = self._find_doubles()
        self._closed = False

    def cursors(self) -> dict[str, Cursor]:
        """Return for each tenant how far its log was read, as of the last commit."""
        return {tenant: cursor for tenant, (_, cursor) in self._known.items()}

    def apply(
        self,
        tenant: str,
        documents: Sequence[Document],
        removed: Sequence[str],
        cursor: Cursor,
    ) -> None:
        """Remove what has one of the keys, then add documents, in place of what has their keys.

        `cursor` is that of the log behind them.
        """
        paths = self._tenant(tenant)
        before = self._next.get(tenant, _START).next
        if tenant not in self._cleared:
            self._remove_beyond(paths, before)
            self._cleared.add(tenant)
        old = [
            key
            for document in documents
            if not document.fresh or document.view.first.index < before
            for key in document.keys
        ]
        self._remove(paths, [*removed, *old])
        above = paths.ordinal << INDEX_BITS
        for document in documents:
            first = document.view.first
            fields = self._speller.fields(paths, document)
            self._index.add(above | first.index, first.occurred_ms, first.recorded_ms, *fields)
        latest_ms = max((one.view.first.occurred_ms for one in documents), default=0)
        self._latest_ms[tenant] = max(latest_ms, self._latest_ms.get(tenant, latest_ms))
        self._next[tenant] = cursor
        self._touched.add(tenant)

    def has_erased(self) -> None:
        """Learn that the next commit takes away what was erased."""
        self._erased = True

    def commit(self) -> None:
        """Make everything applied durable and readable, cursors and documents together."""
        self._names.write(
            [self._row(tenant) for tenant in sorted(self._touched)],
            [path for tenant in self._touched for path in self._tenants[tenant].changed()],
            erased=self._erased,
        )
        self._index.commit()
        self._names.committed(engine.stamp_of(self._segments))
        self._erased = False
        for tenant in self._touched:
            self._known[tenant] = (self._tenants[tenant].ordinal, self._next[tenant])
        self._touched.clear()
        if self._speller.is_full:
            self._tenants.clear()
            self._speller.forget()

    def residue(self) -> bool:
        """Tell whether words of what was erased may still be in the files.

        They show nowhere, but are destroyed only when their segment is merged, which nobody can
        force: to be rid of them, fill another folder.
        """
        if not self._names.erased():
            return False
        if self._touched or engine.residue_of(self._segments):
            return True
        self._names.forget_erased()
        return False

    def check_step(self) -> bool:
        """Look whether a few thousand entries have one document at most; tell whether to go on.

        Raises: SearchDamaged.
        """
        return next(self._check, False)

    def verify(self) -> None:
        """Compare the checksums of all files.

        Raises: SearchDamaged.
        Cost: a pass over all files.
        """
        self._names.verify()
        verify_segments(self._segments)

    def close(self) -> None:
        """Drop what was not committed and release files; idempotent."""
        if not self._closed:
            self._closed = True
            self._index.close()
            self._names.close()

    def _tenant(self, tenant: str) -> TenantPaths:
        found = self._tenants.get(tenant)
        if found is None:
            ordinal, _ = self._known.setdefault(tenant, (self._next_ordinal(), _START))
            found = self._tenants[tenant] = TenantPaths(ordinal, self._names.paths(ordinal))
        return found

    def _next_ordinal(self) -> int:
        return max((ordinal for ordinal, _ in self._known.values()), default=-1) + 1

    def _row(self, tenant: str) -> TenantRow:
        ordinal, cursor = self._known[tenant]
        return TenantRow(tenant, ordinal, cursor, self._next[tenant], self._latest_ms[tenant])

    def _find_doubles(self) -> Iterator[bool]:
        """Look at every entry that was committed when the folder was opened, once."""
        engine.reload(self._index.index)
        snapshot = engine.Snapshot(self._index.index)
        for tenant, (ordinal, cursor) in list(self._known.items()):
            for start in range(0, cursor.next, _CHECKED_AT_ONCE):
                if snapshot.has_doubles(ordinal << INDEX_BITS | start, _CHECKED_AT_ONCE):
                    raise SearchDamaged(f"an entry of {tenant!r} is in the search index twice")
                yield True

    def _remove_beyond(self, paths: TenantPaths, start: int) -> None:
        """Remove what an interrupted process left beyond a tenant's cursor."""
        above = paths.ordinal << INDEX_BITS
        beyond = queries.between(queries.KEY, above | start, above | INDEX_MAX)
        self._index.remove(queries.to_query(beyond))

    def _remove(self, paths: TenantPaths, keys: Iterable[str]) -> None:
        above = paths.ordinal << INDEX_BITS
        rest = iter(keys)
        while some := list(islice(rest, _KEYS_AT_ONCE)):
            part = documents_with(paths.prefix, above, some)
            self._index.remove(queries.to_query(part))

"""The writing side of the search in OpenSearch: documents in, cursors out. Used by one thread.

What one commit wrote becomes readable at once, cursors with it. A process that dies between leaves
documents that are ahead of their cursor: they are written again, under the same or a later version.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from tallystick.errors import StoreBusy, StoreError, for_operator
from tallystick.followers.damage import Cursor
from tallystick.index.document import Document
from tallystick.index.opensearch.documents import (
    event_id,
    id_of,
    item_id,
    source_of,
    stub_of,
    tenant_key,
)
from tallystick.index.opensearch.engine import DocumentWrite, Engine

_AGAIN_S = 5.0

_log = structlog.get_logger(__name__)


class OpenSearchWriter:
    """Fills one index; `tenants` are those whose logs there are."""

    def __init__(self, engine: Engine, tenants: Callable[[], Sequence[str]]) -> None:
        self._engine = engine
        engine.require()
        kept = engine.cursors()
        self._known = {
            tenant: Cursor(kept[key][0], bytes.fromhex(kept[key][1]))
            for tenant in tenants()
            if (key := tenant_key(tenant)) in kept
        }
        self._next: dict[str, Cursor] = {}
        self._writes: list[DocumentWrite] = []
        self._erased = False
        # Set while something that was erased may be left in the files; read by other threads.
        self._residue = threading.Event()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._cleaner: threading.Thread | None = None
        if self._known and engine.has_overwritten():
            # A process before this one may have ended between an erasure and what follows it.
            self._clean()

    def cursors(self) -> Mapping[str, Cursor]:
        """Return for each tenant how far its log was read, as of the last commit."""
        return dict(self._known)

    def apply(
        self, tenant: str, documents: Sequence[Document], removed: Sequence[str], cursor: Cursor
    ) -> None:
        """Overwrite what has one of the keys with stubs, then write documents."""
        version = max(cursor.next, 1)
        stub = stub_of(tenant)
        gone = {self._id_of(tenant, key): None for key in removed}
        entries = [int(key) for key in removed if key.isdecimal()]
        if entries:
            # An item is kept under its own name: which one an entry was of only the index knows.
            self._flush()
            self._engine.refresh()
            gone.update(dict.fromkeys(self._engine.ids_at(tenant, entries)))
        self._writes += [DocumentWrite(id, tenant, version, stub) for id in gone]
        self._writes += [
            DocumentWrite(id_of(tenant, each.keys), tenant, version, source_of(tenant, each))
            for each in documents
        ]
        self._next[tenant] = cursor

    def has_erased(self) -> None:
        """Learn that the next commit takes away what was erased."""
        self._erased = True

    def commit(self) -> None:
        """Make everything applied durable and readable."""
        self._flush()
        cursors = [self._engine.put_cursor(*each) for each in self._next.items()]
        self._engine.write(cursors)
        self._engine.refresh()
        self._known.update(self._next)
        self._next = {}
        if self._erased:
            self._erased = False
            self._clean()

    def residue(self) -> bool:
        """Tell whether something that was erased may be left in the files of the engine."""
        return self._residue.is_set()

    def check_step(self) -> bool:
        """There are no doubles to look for: a document has one name."""
        return False

    def verify(self) -> None:
        """See that the index is there; its checksums are the engine's own business.

        Raises: SearchDamaged.
        """
        self._engine.require()

    def close(self) -> None:
        """Drop what was not committed and release connections; idempotent."""
        self._closed.set()
        self._wanted.set()
        if self._cleaner is not None:
            self._cleaner.join()
        self._engine.close()

    def _clean(self) -> None:
        """Have what was erased taken out of the files, in a thread: it takes half a minute."""
        self._residue.set()
        self._wanted.set()
        if self._cleaner is None:
            self._cleaner = threading.Thread(target=self._expunge, name="expunge", daemon=True)
            self._cleaner.start()

    def _expunge(self) -> None:
        while True:
            self._wanted.wait()
            if self._closed.is_set():
                return
            self._wanted.clear()
            try:
                is_done = self._engine.expunge()
            except (StoreBusy, StoreError) as error:
                _log.warning("erased_documents_wait", reason=for_operator(error))
                is_done = False
            if not is_done:
                self._closed.wait(_AGAIN_S)
                self._wanted.set()
            elif not self._wanted.is_set():
                self._residue.clear()

    def _flush(self) -> None:
        writes, self._writes = self._writes, []
        self._engine.write(writes)

    def _id_of(self, tenant: str, key: str) -> str:
        return event_id(tenant, key) if key.isdecimal() else item_id(tenant, key)

"""What a log has beyond the last commit of the search index, kept in memory while it is asked for.

A commit of the index costs as much for one entry as for thousands, so a question does not wait for
one: it asks the index as of its last commit, and `query.match` for each of the entries since. These
come as the follower itself would take them in: as documents, some in the place of earlier ones, and
as keys of what is gone. So the index with its tail answers as the index will after the commit.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tallystick import deadline, limits
from tallystick.events.dialect_rules import Rules
from tallystick.events.event import View
from tallystick.followers.follow import slice_of, tenant_uuid, within_bytes
from tallystick.index.document import Document, documents_of
from tallystick.query.expr import Expr
from tallystick.query.match import to_predicate
from tallystick.query.values import Values
from tallystick.store.base import LogRow, Store

_TAILS_BYTES = 32 * 1024 * 1024
_KEPT_S = 10.0
"""How long a tail is kept that nobody asks for: it holds content that may be erased meanwhile."""


class TailDocument(NamedTuple):
    """A document beyond the index, with its values read once for all questions."""

    view: View
    values: Values
    seen: tuple[str, ...]
    keys: tuple[str, ...]
    stop: int
    """A commit of the index up to here has it."""


class SearchTail(NamedTuple):
    """Entries beyond the index, and the keys of documents in it that no longer hold."""

    documents: Sequence[TailDocument] = ()
    hidden: Sequence[str] = ()

    def matching(self, where: Expr, seen: Sequence[str]) -> Iterator[TailDocument]:
        """Yield the documents that match and are seen by one of some names."""
        test, names = to_predicate(where), frozenset(seen)
        for document in self.documents:
            deadline.check()
            if not names.isdisjoint(document.seen) and test(document.values):
                yield document


EMPTY = SearchTail()


class SearchTails:
    """The tails of the tenants that are asked for; safe to share between threads."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self._rules = rules
        # Guards the table; each tail has a lock of its own. The one used last stands last.
        self._lock = threading.Lock()
        self._tails: OrderedDict[str, _GrowingTail] = OrderedDict()

    def tail(self, tenant: str, start: int, size: int) -> SearchTail | None:
        """Return entries [start, size) beyond an index; None if they are too large to be kept."""
        if size <= start:
            return EMPTY
        if size - start > limits.SEARCH_TAIL_ENTRIES:
            return None
        with self._lock:
            growing = self._tails.get(tenant)
            if growing is None:
                growing = self._tails[tenant] = _GrowingTail(self._store, self._rules, tenant)
            self._tails.move_to_end(tenant)
        tail = growing.tail(start, size)
        self._forget()
        return tail

    def _forget(self) -> None:
        """Drop what was not asked for lately, and of more than there is room for the oldest."""
        with self._lock:
            total = sum(growing.bytes for growing in self._tails.values())
            before_s = time.monotonic() - _KEPT_S
            while self._tails:
                tenant, oldest = next(iter(self._tails.items()))
                if oldest.used_s >= before_s and total <= _TAILS_BYTES:
                    break
                total -= oldest.bytes
                del self._tails[tenant]


class _GrowingTail:
    """The tail of one tenant: grows at its end with the log, shrinks with the index's commits."""

    def __init__(self, store: Store, rules: Rules, tenant: str) -> None:
        self._store = store
        self._rules = rules
        self._tenant = tenant
        self._uuid = tenant_uuid(store, tenant)
        self._lock = threading.Lock()
        self._start = self._stop = 0
        # By the first of their keys, which is that of their entry.
        self._documents: dict[str, TailDocument] = {}
        self._owners: dict[str, str] = {}
        # Keys of what is gone, or stands in the index in an older form, until it is committed
        # up to there.
        self._hidden: dict[str, int] = {}
        self._slices: list[_Taken] = []
        self.bytes = 0
        self.used_s = time.monotonic()

    def tail(self, start: int, size: int) -> SearchTail | None:
        with self._lock:
            self.used_s = time.monotonic()
            # Another generation of the index may be behind the one before it.
            if start < self._start or start > self._stop:
                self._begin(start)
            self._trim(start)
            while self._stop < size:
                deadline.check()
                self._grow(size)
                if self.bytes > limits.SEARCH_TAIL_BYTES:
                    self._begin(self._stop)
                    return None
            return SearchTail(tuple(self._documents.values()), tuple(self._hidden))

    def _begin(self, start: int) -> None:
        self._start = self._stop = start
        self._documents, self._owners, self._hidden = {}, {}, {}
        self._slices = []
        self.bytes = 0

    def _trim(self, start: int) -> None:
        """Drop what the index has by now."""
        if start == self._start:
            return
        self._start = start
        self._documents = {k: one for k, one in self._documents.items() if one.stop > start}
        self._owners = {key: k for k, one in self._documents.items() for key in one.keys}
        self._hidden = {key: stop for key, stop in self._hidden.items() if stop > start}
        self._slices = [taken for taken in self._slices if taken.stop > start]
        self.bytes = sum(taken.bytes for taken in self._slices)
        for taken in self._slices:
            # Where the index ends inside a slice, it may have what the slice says is gone.
            for index in range(taken.start, min(start, taken.stop)):
                self._hidden[str(index)] = taken.stop

    def _grow(self, size: int) -> None:
        rows = self._store.rows(self._tenant, self._stop, size)
        part = slice_of(self._store, self._tenant, self._uuid, self._stop, within_bytes(rows))
        documents, removed = documents_of(self._rules, part)
        for key in removed:
            self._remove(key, part.stop)
        for document in documents:
            for key in document.keys:
                if not document.fresh:
                    self._remove(key, part.stop)
                self._owners[key] = document.keys[0]
            self._documents[document.keys[0]] = _kept(document, part.stop)
        content = sum(map(_bytes_of, rows[: part.stop - part.start]))
        self._slices.append(_Taken(part.start, part.stop, content))
        self.bytes += content
        self._stop = part.stop

    def _remove(self, key: str, stop: int) -> None:
        """Take away what has a key, here and in the index."""
        self._hidden[key] = stop
        owner = self._owners.pop(key, None)
        if owner is not None:
            self._documents.pop(owner, None)


class _Taken(NamedTuple):
    """A slice in a tail."""

    start: int
    stop: int
    bytes: int


def _kept(document: Document, stop: int) -> TailDocument:
    view = document.view
    return TailDocument(view, Values(view, document.terms), document.seen, document.keys, stop)


def _bytes_of(row: LogRow) -> int:
    return sum(len(section) for section in row.sections if section is not None)

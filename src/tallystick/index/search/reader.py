"""The reading side of the search index; used by many threads at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from tallystick.index.search import engine, terms
from tallystick.index.search.catalogue import NamesReader
from tallystick.index.search.clauses.tenant_snapshot import Corpus
from tallystick.index.search.integrity import read_meta
from tallystick.index.search.moment import SearchMoment
from tallystick.index.search.selection import Recall, Selector
from tallystick.index.search.tail import EMPTY, SearchTail, SearchTails
from tallystick.index.search.watched_files import WatchedFiles
from tallystick.index.search.writer import NAMES_FILE, SEGMENTS_FOLDER
from tallystick.query.aggregate import Aggregate, AggregateResult
from tallystick.query.expr import Expr
from tallystick.query.question import Find, Found

_SUGGESTIONS = 3
_LOOKS = 5
_LOOK_AGAIN_S = 0.005


class _Committed(NamedTuple):
    """The index as of a commit; its stamp is None where another commit came in between."""

    version: tuple[int, int]
    stamp: int | None
    snapshot: engine.Snapshot
    files: WatchedFiles


class SearchReader:
    """Answers from what was committed when `refresh` was called last, or with what came since."""

    def __init__(self, path: Path, recall: Recall, tails: SearchTails | None = None) -> None:
        self._segments = path / SEGMENTS_FOLDER
        self._names = NamesReader(path / NAMES_FILE)
        self._index = engine.open_index(self._segments, self._names.id)
        self._recall = recall
        self._tails = tails
        # One reloads at a time; what was loaded is replaced as a whole.
        self._lock = threading.Lock()
        self._committed = self._load()

    def refresh(self) -> None:
        """Make the newest commit visible; costs one look at a file if there is none."""
        if engine.version_of(self._segments) != self._committed.version:
            with self._lock:
                if engine.version_of(self._segments) != self._committed.version:
                    self._committed = self._load()

    def moment(self, tenant: str) -> SearchMoment:
        """Return a tenant's documents as of the commit that is visible.

        Raises: SearchDamaged when somebody wrote to its files.
        """
        committed = self._committed
        committed.files.check()
        return self._moment(tenant, committed.snapshot, EMPTY)

    def moment_at(self, tenant: str, size: int) -> SearchMoment | None:
        """Return a tenant's documents once its log has `size` entries.

        Shape: None where too many of them are beyond the last commit, or that is under way.
        Raises: SearchDamaged when somebody wrote to its files.
        """
        for look in range(_LOOKS):
            self.refresh()
            committed = self._committed
            committed.files.check()
            cursor = self._names.cursor(tenant, committed.stamp)
            if cursor is not None:
                tail = None if self._tails is None else self._tails.tail(tenant, cursor, size)
                return None if tail is None else self._moment(tenant, committed.snapshot, tail)
            if look:
                time.sleep(_LOOK_AGAIN_S)
        return None

    def find(self, tenant: str, question: Find, seen: Sequence[str]) -> Found:
        """Return a page of documents as of the commit that is visible."""
        return self.moment(tenant).find(question, seen)

    def count(self, tenant: str, where: Expr, seen: Sequence[str]) -> int:
        """Return how many documents match as of the commit that is visible."""
        return self.moment(tenant).count(where, seen)

    def aggregate(
        self, tenant: str, question: Find, seen: Sequence[str], requests: Sequence[Aggregate]
    ) -> list[AggregateResult]:
        """Return one result a request as of the commit that is visible."""
        return self.moment(tenant).aggregate(question, seen, requests)

    def known_path(self, tenant: str, path: str) -> bool:
        """Tell whether any event ever had a value at the path or below it."""
        ordinal = self._names.tenant(tenant)
        if ordinal is None:
            return False
        if self._names.path(ordinal, path) is not None:
            return True
        # Beyond the bound on paths they have no name, but a term.
        other = terms.other(terms.number(ordinal), path)
        return self._committed.snapshot.has_fact(other)

    def suggest_path(self, tenant: str, path: str) -> Sequence[str]:
        """Return the known paths nearest to one that is not, nearest first."""
        ordinal = self._names.tenant(tenant)
        known = [] if ordinal is None else self._names.paths(ordinal)
        return get_close_matches(path, known, n=_SUGGESTIONS)

    def close(self) -> None:
        """Release files; idempotent."""
        self._names.close()

    def _load(self) -> _Committed:
        version = engine.version_of(self._segments)
        stamp = engine.stamp_of(self._segments)
        engine.reload(self._index)
        snapshot = engine.Snapshot(self._index)
        meta = read_meta(self._segments)
        files = (self._segments / name for part in meta.segments for name in part.files())
        watched = WatchedFiles(files)
        same = engine.stamp_of(self._segments) == stamp
        return _Committed(version, stamp if same else None, snapshot, watched)

    def _moment(self, tenant: str, snapshot: engine.Snapshot, tail: SearchTail) -> SearchMoment:
        ordinal = self._names.tenant(tenant)
        if ordinal is None:
            return SearchMoment(None, tail)
        corpus = Corpus(snapshot, self._names, ordinal, tail.hidden)
        return SearchMoment(Selector(corpus, tenant, self._recall), tail)

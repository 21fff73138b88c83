"""The reading side of the search index; used by many threads at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from tallystick.index.search import engine, terms
from tallystick.index.search.answers.aggregates import aggregate_of
from tallystick.index.search.answers.pages import page_of
from tallystick.index.search.catalogue import NamesReader
from tallystick.index.search.clauses.tenant_snapshot import Corpus
from tallystick.index.search.selection import Recall, Selector
from tallystick.index.search.writer import NAMES_FILE, SEGMENTS_FOLDER
from tallystick.query.aggregate import Aggregate, AggregateResult, aggregate
from tallystick.query.expr import Expr
from tallystick.query.order import RELEVANCE
from tallystick.query.question import Find, Found, Plan

_PLAN = Plan("search", "words, payload fields, patterns or ranges")
_SUGGESTIONS = 3


class SearchReader:
    """Answers from what was committed when `refresh` was called last."""

    def __init__(self, path: Path, recall: Recall) -> None:
        self._segments = path / SEGMENTS_FOLDER
        self._names = NamesReader(path / NAMES_FILE)
        self._index = engine.open_index(self._segments, self._names.id)
        self._recall = recall
        self._lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Make the newest commit visible; costs one look at a file if there is none."""
        version = engine.version_of(self._segments)
        with self._lock:
            if version != self._version:
                engine.reload(self._index)
                self._version = version

    def find(self, tenant: str, question: Find, seen: Sequence[str]) -> Found:
        """Return a page of documents.

        Raises: InvalidQuery for what would take too much work, Malformed for a foreign cursor.
        """
        selector = self._selector(tenant)
        if selector is None:
            return Found([], False, 0 if question.total else None, _PLAN)
        scored = any(sort.field == RELEVANCE for sort in question.sort)
        within = question.visible if scored else None
        selection = selector.select(question.where, seen, scored_within=within)
        total = selector.corpus.snapshot.count(selection.query) if question.total else None
        hits = page_of(selector, selection, question) if question.limit > 0 else []
        return Found(hits[: question.limit], len(hits) > question.limit, total, _PLAN)

    def count(self, tenant: str, where: Expr, seen: Sequence[str]) -> int:
        """Return how many documents match, exactly.

        Raises: InvalidQuery.
        """
        selector = self._selector(tenant)
        if selector is None:
            return 0
        return selector.corpus.snapshot.count(selector.select(where, seen).query)

    def aggregate(
        self, tenant: str, question: Find, seen: Sequence[str], requests: Sequence[Aggregate]
    ) -> list[AggregateResult]:
        """Return one result a request over everything that the question matches.

        Raises: InvalidQuery.
        """
        selector = self._selector(tenant)
        if selector is None:
            return [aggregate((), request) for request in requests]
        selection = selector.select(question.where, seen)
        return [aggregate_of(selector, selection.query, request) for request in requests]

    def known_path(self, tenant: str, path: str) -> bool:
        """Tell whether any event ever had a value at the path or below it."""
        ordinal = self._names.tenant(tenant)
        if ordinal is None:
            return False
        if self._names.path(ordinal, path) is not None:
            return True
        # Beyond the bound on paths they have no name, but a term.
        return engine.Snapshot(self._index).has_fact(terms.other(terms.number(ordinal), path))

    def suggest_path(self, tenant: str, path: str) -> Sequence[str]:
        """Return the known paths nearest to one that is not, nearest first."""
        ordinal = self._names.tenant(tenant)
        known = [] if ordinal is None else self._names.paths(ordinal)
        return get_close_matches(path, known, n=_SUGGESTIONS)

    def close(self) -> None:
        """Release files; idempotent."""
        self._names.close()

    def _selector(self, tenant: str) -> Selector | None:
        """Return what selects among a tenant's documents; None if it has none."""
        ordinal = self._names.tenant(tenant)
        if ordinal is None:
            return None
        corpus = Corpus(engine.Snapshot(self._index), self._names, ordinal)
        return Selector(corpus, tenant, self._recall)

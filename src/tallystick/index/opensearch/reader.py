"""The reading side of the search in OpenSearch; used by many threads at once."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from tallystick.index.opensearch.documents import path_of
from tallystick.index.opensearch.engine import Engine
from tallystick.index.opensearch.moment import OpenSearchMoment
from tallystick.index.opensearch.selection import base_of
from tallystick.index.search.recall import Recall
from tallystick.index.search.selection import Recall as Recalling
from tallystick.index.search.tail import SearchTails
from tallystick.query.aggregate import Aggregate, AggregateResult
from tallystick.query.expr import Expr
from tallystick.query.question import Find, Found

__all__ = ["OpenSearchReader", "Recall"]

_SUGGESTIONS = 3


class OpenSearchReader:
    """Answers from what was committed last, or with what came since."""

    def __init__(self, engine: Engine, recall: Recalling, tails: SearchTails | None = None) -> None:
        self._engine = engine
        self._recall = recall
        self._tails = tails

    def refresh(self) -> None:
        """There is nothing to load: every question sees the latest commit."""

    def moment(self, tenant: str) -> OpenSearchMoment:
        """Return a tenant's documents as of the latest commit."""
        return OpenSearchMoment(self._engine, tenant, self._recall)

    def moment_at(self, tenant: str, size: int) -> OpenSearchMoment | None:
        """Return a tenant's documents once its log has `size` entries; None if that is too far."""
        if self._tails is None:
            return None
        moment = OpenSearchMoment(self._engine, tenant, self._recall, self._tails, size)
        return moment if moment.is_near() else None

    def find(self, tenant: str, question: Find, seen: Sequence[str]) -> Found:
        """Return a page of documents as of the latest commit."""
        return self.moment(tenant).find(question, seen)

    def count(self, tenant: str, where: Expr, seen: Sequence[str]) -> int:
        """Return how many documents match as of the latest commit."""
        return self.moment(tenant).count(where, seen)

    def aggregate(
        self, tenant: str, question: Find, seen: Sequence[str], requests: Sequence[Aggregate]
    ) -> list[AggregateResult]:
        """Return one result a request as of the latest commit."""
        return self.moment(tenant).aggregate(question, seen, requests)

    def known_path(self, tenant: str, path: str) -> bool:
        """Tell whether some event has a value at the path or below it."""
        having = {"bool": {"filter": [base_of(tenant), {"term": {"p": {"value": path_of(path)}}}]}}
        return self._engine.count(tenant, having) > 0

    def suggest_path(self, tenant: str, path: str) -> Sequence[str]:
        """Return the known paths nearest to one that is not, nearest first."""
        known = self._engine.paths(tenant)
        return get_close_matches(path, known, n=_SUGGESTIONS)

    def close(self) -> None:
        """Release connections; idempotent."""
        self._engine.close()

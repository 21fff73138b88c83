"""Which documents a question is about: the engine's part of the decision, and ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tallystick import deadline, limits
from tallystick.errors import InvalidQuery
from tallystick.events.event import View
from tallystick.index.opensearch.documents import tenant_key
from tallystick.index.opensearch.engine import EngineAnswer
from tallystick.index.opensearch.queries import (
    ALL,
    Query,
    all_of,
    any_of,
    bounds_of,
    none_of,
    scored,
    terms,
)
from tallystick.index.search.selection import Recall
from tallystick.query.expr import Expr
from tallystick.query.match import to_predicate
from tallystick.query.values import Terms, Values

Search = Callable[[dict[str, Any]], EngineAnswer]
"""Asks the engine about one tenant."""

_READ_AT_ONCE = 500


class Candidate(NamedTuple):
    """An event that was read."""

    view: View
    values: Values
    score: float | None = None


def base_of(tenant: str) -> Query:
    """Match every document of a tenant."""
    return {"term": {"t": {"value": tenant_key(tenant)}}}


class EngineSelection:
    """What one question is about, as of the moments in which `search` answers."""

    def __init__(
        self,
        tenant: str,
        search: Search,
        recall: Recall,
        seen: Sequence[str],
        hidden: Sequence[str],
    ) -> None:
        self._tenant = tenant
        self._search = search
        self._recall = recall
        gone = [{"ids": {"values": list(hidden)}}] if hidden else []
        self._base = {"bool": {"filter": [base_of(tenant), terms("s", seen)], "must_not": gone}}

    def query(self, where: Expr) -> Query:
        """Return a query that matches exactly what a condition means.

        Raises: InvalidQuery when too many events would have to be read.
        """
        try:
            bounds = bounds_of(where)
        except RecursionError:
            raise InvalidQuery("the query is nested too deeply") from None
        found = bounds.upper
        if not bounds.exact:
            undecided = all_of((self._base, bounds.upper, none_of(bounds.lower)))
            test = to_predicate(where)
            read = self.read(undecided, "what the query asks")
            decided = [each.view.index for each in read if test(each.values)]
            found = any_of((bounds.lower, terms("i", decided)))
        return all_of((self._base, found))

    def scored(self, where: Expr, visible: Expr) -> Query:
        """Return the query that gives what matches its relevance, among what the asker may see."""
        audience = self.query(visible)
        size = self._count(audience)

        def rarity(query: Query) -> float:
            having = self._count(all_of((audience, query)))
            return math.log(1 + (size - having + 0.5) / (having + 0.5))

        return scored(where, rarity)

    def read(self, query: Query, why: str, *, ranked: Query = ALL) -> list[Candidate]:
        """Read all events that a query matches, in the order of their indexes.

        Raises: InvalidQuery for more than may be read; `why` says what they are needed for.
        """
        body = {
            "query": {"bool": {"filter": [query], "should": [] if ranked == ALL else [ranked]}},
            "sort": [{"i": "asc"}],
            "track_scores": ranked != ALL,
            "docvalue_fields": ["i"],
            "size": limits.SEARCH_CANDIDATES,
        }
        answer = self._search(body)
        if answer.total > limits.SEARCH_CANDIDATES:
            raise InvalidQuery(
                f"{why} works for {limits.SEARCH_CANDIDATES:,} events at most; more match",
                hint="narrow the query, by a time range for example",
            )
        scores = {hit["fields"]["i"][0]: hit["_score"] for hit in answer.hits}
        return [
            Candidate(view, Values(view, derived), scores[view.index])
            for view, derived in self._recalled(list(scores))
        ]

    def _recalled(self, indexes: Sequence[int]) -> Sequence[tuple[View, Terms]]:
        found: list[tuple[View, Terms]] = []
        for at in range(0, len(indexes), _READ_AT_ONCE):
            deadline.check()
            found += self._recall(self._tenant, indexes[at : at + _READ_AT_ONCE])
        return found

    def _count(self, query: Query) -> int:
        return self._search({"size": 0, "query": query}).total

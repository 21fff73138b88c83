"""A tenant's documents at one moment: the index as of a commit, and the tail of the log beyond it.

The index is asked without what the tail hides, the tail by what a query means, and the two answers
are joined: pages by the order that `query.order` defines, totals and aggregates by adding up.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from tallystick.index.search.answers.aggregates import aggregate_of
from tallystick.index.search.answers.pages import key_of, near_of, page_of
from tallystick.index.search.selection import Selector
from tallystick.index.search.tail import EMPTY, SearchTail, TailDocument
from tallystick.query.aggregate import (
    Aggregate,
    AggregateResult,
    aggregate,
)
from tallystick.query.expr import Expr
from tallystick.query.order import RELEVANCE, distance_to, order_key, position_of
from tallystick.query.question import Find, Found, Hit, Plan

PLAN = Plan("search", "words, payload fields, patterns or ranges")


class SearchMoment:
    """What is asked for one question; without a selector the index knows nothing of the tenant."""

    def __init__(self, selector: Selector | None, tail: SearchTail) -> None:
        self._selector = selector
        self._tail = tail

    def find(self, question: Find, seen: Sequence[str]) -> Found:
        """Return a page of documents.

        Raises: InvalidQuery for what would take too much work, Malformed for a foreign cursor.
        """
        own = list(self._tail.matching(question.where, seen)) if self._tail is not EMPTY else []
        total = len(own) if question.total else None
        skipped = max(question.offset - len(own), 0)
        hits: list[Hit] = []
        if self._selector is not None:
            # Rows of the tail may come before those of the index that the offset skips.
            rest = question.offset - skipped
            asked = replace(question, offset=skipped, limit=question.limit + rest)
            scored = any(sort.field == RELEVANCE for sort in question.sort)
            within = question.visible if scored else None
            selection = self._selector.select(question.where, seen, scored_within=within)
            if total is not None:
                total += self._selector.corpus.snapshot.count(selection.query)
            hits = page_of(self._selector, selection, asked) if question.limit > 0 else []
        if own and question.limit > 0:
            start = question.offset - skipped
            hits = _merged(hits, own, question)[start : start + question.limit + 1]
        return Found(hits[: question.limit], len(hits) > question.limit, total, PLAN)

    def count(self, where: Expr, seen: Sequence[str]) -> int:
        """Return how many documents match, exactly.

        Raises: InvalidQuery.
        """
        own = sum(1 for _ in self._tail.matching(where, seen))
        if self._selector is None:
            return own
        found = self._selector.select(where, seen).query
        return own + self._selector.corpus.snapshot.count(found)

    def aggregate(
        self, question: Find, seen: Sequence[str], requests: Sequence[Aggregate]
    ) -> list[AggregateResult]:
        """Return one result a request over everything that the question matches.

        Raises: InvalidQuery.
        """
        own = [one.values for one in self._tail.matching(question.where, seen)]
        if self._selector is None:
            return [aggregate(own, request) for request in requests]
        query = self._selector.select(question.where, seen).query
        return [aggregate_of(self._selector, query, request, own) for request in requests]


def _merged(hits: Sequence[Hit], own: Sequence[TailDocument], question: Find) -> list[Hit]:
    """Return the rows of an index and of a tail in the order asked for."""
    sorts, near = question.sort, near_of(question.where)
    rows = [(order_key(hit.position, sorts), hit) for hit in hits]
    last = None if question.after is None else key_of(question.after, sorts)
    for document in own:
        position = position_of(document.view, document.values, sorts)
        key = order_key(position, sorts)
        if last is None or key > last:
            distance_m = None if near is None else distance_to(near, document.values)
            rows.append((key, Hit(document.view.index, position, None, distance_m)))
    rows.sort(key=lambda row: row[0])
    return [hit for _, hit in rows]

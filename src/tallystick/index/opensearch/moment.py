"""A tenant's documents at one moment: the index as of a commit, and the tail of the log beyond it.

Each answer of the engine says how far the tenant's log is in it. When a commit comes in between two
answers to one question, the question begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tallystick.errors import FollowerBehind, Malformed
from tallystick.index.opensearch.documents import COLUMNS, event_id, item_id
from tallystick.index.opensearch.engine import Engine, EngineAnswer
from tallystick.index.opensearch.selection import EngineSelection
from tallystick.index.search.answers.pages import near_of
from tallystick.index.search.moment import PLAN
from tallystick.index.search.selection import Recall
from tallystick.index.search.tail import EMPTY, SearchTail, SearchTails
from tallystick.query.aggregate import Aggregate, AggregateResult, aggregate
from tallystick.query.expr import Expr, Sort
from tallystick.query.order import (
    RELEVANCE,
    Position,
    Scene,
    distance_to,
    order_key,
    position_of,
)
from tallystick.query.question import Find, Found, Hit

Result = TypeVar("Result")

_LOOKS = 5
_WINDOW = 10_000
"""Rows that the engine gives at once."""
_INT64 = 1 << 63


class _Moved(Exception):
    """A commit came in between."""


class OpenSearchMoment:
    """What is asked for one question: as of the latest commit, or of a size of the log."""

    def __init__(
        self,
        engine: Engine,
        tenant: str,
        recall: Recall,
        tails: SearchTails | None = None,
        size: int = 0,
    ) -> None:
        self._engine = engine
        self._tenant = tenant
        self._recall = recall
        self._tails = tails
        self._size = size
        self._cursor: int | None = None
        self._tail: SearchTail = EMPTY

    def is_near(self) -> bool:
        """Tell whether what is beyond the last commit is little enough to be kept in memory."""
        assert self._tails is not None, "only a moment at a size has a tail"
        cursor = self._engine.search(self._tenant, {"size": 0}).cursor
        return self._tails.tail(self._tenant, cursor, self._size) is not None

    def find(self, question: Find, seen: Sequence[str]) -> Found:
        """Return a page of documents.

        Raises: InvalidQuery for what would take too much work, Malformed for a foreign cursor.
        """
        if question.after is not None and len(question.after) != len(question.sort) + 1:
            raise Malformed("the cursor belongs to another query", path="cursor")
        return self._steady(lambda: self._find(question, seen))

    def count(self, where: Expr, seen: Sequence[str]) -> int:
        """Return how many documents match, exactly.

        Raises: InvalidQuery.
        """

        def ask() -> int:
            selection = self._selection(seen)
            found = self._search({"size": 0, "query": selection.query(where)}).total
            return found + sum(1 for _ in self._tail.matching(where, seen))

        return self._steady(ask)

    def aggregate(
        self, question: Find, seen: Sequence[str], requests: Sequence[Aggregate]
    ) -> list[AggregateResult]:
        """Return one result a request over everything that the question matches, exactly.

        Raises: InvalidQuery for more events than may be read.
        """

        def ask() -> list[AggregateResult]:
            selection = self._selection(seen)
            read = selection.read(selection.query(question.where), "an aggregate")
            values = [each.values for each in read]
            values += [each.values for each in self._tail.matching(question.where, seen)]
            return [aggregate(values, request) for request in requests]

        return self._steady(ask)

    # One question

    def _steady(self, ask: Callable[[], Result]) -> Result:
        """Return what `ask` answers of one moment."""
        for _ in range(_LOOKS):
            self._cursor = None
            if self._tails is not None:
                cursor = self._engine.search(self._tenant, {"size": 0}).cursor
                tail = self._tails.tail(self._tenant, cursor, self._size)
                if tail is None:
                    break
                self._cursor, self._tail = cursor, tail
            try:
                return ask()
            except _Moved:
                continue
        raise FollowerBehind("the search is being written to too fast to be asked")

    def _search(self, body: dict[str, Any]) -> EngineAnswer:
        answer = self._engine.search(self._tenant, body)
        if self._cursor is not None and answer.cursor != self._cursor:
            raise _Moved
        return answer

    def _selection(self, seen: Sequence[str]) -> EngineSelection:
        hidden = [
            event_id(self._tenant, key) if key.isdecimal() else item_id(self._tenant, key)
            for key in self._tail.hidden
        ]
        return EngineSelection(self._tenant, self._search, self._recall, seen, hidden)

    def _find(self, question: Find, seen: Sequence[str]) -> Found:
        selection = self._selection(seen)
        query = selection.query(question.where)
        rows = self._rows(selection, query, question, seen)
        total = None
        if question.total:
            total = self._search({"size": 0, "query": query}).total
            total += sum(1 for _ in self._tail.matching(question.where, seen))
        return Found(rows[: question.limit], len(rows) > question.limit, total, PLAN)

    def _rows(
        self, selection: EngineSelection, query: Any, question: Find, seen: Sequence[str]
    ) -> list[Hit]:
        """Return the rows of a page, and one more if there is one."""
        near, sorts = near_of(question.where), question.sort
        wanted = question.offset + question.limit + 1
        columns = _columns(sorts)
        if columns is not None and near is None and wanted <= _WINDOW:
            hits = self._ordered(query, question, columns, wanted)
        else:
            ranked: dict[str, Any] = {}
            if any(sort.field == RELEVANCE for sort in sorts):
                ranked = {"ranked": selection.scored(question.where, question.visible)}
            read = selection.read(query, "such an order", **ranked)
            scene = Scene(near=near, scores={one.view.index: one.score or 0.0 for one in read})
            hits = [
                Hit(
                    one.view.index,
                    position_of(one.view, one.values, sorts, scene),
                    one.score if ranked else None,
                    None if near is None else distance_to(near, one.values),
                )
                for one in read
            ]
        for each in self._tail.matching(question.where, seen):
            position = position_of(each.view, each.values, sorts)
            distance_m = None if near is None else distance_to(near, each.values)
            hits.append(Hit(each.view.index, position, None, distance_m))
        return _page(hits, question)

    def _ordered(
        self, query: Any, question: Find, columns: Sequence[tuple[str, bool]], wanted: int
    ) -> list[Hit]:
        """Return the first rows in an order that the engine knows."""
        body: dict[str, Any] = {
            "size": wanted,
            "query": query,
            "sort": [{name: "desc" if falling else "asc"} for name, falling in columns],
        }
        if question.after is not None:
            after = list(question.after)[-len(columns) :]
            if not all(isinstance(each, int) and abs(each) < _INT64 for each in after):
                raise Malformed("the cursor belongs to another query", path="cursor")
            body["search_after"] = after
        answer = self._search(body)
        rows = [hit["sort"] for hit in answer.hits]
        if question.sort and len(columns) == 1:
            # By index: it is the value of the sort's field and the index at once.
            return [Hit(index, (index, index)) for (index,) in rows]
        return [Hit(row[-1], tuple(row)) for row in rows]


def _columns(sorts: Sequence[Sort]) -> list[tuple[str, bool]] | None:
    """Return the columns of an order, each with whether it falls; None if it has others too."""
    if not sorts:
        return [("i", False)]
    if len(sorts) > 1 or sorts[0].field not in COLUMNS:
        return None
    column, falling = COLUMNS[sorts[0].field], sorts[0].descending
    return [("i", falling)] if column == "i" else [(column, falling), ("i", falling)]


def _page(hits: Sequence[Hit], question: Find) -> list[Hit]:
    rows = [(order_key(hit.position, question.sort), hit) for hit in hits]
    if question.after is not None:
        last = order_key(_position(question.after), question.sort)
        rows = [row for row in rows if row[0] > last]
    rows.sort(key=lambda row: row[0])
    return [hit for _, hit in rows][question.offset : question.offset + question.limit + 1]


def _position(after: Position) -> Position:
    if not isinstance(after[-1], int):
        raise Malformed("the cursor belongs to another query", path="cursor")
    return after

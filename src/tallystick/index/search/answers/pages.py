"""Which way a page is made: by the index where it knows the order, else by reading the events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tallystick import limits
from tallystick.errors import Malformed
from tallystick.index.search.answers.columns import ColumnPart, by_index, by_recording, by_time
from tallystick.index.search.answers.fields import by_field
from tallystick.index.search.answers.ranking import by_relevance
from tallystick.index.search.clauses.tenant_snapshot import INDEX_MAX
from tallystick.index.search.queries import KEY
from tallystick.index.search.selection import KeptTexts, SearchSelection, Selector
from tallystick.query.expr import And, Boost, Expr, Near, Or, Sort
from tallystick.query.order import (
    DISTANCE,
    RELEVANCE,
    Position,
    Scene,
    distance_to,
    order_key,
    position_of,
)
from tallystick.query.question import Find, Hit
from tallystick.query.values import Values


def page_of(selector: Selector, selection: SearchSelection, question: Find) -> list[Hit]:
    """Return a page and one row more, if there is one.

    Raises: InvalidQuery, Malformed.
    """
    part = ColumnPart(question.limit + 1, question.offset, question.after)
    if part.after is not None and len(part.after) != len(question.sort) + 1:
        raise Malformed("the cursor belongs to another query", path="cursor")
    hits = _by_index(selector, selection, question.sort, part)
    near = near_of(question.where)
    if hits is None:
        hits = _by_reading(selector, selection, question.sort, part, near)
    return hits if near is None else _with_distances(selector, hits, near)


def near_of(expr: Expr) -> Near | None:
    """Return the circle that a question is about: the first in it that has to hold."""
    match expr:
        case Near():
            return expr
        case Boost(part):
            return near_of(part)
        case And(parts) | Or(parts):
            return next(filter(None, map(near_of, parts)), None)
    return None


def _by_index(
    selector: Selector, selection: SearchSelection, sorts: Sequence[Sort], part: ColumnPart
) -> list[Hit] | None:
    """Return a page that the index orders by itself; None if it cannot."""
    corpus, query = selector.corpus, selection.query
    if not sorts:
        return [Hit(index, (index,)) for index in by_index(corpus, query, False, part)]
    sort, *others = sorts
    if others:
        return None
    if sort.field == "index":
        found = by_index(corpus, query, sort.descending, part)
        return [Hit(index, (index, index)) for index in found]
    if sort.field == "recorded_ms":
        timed = by_recording(corpus, query, sort.descending, part)
        return [Hit(index, (ms, index)) for ms, index in timed]
    if sort.field == "occurred_ms":
        timed = by_time(corpus, query, sort.descending, part)
        return [Hit(index, (ms, index)) for ms, index in timed]
    if sort.field == RELEVANCE and sort.descending:
        scored = by_relevance(corpus, selection.ranked, part)
        return [Hit(index, (score, index), score) for score, index in scored]
    if sort.field in (RELEVANCE, DISTANCE, "id"):
        return None
    rows = by_field(corpus, query, sort, part)
    return None if rows is None else [Hit(index, (value, index)) for value, index in rows]


def _by_reading(
    selector: Selector,
    selection: SearchSelection,
    sorts: Sequence[Sort],
    part: ColumnPart,
    near: Near | None,
) -> list[Hit]:
    why = f"the order of {' and '.join(sort.field for sort in sorts)}"
    read = selector.read(selection.query, why)
    ranked = any(sort.field == RELEVANCE for sort in sorts)
    scores = _scores(selector, selection) if ranked else {}
    scene = Scene(scores=scores, near=near)
    kept = KeptTexts(why)
    positions: list[Position] = []
    for view, derived in read:
        positions.append(position_of(view, Values(view, derived), sorts, scene))
        kept.add(positions[-1])
    positions.sort(key=lambda position: order_key(position, sorts))
    if part.after is not None:
        last = key_of(_standing(part.after, sorts, scores), sorts)
        positions = [position for position in positions if order_key(position, sorts) > last]
    page = positions[part.offset : part.offset + part.wanted]
    return [_hit(position, scores) for position in page]


def _scores(selector: Selector, selection: SearchSelection) -> Mapping[int, float]:
    snapshot = selector.corpus.snapshot
    rows = snapshot.rows(selection.ranked, None, limits.SEARCH_CANDIDATES)
    keys = snapshot.values(KEY, [row.address for row in rows])
    return {key & INDEX_MAX: row.value for key, row in zip(keys, rows, strict=True)}


def _standing(after: Position, sorts: Sequence[Sort], scores: Mapping[int, float]) -> Position:
    """Return a position with the score that its row has by now: scores change as events come in."""
    *values, index = after
    score = scores.get(index) if isinstance(index, int) else None
    if score is None:
        return after
    ranked = (sort.field == RELEVANCE for sort in sorts)
    return (*(score if by else value for by, value in zip(ranked, values, strict=True)), index)


def key_of(after: Position, sorts: Sequence[Sort]) -> tuple[object, ...]:
    """Return the key of a position that a client sent.

    Raises: Malformed.
    """
    try:
        return order_key(after, sorts)
    except (TypeError, ValueError):
        raise Malformed("the cursor belongs to another query", path="cursor") from None


def _hit(position: Position, scores: Mapping[int, float]) -> Hit:
    index = position[-1]
    assert isinstance(index, int), "the index ends a position"
    return Hit(index, position, scores.get(index))


def _with_distances(selector: Selector, hits: Sequence[Hit], near: Near) -> list[Hit]:
    read = selector.recall([hit.index for hit in hits])
    distances = {view.index: distance_to(near, Values(view, derived)) for view, derived in read}
    return [hit._replace(distance_m=distances.get(hit.index)) for hit in hits]

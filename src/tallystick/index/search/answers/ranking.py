"""Pages in the order of relevance.

The index gives the best rows, equal ones in no certain order. Equal scores are common: every
document of one kind may have the same. So where a page ends among equals, they are looked for in
the order of their indexes, one range of indexes after the other, each so narrow that all of it is
seen. Scores change as documents come in, so a page goes on behind the row that the one before it
ended with, wherever that row stands by now.
"""

from __future__ import annotations

from tallystick import limits
from tallystick.errors import InvalidQuery, Malformed
from tallystick.index.search import queries
from tallystick.index.search.answers.columns import ColumnPart, integer_of, within
from tallystick.index.search.clauses.tenant_snapshot import INDEX_MAX, Corpus
from tallystick.index.search.queries import KEY, Query

_FIRST_LOOK = 1_000
_RANGES = 400

Scored = tuple[float, int]
"""Score and key."""


def by_relevance(corpus: Corpus, query: Query, part: ColumnPart) -> list[Scored]:
    """Return score and index of a part of what matches: best first, of equals the newest first.

    Raises: InvalidQuery when the part lies too deep.
    """
    if part.wanted < 1:
        return []
    wanted = part.offset + part.wanted
    after = _place(corpus, query, part)
    look = max(_FIRST_LOOK, wanted)
    while look <= limits.SEARCH_RANKED:
        best = _best(corpus, query, look)
        last = best[-1][0] if len(best) == look else None
        found = [row for row in best if row[0] != last and _is_behind(row, after)]
        found.sort(reverse=True)
        if last is not None and len(found) < wanted and _is_behind((last, -1), after):
            better = sum(score != last for score, _ in best)
            top = after[1] - 1 if after is not None and after[0] == last else None
            found += _equals(corpus, query, (last, better), top, wanted - len(found))
        if last is None or len(found) >= wanted:
            page = found[part.offset : wanted]
            return [(score, key & INDEX_MAX) for score, key in page]
        look *= 8
    raise InvalidQuery(
        f"a list by relevance is at most {limits.SEARCH_RANKED:,} rows deep",
        hint="sort by time to read everything",
    )


def _place(corpus: Corpus, query: Query, part: ColumnPart) -> Scored | None:
    """Return where the row stands by now that a page goes on behind; once gone, where it stood."""
    if part.after is None:
        return None
    score, *rest = part.after
    if not isinstance(score, float | int) or len(rest) != 1:
        raise Malformed("the cursor belongs to another query", path="cursor")
    key = corpus.above | min(max(integer_of(rest[0]), 0), INDEX_MAX)
    row = _best(corpus, within(query, queries.keys_in([key])), 1)
    return row[0] if row else (score, key)


def _is_behind(row: Scored, after: Scored | None) -> bool:
    return after is None or row < after


def _best(corpus: Corpus, query: Query, look: int) -> list[Scored]:
    rows = corpus.snapshot.rows(query, None, look)
    keys = corpus.snapshot.values(KEY, [row.address for row in rows])
    return [(row.value, key) for row, key in zip(rows, keys, strict=True)]


def _equals(
    corpus: Corpus, query: Query, group: tuple[float, int], top: int | None, wanted: int
) -> list[Scored]:
    """Return rows of one score, newest first, from `top` on; `group` has score and betters."""
    score, better = group
    ends = [
        corpus.snapshot.rows(query, KEY, 1, descending=newest)[0].value for newest in (True, False)
    ]
    high, bottom = ends if top is None else (min(top, ends[0]), ends[1])
    look = better + wanted + 1
    width = max(64, (high - bottom + 1) * look // corpus.snapshot.count(query))
    found: list[Scored] = []
    for _ in range(_RANGES):
        if high < bottom or len(found) >= wanted:
            return found[:wanted]
        low = max(high - width + 1, bottom)
        rows = _best(corpus, within(query, queries.between(KEY, low, high)), look)
        if len(rows) == look and rows[-1][0] == score and low < high:
            # Equals may be missing.
            width = max(width // 4, 1)
            continue
        found += sorted((row for row in rows if row[0] == score), reverse=True)
        high, width = low - 1, width * 2
    raise InvalidQuery("too many events are equally relevant", hint="sort by time instead")

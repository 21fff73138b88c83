"""What is asked, in the product's words and in SQL.

Every question has variants made from events drawn at random, so that what is asked for is as
frequent as it is among the events, and no answer is asked for twice in a row.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bench.scale.rival import NUMBER_PATH, Rival

PAGE = 50
VARIANTS = 40

LISTS, COUNTS, SEARCH, AGGREGATES = "lists", "counts", "search", "aggregates"

_PLAIN = re.compile(r"[A-Za-z]{3,}\Z")
_SHARE_OF_TIME = 20
_TABLE = "SELECT body FROM events"
_ORDER = f"ORDER BY ms DESC, idx DESC LIMIT {PAGE}"
_WORDS = "idx IN (SELECT rowid FROM words WHERE words MATCH ?)"
_SCOPE = "idx IN (SELECT idx FROM scopes WHERE scope = ?)"
_NUMBER = f"json_extract(body, '$.data.{NUMBER_PATH}') BETWEEN ? AND ?"
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000


class Variant(NamedTuple):
    """One request and the statement that answers the same.

    `counted` is the condition whose rows the product's total has to equal, None where the two
    understand words differently.
    """

    target: str
    sql: str
    values: tuple[Any, ...]
    counted: str | None = None


class Question(NamedTuple):
    """A kind of request, with variants of it."""

    name: str
    group: str
    variants: list[Variant]


class Sampled(NamedTuple):
    """An event drawn from the store."""

    ms: int
    kind: str
    actor: str | None
    target: str | None
    scope: str | None
    body: dict[str, Any]


def questions(rival: Rival, cursor_at: Callable[[int], str]) -> list[Question]:
    """Return all questions; `cursor_at` returns the cursor of the page behind so many events."""
    chance = random.Random(5)  # noqa: S311  # the same questions every time
    events, first_ms, last_ms = rival.rows("SELECT count(*), min(ms), max(ms) FROM events")[0]
    window_ms = (last_ms - first_ms) // _SHARE_OF_TIME
    drawn = [_drawn(rival, chance) for _ in range(8 * VARIANTS)]
    return [
        *_pages(rival, events, cursor_at),
        *_filters(drawn, window_ms),
        *_totals(drawn, window_ms),
        *_searches(rival, drawn, chance),
        *_aggregates(drawn, window_ms),
    ]


def _pages(rival: Rival, events: int, cursor_at: Callable[[int], str]) -> Iterator[Question]:
    page = min(10_000, events // (2 * PAGE))
    deep = min(1_000_000, events // 2)
    yield Question("page 1", LISTS, [Variant(_path(), f"{_TABLE} {_ORDER}", (), "TRUE")])
    variants = [
        Variant(_path(offset=PAGE * at), f"{_TABLE} {_ORDER} OFFSET ?", (PAGE * at,))
        for at in range(page - VARIANTS, page)
    ]
    yield Question(f"page {page:,} by offset", LISTS, variants)
    sql = f"SELECT ms, idx FROM events ORDER BY ms DESC, idx DESC LIMIT {VARIANTS} OFFSET ?"
    variants = [
        Variant(
            _path(cursor=cursor_at(deep + number)),
            f"{_TABLE} WHERE (ms, idx) < (?, ?) {_ORDER}",
            position,
        )
        for number, position in enumerate(rival.rows(sql, (deep - 1,)))
    ]
    yield Question(f"{deep:,} deep by cursor", LISTS, variants)


def _filters(drawn: list[Sampled], window_ms: int) -> Iterator[Question]:
    yield _listed(
        "kind and time", LISTS, drawn,
        lambda one: {"kind": one.kind, **_window(one, window_ms)},
        "kind = ? AND ms >= ? AND ms < ?",
        lambda one: (one.kind, *_window(one, window_ms).values()),
    )  # fmt: skip
    whole = [one for one in drawn if one.actor and one.target and one.scope]
    yield _listed(
        "actor and target", LISTS, whole,
        lambda one: {"actor": one.actor, "target": one.target},
        "actor = ? AND target = ?",
        lambda one: (one.actor, one.target),
    )  # fmt: skip
    yield _listed(
        "kind, actor and scope", LISTS, whole,
        lambda one: {"kind": one.kind, "actor": one.actor, "scope": one.scope},
        f"kind = ? AND actor = ? AND {_SCOPE}",
        lambda one: (one.kind, one.actor, one.scope),
    )  # fmt: skip


def _totals(drawn: list[Sampled], window_ms: int) -> Iterator[Question]:
    yield Question("total of everything", COUNTS, [_counted({}, "TRUE")])
    kinds = [_counted({"kind": one.kind}, "kind = ?") for one in drawn[:VARIANTS]]
    yield Question("total of a kind", COUNTS, kinds)
    scopes = [_counted({"scope": one.scope}, _SCOPE) for one in drawn if one.scope]
    yield Question("total of a scope", COUNTS, scopes[:VARIANTS])
    where = "kind = ? AND ms >= ? AND ms < ?"
    times = [
        _counted({"kind": one.kind, **_window(one, window_ms)}, where) for one in drawn[:VARIANTS]
    ]
    yield Question("total of a kind and time", COUNTS, times)


def _counted(asked: dict[str, Any], where: str) -> Variant:
    query = urlencode({"limit": 1, "total": "true", **asked})
    sql = f"SELECT count(*) FROM events WHERE {where}"
    return Variant(f"/v1/events?{query}", sql, tuple(asked.values()), where)


def _searches(rival: Rival, drawn: list[Sampled], chance: random.Random) -> Iterator[Question]:
    sentences = [words for one in drawn if len(words := _sentence(one)) > 2]
    single = [chance.choice(words) for words in sentences][:VARIANTS]
    yield Question("term", SEARCH, [_worded(word, f'"{word}"') for word in single])
    pairs = []
    for words in sentences[VARIANTS : 2 * VARIANTS]:
        at = chance.randrange(len(words) - 1)
        pairs.append(f'"{words[at]} {words[at + 1]}"')
    yield Question("phrase", SEARCH, [_worded(pair, pair) for pair in pairs])
    patterns = [
        f"{word[:3]}*{word[-1]}"
        for words in sentences[2 * VARIANTS : 3 * VARIANTS]
        if len(word := max(words, key=len)) > 4
    ]
    rival.rows("CREATE VIRTUAL TABLE IF NOT EXISTS temp.terms USING fts5vocab(main, words, row)")
    spelt = "(SELECT group_concat('\"' || term || '\"', ' OR ') FROM temp.terms WHERE term GLOB ?)"
    sql = f"{_TABLE} WHERE idx IN (SELECT rowid FROM words WHERE words MATCH {spelt}) {_ORDER}"
    yield Question(
        "wildcard",
        SEARCH,
        [Variant(_path(q=pattern), sql, (pattern.lower(),)) for pattern in patterns],
    )
    yield Question("range", SEARCH, [_ranged(chance) for _ in range(VARIANTS)])


def _worded(q: str, match: str) -> Variant:
    return Variant(_path(q=q), f"{_TABLE} WHERE {_WORDS} {_ORDER}", (match,))


def _ranged(chance: random.Random) -> Variant:
    low = int(10 ** chance.uniform(0.5, 3))
    high = int(low * chance.uniform(1.05, 3)) + 1
    q = f"data.{NUMBER_PATH}:[{low} TO {high}]"
    return Variant(_path(q=q), f"{_TABLE} WHERE {_NUMBER} {_ORDER}", (low, high), _NUMBER)


def _aggregates(drawn: list[Sampled], window_ms: int) -> Iterator[Question]:
    top = "SELECT kind, count(*) AS n FROM events"
    ranked = "GROUP BY kind ORDER BY n DESC LIMIT 10"
    path = "/v1/events/facets"
    everything = Variant(f"{path}?fields=kind", f"{top} {ranked}", ())
    yield Question("top kinds of everything", AGGREGATES, [everything])
    scoped = [one for one in drawn if one.scope][:VARIANTS]
    yield Question(
        "top kinds of a scope",
        AGGREGATES,
        [
            Variant(
                f"{path}?{urlencode({'fields': 'kind', 'scope': one.scope})}",
                f"{top} WHERE {_SCOPE} {ranked}",
                (one.scope,),
            )
            for one in scoped
        ],
    )
    path = "/v1/events/histogram"
    days = f"SELECT ms / {_DAY_MS} AS at, count(*) FROM events GROUP BY at ORDER BY at"
    yield Question(
        "histogram of everything by day",
        AGGREGATES,
        [Variant(f"{path}?interval=day", days, ())],
    )
    hours = (
        f"SELECT ms / {_HOUR_MS} AS at, count(*) FROM events"
        " WHERE kind = ? AND ms >= ? AND ms < ? GROUP BY at ORDER BY at"
    )
    variants = []
    for one in drawn[:VARIANTS]:
        asked = {"kind": one.kind, **_window(one, window_ms)}
        target = f"{path}?{urlencode({'interval': 'hour', **asked})}"
        variants.append(Variant(target, hours, tuple(asked.values())))
    yield Question("histogram of a kind and time by hour", AGGREGATES, variants)


def _listed(
    name: str,
    group: str,
    drawn: list[Sampled],
    asked: Callable[[Sampled], dict[str, Any]],
    where: str,
    values: Callable[[Sampled], tuple[Any, ...]],
) -> Question:
    variants = [
        Variant(_path(**asked(one)), f"{_TABLE} WHERE {where} {_ORDER}", values(one), where)
        for one in drawn[:VARIANTS]
    ]
    return Question(name, group, variants)


def _drawn(rival: Rival, chance: random.Random) -> Sampled:
    while True:
        index = chance.randrange(rival.size)
        found = rival.rows(
            "SELECT ms, kind, actor, target, body FROM events WHERE idx = ?", (index,)
        )
        if found:
            ms, kind, actor, target, body = found[0]
            scopes = rival.rows("SELECT scope FROM scopes WHERE idx = ? LIMIT 1", (index,))
            scope = scopes[0][0] if scopes else None
            return Sampled(ms, kind, actor, target, scope, json.loads(body))


def _sentence(one: Sampled) -> list[str]:
    """Return a run of plain words from the longest text of an event."""
    texts = sorted(_texts(one.body["data"]), key=len)
    words = re.split(r"[ /]+", texts[-1]) if texts else []
    return [word for word in words if _PLAIN.match(word) and word not in ("AND", "NOT")]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _texts(member)


def _window(one: Sampled, window_ms: int) -> dict[str, int]:
    return {"from": one.ms - window_ms // 2, "to": one.ms + window_ms // 2}


def _path(**parameters: object) -> str:
    return f"/v1/events?{urlencode({'limit': PAGE, **parameters})}"

"""Pages of a search: ties, depth, cursors, payload fields and relevance, over many segments.

A few hundred events with few different times and values, so that every page cuts groups of equals.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tallystick import limits
from tallystick.errors import InvalidQuery, Malformed
from tallystick.events.event import Resource, View
from tallystick.index.search import SearchWriter
from tallystick.query.aggregate import TopValues
from tallystick.query.expr import (
    And,
    Boost,
    Eq,
    Everything,
    Expr,
    Fuzzy,
    Near,
    Not,
    Or,
    Phrase,
    Prefix,
    Regex,
    Sort,
    Term,
    Wildcard,
    all_of,
)
from tallystick.query.geo import Point, distance_m
from tallystick.query.question import Find
from tallystick.query.text import tokens_of
from tallystick.query.values import texts_of
from tests.index.search_world import NOW_MS, SEEN, TENANT, Searched, at, document, event

EVENTS = 400
BEST_FIRST = (Sort("relevance", descending=True),)


def some_events() -> list[View]:
    """Return events with few times and values."""
    rng = random.Random(7)  # noqa: S311 - events for a test, the same each time
    words = ["fox", "dog", "cat", "red", "blue", "the", "quick", "brown", "lazy"]
    return [
        event(
            index,
            {
                "text": " ".join(rng.choices(words, k=rng.randint(1, 6))),
                "price": rng.choice((1, 2, 2.5, 10, -3)),
                "city": rng.choice(("Oslo", "Bergen", "Ås", "oslo")),
                "unique": index * 7 % EVENTS,
                **({"rare": index} if index % 9 == 0 else {}),
                "mixed": rng.choice((1, "one", True, None)),
                "long": f"{'x' * 40} {index % 5}",
            },
            occurred_ms=NOW_MS + rng.choice((0, 1, 2, 3)),
        )
        for index in range(EVENTS)
    ]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    with Searched(tmp_path_factory.mktemp("search"), some_events(), commits=9) as searched:
        yield searched


ORDERS = [
    (Sort("occurred_ms", True),),
    (Sort("occurred_ms"),),
    (Sort("recorded_ms", True),),
    (Sort("index"),),
    (Sort("data.price"),),
    (Sort("data.price", True),),
    (Sort("data.city"),),
    (Sort("data.city", True),),
    (Sort("data.rare", True),),
    (Sort("data.unique"),),
    (Sort("data.mixed", True),),
    (Sort("data.long"),),
    (Sort("data.nothing", True),),
    (Sort("kind"),),
    (Sort("data.city"), Sort("data.price", True)),
]


@pytest.mark.parametrize("sort", ORDERS, ids=str)
@pytest.mark.parametrize("where", [Everything(), Term("data.text", "fox")], ids=["all", "some"])
def test_every_page_of_every_order_is_that_of_the_list(
    searched: Searched, where: Expr, sort: tuple[Sort, ...]
) -> None:
    wanted = [view.index for view in searched.sorted(where, sort)]
    assert searched.walk(where, sort, 37) == wanted
    for offset in (0, 1, 50, len(wanted) - 3, len(wanted), len(wanted) + 5):
        page = searched.find(where, sort=sort, limit=10, offset=offset)
        assert [hit.index for hit in page.hits] == wanted[offset : offset + 10]
        assert page.more == (len(wanted) > offset + 10)
        assert page.total == len(wanted)


@pytest.mark.parametrize("neighbours", [0, 5])
@pytest.mark.parametrize("sort", ORDERS[:3], ids=str)
@pytest.mark.parametrize("where", [Everything(), Term("data.text", "fox")], ids=["all", "some"])
def test_newest_first_is_the_same_however_far_back_it_looks_at_first(
    searched: Searched,
    where: Expr,
    sort: tuple[Sort, ...],
    neighbours: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = "tallystick.index.search.answers.columns"
    monkeypatch.setattr(f"{columns}._LOOK", 10)
    monkeypatch.setattr(f"{columns}._NEIGHBOURS", neighbours)
    test_every_page_of_every_order_is_that_of_the_list(searched, where, sort)
    assert searched.walk(where, sort, 3) == searched.walk(where, sort, EVENTS)


def test_relevance_pages_hold_each_row_once_and_equals_newest_first(searched: Searched) -> None:
    where = Or((Term("data.text", "fox"), Term("data.text", "red")))
    best = searched.find(where, sort=BEST_FIRST, limit=EVENTS)
    places = [(hit.score, hit.index) for hit in best.hits]
    assert places == sorted(places, reverse=True)
    assert {hit.index for hit in best.hits} == {view.index for view in searched.matching(where)}
    assert searched.walk(where, BEST_FIRST, 23) == [hit.index for hit in best.hits]
    page = searched.find(where, sort=BEST_FIRST, limit=20, offset=35)
    assert page.hits == best.hits[35:55]


def test_equally_relevant_rows_are_found_in_order_when_they_are_too_many_to_look_at(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.index.search.answers.ranking._FIRST_LOOK", 5)
    where = Prefix("data.long", "xxx")
    wanted = list(reversed(range(EVENTS)))
    with monkeypatch.context() as patched:
        patched.setattr(limits, "SEARCH_RANKED", 100)
        assert searched.indexes(where, sort=BEST_FIRST, limit=40) == wanted[:40]
    assert searched.walk(where, BEST_FIRST, 61) == wanted


@pytest.mark.parametrize("words", [1, 40], ids=["scores sink", "scores rise"])
@pytest.mark.parametrize(
    "sort", [BEST_FIRST, (*BEST_FIRST, Sort("data.n", True))], ids=["alone", "with another"]
)
def test_pages_by_relevance_hold_each_row_once_while_scores_change(
    tmp_path: Path, sort: tuple[Sort, ...], words: int
) -> None:
    texts = ("fox", "fox fox dog", "the red fox")
    views = [event(index, {"text": texts[index % 3], "n": index}) for index in range(60)]
    with Searched(tmp_path, views, commits=2) as searched:
        where = Term("data.text", "fox")
        page = searched.find(where, sort=sort, limit=7)
        found, scores = [hit.index for hit in page.hits], {page.hits[0].score}
        while page.more and len(found) < len(views):
            size = len(searched.views)
            others = (event(size + n, {"text": "cat " * words, "n": 0}) for n in range(20))
            searched.add(list(others))
            page = searched.find(where, sort=sort, limit=7, after=page.hits[-1].position)
            found += [hit.index for hit in page.hits]
            scores.update(hit.score for hit in page.hits)
        assert sorted(found) == list(range(60))
        assert len(scores) > 3, "scores did not change between pages"


def test_pages_by_relevance_end_somewhere(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_RANKED", 100)
    with pytest.raises(InvalidQuery, match="100 rows deep"):
        searched.find(Term("data.text", "fox"), sort=BEST_FIRST, limit=10, offset=100)


def test_relevance_is_the_rarity_of_the_words(tmp_path: Path) -> None:
    texts = ["fox", "fox fox dog", "dog dog dog cat", "the quick brown fox runs", "cat"]
    views = [event(n, {"text": text}) for n, text in enumerate(texts)]
    with Searched(tmp_path, views, commits=1) as searched:
        for words in (("fox",), ("fox", "dog"), ("cat", "quick", "fox")):
            for field in ("data.text", None):
                where = Or(tuple(Term(field, word) for word in words))
                wanted = {
                    view.index: sum(rarity(word, view, views) for word in words)
                    for view in searched.matching(where)
                }
                found = {hit.index: hit.score for hit in searched.find(where, sort=BEST_FIRST).hits}
                assert found == pytest.approx(wanted, rel=1e-5)


def test_a_word_counts_the_same_wherever_it_stands(tmp_path: Path) -> None:
    """Fox is rare as a title and common as a text, but as a word it is one."""
    views = [event(n, {"text": "fox"}) for n in range(8)] + [event(8, {"title": "fox"})]
    with Searched(tmp_path, views, commits=1) as searched:
        hits = searched.find(Term(None, "fox"), sort=BEST_FIRST).hits
        assert [hit.score for hit in hits] == pytest.approx(
            [rarity("fox", view, views) for view in views], rel=1e-5
        )


SCORED = (
    Term(None, "fox"),
    Term("data.text", "fox"),
    Phrase("data.text", "red fox"),
    Phrase(None, "red fox", 2),
    Wildcard(None, "fo*"),
    Fuzzy("data.text", "fax", 1),
    Regex("data.text", "f.x"),
    Boost(Or((Term(None, "fox"), Eq("kind", "order.created"))), 2.5),
)


@pytest.mark.parametrize("where", SCORED, ids=str)
def test_no_score_tells_of_another_tenant_or_of_what_the_asker_may_not_see(
    tmp_path: Path, where: Expr
) -> None:
    visible = Eq("actor.id", "me")

    def ours(index: int, text: str, actor: str) -> View:
        return event(index, {"text": text}, actor=Resource("user", actor))

    def scores(searched: Searched, visible: Expr) -> list[tuple[int, float | None]]:
        question = Find(where=all_of((where, visible)), visible=visible, sort=BEST_FIRST, limit=100)
        found = searched.reader.find(TENANT, question, SEEN)
        return [(hit.index, hit.score) for hit in found.hits]

    views = [
        ours(0, "the red fox", "me"),
        ours(1, "dog", "me"),
        ours(2, "fox red fox", "me"),
        ours(3, "fox red", "other"),
    ]
    with Searched(tmp_path, views, commits=2) as searched:
        all_before, mine_before = scores(searched, Everything()), scores(searched, visible)
        assert mine_before
        others = [document(event(n, {"text": "red fox " * n})) for n in range(60)]
        writer = SearchWriter(tmp_path)
        writer.apply("another", others, [], at(60))
        writer.commit()
        writer.close()
        searched.reader.refresh()
        assert scores(searched, Everything()) == all_before
        searched.add([ours(n, "red fox cat", "other") for n in range(4, 40)])
        assert scores(searched, visible) == mine_before


def test_a_boost_multiplies_and_a_filter_adds_nothing_to_who_is_seen(searched: Searched) -> None:
    fox, red = Term("data.text", "fox"), Term("data.text", "red")
    plain = {h.index: h.score or 0.0 for h in searched.find(fox, sort=BEST_FIRST).hits}
    boosted = {h.index: h.score for h in searched.find(Boost(fox, 3.0), sort=BEST_FIRST).hits}
    assert boosted == pytest.approx({index: 3 * score for index, score in plain.items()})
    without = {h.index: h.score for h in searched.find(And((fox, Not(red))), sort=BEST_FIRST).hits}
    assert without == pytest.approx({index: plain[index] for index in without})


def rarity(word: str, view: View, views: list[View]) -> float:
    """Return the relevance of a word in an event among others."""
    bags = {
        one.index: [token for text in texts_of(None, one) for token in tokens_of(text)]
        for one in views
    }
    if word not in bags[view.index]:
        return 0.0
    having = sum(word in bag for bag in bags.values())
    return math.log(1 + (len(views) - having + 0.5) / (having + 0.5))


def test_distance_sorts_and_shows(tmp_path: Path) -> None:
    spots = [(52.5, 13.4), (52.4, 13.0), (48.1, 11.6), (52.52, 13.41)]
    views = [event(n, {"at": {"lat": lat, "lon": lon}}) for n, (lat, lon) in enumerate(spots)]
    near = Near("data.at", 52.5, 13.4, 100_000)
    with Searched(tmp_path, views) as searched:
        sort = (Sort("distance"),)
        hits = searched.find(near, sort=sort).hits
        assert [hit.index for hit in hits] == [0, 3, 1]
        assert [hit.index for hit in hits] == [v.index for v in searched.sorted(near, sort, near)]
        centre = Point(52.5, 13.4)
        assert [hit.distance_m for hit in hits] == [
            distance_m(centre, Point(*spots[hit.index])) for hit in hits
        ]


def test_a_sort_that_needs_reading_is_refused_for_many(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_CANDIDATES", 100)
    with pytest.raises(InvalidQuery, match=r"the order of data\.mixed .* 100 events"):
        searched.find(Everything(), sort=(Sort("data.mixed"),))
    few = Eq("data.rare", 9)
    assert searched.indexes(few, sort=(Sort("data.mixed"),)) == [9]


@pytest.mark.parametrize("sort", [ORDERS[0], ORDERS[4], ORDERS[6], ORDERS[10], BEST_FIRST], ids=str)
@pytest.mark.parametrize(
    "after", [(), (1,), ("x", "y"), (1, 2, 3), ([], 1), (1 << 80, 1), (1, 1 << 80), ("a", 1 << 80)]
)
def test_a_foreign_cursor_is_refused_or_harmless(
    searched: Searched, sort: tuple[Sort, ...], after: tuple[object, ...]
) -> None:
    with suppress(Malformed):
        page = searched.find(Everything(), sort=sort, after=after, limit=5)  # type: ignore[arg-type]  # as it may come
        assert len(page.hits) <= 5


def test_words_of_a_phrase_never_meet_across_values(tmp_path: Path) -> None:
    views = [
        event(0, {"list": ["red fox", "dog"], "a": "red", "b": "fox"}),
        event(1, {"list": ["red", "fox", "dog red"]}),
        event(2, {"n": [3, 14], "pi": 3.14}),
    ]
    with Searched(tmp_path, views) as searched:
        for slop in range(9):
            for text in ("red fox", "fox dog", "dog red", "3 14", "fox red", "red dog fox"):
                for field in (None, "data", "data.list"):
                    where = Phrase(field, text, slop)
                    wanted = [view.index for view in searched.matching(where)]
                    assert searched.indexes(where) == wanted, where


def test_long_strings_are_counted_together_wherever_they_stand(tmp_path: Path) -> None:
    """Some events have one such value, which is counted; others have several, which are read."""
    texts = [f"{'begins alike ' * 4}{n % 3}" for n in range(30)]
    views = [
        event(n, {"t": text if n % 4 else [text, "short", text]}) for n, text in enumerate(texts)
    ]
    with Searched(tmp_path, views) as searched:
        for request in (TopValues("data.t"), TopValues("data.t", 1, 2), TopValues("data.t", 3, 0)):
            assert searched.aggregate(request) == searched.worked_out(request)

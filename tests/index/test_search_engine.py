"""Each capability of the search library that the index relies on, pinned.

When an upgrade of the library breaks one of these, the index answers wrongly or not at all: the
test that fails says which promise was broken. Some of them pin what the library cannot do, so that
a way around it is not kept for longer than it is needed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import tantivy

from tallystick.errors import InvalidQuery, Unexpected, for_operator
from tallystick.index.search import engine, queries
from tallystick.index.search.terms import FILLER
from tallystick.query.word_match import stands_in, within_edits

NUMBERS = [0.0, 1.0, -1.0, 0.5, 2.5, 1e300, -1e300, 5e-324, 2.0**53, -(2.0**53), 1e16, 3.0]
ROWS = len(NUMBERS)
ID = "test"


class Small:
    """An index of a few documents in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = engine.IndexWriter(folder, ID, 15_000_000)
        self.index = engine.open_index(folder, ID)

    def add(self, key: int, words: str = "", facts: str = "f", **numbers: list[float]) -> None:
        """Add a document whose time is a third of its key."""
        self.writer.add(key, key // 3, key, words, facts, numbers)

    def snapshot(self) -> engine.Snapshot:
        """Commit and return what can be asked then."""
        self.writer.commit()
        engine.reload(self.index)
        return engine.Snapshot(self.index)


def keys(snapshot: engine.Snapshot, match: queries.Match) -> list[int]:
    """Return the keys of what matches."""
    rows = snapshot.rows(queries.to_query(match), queries.KEY, 10_000, descending=False)
    return [row.value for row in rows]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    small = Small(tmp_path)
    yield small
    small.writer.close()


@pytest.fixture
def numbered(small: Small) -> engine.Snapshot:
    """A document for each number, in two segments, and one without a number."""
    for key, number in enumerate(NUMBERS):
        small.add(key, n=[number])
        if key == 5:
            small.writer.commit()
    small.writer.commit()
    small.add(ROWS)
    return small.snapshot()


def test_ranges_over_json_are_exact_for_doubles_of_all_sizes(numbered: engine.Snapshot) -> None:
    edges: list[float | None] = [None, *NUMBERS, 0.1, -0.1, 2.0**52, 4.5, 1e17, 1e-300]
    for low, high in itertools.product(edges, edges):
        for low_in, high_in in itertools.product((True, False), repeat=2):
            wanted = [
                key
                for key, number in enumerate(NUMBERS)
                if (low is None or low < number or (low_in and low == number))
                and (high is None or number < high or (high_in and high == number))
            ]
            match = numbered.number_between(
                "n", low, high, low_inclusive=low_in, high_inclusive=high_in
            )
            assert keys(numbered, match) == wanted, (low, high, low_in, high_in)


def test_two_bounds_of_two_kinds_of_number_still_panic(numbered: engine.Snapshot) -> None:
    index = numbered._index
    with pytest.raises(BaseException, match="unwrap") as caught:
        numbered._searcher.search(index.parse_query("numbers.n:[0.5 TO 1]"))
    assert not isinstance(caught.value, Exception)


def test_numbers_in_json_are_found_by_their_value(numbered: engine.Snapshot) -> None:
    for key, number in enumerate(NUMBERS):
        assert keys(numbered, queries.is_number("n", number)) == [key]
    assert keys(numbered, queries.is_number("n", -0.0)) == [0]
    assert keys(numbered, queries.has_number("n")) == list(range(ROWS))
    assert keys(numbered, queries.has_number("missing")) == []


def test_rows_are_sorted_by_a_number_in_json_and_equals_by_key(small: Small) -> None:
    for key in range(20):
        small.add(key, n=[float(key % 4) - 1.5])
        if key % 7 == 0:
            small.writer.commit()
    small.add(20)
    snapshot = small.snapshot()
    there = queries.has_number("n")
    up = snapshot.rows_by_number(there, "n", 20, offset=0, descending=False)
    assert up == sorted((float(key % 4) - 1.5, key) for key in range(20))
    down = snapshot.rows_by_number(there, "n", 6, offset=5, descending=True)
    assert down == up[::-1][5:11]


def test_rows_are_sorted_by_key_and_time(small: Small) -> None:
    for key in (5, 3, 9, 1):
        small.add(key)
        small.writer.commit()
    snapshot = small.snapshot()
    everything = queries.to_query(True)
    for column in (queries.KEY, queries.RECORDED):
        rows = snapshot.rows(everything, column, 4, descending=False)
        assert snapshot.values(queries.KEY, [row.address for row in rows]) == [1, 3, 5, 9]
    thirds = snapshot.rows(everything, queries.OCCURRED, 4, descending=False)
    assert [row.value for row in thirds] == [0, 1, 1, 3]
    assert [row.value for row in snapshot.rows(everything, queries.KEY, 2, offset=1)] == [5, 3]
    assert keys(snapshot, queries.between(queries.OCCURRED, 1, 1)) == [3, 5]
    assert keys(snapshot, queries.between(queries.KEY, None, 4)) == [1, 3]
    assert keys(snapshot, queries.keys_in([3, 9, 77])) == [3, 9]


def test_documents_are_counted_by_their_keys(small: Small) -> None:
    assert small.snapshot().count(queries.to_query(True)) == 0
    for key in range(9):
        small.add(key, facts=f"two{key % 2}")
        if key % 4 == 3:
            small.writer.commit()
    small.writer.remove(queries.to_query(queries.keys_in([2])))
    snapshot = small.snapshot()
    assert snapshot.count(queries.to_query(True)) == 8
    assert snapshot.count(queries.fact("two0")) == 4
    assert snapshot.count(queries.to_query(queries.none_of(queries.fact("two0")))) == 4


def test_times_are_integers_of_64_bits(small: Small) -> None:
    for key, ms in enumerate((-62_104_060_800_000, 253_370_764_799_999, -(2**63), 2**63 - 1)):
        small.writer.add(key, ms, 0, "", "f", None)
    snapshot = small.snapshot()
    assert keys(snapshot, queries.between(queries.OCCURRED, -62_104_060_800_000, 0)) == [0]
    assert keys(snapshot, queries.between(queries.OCCURRED, 2**63 - 1, None)) == [3]


PHRASES = [("red", "fox"), ("red", "fox", "dog"), ("fox", "fox"), ("dog", "red", "fox", "cat")]


@pytest.fixture
def worded(small: Small) -> tuple[engine.Snapshot, list[Sequence[str]]]:
    words = ("red", "fox", "dog", "cat")
    texts: list[Sequence[str]] = [
        text for size in range(1, 6) for text in itertools.product(words, repeat=size)
    ]
    for key, text in enumerate(texts):
        small.add(key, " ".join(text))
    return small.snapshot(), texts


def test_phrases_with_given_positions_match_those_positions(
    worded: tuple[engine.Snapshot, list[Sequence[str]]],
) -> None:
    snapshot, texts = worded
    for phrase in PHRASES:
        exact = queries.phrase(phrase, range(len(phrase)))
        assert keys(snapshot, exact) == [
            key for key, text in enumerate(texts) if stands_in(phrase, text)
        ]
    swapped = queries.phrase(("red", "fox"), (1, 0))
    assert keys(snapshot, swapped) == keys(snapshot, queries.phrase(("fox", "red"), (0, 1)))
    apart = queries.phrase(("red", "fox"), (4, 6))
    assert keys(snapshot, apart) == [
        key
        for key, text in enumerate(texts)
        if any(a == "red" and b == "fox" for a, b in zip(text, text[2:], strict=False))
    ]


def test_slop_is_exact_for_two_different_words_and_no_others(
    worded: tuple[engine.Snapshot, list[Sequence[str]]],
) -> None:
    snapshot, texts = worded

    def counts(phrase: Sequence[str], slop: int) -> tuple[int, int]:
        wanted = sum(stands_in(phrase, text, slop) for text in texts)
        return snapshot.count(queries.phrase(phrase, range(len(phrase)), slop)), wanted

    for slop in range(6):
        found, wanted = counts(("red", "fox"), slop)
        assert found == wanted
    assert any(found != wanted for found, wanted in (counts(PHRASES[1], n) for n in range(1, 5)))
    assert any(found != wanted for found, wanted in (counts(PHRASES[2], n) for n in range(1, 5)))


def test_a_filler_takes_a_position_and_is_not_indexed(small: Small) -> None:
    small.add(0, f"red {FILLER} {FILLER} fox")
    snapshot = small.snapshot()
    assert keys(snapshot, queries.word(FILLER)) == []
    assert keys(snapshot, queries.phrase(("red", "fox"), (0, 1))) == []
    assert keys(snapshot, queries.phrase(("red", "fox"), (0, 3))) == [0]


def test_fuzzy_terms_match_within_edits_of_neighbouring_letters_too(small: Small) -> None:
    words = ["".join(text) for n in range(1, 5) for text in itertools.product("abü", repeat=n)]
    for key, word in enumerate(words):
        small.add(key, f"!{word}###")
    snapshot = small.snapshot()
    for asked, edits in itertools.product(("ab", "abü", "üba", "abab"), (0, 1, 2)):
        wanted = [key for key, word in enumerate(words) if within_edits(asked, word, edits)]
        assert keys(snapshot, queries.nearly(f"!{asked}###", edits, prefix=False)) == wanted
        assert keys(snapshot, queries.nearly(f"!{asked}###", edits, prefix=True)) == wanted


def test_patterns_match_terms_as_a_whole_in_characters(small: Small) -> None:
    for key, word in enumerate(("!日本x", "!日x", "!日本xy", "b", "!\x01A")):
        small.add(key, word, word)
    snapshot = small.snapshot()
    for find in (queries.word_pattern, queries.fact_pattern):
        assert keys(snapshot, find(r"\x{21}日.x") or False) == [0]
        assert keys(snapshot, find(r"\x{21}[日-\x{10ffff}].*") or False) == [0, 1, 2]
        assert keys(snapshot, find("(b|\\x{21}\\x{1}.)?") or False) == [3, 4]
    assert queries.word_pattern("." * 200) is None
    assert queries.word_patterns(["a", "." * 200]) is None


def test_patterns_in_a_row_match_words_in_a_row(small: Small) -> None:
    small.add(0, "big apple pie")
    small.add(1, "big red apple")
    snapshot = small.snapshot()
    assert keys(snapshot, queries.word_patterns(["b.*", "ap.*"]) or False) == [0]


def test_a_row_of_patterns_with_too_many_words_is_refused(small: Small) -> None:
    for key in range(9_000):
        small.add(key, f"a{key} b{key}")
    snapshot = small.snapshot()
    with pytest.raises(InvalidQuery, match="too many words"):
        snapshot.count(queries.to_query(queries.word_patterns(["a.*", "b.*"]) or False))


def test_terms_are_listed_by_prefix_with_their_documents(small: Small) -> None:
    for key in range(6):
        small.add(key, f"w{key % 2}", f"p\x02{key % 3} q")
        if key == 2:
            small.writer.commit()
    snapshot = small.snapshot()
    assert sorted(snapshot.facts("p\x02", 10)) == [("p\x020", 2), ("p\x021", 2), ("p\x022", 2)]
    few = queries.to_query(queries.keys_in([0, 1, 3]))
    assert sorted(snapshot.facts("p\x02", 10, within=few)) == [("p\x020", 2), ("p\x021", 1)]
    assert len(snapshot.facts("p", 2)) == 2
    assert sorted(snapshot.words("w", 10)) == ["w0", "w1"]
    assert snapshot.has_fact("q")
    assert not snapshot.has_fact("p")


def test_values_are_counted_exactly_over_segments(small: Small) -> None:
    for key in range(60):
        small.add(key, n=[float(key % 11)])
        if key % 13 == 0:
            small.writer.commit()
    snapshot = small.snapshot()
    found = snapshot.number_counts(queries.to_query(True), "n", 50)
    assert found is not None
    wanted = [(number, sum(key % 11 == number for key in range(60))) for number in range(11)]
    assert sorted(found) == wanted
    assert snapshot.number_counts(queries.to_query(True), "n", 10) is None
    assert snapshot.number_counts(queries.to_query(True), "missing", 10) == []


def test_statistics_keep_their_precision_far_from_zero(small: Small) -> None:
    for key in range(12):
        small.add(key, n=[1_700_000_000_000.0 + key])
    found = small.snapshot().statistics(queries.to_query(True), "n")
    assert found["count"] == 12
    assert found["min"] == 1_700_000_000_000
    assert found["variance"] == pytest.approx(143 / 12)


def test_ranges_count_documents_not_values(small: Small) -> None:
    small.add(0, n=[1.0, 1.5, 7.0])
    small.add(1, n=[2.0])
    snapshot = small.snapshot()
    everything, nothing = queries.to_query(True), queries.to_query(False)
    overlapping = [(1.0, 2.0), (None, 2.5), (2.0, None), (None, None), (3.0, 3.0), (5.0, 4.0)]
    assert snapshot.range_counts(everything, "n", overlapping) == (4, [1, 2, 2, 2, 0, 0])
    apart = [(2.0, 3.0), (None, 1.5), (7.0, None)]
    assert snapshot.range_counts(everything, "n", apart) == (4, [1, 1, 1])
    for bounds in (overlapping, apart, []):
        assert snapshot.range_counts(nothing, "n", bounds) == (0, [0] * len(bounds))


def test_histograms_have_an_offset_and_leave_empty_buckets_out(small: Small) -> None:
    for key, ms in enumerate((-11, -10, -1, 0, 9, 10, 1_000_003)):
        small.writer.add(key, ms, 0, "", "f", None)
    snapshot = small.snapshot()
    found = snapshot.histogram(queries.to_query(True), queries.OCCURRED, 10, 3)
    assert found == [(-17, 2), (-7, 2), (3, 2), (1_000_003, 1)]


def test_too_many_buckets_are_reported(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise ValueError("Aborting aggregation because bucket limit was exceeded. Limit: 65000")

    snapshot = small.snapshot()
    monkeypatch.setattr(snapshot, "_searcher", type("Searcher", (), {"aggregate": refuse})())
    assert snapshot.histogram(queries.to_query(True), queries.OCCURRED, 10, 0) is None


def test_matches_join_with_everything_nothing_and_negations(small: Small) -> None:
    for key in range(6):
        small.add(key, facts=f"two{key % 2} three{key % 3}")
    snapshot = small.snapshot()
    even, third = queries.fact("two0"), queries.fact("three0")
    without = queries.none_of(even)
    both = (True, False)
    assert keys(snapshot, queries.all_of((even, third))) == [0]
    assert keys(snapshot, queries.all_of((without, third))) == [3]
    assert keys(snapshot, queries.all_of((without, queries.none_of(third)))) == [1, 5]
    assert keys(snapshot, queries.any_of((without, third))) == [0, 1, 3, 5]
    assert keys(snapshot, queries.any_of((True, third))) == list(range(6))
    assert keys(snapshot, queries.none_of(without)) == [0, 2, 4]
    assert [queries.all_of(pair) for pair in ((), both, (True, True))] == [True, False, True]
    assert [queries.any_of(pair) for pair in ((), both, (False,))] == [False, True, False]
    assert keys(snapshot, queries.any_fact(["two1", "three2"])) == [1, 2, 3, 5]


def test_scores_add_up_and_can_be_turned_off(small: Small) -> None:
    small.add(0, "fox", "g")
    small.add(1, "fox dog", "h")
    snapshot = small.snapshot()

    def score(match: queries.Match) -> float:
        found: float = snapshot.rows(queries.to_query(match), None, 1)[0].value
        return found

    assert score(queries.fact("g")) == 1.0
    assert score(queries.scored(queries.fact("g"), 2.5)) == 2.5
    assert score(queries.unscored(queries.word("dog"))) == 0.0
    together = queries.all_of((queries.unscored(queries.fact("h")), queries.word("dog")))
    assert score(together) == score(queries.word("dog"))
    either = queries.any_of((queries.fact("g"), queries.fact("f"), queries.fact("h")))
    assert score(either) == 1.0


def test_removing_takes_effect_on_what_was_added_before(small: Small) -> None:
    for key in range(4):
        small.add(key)
    small.writer.remove(queries.to_query(queries.keys_in([1, 2])))
    small.add(2)
    assert keys(small.snapshot(), True) == [0, 2, 3]
    small.writer.remove(queries.to_query(queries.keys_in([0])))
    assert keys(engine.Snapshot(small.index), True) == [0, 2, 3]
    assert keys(small.snapshot(), True) == [2, 3]
    assert engine.residue_of(small.folder) > 0


def test_removing_by_the_term_of_a_number_still_removes_nothing(small: Small) -> None:
    small.add(1)
    small.writer.commit()
    small.writer._writer.delete_documents_by_term(queries.KEY, 1)
    assert keys(small.snapshot(), True) == [1]


def test_a_removed_document_leaves_its_words_until_its_segment_is_merged(small: Small) -> None:
    """There is no way to force a merge: whoever has to be rid of words fills another folder."""
    small.add(0, "secret")
    small.add(1, "other")
    small.writer.commit()
    small.writer.remove(queries.to_query(queries.keys_in([0])))
    snapshot = small.snapshot()
    assert keys(snapshot, queries.word("secret")) == []
    assert snapshot.words("secret", 5) == ["secret"]
    assert not hasattr(tantivy.IndexWriter, "merge")


def test_each_commit_has_a_higher_stamp_and_none_without_one(small: Small) -> None:
    stamps = [engine.stamp_of(small.folder)]
    for key in range(3):
        small.add(key)
        assert engine.stamp_of(small.folder) == stamps[-1]
        small.writer.commit()
        stamps.append(engine.stamp_of(small.folder))
        small.writer.commit()
        stamps.append(engine.stamp_of(small.folder))
    assert stamps == sorted(set(stamps))
    meta = json.loads((small.folder / "meta.json").read_bytes())
    assert meta["opstamp"] == stamps[-1]


def test_what_was_not_committed_is_gone_when_the_folder_is_opened_again(tmp_path: Path) -> None:
    first = Small(tmp_path)
    first.add(0)
    first.writer.commit()
    first.add(1)
    first.writer.close()
    again = Small(tmp_path)
    again.add(2)
    assert keys(again.snapshot(), True) == [0, 2]
    again.writer.close()


def test_panics_of_the_library_become_our_error(small: Small) -> None:
    small.add(0)
    snapshot = small.snapshot()
    with pytest.raises(Unexpected) as raised:
        snapshot.rows(queries.to_query(True), None, 0)
    assert "greater than 0" in for_operator(raised.value)


def test_words_may_be_long_and_of_any_script(small: Small) -> None:
    words = ["x" * 1_000, "日本語" * 40, "\U0001f389", "a\u0301", "\U0010ffff"]
    for key, word in enumerate(words):
        small.add(key, word, word)
    snapshot = small.snapshot()
    for key, word in enumerate(words):
        assert keys(snapshot, queries.word(word)) == [key]
        assert keys(snapshot, queries.fact(word)) == [key]

"""What is written can be found, what is removed cannot, and a crash loses nothing committed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tallystick import limits
from tallystick.errors import StoreCorrupt
from tallystick.events.event import Resource, View
from tallystick.events.ids import event_id
from tallystick.index.document import Document
from tallystick.index.page_checksums import open_checked
from tallystick.index.search import SearchReader, SearchWriter
from tallystick.index.search.documents.hyperloglog import Sketch
from tallystick.query.aggregate import TopValues
from tallystick.query.expr import (
    Eq,
    Everything,
    Exists,
    Expr,
    In,
    Phrase,
    Prefix,
    Range,
    Sort,
    Term,
)
from tallystick.query.question import Find
from tallystick.query.values import Terms
from tests.index.search_world import NOW_MS, SEEN, TENANT, Searched, at, document, event, item
from tests.support.needs import ROOT


def no_recall(tenant: str, indexes: Sequence[int]) -> list[tuple[View, Terms]]:
    raise AssertionError("the index should decide this alone")


def found(folder: Path, where: Expr = Everything(), *, tenant: str = TENANT) -> list[int]:
    """Return what a new reader finds, in the order of indexes."""
    reader = SearchReader(folder, no_recall)
    try:
        page = reader.find(tenant, Find(where=where, sort=(), limit=1000), (*SEEN, "item"))
        return [hit.index for hit in page.hits]
    finally:
        reader.close()


def test_a_revised_event_is_found_by_its_new_content_only(tmp_path: Path) -> None:
    writer = SearchWriter(tmp_path)
    writer.apply(TENANT, [document(event(0, {"a": "old"})), document(event(1))], [], at(2))
    writer.commit()
    writer.apply(TENANT, [document(event(0, {"a": "new"}), fresh=False)], [], at(3))
    writer.commit()
    assert found(tmp_path, Term(None, "old")) == []
    assert found(tmp_path, Eq("data.a", "new")) == [0]
    assert found(tmp_path) == [0, 1]
    writer.close()


def test_removed_keys_are_found_no_more(tmp_path: Path) -> None:
    writer = SearchWriter(tmp_path)
    writer.apply(TENANT, [document(event(n)) for n in range(5)], [], at(5))
    writer.apply("other", [document(event(n)) for n in range(5)], [], at(5))
    writer.commit()
    writer.apply(TENANT, [document(event(5))], ["1", "3"], at(6))
    writer.commit()
    assert found(tmp_path) == [0, 2, 4, 5]
    assert found(tmp_path, tenant="other") == [0, 1, 2, 3, 4]
    assert writer.cursors() == {TENANT: at(6), "other": at(5)}
    writer.close()


def test_a_later_document_of_an_item_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    writer = SearchWriter(tmp_path)
    writer.apply(TENANT, [item(0, "a b", {"v": 1}), item(1, "c\0d", {"v": 1})], [], at(2))
    writer.apply(TENANT, [item(2, "a b", {"v": 2})], [], at(3))
    writer.commit()
    assert found(tmp_path) == [1, 2]
    writer.apply(TENANT, [], ["ithings\0c\0d"], at(4))
    writer.commit()
    assert found(tmp_path) == [2]
    writer.close()


def test_only_names_that_see_a_document_find_it(tmp_path: Path) -> None:
    writer = SearchWriter(tmp_path)
    shown = Document(("0",), event(0), ("native", "a b"), {"a b.size": 3}, True)
    writer.apply(TENANT, [shown, document(event(1))], [], at(2))
    writer.commit()
    reader = SearchReader(tmp_path, no_recall)
    assert reader.count(TENANT, Everything(), ("a b",)) == 1
    assert reader.count(TENANT, Everything(), ("native",)) == 2
    assert reader.count(TENANT, Everything(), ("a b", "native")) == 2
    assert reader.count(TENANT, Everything(), ()) == 0
    assert reader.count(TENANT, Range("a b.size", 2, 4), ("native",)) == 1
    reader.close()
    writer.close()


def test_tenants_know_nothing_of_each_other(tmp_path: Path) -> None:
    writer = SearchWriter(tmp_path)
    for number in range(40):
        data = {"word": f"secret{number}", f"path{number}": number}
        writer.apply(f"t{number}", [document(event(0, data))], [], at(1))
    writer.commit()
    reader = SearchReader(tmp_path, no_recall)
    assert reader.count("t3", Term(None, "secret3"), SEEN) == 1
    assert reader.count("t3", Term(None, "secret30"), SEEN) == 0
    assert reader.count("t30", Range("data.path30", 0, 99), SEEN) == 1
    assert reader.known_path("t3", "data.path3")
    assert not reader.known_path("t3", "data.path30")
    assert reader.suggest_path("t3", "data.pat3")[0] == "data.path3"
    assert "data.path30" not in reader.suggest_path("t3", "data.path3")
    assert reader.suggest_path("nobody", "data.pat3") == []
    assert reader.count("nobody", Everything(), SEEN) == 0
    assert reader.aggregate("nobody", Find(), SEEN, [TopValues("kind")])[0].value_count == 0
    reader.close()
    writer.close()


def test_a_path_is_known_with_all_above_it(tmp_path: Path) -> None:
    with Searched(tmp_path, [event(0, {"a": {"b.c": [{"d": None}]}})]) as searched:
        for path in ("data", "data.a", "data.a.b", "data.a.b.c", "data.a.b.c.d"):
            assert searched.reader.known_path(TENANT, path), path
        assert not searched.reader.known_path(TENANT, "data.b")


def test_a_reader_shows_a_commit_after_it_is_refreshed(tmp_path: Path) -> None:
    writer = SearchWriter(tmp_path)
    reader = SearchReader(tmp_path, no_recall)
    writer.apply(TENANT, [document(event(0))], [], at(1))
    reader.refresh()
    assert reader.count(TENANT, Everything(), SEEN) == 0
    writer.commit()
    reader.refresh()
    assert reader.count(TENANT, Everything(), SEEN) == 1
    reader.close()
    writer.close()


def test_uncommitted_documents_are_dropped_and_read_again(tmp_path: Path) -> None:
    writer = SearchWriter(tmp_path)
    writer.apply(TENANT, [document(event(0, {"a": "x"}))], [], at(1))
    writer.commit()
    writer.apply(TENANT, [document(event(1, {"new": {"path": "y"}}))], [], at(2))
    writer.close()
    writer.close()
    again = SearchWriter(tmp_path)
    assert again.cursors() == {TENANT: at(1)}
    again.apply(TENANT, [document(event(1, {"other": "z", "new": {"path": "y"}}))], [], at(2))
    again.commit()
    again.close()
    assert found(tmp_path) == [0, 1]
    assert found(tmp_path, Eq("data.new.path", "y")) == [1]
    assert found(tmp_path, Eq("data.other", "z")) == [1]


def test_a_cursor_written_for_a_commit_that_failed_never_becomes_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SearchWriter(tmp_path)
    writer.apply(TENANT, [document(event(0))], [], at(1))
    writer.commit()

    def fail() -> None:
        raise OSError("the disk is full")

    writer.apply(TENANT, [document(event(1))], [], at(2))
    with monkeypatch.context() as patched:
        patched.setattr(writer._index, "commit", fail)
        with pytest.raises(OSError, match="full"):
            writer.commit()
    writer.close()
    again = SearchWriter(tmp_path)
    assert again.cursors() == {TENANT: at(1)}
    again.apply("other", [document(event(0))], [], at(1))
    again.commit()
    again.close()
    last = SearchWriter(tmp_path)
    assert last.cursors() == {TENANT: at(1), "other": at(1)}
    last.close()


def test_killed_at_any_moment_it_goes_on_from_what_was_committed(tmp_path: Path) -> None:
    """A process fills the index and is killed after a random time, again and again."""
    script = ROOT / "tests" / "index" / "fill_until_killed.py"
    chance = random.Random(5)  # noqa: S311  # moments for a test
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, str(script), str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        for _ in range(chance.randint(1, 40)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        writer = SearchWriter(tmp_path)
        cursor = writer.cursors().get(TENANT, at(0)).next
        writer.close()
        assert found(tmp_path) == list(range(cursor))
        assert found(tmp_path, Range("data.n", 0, None)) == list(range(cursor))
    assert cursor > 0


def test_erased_words_are_in_no_file_of_a_folder_filled_afterwards(tmp_path: Path) -> None:
    secret, other = "qzxwvsecret", "harmless"
    old, new = tmp_path / "old", tmp_path / "new"
    views = [event(0, {"a": {secret: f"{secret} word"}}), event(1, {"a": other})]
    erased = event(0, {}, erased=("data",))
    for folder in (old, new):
        folder.mkdir()
    writer = SearchWriter(old)
    writer.apply(TENANT, [document(view) for view in views], [], at(2))
    writer.commit()
    assert not writer.residue()
    writer.apply(TENANT, [document(erased, fresh=False)], [], at(3))
    writer.has_erased()
    writer.commit()
    assert writer.residue()
    writer.close()
    assert found(old, Term(None, secret)) == []
    rebuilt = SearchWriter(new)
    rebuilt.apply(TENANT, [document(erased), document(views[1])], [], at(3))
    rebuilt.commit()
    assert not rebuilt.residue()
    rebuilt.close()
    assert found(new, Term(None, other)) == found(old, Term(None, other)) == [1]
    assert traces(old, other)
    assert traces(new, other)
    assert traces(old, secret)
    assert not traces(new, secret)


def traces(folder: Path, word: str) -> bool:
    """Tell whether a word is in a dictionary of the index or in the bytes of any file."""
    reader = SearchReader(folder, no_recall)
    selector = reader.moment(TENANT)._selector
    assert selector is not None
    words = selector.corpus.snapshot.words("", 10_000)
    facts = [term for term, _ in selector.corpus.snapshot.facts("", 10_000)]
    reader.close()
    bytes_of_files = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return word.encode() in bytes_of_files or any(word in term for term in (*words, *facts))


def test_member_names_beyond_the_limit_are_still_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_PATHS", 40)
    views = [event(n, {f"m{n}": "fox", "n": {f"deep{n}": n}, "a": n % 2}) for n in range(60)]
    with Searched(tmp_path, views) as searched:
        for where in (
            Term(None, "fox"),
            Term("data", "fox"),
            Term("data.m50", "fox"),
            Eq("data.m50", "fox"),
            Range("data.n.deep55", 55, 55),
            Exists("data.m59"),
            Exists("data.n"),
            Eq("data.a", 1),
        ):
            wanted = [view.index for view in searched.matching(where)]
            assert wanted
            assert searched.indexes(where) == wanted, where
        assert searched.indexes(Eq("data.m50", "dog")) == []
        sort = (Sort("data.m50"),)
        assert searched.indexes(Everything(), sort=sort)[0] == 50
        top = TopValues("data.m50")
        assert searched.aggregate(top) == searched.worked_out(top)


def test_numbers_beyond_the_limit_of_columns_are_still_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_COLUMNS", 20)
    views = [event(n, {f"m{k}": n * k for k in range(30)}) for n in range(10)]
    with Searched(tmp_path, views) as searched:
        for field in ("data.m2", "data.m29"):
            for where in (Range(field, 30, 200), Eq(field, 58), In(field, (0, 29)), Range(field)):
                wanted = [view.index for view in searched.matching(where)]
                assert searched.indexes(where) == wanted, where
            assert searched.aggregate(TopValues(field)) == searched.worked_out(TopValues(field))
            sort = (Sort(field, True),)
            assert searched.indexes(Everything(), sort=sort) == list(range(9, -1, -1))


def test_crowded_paths_know_identifiers_by_their_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a path has very many values, identifiers there are not spelt out any more."""
    monkeypatch.setattr(limits, "SEARCH_VALUES", 30)
    ids = [f"7c10646b-624b-4a90-8024-{n:012x}" for n in range(600)]
    views = [event(n, {"id": one, "both": [one, ids[n - 1]]}) for n, one in enumerate(ids)]
    with Searched(tmp_path, views) as searched:
        for where in (
            Eq("data.id", ids[3]),
            Eq("data.id", ids[599]),
            Eq("data.id", ids[599].upper()),
            Eq("data.id", "7c10646b-624b-4a90-8024"),
            In("data.id", (ids[400], ids[401], "x")),
            Eq("data.both", ids[500]),
            Prefix("data.id", "7c10646b-624b-4a90-8024-0000000002"),
            Prefix("data.both", ids[550]),
            Range("data.id", ids[598], None),
            Phrase("data.id", "8024 000000000257"),
        ):
            wanted = [view.index for view in searched.matching(where)]
            assert searched.indexes(where) == wanted, where


def test_an_id_of_ours_is_found_by_the_index_it_holds(tmp_path: Path) -> None:
    own = event_id(NOW_MS, 1, 77)
    views = [event(0), event(1, id=own), event(2, id=event_id(NOW_MS, 1, 78))]
    with Searched(tmp_path, views) as searched:
        for wanted in views:
            assert searched.indexes(Eq("id", wanted.first.id)) == [wanted.index]
        assert searched.indexes(In("id", (own, views[0].first.id))) == [0, 1]
        assert searched.indexes(Eq("id", event_id(NOW_MS, 2, 9))) == []
        assert searched.indexes(Prefix("id", own[:20])) == [1, 2]


def test_a_folder_of_another_version_is_not_opened(tmp_path: Path) -> None:
    SearchWriter(tmp_path).close()
    import apsw

    flags = apsw.SQLITE_OPEN_READWRITE
    with open_checked(tmp_path / "names.db", flags) as names:
        names.execute("UPDATE about SET version = 99")
    names.close()
    with pytest.raises(StoreCorrupt, match="version 99"):
        SearchWriter(tmp_path)


def test_a_damaged_folder_is_reported_as_one_to_be_made_again(tmp_path: Path) -> None:
    for number, damage in enumerate((b"", b"{", b'{"segments": 1}', None)):
        folder = tmp_path / str(number)
        folder.mkdir()
        writer = SearchWriter(folder)
        writer.apply(TENANT, [document(event(0))], [], at(1))
        writer.commit()
        writer.close()
        if damage is None:
            next((folder / "segments").glob("*.term")).write_bytes(b"nonsense")
        else:
            (folder / "segments" / "meta.json").write_bytes(damage)
        with pytest.raises(StoreCorrupt):
            SearchReader(folder, no_recall)


def test_names_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    views = [
        event(0, {"a": {"b": "x"}, "a.b": "y"}, target=Resource("a:b", "c")),
        event(1, {"a.b": {"": "x"}}, target=Resource("a", "b:c")),
    ]
    with Searched(tmp_path, views) as searched:
        for where in (
            Eq("data.a.b", "x"),
            Eq("data.a.b", "y"),
            Eq("data.a.b.", "x"),
            Eq("target", "a:b:c"),
            Eq("target.type", "a"),
            Term("target", "c"),
            Exists("data.a"),
        ):
            assert searched.indexes(where) == [v.index for v in searched.matching(where)], where


@pytest.mark.parametrize("count", [10, 1_000, 30_000])
def test_a_sketch_tells_about_how_many_values_there_are(count: int) -> None:
    sketch = Sketch()
    for n in range(count):
        sketch.add(f"value {n}")
        sketch.add(f"value {n // 2}")
    assert 0.7 * count < sketch.estimate() < 1.3 * count
    assert Sketch(sketch.state()).estimate() == sketch.estimate()

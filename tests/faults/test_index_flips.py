"""Damage to the indexes of a real server, whose followers run in processes of their own.

Whatever is flipped, lost or set back, every answer with status 200 is the right one, and after a
while all questions are answered. TALLYSTICK_TEST_FLIPS is how often a byte is flipped; by hand a
hundred times or more.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.followers.damage import Cursor
from tallystick.followers.follow import read_slice, tenant_uuid
from tallystick.followers.registry import load_rules
from tallystick.index.document import documents_of
from tallystick.index.open import RULES
from tallystick.index.search.watched_files import EVERY_S
from tallystick.index.search.writer import SearchWriter
from tallystick.store.sqlite.store import open_sqlite
from tests.support.live_server import TENANT, LiveServer, open_server

FLIPS = int(os.environ.get("TALLYSTICK_TEST_FLIPS", "1"))
HEALED_WITHIN_S = 60.0
ORDERS = 40
EVENTS = 240

QUESTIONS = (
    "/v1/events?limit=1000&total=true",
    "/v1/events?kind=order.k1&limit=1000&total=true&order=asc",
    "/v1/events?target=order:7&limit=1000&total=true",
    "/v1/events?actor=user:3&limit=1000&total=true",
    "/v1/events?q=w3&limit=1000&total=true",
    "/v1/events?q=data.number:[100 TO 180]&limit=1000&total=true",
    "/v1/events?q=data.text:brown&sort=data.number&limit=1000&total=true",
    "/v1/events/facets?fields=kind,actor,data.colour",
    "/v1/events/facets?q=w3&fields=data.number",
    "/v1/events/histogram?interval=hour&q=brown",
    "/v1/resources/order/7",
)


class Kept:
    """A data folder with sound indexes, and what a server on it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "sound"
        self.killed = folder / "killed"
        with open_server(self.folder, followers=True, checked=False) as live:
            self.key = live.admin_key
            with live.http() as http:
                fill(http, 0)
                http.get(QUESTIONS[4])
                fill(http, EVENTS // 2)
                self.revise(http)
                self.answers = answers_of(http)
                # A search answers from memory before it commits.
                time.sleep(4)
                shutil.copytree(self.folder, self.killed)
        check_counts(self.answers)

    @staticmethod
    def revise(http: httpx2.Client) -> None:
        listed = http.get("/v1/events?limit=5")
        while listed.status_code == 503:
            # Lists have not caught up with the batches yet.
            time.sleep(0.2)
            listed = http.get("/v1/events?limit=5")
        rows = listed.json()["events"]
        for row in rows[:3]:
            content = {"data": {**row["data"], "text": "revised w3"}}
            assert http.post(f"/v1/events/{row['id']}/revise", json=content).status_code == 200
        assert http.post(f"/v1/events/{rows[4]['id']}/retract", json={}).status_code == 200


def fill(http: httpx2.Client, first: int) -> None:
    batch = [
        {
            "kind": f"order.k{n % 3}",
            "actor": {"type": "user", "id": str(n % 5)},
            "target": {"type": "order", "id": str(n % ORDERS), "name": f"order {n % ORDERS}"},
            "data": {"number": n, "text": f"brown w{n % 7}", "colour": f"c{n % 4}"},
        }
        for n in range(first, first + EVENTS // 2)
    ]
    assert http.post("/v1/events", json=batch).status_code == 201


def check_counts(answers: dict[str, Any]) -> None:
    """Check what is compared with: by arithmetic, as far as that goes."""
    assert answers[QUESTIONS[0]]["total"] >= EVENTS - 1
    assert answers[QUESTIONS[1]]["total"] in (EVENTS // 3, EVENTS // 3 - 1)
    assert len(answers[QUESTIONS[5]]["ids"]) == 81


def answers_of(http: httpx2.Client, expected: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask until every question is answered; each answer must be as expected."""
    answers: dict[str, Any] = {}
    end_s = time.monotonic() + HEALED_WITHIN_S
    while len(answers) < len(QUESTIONS):
        assert time.monotonic() < end_s, f"no answer to {set(QUESTIONS) - answers.keys()}"
        for question in QUESTIONS:
            answer = http.get(question)
            assert answer.status_code in (200, 503), (question, answer.text)
            if answer.status_code == 503:
                assert answer.headers["retry-after"]
                continue
            answers[question] = told = content_of(answer.json())
            assert expected is None or told == expected[question], question
    return answers


def content_of(page: Any) -> Any:
    if "events" not in page:
        return page
    return {"ids": [event["id"] for event in page["events"]], "total": page["total"]}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("kept"))


def check(kept: Kept, folder: Path) -> dict[str, str]:
    """Serve a folder, ask everything, write, try again; return why indexes were made again."""
    with open_server(folder, followers=True, checked=False, tenant=None) as live:
        live.admin_key = kept.key
        with live.http() as http:
            answers_of(http, kept.answers)
            added = http.post(
                "/v1/events", json={"kind": "order.new", "data": {"text": "newcomer"}}
            )
            assert added.status_code == 201
            id = added.json()["id"]
            for query in ("kind=order.new", "q=newcomer"):
                assert [event["id"] for event in events_of(http, query)] == [id], query
            return reasons_of(live)


def events_of(http: httpx2.Client, query: str) -> list[Any]:
    end_s = time.monotonic() + HEALED_WITHIN_S
    while (answer := http.get(f"/v1/events?{query}")).status_code == 503:
        assert time.monotonic() < end_s
    events: list[Any] = answer.json()["events"]
    return events


def reasons_of(live: LiveServer) -> dict[str, str]:
    return {name: str(h.remade) for name, h in live.node.index.health().items() if h.remade}


def flip(path: Path, at: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def files_of(folder: Path, pattern: str = "*") -> list[Path]:
    root = folder / "index"
    found = (path for path in root.rglob(pattern) if path.is_file() and path.stat().st_size)
    return sorted(path.relative_to(folder) for path in found)


def named(pattern: str) -> Callable[[Path], list[Path]]:
    return lambda folder: [folder / name for name in files_of(folder, pattern)]


def lose(paths: list[Path]) -> None:
    assert paths
    for path in paths:
        path.unlink()


def flip_all(paths: list[Path]) -> None:
    assert paths
    for path in paths:
        flip(path, path.stat().st_size // 2, 3)


DAMAGES: dict[str, Callable[[Path], None]] = {
    # What befalls the lists and what befalls the search are independent of each other.
    "names.db lost": lambda folder: lose(named("names.db*")(folder)),
    "names.db and views.db flipped": lambda folder: flip_all(
        [*named("names.db")(folder), *named("views.db")(folder)]
    ),
    "meta.json and views.db lost": lambda folder: lose(
        [*named("meta.json")(folder), *named("views.db*")(folder)]
    ),
    ".fast files flipped": lambda folder: flip_all(named("*.fast")(folder)),
    "all of it lost": lambda folder: shutil.rmtree(folder / "index"),
    "the pointers to what is served lost": lambda folder: lose(named("CURRENT")(folder)),
}


OF_SEARCH = {
    "names.db lost", "names.db and views.db flipped", "meta.json and views.db lost",
    ".fast files flipped",
}  # fmt: skip
"""Those after which the search has to be made again; a lost one is simply made."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_server_never_answers_wrongly_from_a_damaged_index(
    kept: Kept, tmp_path: Path, damage: str
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(kept.folder, copy)
    DAMAGES[damage](copy)
    reasons = check(kept, copy)
    # A page of the lists that no question needs may stay unread.
    assert ("search" in reasons) == (damage in OF_SEARCH), reasons


def test_an_index_left_by_a_kill_is_as_right(kept: Kept, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(kept.killed, copy)
    flip_all(named("*.pos")(copy))
    check(kept, copy)


@pytest.mark.timeout(120 + 30 * FLIPS)
@pytest.mark.parametrize("state", ["folder", "killed"])
def test_a_flip_in_any_region_of_any_file_is_never_a_wrong_answer(
    kept: Kept, tmp_path: Path, state: str
) -> None:
    """Flip a byte in one file of the lists and one of the search at a time."""
    chance = random.Random(7)  # noqa: S311  # places for a test
    source: Path = getattr(kept, state)
    for round in range(FLIPS):
        copy = tmp_path / "data"
        shutil.copytree(source, copy)
        done = []
        for part in ("views", "search"):
            name = chance.choice([n for n in files_of(copy) if n.parts[1] == part])
            at = chance.randrange((copy / name).stat().st_size)
            flip(copy / name, at, chance.randrange(8))
            done.append((str(name), at))
        try:
            check(kept, copy)
        except AssertionError as error:
            raise AssertionError(f"round {round}: {done}") from error
        shutil.rmtree(copy)


def test_a_ledger_set_back_under_its_index_lists_what_it_has(kept: Kept, tmp_path: Path) -> None:
    """The folder of an hour ago, with the indexes of today."""
    earlier = tmp_path / "earlier"
    with open_server(earlier, followers=True, checked=False) as live, live.http() as http:
        key = live.admin_key
        fill(http, 0)
        expected = answers_of(http)
        assert expected[QUESTIONS[0]]["total"] >= EVENTS // 2
    later = tmp_path / "later"
    shutil.copytree(earlier, later)
    with open_server(later, followers=True, checked=False, tenant=None) as live:
        live.admin_key = key
        with live.http() as http:
            fill(http, EVENTS // 2)
            assert answers_of(http) != expected
            time.sleep(4)
    shutil.rmtree(earlier / "index")
    shutil.copytree(later / "index", earlier / "index")
    with open_server(earlier, followers=True, checked=False, tenant=None) as live:
        live.admin_key = key
        with live.http() as http:
            answers_of(http, expected)
            health = live.node.index.health()
            assert {name: one.set_back for name, one in health.items()} == {"views": 1, "search": 1}


@pytest.mark.parametrize("pattern", ["*.fast", "*.idx"])
def test_a_file_of_the_search_that_is_changed_under_a_running_server_is_noticed(
    kept: Kept, tmp_path: Path, pattern: str
) -> None:
    """The library maps the files: what is changed in them, it would believe at once."""
    copy = tmp_path / "data"
    shutil.copytree(kept.folder, copy)
    with open_server(copy, followers=True, checked=False, tenant=None) as live:
        live.admin_key = kept.key
        with live.http() as http:
            answers_of(http, kept.answers)
            flip_all(named(pattern)(copy))
            time.sleep(2 * EVERY_S)
            answers_of(http, kept.answers)
            assert "search" in reasons_of(live)


def test_a_second_document_of_an_event_is_noticed_in_the_background(
    kept: Kept, tmp_path: Path
) -> None:
    """The earlier text of an event beside its revision, as a kill must never leave it."""
    copy = tmp_path / "data"
    shutil.copytree(kept.folder, copy)
    double_the_first_event(copy)
    with open_server(copy, followers=True, checked=False, tenant=None) as live:
        live.admin_key = kept.key
        end_s = time.monotonic() + HEALED_WITHIN_S
        while not reasons_of(live):
            assert time.monotonic() < end_s
            time.sleep(0.05)
        with live.http() as http:
            answers_of(http, kept.answers)
        assert live.node.index.health()["search"].remade == 1


def double_the_first_event(folder: Path) -> None:
    """Add a document of an event again, past all that keeps a writer from it."""
    rules = load_rules(RULES)
    with closing(open_sqlite(folder / "ledger.db")) as store:
        [generation] = [path for path in (folder / "index" / "search").iterdir() if path.is_dir()]
        writer = SearchWriter(generation)
        cursor = writer.cursors()[TENANT]
        writer._cleared.add(TENANT)
        writer._next[TENANT] = Cursor(0, b"")
        documents, _ = documents_of(
            rules, read_slice(store, TENANT, tenant_uuid(store, TENANT), 5, 6)
        )
        writer.apply(TENANT, documents, [], cursor)
        writer.commit()
        writer.close()

"""A server on PostgreSQL that is killed right after revisions and erasures: its search shows them.

The follower of the search may be killed before, during or after its own commit of a revision. An
old copy of an event beside the new one would show as a second row, or as a hit for the old text.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.index.search.follower import COMMIT_AFTER_S
from tests.cli.program import served

pytestmark = pytest.mark.needs("postgres")

ROUNDS = int(os.environ.get("TALLYSTICK_TEST_REVISE_KILLS", "3"))
EVENTS = 40
REVISIONS = 6
"""Of a round. An event may be revised twice."""
KILLED_WITHIN_S = 2.0
READY_WITHIN_S = 60.0
IN_ALL = "everywhere"
"""A word of every text."""


class Model:
    """The events as the API acknowledged them."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        """By id of an event that is shown, the word that only its present text has."""
        self.gone: list[str] = []
        """The words of former and of erased texts."""
        self._made = 0

    def new_word(self) -> str:
        """Return a word that no text has had yet."""
        self._made += 1
        return f"word{self._made:06}"


class Client:
    """What the test asks of a server that runs."""

    def __init__(self, http: httpx2.Client, model: Model) -> None:
        self._http = http
        self._model = model

    def record(self, count: int) -> None:
        """Store some events."""
        words = [self._model.new_word() for _ in range(count)]
        events = [{"kind": "note.written", "data": data_of(word)} for word in words]
        answer = self._http.post("/v1/events", json=events)
        assert answer.status_code == 201, answer.text
        ids = [event["id"] for event in answer.json()]
        self._model.words.update(zip(ids, words, strict=True))

    def revise(self, id: str) -> None:
        """Give an event another text."""
        word = self._model.new_word()
        answer = self._http.post(f"/v1/events/{id}/revise", json={"data": data_of(word)})
        assert answer.status_code == 200, answer.text
        self._model.gone.append(self._model.words[id])
        self._model.words[id] = word

    def erase(self, id: str) -> None:
        """Destroy the text of an event."""
        answer = self._http.post(f"/v1/events/{id}/retract", json={"erase": True})
        assert answer.status_code == 200, answer.text
        self._model.gone.append(self._model.words.pop(id))

    def until_ready(self) -> None:
        """Wait until the server says that it answers reads."""
        end_s = time.monotonic() + READY_WITHIN_S
        while (answer := self._http.get("/readyz")).status_code != 200:
            assert time.monotonic() < end_s, answer.text
            time.sleep(0.05)

    def ids(self, **query: str) -> list[str]:
        """Return the ids that a list or a search shows; its total must be their number."""
        end_s = time.monotonic() + READY_WITHIN_S
        params = {"limit": "1000", "total": "true", **query}
        # An index that the kill damaged is made again, and reads of it are refused meanwhile.
        while (answer := self._http.get("/v1/events", params=params)).status_code == 503:
            assert time.monotonic() < end_s, answer.text
            time.sleep(0.05)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found = [event["id"] for event in page["events"]]
        assert page["next"] is None
        assert page["total"] == len(found), (query, page["total"], found)
        return found

    def check(self, gone: list[str]) -> None:
        """Check the list, the search for all events and for each, and words that no text has."""
        listed = self.ids()
        assert sorted(listed) == sorted(self._model.words)
        assert self.ids(q=IN_ALL) == listed
        for id, word in self._model.words.items():
            assert self.ids(q=word) == [id], word
        for word in gone:
            assert self.ids(q=word) == [], word


def data_of(word: str) -> dict[str, Any]:
    return {"text": f"{IN_ALL} {word}"}


class KillableServer:
    """A data folder and a database, and the server on both that is killed again and again."""

    def __init__(self, folder: Path, database: str, model: Model) -> None:
        self._options = ["--data", str(folder), "--database", database]
        self._model = model
        self._key = ""

    @contextmanager
    def until_killed(self) -> Iterator[Client]:
        """Run the server until the block ends; then kill all its processes at once."""
        process, said = served(*self._options, own_group=True)
        # The key is said by the first start only.
        self._key = self._key or said["key"]
        headers = {"Authorization": f"Bearer {self._key}"}
        try:
            with httpx2.Client(base_url=said["url"], headers=headers, timeout=60) as http:
                client = Client(http, self._model)
                client.until_ready()
                yield client
                os.killpg(process.pid, signal.SIGKILL)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)


def change(client: Client, model: Model, chance: random.Random) -> None:
    """Revise some events and erase another, in any order."""
    erased, *others = chance.sample(sorted(model.words), len(model.words))
    acts = [*chance.choices(others, k=REVISIONS), erased]
    chance.shuffle(acts)
    for id in acts:
        if id == erased:
            client.erase(id)
        else:
            client.revise(id)


@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_search_shows_revisions_and_erasures_after_a_kill(
    postgres_database: str, tmp_path: Path, seed: int
) -> None:
    """Kill at a random moment after the acknowledgement, start again, search; over and over."""
    chance = random.Random(seed)  # noqa: S311
    model = Model()
    server = KillableServer(tmp_path / "data", postgres_database, model)
    fresh: list[str] = []
    for _ in range(ROUNDS):
        with server.until_killed() as client:
            client.check(fresh)
            client.record(EVENTS - len(model.words))
            # The index commits this long after it took the new event: the pause makes it commit
            # before, among or after the changes, and before or after the kill.
            time.sleep(chance.uniform(0, COMMIT_AFTER_S))
            before = len(model.gone)
            change(client, model, chance)
            time.sleep(chance.uniform(0, KILLED_WITHIN_S))
            fresh = model.gone[before:]
    with server.until_killed() as client:
        client.check(model.gone)

"""The states of streams on both stores: what is kept, in what order, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tallystick.store.postgres import stream_states as postgres
from tallystick.store.postgres.stream_states import PostgresStreamStates
from tallystick.store.sqlite.stream_states import SqliteStreamStates
from tallystick.store.stream_states import DELIVERIES, Letter, Save, StreamStates
from tests.subscriptions.streams.world import until

Open = Callable[[str], StreamStates]


@pytest.fixture(params=["sqlite", "postgres"])
def open_states(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Return what opens the same states for a sender of some name."""
    opened: list[StreamStates] = []
    url = request.getfixturevalue("postgres_tables") if request.param == "postgres" else ""

    def open_for(owner: str) -> StreamStates:
        states: StreamStates = (
            PostgresStreamStates(url, owner) if url else SqliteStreamStates(tmp_path / "streams.db")
        )
        opened.append(states)
        return states

    yield open_for
    for states in opened:
        states.close()


def letter(stop: int, due_ms: int | None, attempts: int = 1) -> Letter:
    return Letter(stop - 1, 0, stop, 0, attempts, due_ms, "refused")


def test_nothing_is_there_before_something_is_saved(open_states: Open) -> None:
    states = open_states("a")
    assert states.load("t", "s") is None
    assert states.all() == []
    assert states.deliveries("t", "s", 10) == []
    assert states.due("t", "s", 1, 10) == states.dead("t", "s", 10) == []
    assert states.counts("t", "s") == (0, 0)


def test_only_the_sender_writes_and_everybody_reads(open_states: Open) -> None:
    states = open_states("a")
    assert not states.save("t", "s", Save(b"0"))
    assert states.acquire("t", "s")
    assert states.acquire("t", "s")
    assert states.save("t", "s", Save(b"1", deliveries=(b"d1",)))
    other = open_states("b")
    assert not other.acquire("t", "s")
    assert not other.save("t", "s", Save(b"2"))
    assert other.load("t", "s") == b"1"
    assert [(row.tenant, row.stream, row.doc) for row in other.all()] == [("t", "s", b"1")]
    assert other.deliveries("t", "s", 10) == [b"d1"]


def test_a_sender_that_ended_is_followed_at_once(open_states: Open) -> None:
    first, second = open_states("a"), open_states("b")
    assert first.acquire("t", "s")
    assert first.save("t", "s", Save(b"1"))
    first.release("t", "s")
    first.close()
    assert second.acquire("t", "s")
    assert second.load("t", "s") == b"1"
    assert second.save("t", "s", Save(b"2"))


def test_a_sender_that_says_nothing_is_followed_by_another(
    postgres_tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_LEASE", postgres._LEASE / 16)
    silent, patient = (PostgresStreamStates(postgres_tables, owner) for owner in ("a", "b"))
    assert silent.acquire("t", "s")
    assert not patient.acquire("t", "s")
    until(lambda: patient.acquire("t", "s"), 10)
    # It comes to life again, and may not write any more.
    assert not silent.save("t", "s", Save(b"late"))
    assert patient.save("t", "s", Save(b"next"))
    assert silent.load("t", "s") == b"next"
    silent.close()
    patient.close()


def test_letters_wait_die_and_come_back(open_states: Open) -> None:
    states = open_states("a")
    states.acquire("t", "s")
    letters = (letter(5, 100), letter(9, 50), letter(7, None), letter(3, None))
    states.save("t", "s", Save(b"", letters=letters))
    assert [each.stop for each in states.due("t", "s", 99, 10)] == [9]
    assert [each.stop for each in states.due("t", "s", 100, 10)] == [9, 5]
    assert [each.stop for each in states.due("t", "s", 100, 1)] == [9]
    assert states.dead("t", "s", 10) == [letter(3, None), letter(7, None)]
    assert states.counts("t", "s") == (2, 2)
    states.save("t", "s", Save(b"", letters=(letter(9, 200, 2),), settled=(letter(5, 100),)))
    assert states.counts("t", "s") == (1, 2)
    assert states.due("t", "s", 200, 10) == [letter(9, 200, 2)]
    states.revive("t", "s", 150)
    assert states.counts("t", "s") == (3, 0)
    assert [(each.stop, each.attempts) for each in states.due("t", "s", 150, 9)] == [(3, 0), (7, 0)]


def test_a_thousand_deliveries_are_kept(open_states: Open) -> None:
    states = open_states("a")
    states.acquire("t", "s")
    states.acquire("t", "other")
    states.save("t", "other", Save(b"", deliveries=(b"theirs",)))
    for first in range(0, 1_200, 12):
        docs = tuple(str(number).encode() for number in range(first, first + 12))
        states.save("t", "s", Save(b"", deliveries=docs))
    found = states.deliveries("t", "s", 5_000)
    assert found == [str(number).encode() for number in range(1_199, 199, -1)]
    assert len(found) == DELIVERIES
    assert states.deliveries("t", "other", 10) == [b"theirs"]


def test_what_is_forgotten_is_gone_and_others_stay(open_states: Open) -> None:
    states = open_states("a")
    for stream in ("s", "other"):
        states.acquire("t", stream)
        states.save("t", stream, Save(b"1", (b"d",), (letter(5, 1),)))
    states.forget("t", "s")
    assert states.load("t", "s") is None
    assert states.counts("t", "s") == (0, 0)
    assert states.deliveries("t", "s", 10) == []
    assert [row.stream for row in states.all()] == ["other"]
    assert states.counts("t", "other") == (1, 0)

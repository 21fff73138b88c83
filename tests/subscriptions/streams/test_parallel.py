"""Parallel streams: event by event, several at a time, and none holds up the others."""

from __future__ import annotations

import threading
import time

import pytest

from tallystick.subscriptions.streams import parallel, progress
from tests.subscriptions.streams.receivers import (
    CLOSES,
    FAILS,
    GARBAGE,
    GONE,
    OK,
    Answer,
    Received,
    Receiver,
    receiving,
)
from tests.subscriptions.streams.world import STREAMS, World, until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a letter three attempts that follow each other quickly."""
    monkeypatch.setattr(
        parallel, "ladder_wait_s", lambda attempts, after: 0.05 if attempts < 3 else None
    )


def numbers(receiver: Receiver) -> set[int]:
    return {event["data"]["number"] for event in receiver.events()}


def number_of(received: Received) -> int:
    return int(received.json["events"][0]["data"]["number"])


def test_events_are_sent_by_eight_at_most(each_world: World) -> None:
    def decide(number: int, received: Received) -> Answer:
        time.sleep(0.02)
        return OK

    with receiving(decide) as receiver, each_world.sending():
        each_world.create(receiver.url, mode="parallel")
        each_world.append(80)
        receiver.wait(lambda: len(receiver.taken) == 80)
        until(lambda: each_world.stream().get("delivered") == 80)
    assert all(len(received.json["events"]) == 1 for received in receiver.taken)
    assert numbers(receiver) == set(range(80))
    assert 2 <= receiver.most_under_way <= 8


def test_what_fails_holds_up_nothing_and_dies_in_the_end(each_world: World) -> None:
    broken = threading.Event()
    broken.set()

    def decide(number: int, received: Received) -> Answer:
        return FAILS if number_of(received) % 10 == 3 and broken.is_set() else OK

    world = each_world
    with receiving(decide) as receiver, world.sending():
        world.create(receiver.url, mode="parallel")
        world.append(40)
        receiver.wait(lambda: len(receiver.taken) == 36)
        until(lambda: world.stream().get("dead") == 4)
        until(lambda: world.stream()["lag"] == 0)
        stream = world.stream()
        assert (stream["waiting"], stream["state"]) == (0, "active")
        letters = world.http.get(f"{STREAMS}/s/dead-letters").json()["dead_letters"]
        assert [letter["attempts"] for letter in letters] == [3] * 4
        assert {letter["problem"] for letter in letters} == {"the receiver answered 500"}
        assert all(letter["to"] - letter["from"] == 1 for letter in letters)
        broken.clear()
        world.act("replay", {"dead": True})
        receiver.wait(lambda: len(receiver.taken) == 40)
        until(lambda: world.stream()["dead"] == 0)
    assert numbers(receiver) == set(range(40))


def test_every_kind_of_failure_is_tried_again(world: World) -> None:
    seen: dict[int, int] = {}
    answers = (FAILS, GARBAGE, CLOSES)

    def decide(number: int, received: Received) -> Answer:
        event = number_of(received)
        seen[event] = seen.get(event, 0) + 1
        return answers[event % 3] if seen[event] == 1 else OK

    with receiving(decide) as receiver, world.sending():
        world.create(receiver.url, mode="parallel")
        world.append(30)
        until(lambda: world.stream().get("delivered") == 30)
    assert seen == dict.fromkeys(range(30), 2)
    # An attempt after the first is the same event under the same id.
    ids: dict[int, set[str]] = {}
    for received in receiver.attempts:
        ids.setdefault(number_of(received), set()).add(received.headers["webhook-id"])
    assert all(len(names) == 1 for names in ids.values())


def test_an_event_that_was_erased_while_it_waited_is_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "ladder_wait_s", lambda attempts, after: 0.5)

    def decide(number: int, received: Received) -> Answer:
        return FAILS if number == 0 else OK

    with receiving(decide) as receiver, world.sending():
        world.create(receiver.url, mode="parallel")
        (id,) = world.append(1, data={"word": "marmalade"})
        receiver.wait(lambda: len(receiver.attempts) == 1)
        until(lambda: world.stream().get("waiting") == 1)
        world.http.post(f"/v1/events/{id}/retract", json={"erase": True})
        until(lambda: world.stream()["waiting"] == 0 and world.stream()["lag"] == 0)
    later = receiver.attempts[1:]
    assert later
    assert all(b"marmalade" not in received.body for received in later)


def test_410_disables_a_stream(world: World) -> None:
    with receiving(lambda number, received: GONE) as receiver, world.sending(), world.keeping():
        world.create(receiver.url, mode="parallel")
        world.append(3)
        until(lambda: world.stream()["state"] == "disabled")
    assert receiver.taken == []


def test_a_receiver_that_takes_nothing_does_not_fill_the_state(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "ladder_wait_s", lambda attempts, after: 60.0)
    monkeypatch.setattr(parallel, "WAITING_MAX", 20)
    with receiving(lambda number, received: FAILS) as receiver, world.sending():
        world.create(receiver.url, mode="parallel")
        world.append(300)
        until(lambda: world.stream().get("waiting", 0) >= 20)
        time.sleep(0.5)
        stream = world.stream()
    # Whatever was read ahead is a letter too; the rest stays in the log.
    assert stream["waiting"] <= 20 + 64
    assert stream["lag"] >= 200
    assert len(receiver.attempts) <= 20 + 64


def test_a_replayed_stretch_is_sent_again(world: World) -> None:
    with receiving() as receiver, world.sending():
        world.create(receiver.url, mode="parallel")
        world.append(6)
        receiver.wait(lambda: len(receiver.taken) == 6)
        first = min(event["index"] for event in receiver.events())
        world.act("replay", {"from": first, "to": first + 3})
        receiver.wait(lambda: len(receiver.taken) == 9)
        until(lambda: "replay" not in world.stream())
        world.append(1, first=6)
        receiver.wait(lambda: len(receiver.taken) == 10)
    counts = [event["data"]["number"] for event in receiver.events()]
    assert sorted(counts) == [0, 0, 1, 1, 2, 2, 3, 4, 5, 6]


def test_the_ladder_goes_from_five_seconds_to_ten_hours_over_three_days() -> None:
    steps = progress.LADDER_S
    assert (steps[0], steps[-1]) == (5, 36_000)
    assert list(steps) == sorted(steps)
    assert 2.5 < sum(steps) / 86_400 < 3.5
    waits = [progress.ladder_wait_s(attempt, None) for attempt in range(1, len(steps) + 1)]
    assert all(
        wait is not None and 0.9 * step <= wait <= 1.1 * step
        for wait, step in zip(waits, steps, strict=True)
    )
    assert progress.ladder_wait_s(len(steps) + 1, None) is None
    assert progress.ladder_wait_s(1, 60.0) == 60

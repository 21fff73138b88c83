"""Two servers and one database: one of them sends a stream, and the other takes over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.store.postgres.stream_states import PostgresStreamStates
from tallystick.store.stream_states import LEASE_S
from tallystick.subscriptions.streams import sender
from tests.subscriptions.streams.receivers import receiving
from tests.subscriptions.streams.world import World, open_world

TAKEN_OVER_S = 10.0

pytestmark = pytest.mark.needs("postgres")


@pytest.fixture
def world(tmp_path: Path, postgres_tables: str) -> Iterator[World]:
    """Serve a database; the second server's sender runs beside the first one's."""
    with open_world(tmp_path / "data", database=postgres_tables) as made:
        yield made


def owner_of(world: World) -> str:
    states = PostgresStreamStates(world.live.node.settings.database or "", "looks on")
    (row,) = states.all()
    states.close()
    return row.owner


def test_one_server_sends_and_another_takes_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver:
        first = world.start_senders("first")
        world.create(receiver.url)
        world.append(1)
        receiver.wait(lambda: len(receiver.events()) == 1)
        second = world.start_senders("second")
        for number in range(1, 40):
            world.append(1, first=number)
        receiver.wait(lambda: len(receiver.events()) == 40)
        assert owner_of(world) == "first"
        # As one that is killed: it says nothing more, and gives nothing back.
        monkeypatch.setattr(PostgresStreamStates, "release", lambda *_: None)
        first.close()
        world.append(2, first=40)
        receiver.wait(lambda: len(receiver.events()) == 42, 60)
        assert owner_of(world) == "second"
        second.close()
    # It asks for the lease as often as this.
    assert LEASE_S + sender._LOST_S < TAKEN_OVER_S
    assert [event["data"]["number"] for event in receiver.events()] == list(range(42))
    assert receiver.most_under_way == 1


def test_a_server_that_stops_is_followed_at_once(world: World) -> None:
    with receiving() as receiver:
        first, second = world.start_senders("first"), None
        world.create(receiver.url)
        world.append(1)
        receiver.wait(lambda: len(receiver.events()) == 1)
        second = world.start_senders("second")
        first.close()
        world.append(1, first=1)
        receiver.wait(lambda: len(receiver.events()) == 2, 60)
        second.close()
    assert receiver.most_under_way == 1

"""What the server knows of a follower: whether it answers reads yet."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import limits
from tallystick.errors import FollowerBehind
from tallystick.followers.channel import Channel
from tallystick.followers.consistency import as_indexed
from tallystick.followers.generations import Generations
from tallystick.followers.messages import FollowerOrder, FollowerReport, Lines, receive
from tests.index.world import rules

SIZE, NEAR = 1_000, 100


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    """Return the generations of a follower, one of them served."""
    generations = Generations(tmp_path / "search", rules())
    generations.current()
    return generations


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return the ends of a connection with a follower."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def channel_of(generations: Generations, heads: dict[str, int]) -> Channel:
    return Channel("search", generations, heads, commits=True, near=NEAR)


def serve(channel: Channel, generations: Generations, upto: int) -> None:
    """Let the follower say that it serves its generation up to an entry."""
    folder = generations.current().name
    channel.hear(FollowerReport(folder=folder, cursors={"acme": upto}, answer=True))


def test_fresh_log_is_answered_at_once(generations: Generations) -> None:
    channel = channel_of(generations, {})
    assert channel.answers()
    channel.tell([("acme", 10 * SIZE)])
    assert channel.answers()


def test_reads_are_answered_once_the_follower_came_near_the_end(
    generations: Generations, ends: tuple[socket.socket, socket.socket]
) -> None:
    channel = channel_of(generations, {"acme": SIZE})
    assert not channel.answers()
    channel.attach(ends[0])
    assert not channel.answers()
    serve(channel, generations, SIZE - NEAR - 1)
    assert not channel.answers()
    serve(channel, generations, SIZE - NEAR)
    assert channel.answers()
    # What is written from here on does not make it unready, however far ahead that is.
    channel.tell([("acme", 100 * SIZE)])
    assert channel.answers()
    # One that was started again has to come near again.
    channel.detach()
    assert channel.answers()
    channel.attach(ends[0])
    assert not channel.answers()
    serve(channel, generations, 100 * SIZE)
    assert channel.answers()


def test_short_log_is_answered_before_the_follower_has_started(generations: Generations) -> None:
    assert channel_of(generations, {"acme": NEAR}).answers()
    long = Channel("search", generations, {"acme": SIZE + 1}, commits=True, near=10 * SIZE)
    assert not long.answers()
    serve(long, generations, 0)
    assert long.answers()


def test_read_that_gave_up_says_that_reads_are_not_answered(
    generations: Generations,
    ends: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "READ_WAIT_S", 0.01)
    channel = channel_of(generations, {"acme": SIZE})
    channel.attach(ends[0])
    serve(channel, generations, SIZE)
    assert channel.answers()
    channel.tell([("acme", SIZE + 1)])
    with pytest.raises(FollowerBehind):
        channel.wait("acme", None)
    assert not channel.answers(), "it has not come on since"
    serve(channel, generations, SIZE + 1)
    assert channel.answers()
    assert channel.wait("acme", None) == SIZE + 1


def test_who_is_content_with_what_is_indexed_waits_for_nothing(generations: Generations) -> None:
    channel = channel_of(generations, {"acme": SIZE})
    serve(channel, generations, SIZE - 10)
    with as_indexed() as extent:
        assert channel.wait("acme", None) == SIZE - 10
        channel.hear(FollowerReport(cursors={"acme": SIZE}))
        assert channel.wait("acme", None) == SIZE
    assert extent.complete_to == SIZE - 10
    assert channel.wait("acme", None) == SIZE


def test_who_waits_in_vain_is_told_what_is_missing_of_the_own_log(
    generations: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "READ_WAIT_S", 0.01)
    channel = channel_of(generations, {"acme": SIZE, "other": 50 * SIZE})
    serve(channel, generations, SIZE - 10)
    assert channel.wait("acme", None, within=10) == SIZE
    with pytest.raises(FollowerBehind, match="behind the log by 10 entries"):
        channel.wait("acme", None, within=9)


def test_an_order_names_the_tenants_that_are_waited_for(
    generations: Generations,
    ends: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "READ_WAIT_S", 0.01)
    channel = channel_of(generations, {"acme": SIZE, "other": SIZE})
    serve(channel, generations, 0)
    channel.attach(ends[0])
    channel.hear(FollowerReport(answer=True))
    with pytest.raises(FollowerBehind):
        channel.wait("acme", None)
    orders = Lines(FollowerOrder).feed(receive(ends[1]))
    assert [order.urgent for order in orders] == [[], ["acme"]]


def test_a_long_log_that_was_followed_to_its_end_is_answered_at_once(
    generations: Generations,
) -> None:
    heads = {"acme": 100 * SIZE, "beta": 5}
    stored = {"acme": 100 * SIZE, "gone": 7}
    channel = Channel("search", generations, heads, commits=True, near=NEAR, cursors=stored)
    assert channel.answers()
    assert channel.lag() == 5
    # What is stored answers no read: the follower has to say that it is so.
    with pytest.raises(FollowerBehind):
        channel.wait("acme", None)


def test_stored_cursors_beyond_the_log_hide_nothing(generations: Generations) -> None:
    stored = {"acme": 100 * SIZE}
    heads = {"acme": SIZE, "beta": 2 * SIZE}
    channel = Channel("search", generations, heads, commits=True, near=NEAR, cursors=stored)
    assert channel.lag() == 2 * SIZE
    assert not channel.answers()


def test_an_index_that_is_made_again_does_not_answer(
    generations: Generations, ends: tuple[socket.socket, socket.socket]
) -> None:
    heads = {"acme": 100 * SIZE}
    channel = Channel("search", generations, heads, commits=True, near=NEAR, cursors=heads)
    channel.attach(ends[0])
    serve(channel, generations, 100 * SIZE)
    assert channel.answers()
    folder = generations.begin().name
    channel.hear(FollowerReport(folder=folder, remade="a page does not have its checksum"))
    assert not channel.answers()
    assert channel.health().remaking == "a page does not have its checksum"
    channel.hear(FollowerReport(cursors={"acme": 100 * SIZE}))
    assert channel.answers()
    assert channel.health().remaking is None

"""Room for answers: taken, waited for in turn, refused, given back."""

from __future__ import annotations

import asyncio

import pytest

from tallystick import limits
from tallystick.errors import AnswersWaiting
from tallystick.http.room import Room


async def waiting(room: Room, size_bytes: int) -> asyncio.Task[int]:
    """Return a task that waits for room."""
    task = asyncio.create_task(room.take(size_bytes))
    await asyncio.sleep(0)
    assert not task.done()
    return task


def test_room_goes_to_who_waited_first() -> None:
    async def scene() -> None:
        room = Room(100)
        assert await room.take(60) == 60
        large, small = await waiting(room, 70), await waiting(room, 10)
        room.give_back(60)
        assert (await large, await small) == (70, 10)
        # An answer larger than all room takes all of it.
        all_of_it = await waiting(room, 1_000)
        room.give_back(80)
        assert await all_of_it == 100

    asyncio.run(scene())


def test_room_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER_WAIT_S", 0.01)
    monkeypatch.setattr(limits, "ANSWERS_WAITING", 2)

    async def scene() -> None:
        room = Room(100)
        assert await room.take(100) == 100
        both = [await waiting(room, 10), await waiting(room, 10)]
        with pytest.raises(AnswersWaiting):
            await room.take(1)
        for task in both:
            with pytest.raises(AnswersWaiting):
                await task
        room.give_back(100)
        assert await room.take(100) == 100

    asyncio.run(scene())


def test_who_leaves_the_queue_holds_nothing() -> None:
    async def scene() -> None:
        room = Room(100)
        await room.take(100)
        gone, kept = await waiting(room, 80), await waiting(room, 50)
        gone.cancel()
        await asyncio.sleep(0)
        room.give_back(100)
        assert await kept == 50
        # Cancelled in the moment in which room came.
        late = await waiting(room, 60)
        room.give_back(50)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        assert await room.take(100) == 100

    asyncio.run(scene())


def test_what_grows_is_there_at_once_and_others_wait_for_it() -> None:
    async def scene() -> None:
        room = Room(100)
        assert await room.take(90) == 90
        room.grow(40)
        other = await waiting(room, 10)
        room.give_back(60)
        assert await other == 10

    asyncio.run(scene())

"""Work beside a page that must not hold it up: bounded in time and in how much runs at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from tallystick.dialects.services import Door
from tallystick.errors import Pushback

T = TypeVar("T")

BUDGET_S = 4.0
"""How long a person waits for a chart; a search ends by itself soon after."""

AT_ONCE = 4
"""Charts, facets and completions that are worked on at once: a quarter of the reading threads."""


class TooSlow(Pushback):
    """This takes too long just now."""

    code = "too_slow"


class Budget:
    """Runs functions in worker threads, a few at a time, each for a bounded time."""

    def __init__(self, door: Callable[[], Door]) -> None:
        self._door = door
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self, function: Callable[[], T]) -> T:
        """Return what `function` returns.

        Raises: TooSlow when it has not ended in time. It goes on and keeps its room until it ends.
        """
        try:
            async with asyncio.timeout(BUDGET_S):
                await self._room.acquire()
                task = asyncio.ensure_future(self._door().run(function))
                task.add_done_callback(self._done)
                return await asyncio.shield(task)
        except TimeoutError:
            raise TooSlow(
                f"This takes longer than {BUDGET_S:.0f} seconds.",
                hint="The list is complete without it. A shorter time range helps.",
            ) from None

    def _done(self, task: asyncio.Future[T]) -> None:
        self._room.release()
        if not task.cancelled():
            # Nobody may wait for it any more.
            task.exception()

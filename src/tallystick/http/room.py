"""Memory for answers under way, shared by all clients.

An answer is held until its client has taken it, and a client may stand still. So a long one is
begun only when there is room for it; those that wait are few, and wait in turn.
"""

from __future__ import annotations

import asyncio
from collections import deque

from tallystick import limits
from tallystick.errors import AnswersWaiting


class Room:
    """Counts the bytes of answers under way; used by the event loop's thread alone."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._free_bytes = total_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size_bytes: int, wait_s: float = limits.ANSWER_WAIT_S) -> int:
        """Wait for room and return how much was taken: less than asked for if there never is.

        Raises: AnswersWaiting when others wait already, or room does not come in time.
        """
        size_bytes = min(size_bytes, self._total_bytes)
        if not self._waiting and size_bytes <= self._free_bytes:
            self._free_bytes -= size_bytes
            return size_bytes
        if len(self._waiting) >= limits.ANSWERS_WAITING:
            raise AnswersWaiting
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size_bytes, turn))
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except BaseException as error:
            self._forget(size_bytes, turn)
            if isinstance(error, TimeoutError):
                raise AnswersWaiting from None
            raise
        return size_bytes

    def grow(self, size_bytes: int) -> None:
        """Take more for an answer that has room, without waiting.

        Two answers that waited for each other's room would wait for ever, so new ones wait until
        the room is there again. It is little: an answer takes room for a whole slice at first.
        """
        self._free_bytes -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Make room again."""
        self._free_bytes += size_bytes
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free_bytes:
            size_bytes, turn = self._waiting.popleft()
            if not turn.done():
                self._free_bytes -= size_bytes
                turn.set_result(None)

    def _forget(self, size_bytes: int, turn: asyncio.Future[None]) -> None:
        """Leave the queue; room that was given at the very moment of leaving is given back."""
        if turn.done() and not turn.cancelled():
            self.give_back(size_bytes)
            return
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not turn)
        self._serve()

"""OpenQuestions under way: each ends when its time is over or its client is gone.

A thread cannot be stopped, so it looks at its deadline between two steps; who waits for it is
answered in time whatever it does. Most questions are answered before anybody looks after them: one
timer looks at all of them, and only for those that are older it listens for their clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from starlette.types import Receive

from tallystick.deadline import Deadline
from tallystick.errors import QueryTooSlow
from tallystick.http.body import ClientGone

T = TypeVar("T")

ASKER: ContextVar[Receive | None] = ContextVar("asker", default=None)
"""How to listen for the client of a request that only reads; what it begins may be given up."""

_LOOK_EVERY_S = 0.1
_GRACE_S = 0.2
"""After its time a question has so long to say by itself why it was not answered."""


class OpenQuestions:
    """The questions of one event loop; used by its thread alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._open: dict[OpenQuestion, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def answer(
        self, begin: Callable[[Callable[[], T]], asyncio.Future[T]], ask: Callable[[], T]
    ) -> T:
        """Return what `ask` returns, which `begin` runs in a thread.

        Raises: QueryTooSlow, ClientGone.
        """
        deadline = Deadline(self._seconds)
        future = begin(lambda: deadline.run(ask))
        question = OpenQuestion(deadline, future, ASKER.get())
        self._open[question] = None
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_EVERY_S, self._look)
        try:
            return await future
        except asyncio.CancelledError:
            deadline.abandon()
            if question.why is not None:
                raise question.why from None
            raise
        finally:
            del self._open[question]
            question.end()

    def _look(self) -> None:
        self._timer = None
        for question in self._open:
            age_s = self._loop.time() - question.began_s
            if age_s > self._seconds + _GRACE_S:
                question.give_up(QueryTooSlow())
            elif age_s >= _LOOK_EVERY_S:
                question.listen(self._loop)
        if self._open:
            self._timer = self._loop.call_later(_LOOK_EVERY_S, self._look)


class OpenQuestion:
    """One question, its thread's deadline and its client."""

    __slots__ = ("_client", "_deadline", "_future", "_listener", "began_s", "why")

    def __init__(
        self, deadline: Deadline, future: asyncio.Future[T], client: Receive | None
    ) -> None:
        self.began_s = future.get_loop().time()
        self.why: Exception | None = None
        self._deadline = deadline
        self._future: asyncio.Future[T] = future
        self._client = client
        self._listener: asyncio.Task[None] | None = None

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up as soon as the client is gone."""
        if self._listener is None and self._client is not None:
            self._listener = loop.create_task(self._wait_for_end(self._client))

    def give_up(self, why: Exception) -> None:
        """Let nobody wait any longer, and the thread stop at its next step."""
        if self.why is None:
            self.why = why
            self._deadline.abandon()
            self._future.cancel()

    def end(self) -> None:
        """Stop listening for the client."""
        if self._listener is not None:
            self._listener.cancel()

    async def _wait_for_end(self, client: Receive) -> None:
        while (await client())["type"] != "http.disconnect":
            pass
        self.give_up(ClientGone())

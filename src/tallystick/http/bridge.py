"""Between the event loop and the synchronous core.

Appends are futures that the sequencer's thread resolves, many with one wake-up of the loop; reads
run in worker threads. A request that goes away leaves what it writes behind: it is stored all the
same; what it only asks ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from tallystick.http.questions import ASKER, OpenQuestions
from tallystick.http.read_threads import ReadThreads
from tallystick.ledger.entries_read import note_indexes
from tallystick.ledger.ledger import Ledger
from tallystick.log.sequencer import Accepted, Item, Outcome, Work

P = ParamSpec("P")
T = TypeVar("T")

READ_THREADS = 16


class Bridge:
    """Lets coroutines append and read; one for each event loop."""

    def __init__(self, ledger: Ledger, *, query_s: float) -> None:
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._threads = ReadThreads(self._loop, READ_THREADS)
        self._questions = OpenQuestions(self._loop, query_s)
        # Filled by the sequencer's thread, emptied by the loop.
        self._finished: deque[tuple[asyncio.Future[list[Outcome]], Work]] = deque()
        self._woken = False

    async def append(
        self, tenant: str, items: Sequence[Item], *, atomic: bool = False
    ) -> list[Outcome]:
        """Store items and return the outcome of each once they are durable.

        Raises: SequencerFull, StoreBusy.
        """
        future: asyncio.Future[list[Outcome]] = self._loop.create_future()
        self._ledger.submit(tenant, items, lambda work: self._finish(future, work), atomic=atomic)
        outcomes = await future
        note_indexes(tenant, [one.index for one in outcomes if type(one) is Accepted], bound=True)
        return outcomes

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a synchronous function in a worker thread and return what it returns.

        Within a request that only reads it has to end in time.
        Raises: QueryTooSlow, ClientGone, for such a one.
        """
        # The thread notes what it reads where the task that waits for it does.
        context = copy_context()

        def call() -> T:
            return context.run(function, *args, **kwargs)

        if ASKER.get() is not None:
            return await self._questions.answer(self._threads.begin, call)
        return await self._threads.begin(call)

    def close(self) -> None:
        """Wait for the worker threads to finish what they are doing."""
        self._threads.close()

    def _finish(self, future: asyncio.Future[list[Outcome]], work: Work) -> None:
        self._finished.append((future, work))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Cleared first: what is appended from here on wakes the loop again.
        self._woken = False
        while self._finished:
            future, work = self._finished.popleft()
            if not future.done():
                future.set_result(work.outcomes)

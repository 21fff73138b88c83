"""Worker threads for reads, shared by tenants: the slow questions of one leave some for the others.

A tenant that is alone may take two thirds of the threads. Each further one may take two thirds of
those that are left, so that a tenant that comes last still finds one at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from tallystick.identity.admission import ADMISSION, Admission

T = TypeVar("T")

REQUEST: ContextVar[MutableMapping[str, Any] | None] = ContextVar("request", default=None)
"""The state of the request that is answered: it says whose threads its reads take."""

_TIMES_FREE = 2
"""How many threads a tenant may have for each one that is free."""


class ReadThreads:
    """Runs functions in worker threads; used by the thread of one event loop alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self._loop = loop
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="read")
        self._free = count
        self._running: dict[str | None, int] = {}
        # The tenant whose turn is next stands first.
        self._waiting: dict[str | None, deque[Task[Any]]] = {}

    def begin(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run a function as soon as the tenant of the request may take a thread."""
        tenant = _tenant_of_request()
        task: Task[T] = Task(function, tenant, self._loop.create_future())
        if tenant not in self._waiting and self._may_take(tenant):
            self._start(task)
        else:
            self._waiting.setdefault(tenant, deque()).append(task)
        return task.future

    def close(self) -> None:
        """Wait for the threads to finish what they are doing."""
        for task in (task for tasks in self._waiting.values() for task in tasks):
            task.future.cancel()
        self._waiting.clear()
        self._threads.shutdown(wait=True)

    def _may_take(self, tenant: str | None) -> bool:
        # What no tenant asks for is the server's own, and little.
        mine = 0 if tenant is None else self._running.get(tenant, 0)
        return self._free > 0 and mine < _TIMES_FREE * self._free

    def _start(self, task: Task[Any]) -> None:
        self._free -= 1
        self._running[task.tenant] = self._running.get(task.tenant, 0) + 1
        self._threads.submit(self._run, task)

    def _run(self, task: Task[Any]) -> None:
        """Run a task; the only method that a worker thread calls."""
        task.run()
        # A loop that was closed meanwhile waits for nothing.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end, task)

    def _end(self, task: Task[Any]) -> None:
        self._free += 1
        left = self._running[task.tenant] - 1
        if left:
            self._running[task.tenant] = left
        else:
            del self._running[task.tenant]
        task.deliver()
        if self._waiting:
            self._serve()

    def _serve(self) -> None:
        """Start what may start, one task of each tenant in turn."""
        for tenant in list(self._waiting):
            tasks = self._waiting[tenant]
            while tasks and tasks[0].future.done():
                tasks.popleft()
            if tasks and self._may_take(tenant):
                self._start(tasks.popleft())
                self._waiting[tenant] = self._waiting.pop(tenant)
            if not tasks:
                del self._waiting[tenant]


class Task(Generic[T]):
    """One function, whose thread it takes, and who waits for what it returns."""

    __slots__ = ("_error", "_function", "_result", "future", "tenant")

    _result: T

    def __init__(
        self, function: Callable[[], T], tenant: str | None, future: asyncio.Future[T]
    ) -> None:
        self.tenant = tenant
        self.future = future
        self._function = function
        self._error: BaseException | None = None

    def run(self) -> None:
        """Call the function, unless nobody waits for it any more; in a worker thread."""
        if self.future.cancelled():
            return
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error

    def deliver(self) -> None:
        """Give what the function returned or raised; in the thread of the event loop."""
        if self.future.done():
            return
        if self._error is None:
            self.future.set_result(self._result)
        else:
            self.future.set_exception(self._error)
        # An error knows its frames, and they know the task.
        self._error = None


def _tenant_of_request() -> str | None:
    state = REQUEST.get()
    admission: Admission | None = None if state is None else state.get(ADMISSION)
    return None if admission is None else admission.principal.tenant

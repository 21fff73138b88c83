"""One reader of a live tail: what waits to be sent to it, and why it ended.

A reader far behind takes its entries from the log itself, at its own pace. Near the head it joins
the hub, which puts into its queue what it reads for all. A reader that takes its data but not as
fast as it is written leaves the hub again; one that takes none is ended.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections import deque
from collections.abc import Callable

from tallystick import limits
from tallystick.identity.access import Principal
from tallystick.subscriptions.changes import LogPosition
from tallystick.subscriptions.subscription import Judge, Subscription


class End(enum.Enum):
    """Why a live tail ended; the reader goes on from its last id."""

    GONE = "the reader went away"
    UNREAD = "the reader does not take its data"
    RIGHTS = "the reader's rights changed"
    STOPPING = "the server stops"
    FAILED = "the log could not be read"


class LiveReader:
    """One reader's place and queue; used by the event loop's thread alone."""

    def __init__(
        self,
        principal: Principal,
        subscription: Subscription,
        position: LogPosition,
        look: Callable[[], Principal],
    ) -> None:
        """Begin at `position`; `look` tells who the reader is now, and raises if nobody."""
        self.principal = principal
        self.subscription = subscription
        self.judge = Judge(subscription)
        self.look = look
        self.position = position
        """Behind what was queued last."""
        self.follows = False
        """Whether the hub fills the queue."""
        self.took_s = time.monotonic()
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._is_full = False
        self._ready = asyncio.Event()

    def end(self, why: End) -> None:
        """End the reader; the first reason counts."""
        if not self.ended.done():
            self.ended.set_result(why)
        if why is End.RIGHTS:
            # What waits is for somebody with other rights.
            self._queue.clear()
        self.follows = False
        self._ready.set()

    def put(self, body: bytes, following: LogPosition) -> None:
        """Queue frames, or leave the hub when too much waits already."""
        if self._queue and self._queued_bytes + len(body) > limits.TAIL_UNREAD_BYTES:
            self.follows, self._is_full = False, True
            self._ready.set()
            return
        self._queue.append(body)
        self._queued_bytes += len(body)
        self.position = following
        self._ready.set()

    async def next(self) -> bytes | None:
        """Return what is to be sent next; None once the queue is empty and nothing fills it."""
        while not self._queue:
            if not self.follows:
                return None
            self._ready.clear()
            await self._ready.wait()
        return self._queue[0]

    def sent(self) -> None:
        """Note that the client took what `next` returned."""
        if self._queue:
            self._queued_bytes -= len(self._queue.popleft())
        self._is_full = self._is_full and bool(self._queue)

    def took(self) -> None:
        """Note that the client took something."""
        self.took_s = time.monotonic()

    def is_stuck(self) -> bool:
        """Tell whether as much waits as may, and the client takes nothing of it."""
        return self._is_full and time.monotonic() - self.took_s > limits.TAIL_STALL_S

    def is_quiet(self, heartbeat_s: float) -> bool:
        """Tell whether it is time for a heartbeat."""
        return time.monotonic() - self.took_s >= heartbeat_s

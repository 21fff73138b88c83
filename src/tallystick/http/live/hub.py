"""The hub: reads what is committed once for all readers of a log, and renders it once.

A commit wakes the channel of its log, if somebody follows it. The channel reads the new entries in
a worker thread, asks each different subscription once, and hands the frames to the readers. Where
other servers write to the same store, heads are looked at ten times a second while somebody reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

import structlog

from tallystick import limits
from tallystick.errors import NotFound, Pushback, StoreError, TallystickError, for_operator
from tallystick.http.live.reader import End, LiveReader
from tallystick.identity.records import Identity
from tallystick.log.sequencer import CommitStats
from tallystick.query.question import Over
from tallystick.store.base import LogHead, Store
from tallystick.subscriptions import cursor
from tallystick.subscriptions.changes import LogPosition
from tallystick.subscriptions.frames import Frames, heartbeat, read_frames

Run = Callable[..., Awaitable[Any]]
"""Runs a function in a worker thread."""

_GATHER_S = 0.02
"""Between two reads of a log: what is committed meanwhile is read, rendered and sent together."""

_POLL_S = 0.1
_WATCH_S = 0.25
_LOOK_S = 1.0
_CATCHING_UP = 4
"""Readers that read the log by themselves at one time: worker threads are for lists as well."""

_log = structlog.get_logger("tallystick.live")


class _Key(NamedTuple):
    tenant: str
    over: Over


class LiveChannel:
    """One log as it grows, and its readers."""

    def __init__(self, hub: Hub, key: _Key, origin: str, position: LogPosition) -> None:
        self.tenant, self.over = key
        self.origin = origin
        self.position = position
        """Up to where all readers have been given everything."""
        self.size = position.index
        self.readers: set[LiveReader] = set()
        self.is_closed = False
        self._hub = hub
        self._joining: list[tuple[LiveReader, asyncio.Future[None]]] = []
        self._woken = asyncio.Event()
        self._task = asyncio.create_task(self._pump(), name=f"live-tail-{self.tenant}")

    def grow(self, size: int) -> None:
        """Note how many entries the log has."""
        if size > self.size:
            self.size = size
            self._woken.set()

    async def join(self, reader: LiveReader) -> LogPosition:
        """Give a reader everything from the position on that is returned.

        Raises: CancelledError when the channel is closed meanwhile.
        """
        behind = 1 if reader.position.part else 0
        self.grow(reader.position.index + behind)
        joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._joining.append((reader, joined))
        self._woken.set()
        await joined
        return reader.position

    def leave(self, reader: LiveReader) -> None:
        """Give a reader nothing more."""
        self.readers.discard(reader)
        self._joining = [pair for pair in self._joining if pair[0] is not reader]

    def close(self, why: End) -> None:
        """End all readers."""
        self.is_closed = True
        self._task.cancel()
        for reader in [*self.readers, *(reader for reader, _ in self._joining)]:
            reader.end(why)
        for _, joined in self._joining:
            joined.cancel()
        self.readers.clear()
        self._joining.clear()

    async def _pump(self) -> None:
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                self._let_in()
                while self.position.index < self.size:
                    await self._deliver_next()
                    self._let_in()
                    await asyncio.sleep(_GATHER_S)
        except (Pushback, StoreError) as error:
            _log.warning("live_tail_ended", tenant=self.tenant, reason=for_operator(error))
            self._hub.forget(self, End.FAILED)
        except Exception:
            _log.exception("live_tail_failed", tenant=self.tenant)
            self._hub.forget(self, End.FAILED)

    async def _deliver_next(self) -> None:
        judges = {reader.subscription: reader.judge for reader in self.readers}
        frames: Frames = await self._hub.run(
            read_frames,
            self._hub.store, self.tenant, self.origin, self.position, self.size, judges,
            over=self.over,
        )  # fmt: skip
        self.position = frames.following
        for reader in [*self.readers]:
            body = frames.bodies.get(reader.subscription)
            if body is None:
                reader.position = frames.following
            else:
                reader.put(body, frames.following)
            if not reader.follows:
                self.readers.discard(reader)
        if frames.has_acts:
            self._hub.rights_changed()

    def _let_in(self) -> None:
        # Between two reads only, so that no frame falls between a reader's own and the channel's;
        # and not within the changes of one entry, where nobody can read up to by entries.
        if self.position.part:
            return
        joining, self._joining = self._joining, []
        for reader, joined in joining:
            if joined.done() or reader.ended.done():
                continue
            if reader.position > self.position:
                # It has seen a commit of which the channel does not know yet.
                self._joining.append((reader, joined))
                continue
            reader.position = self.position
            reader.follows = True
            self.readers.add(reader)
            joined.set_result(None)


class Hub:
    """The channels of one server; made with it, and used by its event loop's thread alone."""

    def __init__(
        self, store: Store, run: Run, identity: Identity, *, heartbeat_s: float | None = None
    ) -> None:
        self.store = store
        self.run = run
        self.catching_up = asyncio.Semaphore(_CATCHING_UP)
        self.is_stopped = False
        self._identity = identity
        self._shared = not store.many_tenants
        self.heartbeat_s = heartbeat_s or limits.TAIL_HEARTBEAT_S
        self._channels: dict[_Key, asyncio.Task[LiveChannel]] = {}
        self.readers: set[LiveReader] = set()
        self.ended: Counter[str] = Counter()
        """How many readers ended, by why; counts from the start of the server."""
        self._tasks: list[asyncio.Task[None]] = []
        self._look_now = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        # Read by the sequencer's thread, which must not be kept: replaced, never changed.
        self._watched: frozenset[str] = frozenset()
        # Written by the sequencer's thread, read by the loop's.
        self._sizes: dict[str, int] = {}
        self._is_woken = False

    def committed(self, heads: Sequence[LogHead], stats: CommitStats) -> None:
        """Note that logs have grown; called by the sequencer's thread, never waits."""
        watched, loop = self._watched, self._loop
        if loop is None or not watched:
            return
        grown = [head for head in heads if head.tenant in watched]
        for head in grown:
            self._sizes[head.tenant] = head.size
        if grown and not self._is_woken:
            self._is_woken = True
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                loop.call_soon_threadsafe(self._wake)

    def enter(self, reader: LiveReader) -> None:
        """Watch over a reader until it leaves."""
        if self.is_stopped:
            reader.end(End.STOPPING)
            return
        self._loop = asyncio.get_running_loop()
        self.readers.add(reader)
        self._watched |= {reader.principal.tenant}
        if not self._tasks:
            self._tasks.append(asyncio.create_task(self._watch(), name="live-watch"))
            if self._shared:
                self._tasks.append(asyncio.create_task(self._poll(), name="live-poll"))

    def leave(self, reader: LiveReader) -> None:
        """Forget a reader, and whatever was only kept for it."""
        if reader in self.readers:
            self.readers.discard(reader)
            why = reader.ended.result() if reader.ended.done() else End.FAILED
            self.ended[why.name.lower()] += 1
        key = _Key(reader.principal.tenant, reader.subscription.over)
        channel = self._opened(key)
        if channel is not None:
            channel.leave(reader)
        here = {(each.principal.tenant, each.subscription.over) for each in self.readers}
        if key not in here:
            self._drop(key)
        self._watched = frozenset(tenant for tenant, _ in here)
        if not self.readers:
            self._end_tasks()

    async def channel(self, reader: LiveReader) -> LiveChannel:
        """Return the channel of a reader's log.

        Raises: NotFound, StoreBusy, StoreFailed.
        """
        key = _Key(reader.principal.tenant, reader.subscription.over)
        task = self._channels.get(key)
        if task is None:
            task = self._channels[key] = asyncio.create_task(self._open(key))
        try:
            return await asyncio.shield(task)
        except TallystickError:
            self._channels.pop(key, None)
            raise

    def forget(self, channel: LiveChannel, why: End) -> None:
        """End a channel and its readers."""
        self._channels.pop(_Key(channel.tenant, channel.over), None)
        channel.close(why)

    def rights_changed(self) -> None:
        """Look at every reader's rights now, since an act of administration was committed."""
        if self._shared:
            # It may be another server's, of which the cache of identities does not know.
            self._identity.changed()
        self._look_now.set()

    def stop(self) -> None:
        """End every reader: the server stops."""
        self.is_stopped = True
        for reader in [*self.readers]:
            channel = self._channel_of(reader)
            if channel is not None and reader.follows:
                reader.put(heartbeat(channel.origin, reader.position), reader.position)
            reader.end(End.STOPPING)

    async def _open(self, key: _Key) -> LiveChannel:
        head, position = await self.run(_head_of, self.store, key.tenant)
        channel = LiveChannel(self, key, head.origin, position)
        # What was committed while the head was read.
        channel.grow(self._sizes.get(key.tenant, 0))
        return channel

    def _wake(self) -> None:
        # Cleared first: what is committed from here on wakes the loop again.
        self._is_woken = False
        for tenant, size in [*self._sizes.items()]:
            self._grow(tenant, size)

    def _grow(self, tenant: str, size: int) -> None:
        for over in Over:
            channel = self._opened(_Key(tenant, over))
            if channel is not None:
                channel.grow(size)

    def _channel_of(self, reader: LiveReader) -> LiveChannel | None:
        return self._opened(_Key(reader.principal.tenant, reader.subscription.over))

    def _opened(self, key: _Key) -> LiveChannel | None:
        task = self._channels.get(key)
        if task is None or not task.done() or task.cancelled() or task.exception():
            return None
        return task.result()

    def _drop(self, key: _Key) -> None:
        channel = self._opened(key)
        if channel is not None:
            channel.close(End.GONE)
        task = self._channels.pop(key, None)
        if task is not None:
            task.cancel()

    def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._sizes.clear()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_S)
            # A store that is away comes back; the readers' own reads say so if it stays away.
            with contextlib.suppress(Pushback, StoreError):
                for tenant, size in (await self.run(_sizes, self.store, self._watched)).items():
                    self._sizes[tenant] = max(size, self._sizes.get(tenant, 0))
                    self._grow(tenant, size)

    async def _watch(self) -> None:
        """Look at rights once a second and after every change, and send heartbeats."""
        generation, looked_s = self._identity.generation, time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), _WATCH_S)
            is_told = self._look_now.is_set() or generation != self._identity.generation
            self._look_now.clear()
            if is_told or time.monotonic() - looked_s >= _LOOK_S:
                generation, looked_s = self._identity.generation, time.monotonic()
                for reader in await self.run(_without_rights, [*self.readers]):
                    reader.end(End.RIGHTS)
            self._tend()

    def _tend(self) -> None:
        """Send heartbeats, and end readers that take nothing."""
        for reader in [*self.readers]:
            if reader.is_stuck():
                reader.end(End.UNREAD)
            channel = self._channel_of(reader)
            if channel is not None and reader.follows and reader.is_quiet(self.heartbeat_s):
                reader.put(heartbeat(channel.origin, reader.position), reader.position)


def _head_of(store: Store, tenant: str) -> tuple[LogHead, LogPosition]:
    head = store.log_head(tenant)
    if head is None:
        raise NotFound(f"tenant {tenant!r} has no log")
    return head, cursor.at(store, tenant, head.size)


def _sizes(store: Store, tenants: Iterable[str]) -> dict[str, int]:
    heads = (store.log_head(tenant) for tenant in tenants)
    return {head.tenant: head.size for head in heads if head is not None}


def _without_rights(readers: Sequence[LiveReader]) -> list[LiveReader]:
    """Return the readers that are no longer who they were when they came."""
    return [reader for reader in readers if not _is_same(reader)]


def _is_same(reader: LiveReader) -> bool:
    try:
        return reader.look() == reader.principal
    except (Pushback, StoreError):
        # Nothing is known for the moment; a store that stays away ends the reader otherwise.
        return True
    except TallystickError:
        return False

"""All streams of a store at once: a sender for each that is to be sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import msgspec
import structlog

from tallystick.errors import StoreError, TallystickError, for_operator
from tallystick.identity.replay import IdentityReplay
from tallystick.identity.streams import Stream
from tallystick.subscriptions.streams.ordered import OrderedSender
from tallystick.subscriptions.streams.parallel import ParallelSender
from tallystick.subscriptions.streams.progress import StreamProgress
from tallystick.subscriptions.streams.sender import Sender, SenderServices

_LOOK_S = 1.0
_STOP_S = 2.0
_LOOKS = 3

_log = structlog.get_logger("tallystick.streams")


class Senders:
    """Starts and ends senders as streams are made, paused and deleted."""

    def __init__(self, services: SenderServices) -> None:
        self._services = services
        # Set by those who know of a change; what follows belongs to the thread below.
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._senders: dict[tuple[str, str], Sender] = {}
        # What the log tells of the streams of each tenant, and up to where it was read.
        self._replays: dict[str, tuple[IdentityReplay, int]] = {}
        self._forgeries: set[tuple[str, str]] = set()
        self._thread = threading.Thread(target=self._watch, name="streams", daemon=True)
        self._thread.start()

    def committed(self, tenants: Iterable[str]) -> None:
        """Note that logs have grown; never waits."""
        grown = set(tenants)
        with self._lock:
            for (tenant, _), sender in self._senders.items():
                if tenant in grown:
                    sender.grown.set()
        self._changed.set()

    def close(self) -> None:
        """Stop all senders and wait for them, but not for receivers; idempotent."""
        self._stopping.set()
        self._changed.set()
        self._thread.join()
        with self._lock:
            senders = list(self._senders.values())
        for sender in senders:
            sender.stop()
        end_s = time.monotonic() + _STOP_S
        for sender in senders:
            sender.join(max(0.0, end_s - time.monotonic()))
        self._services.states.close()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except (StoreError, TallystickError) as error:
                _log.warning("streams_wait", reason=for_operator(error))
            # Decisions come by the minute, commits by the hundred a second.
            self._stopping.wait(_LOOK_S / 4)
            self._changed.wait(_LOOK_S)
            self._changed.clear()

    def _look(self) -> None:
        rows = self._services.store.identities(None, "stream")
        streams: list[Stream] = []
        for tenant in {row.tenant for row in rows}:
            streams += self._verified(tenant)
        for stream in streams:
            self._start(stream)
        # A receiver may take longer to answer than a lease lasts.
        for (tenant, id), sender in self._senders.items():
            if sender.leads:
                self._services.states.acquire(tenant, id)
        self._forget({(row.tenant, row.id) for row in rows})

    def _verified(self, tenant: str) -> list[Stream]:
        """Return the streams of a tenant whose records are as the log tells; nothing else is sent.

        The receiver of another one, or for whom it reads, is not what an administrator decided.
        """
        store = self._services.store
        replay, start = self._replays.get(tenant) or (IdentityReplay(tenant, ("stream",)), 0)
        for _ in range(_LOOKS):
            head = store.log_head(tenant)
            size = 0 if head is None else head.size
            replay.advance(store, start, size)
            start = max(start, size)
            self._replays[tenant] = (replay, start)
            rows = store.identities(tenant, "stream")
            forged = {each.id: each.what for each in replay.differences(rows)}
            # A decision made between the two reads looks like a difference, once.
            if not forged:
                break
        for id, what in forged.items():
            self._stop_forged((tenant, id), what)
        decoded = [
            msgspec.json.decode(row.doc, type=Stream) for row in rows if row.id not in forged
        ]
        self._forgeries -= {(tenant, stream.id) for stream in decoded}
        return decoded

    def _stop_forged(self, key: tuple[str, str], what: str) -> None:
        with self._lock:
            sender = self._senders.pop(key, None)
        if sender is not None:
            sender.stop()
        if key not in self._forgeries:
            self._forgeries.add(key)
            _log.error("stream_contradicts_log", tenant=key[0], stream=key[1], what=what)

    def _start(self, stream: Stream) -> None:
        key = (stream.tenant, stream.id)
        running = self._senders.get(key)
        if running is not None:
            running.verified = stream
        if stream.state != "active" or (running is not None and running.is_alive()):
            return
        if self._is_halted(stream):
            return
        make = ParallelSender if stream.mode == "parallel" else OrderedSender
        sender: Sender = make(self._services, stream)
        with self._lock:
            self._senders[key] = sender
        sender.start()

    def _is_halted(self, stream: Stream) -> bool:
        """Tell whether the stream stopped by itself in this run, which is about to be recorded."""
        doc = self._services.states.load(stream.tenant, stream.id)
        progress = None if doc is None else msgspec.json.decode(doc, type=StreamProgress)
        if progress is None or progress.halt is None or progress.salt != stream.salt:
            return False
        return progress.halt.run == stream.run

    def _forget(self, there: set[tuple[str, str]]) -> None:
        """Remove the states of streams that are deleted."""
        states = self._services.states
        for row in states.all():
            key = (row.tenant, row.stream)
            if key not in there and states.acquire(row.tenant, row.stream):
                states.forget(row.tenant, row.stream)
        with self._lock:
            for key in [key for key in self._senders if key not in there]:
                self._senders.pop(key).stop()

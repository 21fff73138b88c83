"""Ordered streams: one delivery at a time, tried until it is taken.

What is under way is announced before it is sent: its end is written together with the delivery
before it, so that after any crash the same stretch is sent again under the same id.
"""

from __future__ import annotations

import time

import msgspec

from tallystick.store.base import LogHead
from tallystick.subscriptions.changes import LogPosition
from tallystick.subscriptions.streams.carriers import DeliveryAttempt, bounds_of
from tallystick.subscriptions.streams.progress import StoredPosition, StreamProgress, ordered_wait_s
from tallystick.subscriptions.streams.sender import Halted, Sender
from tallystick.subscriptions.streams.sinks.base import EventBatch
from tallystick.subscriptions.streams.stretches import Stretch, StretchReader


class OrderedSender(Sender):
    """Sends one stream in the order of the log."""

    # The stretch that follows the one delivered last, read while that was written.
    _next: Stretch | None = None
    # Since when, by the monotonic clock, there is something at a position that waits for more.
    _lingers: tuple[LogPosition, float] | None = None

    def step(self) -> None:
        """Deliver the next stretch, or wait."""
        head = self.adopt()
        wait_s = (self.progress.retry_ms - self.now_ms()) / 1000
        if self.progress.attempts and wait_s > 0:
            # Growth of the log is no reason to try earlier; a decision may be one.
            self._sleep(min(wait_s, 1.0))
            return
        before, reader = self._stretches, self.stretches()
        ready, self._next = self._next, None
        if ready is None or reader is not before or not self._fits(ready):
            ready = None
        stretch = ready or self._stretch(reader, head)
        if stretch is None:
            return
        self._announce(stretch)
        self._deliver(stretch, head)

    @property
    def _replaying(self) -> bool:
        return self.progress.replay_at is not None

    @property
    def _at(self) -> LogPosition:
        return (self.progress.replay_at or self.progress.at).position

    @property
    def _pending(self) -> StoredPosition | None:
        progress = self.progress
        return progress.replay_pending if self._replaying else progress.pending

    def _fits(self, ready: Stretch) -> bool:
        """Tell whether a stretch read before is the one to send now."""
        at = ready.start[:2] == self._at[:2]
        return at and self._pending == StoredPosition.of(ready.stop) and not self.progress.attempts

    def _end(self, head: LogHead) -> LogPosition:
        if self._replaying and self.stream.replay is not None:
            return LogPosition(min(self.stream.replay.stop, head.size))
        return LogPosition(head.size)

    def _stretch(self, reader: StretchReader, head: LogHead) -> Stretch | None:
        """Read what is to be sent next; None if it is nothing, or not yet."""
        at, pending = self._at, self._pending
        if pending is not None and pending.index <= head.size:
            return reader.read(at, pending.position, None)
        stop = self._end(head)
        if at[:2] >= stop[:2]:
            self._nothing_left()
            return None
        bounds = bounds_of(self.stream)
        stretch = reader.read(at, stop, bounds)
        if not (stretch.messages or stretch.notices):
            self._pass(stretch.stop)
            return None
        if bounds.linger_ms and not stretch.full and not self._replaying:
            left_s = self._lingers_s(at, bounds.linger_ms / 1000)
            if left_s > 0:
                self._sleep(min(left_s, 5.0))
                return None
        return stretch

    def _lingers_s(self, at: LogPosition, linger_s: float) -> float:
        """Return how much longer what stands at a position waits for more."""
        now_s = time.monotonic()
        if self._lingers is None or self._lingers[0] != at:
            self._lingers = (at, now_s)
        return self._lingers[1] + linger_s - now_s

    def _nothing_left(self) -> None:
        if self._replaying:
            self.save(msgspec.structs.replace(self.progress, replay_at=None, replay_pending=None))
        else:
            self.idle()

    def _pass(self, stop: LogPosition) -> None:
        self.pass_by(self._moved(self.progress, stop, None))

    def _moved(
        self, progress: StreamProgress, stop: LogPosition, pending: StoredPosition | None
    ) -> StreamProgress:
        if self._replaying:
            return msgspec.structs.replace(
                progress, replay_at=StoredPosition.of(stop), replay_pending=pending
            )
        return msgspec.structs.replace(progress, at=StoredPosition.of(stop), pending=pending)

    def _announce(self, stretch: Stretch) -> None:
        """Write where a delivery ends before it is tried for the first time."""
        pending = StoredPosition.of(stretch.stop)
        if self._pending != pending:
            self.save(self._moved(self.progress, self._at, pending))

    def _deliver(self, stretch: Stretch, head: LogHead) -> None:
        kind = f"r{self.progress.replay}" if self._replaying else self.progress.epoch
        batch = self.batch(stretch, kind)
        if not batch.size:
            # All of it was erased or shut off since it was first tried.
            self.save(self._moved(self.delivered(0), stretch.stop, None))
            return
        carrier = self.carrier()
        self.renew()
        outcome = carrier.deliver(batch, self.context(head))
        if self.stopping:
            return
        attempt = self.progress.attempts + 1
        if outcome.problem is not None:
            self._put_off(batch, outcome, attempt)
        else:
            self._take(stretch, batch, outcome, attempt)

    def _put_off(self, batch: EventBatch, outcome: DeliveryAttempt, attempt: int) -> None:
        log = (self.delivery(batch, outcome, attempt),)
        wait_s = ordered_wait_s(attempt, outcome.retry_after_s)
        try:
            failed = self.failed(outcome)
        except Halted:
            self.save(self.progress, deliveries=log)
            raise
        retry_ms = self.now_ms() + int(wait_s * 1000)
        self.save(msgspec.structs.replace(failed, retry_ms=retry_ms), deliveries=log)

    def _take(
        self, stretch: Stretch, batch: EventBatch, outcome: DeliveryAttempt, attempt: int
    ) -> None:
        log = (self.delivery(batch, outcome, attempt),)
        progress = self._moved(self.delivered(len(batch.messages)), stretch.stop, None)
        following = self._following(stretch) if stretch.full else None
        if following is not None:
            self.progress = progress
            progress = self._moved(progress, stretch.stop, StoredPosition.of(following.stop))
        self.save(progress, deliveries=log)
        self._next = following

    def _following(self, stretch: Stretch) -> Stretch | None:
        head = self.services.store.log_head(self.stream.tenant)
        if head is None or bounds_of(self.stream).linger_ms:
            return None
        found = self.stretches().read(stretch.stop, self._end(head), bounds_of(self.stream))
        return found if found.messages or found.notices else None

    def _sleep(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while not self.stopping and (left_s := end_s - time.monotonic()) > 0:
            self.rest(left_s)

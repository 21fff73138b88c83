"""Sending one stream: what both modes share, and the ordered one.

A sender is a thread. It alone writes the stream's progress, and only while it holds the lease; the
record is the people's, and is read again before every delivery, so that a pause, a revoked key or a
changed grant counts at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import structlog

from tallystick.clock import Clock
from tallystick.errors import (
    RequestError,
    StoreBusy,
    StoreError,
    TallystickError,
    for_operator,
)
from tallystick.identity import makers
from tallystick.identity.records import Identity
from tallystick.identity.streams import Stream
from tallystick.store.base import LogHead, Store
from tallystick.store.stream_states import LEASE_S, Save, StreamStates
from tallystick.subscriptions import cursor
from tallystick.subscriptions.changes import LogPosition
from tallystick.subscriptions.streams import recovery
from tallystick.subscriptions.streams.carriers import Carrier, DeliveryAttempt, Outside, carrier_of
from tallystick.subscriptions.streams.progress import (
    DISABLE_AFTER_MS,
    Delivery,
    Halt,
    StoredPosition,
    StreamProgress,
)
from tallystick.subscriptions.streams.sinks.base import Context, EventBatch
from tallystick.subscriptions.streams.stretches import Stretch, StretchReader

_LOOK_S = 1.0
"""How often a sender with nothing to do looks, where nobody tells it that the log grew."""
_LOST_S = 1.0
_UNVERIFIED_S = 0.1
_IDLE_SAVE_S = 1.0

_log = structlog.get_logger("tallystick.streams")


class SenderServices(NamedTuple):
    """What senders need, whatever the stream."""

    store: Store
    states: StreamStates
    identity: Identity
    outside: Outside
    clock: Clock
    server: str
    """The name of the server."""


class Halted(Exception):
    """A stream is not to be sent any more, until somebody resumes it."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


class Sender(threading.Thread):
    """Sends one stream until it is stopped, deleted, paused or disabled."""

    def __init__(self, services: SenderServices, stream: Stream) -> None:
        super().__init__(name=f"stream-{stream.id}", daemon=True)
        self.services = services
        self.stream = stream
        self.grown = threading.Event()
        """Set when there may be something to do."""
        self.verified = stream
        """The record as the log tells of it; set by the thread that compares the two."""
        self._stopping = threading.Event()
        # What follows belongs to this thread.
        self.progress = StreamProgress(salt=stream.salt, epoch=0, at=StoredPosition(0))
        self._carrier: Carrier | None = None
        self._carried: Stream | None = None
        self._stretches: StretchReader | None = None
        self._renewed_s = 0.0
        self._saved_s = 0.0
        self._unsaved = False

    def stop(self) -> None:
        """Let the sender end soon; idempotent."""
        self._stopping.set()
        self.grown.set()

    @property
    def leads(self) -> bool:
        """Whether this is the one that sends the stream, as far as it knows."""
        return self._renewed_s > 0 and self.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether the sender is to end."""
        return self._stopping.is_set()

    def run(self) -> None:
        """Send until there is a reason to stop."""
        try:
            while not self.stopping and self._turn():
                pass
        except Exception:
            _log.exception("stream_sender_died", stream=self.stream.id, tenant=self.stream.tenant)
        finally:
            self.close()

    def close(self) -> None:
        """Release what the sender has; called by its own thread."""
        if self._carrier is not None:
            self._carrier.close()
        if self._renewed_s:
            try:
                self.services.states.release(self.stream.tenant, self.stream.id)
            except StoreError:
                _log.warning("stream_lease_not_released", stream=self.stream.id)

    def step(self) -> None:
        """Do the next thing there is to do, or wait for it.

        Raises: Halted, TallystickError.
        """
        raise NotImplementedError

    def _turn(self) -> bool:
        """Take one step; tell whether there may be another."""
        try:
            if not self._refresh():
                return False
            if self.stream != self.verified:
                self.rest(_UNVERIFIED_S)
                return True
            if self._lead():
                self.step()
            return True
        except Halted as halted:
            return self._halt(halted)
        except makers.MakerGone as gone:
            return self._halt(Halted("paused", str(gone)))
        except RequestError as error:
            return self._halt(Halted("paused", for_operator(error)))
        except (StoreBusy, StoreError) as error:
            _log.warning("stream_waits", stream=self.stream.id, reason=for_operator(error))
            self._renewed_s = 0.0
            self.rest(_LOST_S)
        except TallystickError as error:
            return self._halt(Halted("paused", for_operator(error)))
        return True

    def _halt(self, halted: Halted) -> bool:
        halt = Halt(self.stream.run, halted.state, halted.reason)
        try:
            self.save(msgspec.structs.replace(self.progress, halt=halt))
        except StoreError as error:
            # The next sender finds the same reason.
            _log.warning("stream_halted", stream=self.stream.id, reason=for_operator(error))
        return False

    def _refresh(self) -> bool:
        """Read the record again; tell whether it is to be sent."""
        stream = self.services.identity.get(Stream, self.stream.tenant, self.stream.id)
        if stream is None or stream.salt != self.stream.salt or stream.state != "active":
            return False
        self.stream = stream
        return self.progress.halt is None or self.progress.halt.run != stream.run

    def _lead(self) -> bool:
        """Be the one that sends the stream; tell whether this one is."""
        now_s = time.monotonic()
        if self._renewed_s and now_s - self._renewed_s < LEASE_S / 4:
            return True
        states, stream = self.services.states, self.stream
        if not states.acquire(stream.tenant, stream.id):
            self._renewed_s = 0.0
            self.rest(_LOST_S)
            return False
        if not self._renewed_s:
            self.take_over()
        self._renewed_s = now_s
        return True

    def renew(self) -> None:
        """Keep the lease while something takes long.

        Raises: StoreBusy when another sender has it.
        """
        if time.monotonic() - self._renewed_s < LEASE_S / 4:
            return
        if not self.services.states.acquire(self.stream.tenant, self.stream.id):
            raise StoreBusy("another server sends the stream")
        self._renewed_s = time.monotonic()

    def take_over(self) -> None:
        """Go on where the stream was left."""
        stream = self.stream
        doc = self.services.states.load(stream.tenant, stream.id)
        progress = None if doc is None else msgspec.json.decode(doc, type=StreamProgress)
        if progress is None or progress.salt != stream.salt:
            progress = recovery.from_log(self.services.store, stream)
        self.progress = progress

    # What both modes do with the record and the log

    def adopt(self) -> LogHead:
        """Do what was decided since the last step, and return the head of the log.

        Raises: Halted when the log is not the one that the stream was reading.
        """
        stream, progress = self.stream, self.progress
        head = self.services.store.log_head(stream.tenant)
        if head is None:
            raise Halted("paused", "the tenant has no log")
        if progress.run != stream.run:
            progress = msgspec.structs.replace(
                progress, run=stream.run, halt=None, attempts=0, retry_ms=0, failing_since_ms=None
            )
        if progress.epoch != stream.epoch:
            progress = msgspec.structs.replace(
                progress, epoch=stream.epoch, at=self._point(stream.start), pending=None,
                attempts=0, retry_ms=0,
            )  # fmt: skip
        if stream.replay is not None and stream.replay.number != progress.replay:
            progress = msgspec.structs.replace(
                progress, replay=stream.replay.number, replay_pending=None,
                replay_at=self._point(stream.replay.start), attempts=0, retry_ms=0,
            )  # fmt: skip
        if progress.revived != stream.revived:
            self.services.states.revive(stream.tenant, stream.id, self.now_ms())
            progress = msgspec.structs.replace(progress, revived=stream.revived)
        if progress is not self.progress:
            self.save(progress)
        self._check_log(head)
        return head

    def _point(self, index: int) -> StoredPosition:
        return StoredPosition.of(cursor.at(self.services.store, self.stream.tenant, index))

    def _check_log(self, head: LogHead) -> None:
        at = self.progress.at
        if at.index > head.size or (at.leaf and self._point(at.index).leaf != at.leaf):
            raise Halted(
                "paused",
                f"the log was restored to a state before entry {at.index}; "
                "choose a position with replay or skip, then resume",
            )

    def stretches(self) -> StretchReader:
        """Return what reads the log with the rights that the maker has now.

        It is another one whenever they have changed.
        Raises: MakerGone when they are none.
        """
        stream = self.stream
        visible = makers.visible_to(self.services.identity, stream.tenant, stream.maker)
        if self._stretches is None or self._stretches.visible != visible:
            self._stretches = StretchReader(self.services.store, stream, visible)
        return self._stretches

    def carrier(self) -> Carrier:
        """Return what carries batches, as the record says now.

        Raises: RequestError, SettingsError, StoreCorrupt.
        """
        if self._carrier is None or self._carried is not self.stream:
            changed = self._carried is None or _told(self._carried) != _told(self.stream)
            if self._carrier is None or changed:
                if self._carrier is not None:
                    self._carrier.close()
                self._carrier = carrier_of(self.stream, self.services.outside)
            self._carried = self.stream
        return self._carrier

    def batch(self, stretch: Stretch, kind: int | str) -> EventBatch:
        """Return what passes of a stretch as a batch with its id."""
        stream = self.stream
        return EventBatch(
            id=id_of(stream, kind, stretch.start, stretch.stop),
            tenant=stream.tenant,
            stream=stream.id,
            start=stretch.start.index,
            stop=stretch.stop.index + (1 if stretch.stop.part else 0),
            messages=stretch.messages,
            notices=stretch.notices,
        )

    def context(self, head: LogHead) -> Context:
        """Return what deliveries say of the log."""
        return Context(self.services.server, head.origin, head.checkpoint, self.now_ms())

    def now_ms(self) -> int:
        """Return the time now."""
        return self.services.clock.now_ms()

    def rest(self, seconds: float) -> None:
        """Wait, or less long if there may be something to do."""
        self.grown.wait(seconds)
        self.grown.clear()

    def idle(self) -> None:
        """Wait for the log to grow."""
        self.save_now_and_then()
        self.rest(_LOOK_S)

    # StreamProgress

    def save(self, progress: StreamProgress, **changes: tuple[object, ...]) -> None:
        """Write the progress, and what changes with it.

        Raises: StoreBusy when another sender has taken over.
        """
        doc = msgspec.json.encode(progress)
        save = Save(doc, **changes)  # type: ignore[arg-type]  # the members of Save by name
        if not self.services.states.save(self.stream.tenant, self.stream.id, save):
            self._renewed_s = 0.0
            raise StoreBusy("another server sends the stream")
        self.progress = progress
        self._unsaved = False
        self._saved_s = time.monotonic()

    def pass_by(self, progress: StreamProgress) -> None:
        """Note that nothing was to be sent; written now and then."""
        self.progress = progress
        self._unsaved = True
        self.save_now_and_then()

    def save_now_and_then(self) -> None:
        """Write how far the sender has come without sending anything, once a second at most."""
        if self._unsaved and time.monotonic() - self._saved_s > _IDLE_SAVE_S:
            self.save(self.progress)

    def failed(self, outcome: DeliveryAttempt) -> StreamProgress:
        """Return the progress after an attempt that failed.

        Raises: Halted when the receiver is to be left alone.
        """
        now_ms = self.now_ms()
        since_ms = self.progress.failing_since_ms or now_ms
        self.progress = msgspec.structs.replace(
            self.progress,
            attempts=self.progress.attempts + 1,
            failing_since_ms=since_ms,
            problem=outcome.problem,
            requests=self.progress.requests + 1,
            failures=self.progress.failures + 1,
        )
        if outcome.gone:
            raise Halted("disabled", outcome.problem or "the receiver is gone")
        if now_ms - since_ms > DISABLE_AFTER_MS:
            raise Halted("disabled", f"nothing was delivered for five days: {outcome.problem}")
        return self.progress

    def delivered(self, events: int) -> StreamProgress:
        """Return the progress after a delivery."""
        return msgspec.structs.replace(
            self.progress,
            attempts=0,
            retry_ms=0,
            failing_since_ms=None,
            problem=None,
            delivered_ms=self.now_ms(),
            total=self.progress.total + events,
            requests=self.progress.requests + 1,
        )

    def delivery(self, batch: EventBatch, outcome: DeliveryAttempt, attempt: int) -> bytes:
        """Return an attempt as the delivery log keeps it."""
        return msgspec.json.encode(
            Delivery(
                id=batch.id,
                at_ms=self.now_ms(),
                start=batch.start,
                stop=batch.stop,
                events=batch.size,
                attempt=attempt,
                took_ms=outcome.took_ms,
                status=outcome.status,
                problem=outcome.problem,
                note=outcome.note,
            )
        )


MakeSender = Callable[[SenderServices, Stream], Sender]


def id_of(stream: Stream, kind: int | str, start: LogPosition, stop: LogPosition) -> str:
    """Return the id of a delivery: always the same for the same stretch.

    `kind` tells replays apart, which are sent again on purpose.
    """
    stretch = (start, stop)
    texts = [f"{at.index}.{at.part}" if at.part else str(at.index) for at in stretch]
    # The id is signed with a dot behind it, so it has none.
    return f"{stream.salt}-{kind}-{'-'.join(texts)}".replace(".", "p")


def _told(stream: Stream) -> tuple[object, ...]:
    """Return what a carrier is made of."""
    return (stream.sink, stream.to, stream.mode, stream.secret, stream.headers, stream.options)

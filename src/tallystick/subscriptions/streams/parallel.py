"""Parallel streams: event by event, several at a time, and none that holds up the others.

What could not be delivered becomes a letter, which waits for its next attempt by itself; the
stream's position passes it. After the last attempt a letter is dead, until somebody sends the dead
ones again. Letters are stretches of the log: an attempt reads the event again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

import msgspec

from tallystick.errors import TallystickError, for_operator
from tallystick.identity.streams import Stream
from tallystick.store.base import LogHead
from tallystick.store.stream_states import Letter
from tallystick.subscriptions.changes import LogPosition
from tallystick.subscriptions.streams.carriers import Carrier, DeliveryAttempt, carrier_of
from tallystick.subscriptions.streams.progress import StoredPosition, ladder_wait_s
from tallystick.subscriptions.streams.sender import Halted, Sender, SenderServices
from tallystick.subscriptions.streams.sinks.base import Context, EventBatch
from tallystick.subscriptions.streams.stretches import BatchBounds, Stretch

LANES = 8
"""Deliveries under way at once."""
WAITING_MAX = 10_000
"""Letters beyond which no more of the log is read: the log keeps what is to come."""
DEAD_MAX = 100_000
"""Dead letters beyond which a stream is paused."""
_AHEAD = BatchBounds(messages=64, octets=1024 * 1024)
_WAIT_S = 0.25


class _Task(NamedTuple):
    """One message on its way, with the letter that it was, if it was one."""

    batch: EventBatch
    start: LogPosition
    stop: LogPosition
    letter: Letter | None
    context: Context


class _Done(NamedTuple):
    task: _Task
    outcome: DeliveryAttempt


class ParallelSender(Sender):
    """Sends one stream event by event."""

    def __init__(self, services: SenderServices, stream: Stream) -> None:
        super().__init__(services, stream)
        # Lanes take tasks and put what came of them; all else belongs to this thread.
        self._tasks: SimpleQueue[tuple[Stream, _Task] | None] = SimpleQueue()
        self._done: SimpleQueue[_Done] = SimpleQueue()
        self._lanes: list[threading.Thread] = []
        self._under_way = 0
        # Stretches from the position on, in order; True once over.
        self._window: deque[list[object]] = deque()
        self._letters: set[tuple[int, int]] = set()
        self._ahead: deque[tuple[EventBatch, LogPosition, LogPosition]] = deque()

    def close(self) -> None:
        """Let the lanes end, and release what the sender has."""
        for _ in self._lanes:
            self._tasks.put(None)
        super().close()

    def step(self) -> None:
        """Hand out what there is to deliver, and take note of what came back."""
        if self._window and self._replay_waits:
            # What is under way belongs to the position that the replay will come back to.
            self._take_note(wait=True)
            return
        head = self.adopt()
        self._begin_lanes()
        self._hand_out_letters(head)
        self._hand_out_ahead(head)
        if self._under_way:
            self._take_note(wait=True)
        else:
            self.rest(_WAIT_S)

    def adopt(self) -> LogHead:
        """Do what was decided, and forget what is under way from where it is no more."""
        before = (self.progress.epoch, self.progress.replay)
        head = super().adopt()
        if before != (self.progress.epoch, self.progress.replay):
            self._window.clear()
            self._ahead.clear()
        return head

    def take_over(self) -> None:
        """Go on where the stream was left, whatever was under way here."""
        super().take_over()
        self._window.clear()
        self._ahead.clear()

    def _begin_lanes(self) -> None:
        while len(self._lanes) < LANES:
            name = f"stream-{self.stream.id}-{len(self._lanes)}"
            lane = threading.Thread(target=self._lane, name=name, daemon=True)
            self._lanes.append(lane)
            lane.start()

    # Handing out

    def _hand_out_letters(self, head: LogHead) -> None:
        room = LANES - self._under_way
        if room <= 0:
            return
        stream = self.stream
        due = self.services.states.due(stream.tenant, stream.id, self.now_ms(), 2 * LANES)
        waiting = [letter for letter in due if (letter.stop, letter.stop_part) not in self._letters]
        for letter in waiting[:room]:
            start = LogPosition(letter.start, letter.start_part)
            stop = LogPosition(letter.stop, letter.stop_part)
            stretch = self.stretches().read(start, stop, None)
            batch = self.batch(stretch, self.progress.epoch)
            if not batch.size:
                self.save(self.progress, settled=(letter,))
                continue
            self._letters.add((letter.stop, letter.stop_part))
            self._hand_out(_Task(batch, start, stop, letter, self.context(head)))

    def _hand_out_ahead(self, head: LogHead) -> None:
        while self._under_way < LANES:
            if not self._ahead and not self._read_ahead(head):
                return
            batch, start, stop = self._ahead.popleft()
            self._window.append([stop, False])
            self._hand_out(_Task(batch, start, stop, None, self.context(head)))

    def _hand_out(self, task: _Task) -> None:
        self._under_way += 1
        self._tasks.put((self.stream, task))

    def _read_ahead(self, head: LogHead) -> bool:
        """Read on in the log; tell whether there is something to send."""
        if self._window or self._is_full():
            # What was read before goes out first: a retry reads again what was not taken note of.
            return False
        start, stop = self._at, self._end(head)
        if start[:2] >= stop[:2]:
            self._nothing_left()
            return False
        stretch = self.stretches().read(start, stop, _AHEAD)
        if not (stretch.messages or stretch.notices):
            self._move(stretch.stop)
            self.pass_by(self.progress)
            return False
        self._ahead.extend(self._single(stretch))
        return True

    def _single(self, stretch: Stretch) -> list[tuple[EventBatch, LogPosition, LogPosition]]:
        """Return a stretch as batches of one message each, and one of notices."""
        kind = f"r{self.progress.replay}" if self._replaying else self.progress.epoch
        found: list[tuple[EventBatch, LogPosition, LogPosition]] = []
        begin = stretch.start
        for number, message in enumerate(stretch.messages):
            end = stretch.ends[number]
            start = begin if begin.index >= message.position else LogPosition(message.position)
            part = stretch._replace(
                start=start, stop=end, messages=[message], ends=[end], notices=[]
            )
            found.append((self.batch(part, kind), start, end))
            begin = end
        if stretch.notices:
            rest = stretch._replace(messages=[], ends=[])
            found.append((self.batch(rest, kind), stretch.start, stretch.stop))
        elif found:
            # What did not pass behind the last message is done with it.
            batch, start, _ = found[-1]
            found[-1] = (batch, start, stretch.stop)
        return found

    def _is_full(self) -> bool:
        waiting, dead = self.services.states.counts(self.stream.tenant, self.stream.id)
        if dead >= DEAD_MAX:
            raise Halted("paused", f"{dead} letters are dead; send them again or skip them")
        return waiting >= WAITING_MAX

    # Where it is

    @property
    def _replay_waits(self) -> bool:
        replay, moved = self.stream.replay, self.stream.epoch != self.progress.epoch
        return replay is not None and replay.number != self.progress.replay and not moved

    @property
    def _replaying(self) -> bool:
        return self.progress.replay_at is not None

    @property
    def _at(self) -> LogPosition:
        return (self.progress.replay_at or self.progress.at).position

    def _end(self, head: LogHead) -> LogPosition:
        if self._replaying and self.stream.replay is not None:
            return LogPosition(min(self.stream.replay.stop, head.size))
        return LogPosition(head.size)

    def _move(self, stop: LogPosition) -> None:
        point = StoredPosition.of(stop)
        name = "replay_at" if self._replaying else "at"
        self.progress = msgspec.structs.replace(self.progress, **{name: point})

    def _nothing_left(self) -> None:
        if self._replaying:
            self.save(msgspec.structs.replace(self.progress, replay_at=None))
        else:
            self.save_now_and_then()

    # What came back

    def _take_note(self, *, wait: bool) -> None:
        """Write what came of deliveries: letters before the position passes them."""
        done = self._arrived(wait)
        if not done:
            return
        letters: list[Letter] = []
        settled: list[Letter] = []
        log: list[bytes] = []
        halted: Halted | None = None
        for task, outcome in done:
            self._under_way -= 1
            attempt = 1 if task.letter is None else task.letter.attempts + 1
            log.append(self.delivery(task.batch, outcome, attempt))
            if task.letter is not None:
                self._letters.discard((task.letter.stop, task.letter.stop_part))
            if outcome.problem is None:
                self.progress = self.delivered(len(task.batch.messages))
                settled += [] if task.letter is None else [task.letter]
            else:
                letters.append(self._letter(task, outcome, attempt))
                try:
                    self.failed(outcome)
                except Halted as reason:
                    halted = reason
            if task.letter is None:
                self._over(task.stop)
        self._pass_window()
        self.save(self.progress, deliveries=tuple(log), letters=tuple(letters),
                  settled=tuple(settled))  # fmt: skip
        if halted is not None:
            raise halted

    def _arrived(self, wait: bool) -> Sequence[_Done]:
        found: list[_Done] = []
        try:
            if wait:
                found.append(self._done.get(timeout=_WAIT_S))
            while True:
                found.append(self._done.get_nowait())
        except Empty:
            self.renew()
        return found

    def _letter(self, task: _Task, outcome: DeliveryAttempt, attempt: int) -> Letter:
        wait_s = ladder_wait_s(attempt, outcome.retry_after_s)
        due_ms = None if wait_s is None else self.now_ms() + int(wait_s * 1000)
        start, stop = task.start, task.stop
        return Letter(
            start.index, start.part, stop.index, stop.part, attempt, due_ms, outcome.problem or ""
        )

    def _over(self, stop: LogPosition) -> None:
        for entry in self._window:
            if entry[0] == stop and not entry[1]:
                entry[1] = True
                return

    def _pass_window(self) -> None:
        while self._window and self._window[0][1]:
            stop = self._window.popleft()[0]
            assert isinstance(stop, LogPosition), "that is what the window holds"
            self._move(stop)

    # The lanes, each a thread with a connection of its own

    def _lane(self) -> None:
        carrier: Carrier | None = None
        carried: Stream | None = None
        try:
            while (found := self._tasks.get()) is not None:
                stream, task = found
                try:
                    if carrier is None or carried is not stream:
                        if carrier is not None:
                            carrier.close()
                        carrier, carried = carrier_of(stream, self.services.outside), stream
                    outcome = carrier.deliver(task.batch, task.context)
                except TallystickError as error:
                    outcome = DeliveryAttempt(0, problem=for_operator(error))
                except Exception as error:  # a lane that died would be missed
                    outcome = DeliveryAttempt(0, problem=f"unexpected: {type(error).__name__}")
                self._done.put(_Done(task, outcome))
        finally:
            if carrier is not None:
                carrier.close()

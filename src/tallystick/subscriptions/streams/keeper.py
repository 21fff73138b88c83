"""What the log tells of streams.

The follower that sends them reads the log and writes states; it cannot write to the log, which the
server's sequencer extends. So a thread in the server looks at the states and puts into the log what
became of streams: once a minute how far each has come, and at once that one stopped by itself.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

import msgspec
import structlog

from tallystick.errors import TallystickError, for_operator
from tallystick.events.event import Json
from tallystick.identity import stream_acts
from tallystick.identity.acts import Act
from tallystick.identity.streams import Stream
from tallystick.ledger.ledger import Ledger
from tallystick.store.stream_states import StateRow, StreamStates
from tallystick.subscriptions.streams import recovery
from tallystick.subscriptions.streams.progress import StreamProgress

_LOOK_S = 1.0
_TELL_S = 60.0

_log = structlog.get_logger("tallystick.streams")


class _Told(NamedTuple):
    """What the log tells of a stream, and when it was last told."""

    epoch: int
    at: int
    total: int
    at_s: float


class StreamsKeeper:
    """A thread that tells the log what became of the streams that one server sends."""

    def __init__(self, ledger: Ledger, states: StreamStates, server: str) -> None:
        self._ledger = ledger
        self._states = states
        self._server = server
        self._stopping = threading.Event()
        # Used by the thread below only.
        self._told: dict[tuple[str, str, str], _Told] = {}
        self._thread = threading.Thread(target=self._watch, name="streams-keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; idempotent."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            try:
                self.look()
            except TallystickError as error:
                _log.warning("streams_not_looked_at", reason=for_operator(error))
            except Exception:
                _log.exception("streams_not_looked_at")

    def look(self) -> None:
        """Tell the log what the follower did since the last look.

        Raises: StoreError, StoreBusy.
        """
        rows = self._ledger.store.identities(None, "stream")
        if not rows:
            return
        streams = {(row.tenant, row.id): msgspec.json.decode(row.doc, type=Stream) for row in rows}
        for state in self._states.all():
            stream = streams.get((state.tenant, state.stream))
            # Another server tells of the streams that it sends.
            if stream is not None and state.owner in ("", self._server):
                self._tell(stream, state)

    def _tell(self, stream: Stream, state: StateRow) -> None:
        progress = msgspec.json.decode(state.doc, type=StreamProgress)
        if progress.salt != stream.salt:
            return
        halt = progress.halt
        halted = halt is not None and halt.run == stream.run and stream.state == "active"
        self._tell_progress(stream, progress, at_once=halted)
        if halt is not None and halted:
            self._stop(stream, halt.state, halt.reason)

    def _stop(self, stream: Stream, state: str, reason: str) -> None:
        """Record that a stream stopped by itself."""

        def stop(known: Stream | None) -> Act | None:
            if known is None or known.salt != stream.salt or known.run != stream.run:
                return None
            if known.state != "active":
                return None
            make = stream_acts.disabled if state == "disabled" else stream_acts.paused
            return make(known, reason, None)

        self._ledger.changes.carry_out(Stream, stream.tenant, stream.id, stop)
        _log.warning("stream_stopped", stream=stream.id, tenant=stream.tenant, reason=reason)

    def _tell_progress(self, stream: Stream, progress: StreamProgress, *, at_once: bool) -> None:
        """Put into the log how far a stream has come: once a minute at most, if it has moved."""
        key = (stream.tenant, stream.id, stream.salt)
        told, now_s = self._told.get(key), time.monotonic()
        if told is None:
            told = self._told[key] = self._told_before(stream)
        if progress.total == told.total or (now_s - told.at_s < _TELL_S and not at_once):
            return
        start = told.at if told.epoch == progress.epoch else stream.start
        data: Json = {
            "salt": stream.salt,
            "epoch": progress.epoch,
            "from": start,
            "to": progress.at.index,
            "events": progress.total - told.total,
            "total": progress.total,
        }
        draft = stream_acts.draft_of(stream, recovery.DELIVERED, data)
        self._ledger.append(stream.tenant, [draft])
        self._told[key] = _Told(progress.epoch, progress.at.index, progress.total, now_s)

    def _told_before(self, stream: Stream) -> _Told:
        """Return what the log told before this server started."""
        data = recovery.last_told(self._ledger.store, stream)
        if data is None:
            return _Told(stream.epoch, stream.start, 0, 0.0)
        return _Told(int(data["epoch"]), int(data["to"]), int(data["total"]), 0.0)

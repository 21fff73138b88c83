"""Streams as the server sees them: the process that sends, and what the log tells of it.

The process reads the log and writes states; it cannot write to the log, which this server's
sequencer extends. So a thread here looks at the states and puts into the log what became of
streams: once a minute how far each has come, and at once that one stopped by itself.
"""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from tallystick.clock import Clock
from tallystick.data_folder import STREAMS_FILE
from tallystick.dialects import common_settings
from tallystick.errors import TallystickError, for_operator
from tallystick.events.event import Json
from tallystick.identity import stream_acts
from tallystick.identity.acts import Act
from tallystick.identity.records import Identity
from tallystick.identity.streams import Stream
from tallystick.ledger.ledger import Ledger
from tallystick.log.keys import LogKey
from tallystick.node.background import STREAMS, BackgroundProcess
from tallystick.settings import Settings
from tallystick.store.base import Store
from tallystick.store.sqlite.stream_states import SqliteStreamStates
from tallystick.store.stream_states import StateRow, StreamStates
from tallystick.subscriptions.streams import recovery
from tallystick.subscriptions.streams.addresses import AllowedNetworks
from tallystick.subscriptions.streams.carriers import Outside
from tallystick.subscriptions.streams.exchange import Dialer
from tallystick.subscriptions.streams.progress import StreamProgress
from tallystick.subscriptions.streams.sender import SenderServices
from tallystick.subscriptions.streams.sinks.objects import destination

_LOOK_S = 1.0
_TELL_S = 60.0

_log = structlog.get_logger("tallystick.streams")


def new_owner() -> str:
    """Return a name that tells this server's sender from every other."""
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"


def open_states(folder: Path, settings: Settings, owner: str) -> StreamStates:
    """Open the states of streams: beside the log, or in the database that holds it."""
    if settings.database is None:
        return SqliteStreamStates(folder / STREAMS_FILE)
    # Imported late: the driver is an extra that a folder does without.
    from tallystick.store.postgres.stream_states import PostgresStreamStates

    return PostgresStreamStates(settings.database, owner)


def outside_of(settings: Settings, key: LogKey) -> Outside:
    """Return what carriers need, as an operator configured it.

    Raises: SettingsError.
    """
    dialer = Dialer(AllowedNetworks(settings.streams_allow))
    for name in settings.streams_destinations:
        destination(name, settings.streams_destinations)
    return Outside(dialer, settings.streams_destinations, key.derive_secret)


def services_of(
    store: Store, states: StreamStates, settings: Settings, *,
    key: LogKey, clock: Clock,
) -> SenderServices:  # fmt: skip
    """Return what senders need."""
    outside = outside_of(settings, key)
    # Nothing is remembered: a right that was taken away counts for the next delivery.
    identity = Identity(store, ttl_s=0.0, own_events_only=common_settings(settings).own_events_only)
    return SenderServices(store, states, identity, outside, clock, settings.server_name)


class _Told(NamedTuple):
    """What the log tells of a stream, and when it was last told."""

    epoch: int
    at: int
    total: int
    at_s: float


class StreamsKeeper:
    """Runs the process while there are streams, and tells the log of them.

    Without `sends` somebody else runs what sends them.
    """

    def __init__(
        self,
        ledger: Ledger,
        states: StreamStates,
        settings: Settings,
        folder: Path,
        owner: str,
        *,
        sends: bool = True,
    ) -> None:
        self._ledger = ledger
        self._states = states
        self._settings = settings
        self._folder = folder
        self._owner = owner
        self._sends = sends
        self._stopping = threading.Event()
        # Written by the thread below, read by the one that commits.
        self._process: BackgroundProcess | None = None
        self._told: dict[tuple[str, str, str], _Told] = {}
        self._thread = threading.Thread(target=self._watch, name="streams-keeper", daemon=True)
        self._thread.start()

    def committed(self, tenants: Iterable[str]) -> None:
        """Pass on that logs have grown; never waits."""
        if self._process is not None:
            self._process.committed(tenants)

    def close(self) -> None:
        """Stop sending, tell what is left to tell, and end; idempotent."""
        self._stopping.set()
        self._thread.join()
        if self._process is not None:
            self._process.close()
            self._process = None
        self._states.close()

    @property
    def pid(self) -> int | None:
        """The process that sends, if it runs."""
        return None if self._process is None else self._process.pid

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            try:
                self.look()
            except TallystickError as error:
                _log.warning("streams_not_looked_at", reason=for_operator(error))
            except Exception:
                _log.exception("streams_not_looked_at")

    def look(self) -> None:
        """Start the process if there is something for it, and tell the log what it did.

        Raises: StoreError, StoreBusy.
        """
        rows = self._ledger.store.identities(None, "stream")
        if not rows:
            return
        if self._process is None and self._sends:
            self._process = BackgroundProcess(STREAMS, self._folder, self._settings, (self._owner,))
        streams = {(row.tenant, row.id): msgspec.json.decode(row.doc, type=Stream) for row in rows}
        for state in self._states.all():
            stream = streams.get((state.tenant, state.stream))
            # Another server tells of the streams that it sends.
            if stream is not None and state.owner in ("", self._owner):
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

"""Followers that act on the log, as a server or a command runs them.

A server gives each a process of its own, so that it never holds the server's interpreter; a
command runs those that it needs in threads. Both run the same loop.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog

from tallystick.errors import StoreBusy, StoreError, TallystickError, for_operator
from tallystick.followers.channel import Channel
from tallystick.followers.kind import TruthKind, load_truth_kind
from tallystick.followers.loop import Loop
from tallystick.followers.messages import FollowerReport, Lines, receive
from tallystick.followers.process import Command, Process, keep_running
from tallystick.followers.services import FollowerServices
from tallystick.followers.shared import HeadWatch
from tallystick.log.sequencer import CommitStats
from tallystick.store.base import LogHead, Store

_log = structlog.get_logger("tallystick.followers")


class Acting(NamedTuple):
    """One follower and what runs it."""

    channel: Channel
    runs_in: Process | LoopThread


class ActingFollowers:
    """Runs the followers that act on the log; safe to share between threads."""

    def __init__(
        self, references: Sequence[str], services: FollowerServices, command: Command | None
    ) -> None:
        """Start; with a `command` each in a process, without in threads of this one."""
        store = services.store
        heads = store.log_heads()
        kinds = {reference: load_truth_kind(reference) for reference in references}
        self._running: list[Acting] = []
        for reference, kind in kinds.items():
            if command is None and not kind.in_commands:
                continue
            sizes = {head.tenant: head.size for head in heads}
            channel = Channel(kind.name, None, sizes, commits=False, near=0)
            if command is None:
                self._running.append(Acting(channel, LoopThread(kind, services, channel)))
            else:
                wanted = _Wanted(kind, store)
                process = Process(command, reference, channel, wanted)
                self._running.append(Acting(channel, process))
        self._watch = None if store.many_tenants else HeadWatch(store, self.tell)

    def committed(self, heads: Sequence[LogHead], stats: CommitStats) -> None:
        """Tell the followers what was committed; never waits."""
        self.tell(heads)

    def lag(self) -> Mapping[str, int]:
        """Return by how many entries each follower that runs is behind, over all tenants."""
        return {
            acting.channel.name: acting.channel.lag()
            for acting in self._running
            if acting.runs_in.is_started()
        }

    def close(self) -> None:
        """Stop every follower and wait for its end; idempotent."""
        if self._watch is not None:
            self._watch.stop()
        for acting in self._running:
            acting.channel.close()
            acting.runs_in.close()
        if self._watch is not None:
            self._watch.join()
            self._watch = None

    def tell(self, heads: Sequence[LogHead]) -> None:
        """Tell the followers how far logs have come; never waits."""
        sizes = [(head.tenant, head.size) for head in heads]
        for acting in self._running:
            acting.channel.tell(sizes)


class _Wanted:
    """Tells whether there is something to do for a follower; a store that is away says no."""

    def __init__(self, kind: TruthKind, store: Store) -> None:
        self._kind = kind
        self._store = store

    def __call__(self) -> bool:
        try:
            return self._kind.is_wanted(self._store)
        except (StoreBusy, StoreError):
            return False


class LoopThread:
    """A follower in a thread of this process, begun again when it fails."""

    def __init__(self, kind: TruthKind, services: FollowerServices, channel: Channel) -> None:
        self._kind = kind
        self._services = services
        self._channel = channel
        self._stopping = threading.Event()
        # Guards the server's end of the socket; shutting that down ends the loop.
        self._lock = threading.Lock()
        self._ours: socket.socket | None = None
        self._thread = threading.Thread(target=self._watch, name=f"watch-{kind.name}", daemon=True)
        self._thread.start()

    def is_started(self) -> bool:
        """Tell that it runs: it does from the start."""
        return True

    def close(self) -> None:
        """Stop after the turn under way; idempotent."""
        self._stopping.set()
        with self._lock:
            if self._ours is not None:
                self._ours.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _watch(self) -> None:
        keep_running(self._run, self._stopping)

    def _run(self) -> None:
        """Run the loop in a thread and listen to it until it or this server ends."""
        ours, theirs = socket.socketpair()
        loop = threading.Thread(
            target=self._loop, args=(theirs,), name=self._kind.name, daemon=True
        )
        with ours:
            with self._lock:
                self._ours = None if self._stopping.is_set() else ours
            if self._ours is not None:
                self._channel.attach(ours)
                loop.start()
                self._listen(ours)
                loop.join()
            with self._lock:
                self._ours = None
            self._channel.detach()

    def _listen(self, ours: socket.socket) -> None:
        lines = Lines(FollowerReport)
        while data := receive(ours):
            for report in lines.feed(data):
                self._channel.hear(report)

    def _loop(self, theirs: socket.socket) -> None:
        with theirs:
            try:
                Loop(theirs, lambda tell: self._kind.open(self._services)).run()
            except TallystickError as error:
                _log.error("follower_stopped", follower=self._kind.name, reason=for_operator(error))
            except Exception:
                _log.exception("follower_stopped", follower=self._kind.name)

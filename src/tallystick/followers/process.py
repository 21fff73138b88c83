"""Processes of our own that run beside a server: how they are started, kept running and ended.

One follower a process. The process is started again, after a longer pause each time it dies soon,
and goes on from the cursor that it left.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from tallystick.data_folder import INDEX_FOLDER
from tallystick.followers.channel import Channel
from tallystick.followers.messages import FollowerReport, Lines, receive
from tallystick.settings import Settings

_MODULE = "tallystick.followers.child"
_BACKOFF_S = 0.1
_BACKOFF_S_MAX = 5.0
_STEADY_S = 10.0
_STOP_S = 5.0
_LOOK_S = 1.0

_log = structlog.get_logger("tallystick.followers")


class Setup(msgspec.Struct, frozen=True):
    """What a follower's process reads from its standard input: it may hold passwords."""

    settings: Settings
    server: str = ""
    """Tells the server beside which the follower runs from every other."""
    own_events_only: bool = False
    """See `Identity`."""


class Command(NamedTuple):
    """How the processes of a server's followers are started.

    `rules` is the reference of the function that returns the rules of the dialects.
    """

    folder: Path
    setup: Setup
    rules: str

    @property
    def root(self) -> Path:
        """The folder of the indexes."""
        return self.folder / INDEX_FOLDER

    def start(self, kind: str, theirs: socket.socket, *generation: str) -> subprocess.Popen[bytes]:
        """Start a process with a follower, which talks to the server by its end of a socket.

        `kind` is the reference of the follower's kind.
        """
        arguments = (kind, str(self.folder), self.rules, str(theirs.fileno()), *generation)
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        process = subprocess.Popen(  # noqa: S603  # our own module, with what we were given
            (sys.executable, "-m", _MODULE, *arguments),
            stdin=subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            env={**os.environ, "PYTHONPATH": path},
        )
        assert process.stdin is not None, "it was asked for"
        # Not in the arguments, which everybody on the machine can read.
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(msgspec.json.encode(self.setup))
        return process


class Process:
    """A process with a follower in it, started again whenever it dies."""

    def __init__(
        self,
        command: Command,
        kind: str,
        channel: Channel,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Start; no process is started before it `is_wanted`."""
        self._command = command
        self._kind = kind
        self._channel = channel
        self._is_wanted = is_wanted
        # Written to when the process is to end: a select cannot wait for an event.
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._stopping = threading.Event()
        # Written by the thread below, read by any.
        self.pid: int | None = None
        self._thread = threading.Thread(
            target=self._watch, name=f"watch-{channel.name}", daemon=True
        )
        self._thread.start()

    def is_started(self) -> bool:
        """Tell whether a process was started yet."""
        return self.pid is not None

    def close(self) -> None:
        """Stop the process and wait for its end; idempotent."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._stop_writer.close()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.is_set() and not self._is_wanted():
            self._stopping.wait(_LOOK_S)
        keep_running(self._run, self._stopping)
        self._stop_reader.close()

    def _run(self) -> None:
        """Start the process and listen to it until it or the server ends."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = self._command.start(self._kind, theirs)
        self.pid = process.pid
        with ours:
            self._channel.attach(ours)
            lines = Lines(FollowerReport)
            while self._listen(ours, lines):
                pass
            self._channel.detach()
        _end(process)
        if not self._stopping.is_set():
            _log.error("follower_died", follower=self._channel.name, code=process.returncode)

    def _listen(self, ours: socket.socket, lines: Lines[FollowerReport]) -> bool:
        """Pass on what comes next; tell whether both sides are still there."""
        readable, _, _ = select.select([self._stop_reader, ours], [], [])
        data = b"" if self._stop_reader in readable else receive(ours)
        for report in lines.feed(data):
            self._channel.hear(report)
        return bool(data)


def keep_running(run: Callable[[], None], stopping: threading.Event) -> None:
    """Run something again whenever it ends, after a longer pause each time it ends soon."""
    backoff_s = _BACKOFF_S
    while not stopping.is_set():
        started_s = time.monotonic()
        run()
        if time.monotonic() - started_s > _STEADY_S:
            backoff_s = _BACKOFF_S
        stopping.wait(backoff_s)
        backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process that was told to end does, and no longer than it may take."""
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

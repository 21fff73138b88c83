"""Work beside requests, in a process of its own: the server's end of it, and that process.

    python -m tallystick.node.background WORK FOLDER HANDLE     (settings on standard input)

The work is that of a dialect, by its name, or the sending of streams.

The server says nothing but that something was committed, a byte at a time; the process asks the
store what. It ends when the server does: the socket closes. When it dies it is started again, and
what it keeps makes sure that nothing is done twice.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import structlog

from tallystick.clock import SystemClock
from tallystick.data_folder import KEY_FILE
from tallystick.dialects import DIALECTS
from tallystick.dialects.services import Background, BackgroundServices
from tallystick.errors import TallystickError, for_operator
from tallystick.followers import process as processes
from tallystick.identity.records import Identity
from tallystick.log.keys import LogKey, read_log_key
from tallystick.log.views import LogReader
from tallystick.log_lines import configure_logging
from tallystick.node.node import SHARED_IDENTITY_TTL_S
from tallystick.settings import Settings
from tallystick.store.truth import Truth, open_truth

STREAMS = "streams"
"""The work that sends streams."""

_GATHER_S = 0.02
_NICE = 5

_log = structlog.get_logger("tallystick.background")


class BackgroundProcess:
    """Background work as the server sees it; safe to share between threads.

    `more` goes to the work itself: what only this server knows.
    """

    def __init__(
        self, work: str, folder: Path, settings: Settings, more: Sequence[str] = ()
    ) -> None:
        self._work = work
        self._more = tuple(more)
        self._folder = folder
        self._settings = settings
        # Guards the socket to the process that runs now.
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._stopping = threading.Event()
        self.pid: int | None = None
        self._thread = threading.Thread(target=self._watch, name=f"background-{work}")
        self._thread.start()

    def committed(self, tenants: Iterable[str]) -> None:
        """Say that logs have grown; never waits."""
        with self._lock:
            if self._socket is not None:
                # A full socket means that it was told already, a broken one that it died.
                with contextlib.suppress(OSError):
                    self._socket.send(b"+")

    def close(self) -> None:
        """Stop the process and wait for its end; idempotent."""
        self._stopping.set()
        self._hang_up()
        self._thread.join()

    def _watch(self) -> None:
        processes.keep_running(self._run, self._stopping)

    def _run(self) -> None:
        """Start the process and wait until it ends, or has to."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = self._start(theirs)
        with self._lock:
            self._socket = ours
        if self._stopping.is_set():
            self._hang_up()
        while process.poll() is None and not self._stopping.wait(0.2):
            pass
        self._hang_up()
        processes.end(process)
        if not self._stopping.is_set():
            _log.error("background_work_died", work=self._work, code=process.returncode)

    def _start(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        told = (self._work, str(self._folder.absolute()), str(theirs.fileno()), *self._more)
        process = processes.start(__name__, told, theirs, msgspec.json.encode(self._settings))
        self.pid = process.pid
        return process

    def _hang_up(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


def listen(server: socket.socket, log: LogReader, work: Background) -> None:
    """Tell `work` which logs grew whenever the server says that some did, until it hangs up."""
    sizes: dict[str, int] = {}
    while True:
        now = log.sizes()
        work.committed([tenant for tenant, size in now.items() if size != sizes.get(tenant)])
        sizes = now
        if not server.recv(4096):
            return
        # Commits come by the hundred a second; one look at the store is for all of a moment.
        time.sleep(_GATHER_S)


def main(arguments: Sequence[str]) -> None:
    """Do background work until the server hangs up."""
    # Signals may go to the whole group; only the server decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # As the followers of the indexes: writing comes first.
    os.nice(_NICE)
    name, folder, handle = arguments[0], Path(arguments[1]), int(arguments[2])
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=Settings)
    configure_logging(settings.log_level)
    truth = open_truth(folder, settings.database)
    key = read_log_key(folder / KEY_FILE)
    if name == STREAMS:
        work = _streams(truth, settings, key, folder, *arguments[3:])
    else:
        work = _of_dialect(name, truth, settings, key)
    gc.freeze()
    with socket.socket(fileno=handle) as server:
        listen(server, LogReader(truth.store), work)
    work.close()
    truth.close()


def _streams(truth: Truth, settings: Settings, key: LogKey, folder: Path, owner: str) -> Background:
    # Imported late: processes of dialects need none of it.
    from tallystick.node.streams import open_states, services_of
    from tallystick.subscriptions.streams.senders import Senders
    from tallystick.subscriptions.streams.sinks.objects import drop_ambient_credentials

    drop_ambient_credentials()
    states = open_states(folder, settings, owner)
    return Senders(services_of(truth.store, states, settings, key=key, clock=SystemClock()))


def _of_dialect(name: str, truth: Truth, settings: Settings, key: LogKey) -> Background:
    dialect = next(dialect for dialect in DIALECTS if dialect.name == name)
    assert dialect.background is not None, "only such dialects have a process"
    return dialect.background(
        BackgroundServices(
            identity=Identity(truth.store, ttl_s=SHARED_IDENTITY_TTL_S),
            settings=settings,
            clock=SystemClock(),
            log=LogReader(truth.store),
            public_files=truth.public_files,
            derive_key=key.derive_ec_key,
            shared=not truth.store.many_tenants,
        )
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except TallystickError as error:
        # As while a database starts again: the server starts another process.
        _log.error("background_work_stopped", reason=for_operator(error))
        sys.exit(1)

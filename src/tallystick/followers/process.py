"""Processes of our own that run beside a server: how they are started, kept running and ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

_BACKOFF_S = 0.1
_BACKOFF_S_MAX = 5.0
_STEADY_S = 10.0
_STOP_S = 5.0


def start(
    module: str, arguments: Sequence[str], theirs: socket.socket, told: bytes
) -> subprocess.Popen[bytes]:
    """Start one of our modules, with its end of a socket, and `told` on its standard input.

    What may be secret is told there: arguments can be read by everybody on the machine.
    """
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    process = subprocess.Popen(  # noqa: S603  # our own module, with what we were given
        (sys.executable, "-m", module, *arguments),
        stdin=subprocess.PIPE,
        pass_fds=(theirs.fileno(),),
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdin is not None, "it was asked for"
    with suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(told)
    return process


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


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process that was told to end does, and no longer than it may take."""
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""The process in which a follower runs beside a server.

    python -m tallystick.followers.child KIND FOLDER RULES HANDLE
    python -m tallystick.followers.child KIND FOLDER RULES HANDLE GENERATION

KIND and RULES are references, `module:NAME`. The settings come on standard input: they may hold
passwords.

The handle is that of a socket to the server; the process ends when the server does, since the
socket closes. With a generation it is a rebuild: it fills that one beside the current one, says
how far it is, and ends when it has caught up.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import structlog

from tallystick.data_folder import INDEX_FOLDER
from tallystick.errors import TallystickError, for_operator
from tallystick.followers.index_work import IndexWork, rebuild
from tallystick.followers.kind import FollowerKind, TruthKind, configured, load_kind
from tallystick.followers.log_lines import configure_logging
from tallystick.followers.loop import Loop
from tallystick.followers.process import Setup
from tallystick.followers.registry import load_rules
from tallystick.followers.services import open_services
from tallystick.store.opening import open_store

_NICE = 5
"""Writing comes first: what it leaves of the processors is enough to follow it."""

_log = structlog.get_logger("tallystick.followers")


def main(arguments: Sequence[str]) -> int:
    """Run the follower named in the arguments."""
    # Signals may go to the whole group; only the server decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(_NICE)
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(0.0005)
    named, folder, rules, handle, *generation = arguments
    server = socket.socket(fileno=int(handle))
    setup = msgspec.json.decode(sys.stdin.buffer.read(), type=Setup)
    configure_logging(setup.settings.log_level)
    kind = load_kind(named)
    try:
        if isinstance(kind, TruthKind):
            _act(kind, Path(folder), setup, server)
        else:
            _keep(kind, Path(folder), setup, server, rules, *generation)
    except BrokenPipeError:
        # The server is gone; nobody waits for a rebuild any longer.
        return 1
    except TallystickError as error:
        # As while a database starts again: the server starts another process.
        _log.error("follower_stopped", follower=kind.name, reason=for_operator(error))
        return 1
    return 0


def _keep(
    kind: FollowerKind, folder: Path, setup: Setup, server: socket.socket,
    reference: str, generation: str | None = None,
) -> None:  # fmt: skip
    rules = load_rules(reference)
    kind = configured(kind, setup.settings)
    store = open_store(folder, setup.settings.database)
    root = folder / INDEX_FOLDER
    if generation is not None:
        rebuild(kind, root / kind.name / generation, store, rules, server)
    else:
        Loop(server, partial(IndexWork, kind, root, store, rules)).run()


def _act(kind: TruthKind, folder: Path, setup: Setup, server: socket.socket) -> None:
    with contextlib.closing(open_services(folder, setup)) as opened:
        Loop(server, lambda tell: kind.open(opened.services)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

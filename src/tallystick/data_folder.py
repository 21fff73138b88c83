"""A data folder: the names of what is in it, and the lock that one process holds."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tallystick.errors import SettingsError, StoreLocked

LEDGER_FILE = "ledger.db"
"""The log of record and identity."""

PUBLIC_FILE = "datatrails.db"
"""Public files, once there are any."""

STREAMS_FILE = "streams.db"
"""How far streams have come, once there are any."""

KEY_FILE = "log.key"
"""The signing key."""

BLOBS_FOLDER = "blobs"

INDEX_FOLDER = "index"
"""What followers keep, which can be made again from the log."""

HEADS_FOLDER = "heads"
"""The latest head of every log, by which an older copy of the rest is noticed."""

COSIGNED_FOLDER = "cosigned"
"""The checkpoints of every log with the cosignatures of its witnesses."""

ERASURES_FILE = "erasures.jsonl"
"""Positions of everything that was erased, for a restore."""

TIMESTAMPS_FOLDER = "timestamps"
"""The checkpoints of every log that an authority stamped, and its tokens."""

EXPORTS_FOLDER = "exports"
"""Exports and evidence bundles that were asked for; they can be made again."""

UPLOADS_FOLDER = "uploads"
"""Blobs on their way in; emptied at every start."""

LOCK_FILE = "lock"
SOCKET_FILE = "control.sock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a data folder, made if there is none, from every other process for one block.

    Raises: StoreLocked when another process has it, SettingsError.
    """
    handle = hold(folder)
    try:
        yield
    finally:
        os.close(handle)


def hold(folder: Path) -> int:
    """Keep a data folder, made if there is none, until the returned descriptor is closed.

    Raises: StoreLocked when another process has it, SettingsError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be used as a data folder: {error.strerror}"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise StoreLocked(
            f"another process is using {folder}",
            hint="stop that server, use --url to reach it, or choose another --data folder",
        ) from error
    return handle

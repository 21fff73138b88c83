"""Whether something can be written, found out by writing it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tallystick import durable, limits
from tallystick.errors import StoreFailed, TallystickError

_PROBE_FILE = "write-probe"
_HOLDS_S = 1.0
"""How long an answer holds: a thousand questions a second for readiness cost one flush."""


class WriteProbe:
    """Tries writes and remembers for a second how the last one went; safe to share by threads."""

    def __init__(self, *tries: Callable[[], None]) -> None:
        self._tries = tries
        # Held while a write is tried: others wait for its outcome and try none of their own.
        self._lock = threading.Lock()
        self._tried_s = -_HOLDS_S
        self._failure: TallystickError | None = None

    def failure(self) -> TallystickError | None:
        """Return why nothing can be written; None if something can.

        Cost: a flush of the disk, once a second at most.
        """
        with self._lock:
            if time.monotonic() - self._tried_s >= _HOLDS_S:
                self._failure = self._try()
                self._tried_s = time.monotonic()
            return self._failure

    def _try(self) -> TallystickError | None:
        try:
            for each in self._tries:
                each()
        except TallystickError as error:
            return error
        return None


def try_folder(folder: Path) -> None:
    """Write as much as one event may have to a folder, flush it and take it away.

    Raises: StoreFailed when there is no room, or the folder cannot be written.
    """
    path = folder / f"{_PROBE_FILE}.{os.getpid()}"
    try:
        try:
            with path.open("wb") as file:
                file.write(bytes(limits.EVENT_BYTES))
                durable.flush_file(file)
        finally:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreFailed(
            "the data folder cannot be written", hint="check room and rights of its disk"
        ) from error

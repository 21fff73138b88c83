"""What deletes the records of spent sessions, now and then, beside requests."""

from __future__ import annotations

import threading

import structlog

from tallystick.clock import Clock
from tallystick.errors import TallystickError, for_operator
from tallystick.identity.records import Identity
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.spent_sessions import delete_spent

_FIRST_S = 60.0
"""After the start there is more urgent work."""

_EVERY_S = 6 * 3600.0

_log = structlog.get_logger("tallystick.sessions")


class SessionCleaner:
    """A thread that looks for spent sessions a few times a day."""

    def __init__(self, ledger: Ledger, identity: Identity, clock: Clock) -> None:
        self._ledger = ledger
        self._identity = identity
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sessions", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the commit under way; idempotent."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s = _FIRST_S
        while not self._stopping.wait(wait_s):
            wait_s = _EVERY_S
            try:
                deleted = delete_spent(self._ledger, self._identity, self._clock.now_ms())
            except TallystickError as error:
                _log.warning("spent_sessions_stay", reason=for_operator(error))
                continue
            if deleted:
                _log.info("spent_sessions_deleted", count=deleted)

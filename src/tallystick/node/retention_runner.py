"""What carries retention out by itself, as long as a server runs."""

from __future__ import annotations

import threading

import structlog

from tallystick.clock import Clock
from tallystick.errors import TallystickError, for_operator
from tallystick.ledger.retention_run import Retention

_LOOK_S = 60.0

_log = structlog.get_logger("tallystick.retention")


class RetentionRunner:
    """A thread that runs each policy once an interval, however long the server was down."""

    def __init__(self, retention: Retention, clock: Clock, *, hours: float) -> None:
        self._retention = retention
        self._clock = clock
        self._interval_ms = int(hours * 3_600_000)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the commit under way; the next start goes on. Idempotent."""
        self._stopping.set()
        self._retention.stop()
        self._thread.join()

    def _run(self) -> None:
        look_s = min(_LOOK_S, self._interval_ms / 2000)
        while not self._stopping.wait(look_s):
            try:
                failed = self._retention.run_due(self._clock.now_ms(), self._interval_ms)
            except TallystickError as error:
                failed = [("", error)]
            for tenant, reason in failed:
                _log.warning("retention_failed", tenant=tenant, reason=for_operator(reason))

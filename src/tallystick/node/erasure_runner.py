"""What carries erasures out beside requests: large ones, and those that a hold kept waiting."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import structlog

from tallystick.errors import TallystickError, for_operator
from tallystick.ledger.erasures import Erasures
from tallystick.log.sequencer import CommitStats
from tallystick.store.base import LogHead

_RETRY_S = 30.0

_log = structlog.get_logger("tallystick.erasures")


class ErasureRunner:
    """A thread that goes on with erasures at the start and whenever identity changed.

    A hold that is placed or lifted, and an erasure that is requested, are changes of identity.
    """

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures
        self._wanted = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="erasures", daemon=True)
        self._wanted.set()
        self._thread.start()

    def committed(self, heads: Sequence[LogHead], stats: CommitStats) -> None:
        """Note that something was committed; never waits."""
        if stats.identity_changed:
            self._wanted.set()

    def wake(self) -> None:
        """Look for work now."""
        self._wanted.set()

    def close(self) -> None:
        """Stop after the commit under way; what is left goes on at the next start. Idempotent."""
        self._stopping = True
        self._erasures.stop()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s: float | None = None
        while True:
            self._wanted.wait(wait_s)
            self._wanted.clear()
            if self._stopping:
                return
            wait_s = None if self._succeeds() else _RETRY_S

    def _succeeds(self) -> bool:
        try:
            failed = self._erasures.resume()
        except TallystickError as error:
            failed = [("", error)]
        for id, reason in failed:
            _log.warning("erasure_waits", erasure=id, reason=for_operator(reason))
        return not failed

"""The thread in which the follower works beside a server, and who is followed.

A tenant has a public log once it has a client of this dialect, and keeps it. Rounds come at
intervals, so that under load one write and one seal are for many events.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import structlog

from tallystick.errors import Pushback, TallystickError, for_operator

INTERVAL_S = 0.05
"""Time between two rounds: events gather in it."""

RETRY_S = 5.0
"""Time until a tenant is tried again whose public log could not be brought forward."""

_log = structlog.get_logger("tallystick.datatrails")


class Publisher:
    """Brings the public logs forward whenever logs grow; starts when it is made."""

    def __init__(
        self,
        step: Callable[[str], bool],
        tenants: Callable[[], Iterable[str]],
        is_followed: Callable[[str], bool],
        *,
        look_around_s: float | None = None,
    ) -> None:
        """Start; `look_around_s` is how often to look for growth that was not announced."""
        self._step = step
        self._tenants = tenants
        self._is_followed = is_followed
        self._look_around_s = look_around_s
        # Guards the two below; told whenever one of them changes.
        self._changed = threading.Condition()
        self._grown: set[str] = set()
        self._stopping = False
        # Used by the thread only: who is known to be followed, and who failed when.
        self._followed: set[str] = set()
        self._failed: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="merklelog", daemon=True)
        self._thread.start()

    def committed(self, tenants: Iterable[str]) -> None:
        """Note that logs have grown; never waits."""
        with self._changed:
            self._grown.update(tenants)
            self._changed.notify()

    def close(self) -> None:
        """Stop after the step under way; idempotent."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        behind: set[str] = set()
        while True:
            behind |= self._gather(wait=not behind)
            if self._stopping:
                return
            # One slice each, in turn: no tenant waits for another one's backlog.
            behind = {tenant for tenant in sorted(behind) if self._bring_forward(tenant)}
            if not behind:
                self._pause()

    def _gather(self, *, wait: bool) -> set[str]:
        """Return the tenants whose logs grew, having waited for one if told to."""
        patience_s = RETRY_S if self._failed else self._look_around_s
        with self._changed:
            heard = not wait or self._changed.wait_for(self._is_called, patience_s)
            grown, self._grown = self._grown, set()
        if not heard and self._look_around_s is not None:
            grown |= set(self._tenants())
        now_s = time.monotonic()
        again = {tenant for tenant, since_s in self._failed.items() if now_s - since_s >= RETRY_S}
        for tenant in again:
            del self._failed[tenant]
        return (grown | again) - self._failed.keys()

    def _pause(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, INTERVAL_S)

    def _is_called(self) -> bool:
        return bool(self._grown) or self._stopping

    def _bring_forward(self, tenant: str) -> bool:
        """Take one step for a tenant; tell whether it needs another one."""
        try:
            return not self._stopping and self._follows(tenant) and self._step(tenant)
        except Pushback:
            return True
        except TallystickError as error:
            _log.error("public_log_stands_still", tenant=tenant, error=for_operator(error))
        except Exception:
            _log.exception("public_log_stands_still", tenant=tenant)
        self._failed[tenant] = time.monotonic()
        return False

    def _follows(self, tenant: str) -> bool:
        if tenant not in self._followed and self._is_followed(tenant):
            self._followed.add(tenant)
        return tenant in self._followed

"""Followers of a log that other servers extend as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from tallystick.errors import StoreBusy, StoreError
from tallystick.events.dialect_rules import Rules
from tallystick.followers.process import Command
from tallystick.followers.supervisor import SupervisedFollowers
from tallystick.store.base import LogHead, Store

_LOOK_EVERY_S = 1.0
_STOP_S = 5.0
_LOOK_SHARE = 20
"""Where there are very many logs, looking at their heads takes one part in so many of the time."""


class HeadWatch:
    """A thread that looks at the heads of all logs now and then."""

    def __init__(self, store: Store, committed: Callable[[Sequence[LogHead]], None]) -> None:
        """Start; every look gives all heads to `committed`."""
        self._store = store
        self._committed = committed
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch-heads", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin no other look; idempotent."""
        self._closed.set()

    def join(self) -> None:
        """Wait for the look under way, but not for long: the store may not answer."""
        self._thread.join(_STOP_S)

    def _look(self) -> None:
        pause_s = _LOOK_EVERY_S
        while not self._closed.wait(pause_s):
            started_s = time.monotonic()
            # A store that is away comes back; callers meanwhile get an error.
            with suppress(StoreBusy, StoreError):
                self._committed(self._store.log_heads())
            pause_s = max(_LOOK_EVERY_S, _LOOK_SHARE * (time.monotonic() - started_s))


class SharedFollowers(SupervisedFollowers):
    """Follows what other servers commit, too.

    A read asks the store how far the log is, so that an answer has all that any server
    acknowledged before; otherwise a look now and then will do.
    """

    def __init__(self, command: Command, store: Store, rules: Rules, kinds: Sequence[str]) -> None:
        super().__init__(command, store, rules, kinds)
        self._watch = HeadWatch(store, self.committed)

    def wait(
        self, follower: str, tenant: str, dialect: str | None = None, *, within: int = 0
    ) -> int:
        """Wait until a follower has a tenant's log as of now but for some entries; return its size.

        Raises: FollowerBehind.
        """
        head = self._store.log_head(tenant)
        if head is not None:
            self.committed([head])
        return super().wait(follower, tenant, dialect, within=within)

    def overrun(self) -> bool:
        """Tell that commits need not wait: what one server follows is no reason to hold all up."""
        return False

    def close(self) -> None:
        """Stop every process and release files; idempotent."""
        self._watch.stop()
        super().close()
        self._watch.join()

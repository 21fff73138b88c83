"""Followers of a log that other servers extend as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from tallystick.errors import StoreBusy, StoreError
from tallystick.events.dialect_rules import Rules
from tallystick.followers.supervisor import Command, SupervisedFollowers
from tallystick.store.base import Store

_LOOK_EVERY_S = 1.0
_STOP_S = 5.0
_LOOK_SHARE = 20
"""Where there are very many logs, looking at their heads takes one part in so many of the time."""


class SharedFollowers(SupervisedFollowers):
    """Follows what other servers commit, too.

    A read asks the store how far the log is, so that an answer has all that any server
    acknowledged before; otherwise a look now and then will do.
    """

    def __init__(self, command: Command, store: Store, rules: Rules, kinds: Sequence[str]) -> None:
        super().__init__(command, store, rules, kinds)
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._look, name="watch-heads", daemon=True)
        self._watch.start()

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
        self._closed.set()
        super().close()
        # It may be waiting for a store that does not answer.
        self._watch.join(_STOP_S)

    def _look(self) -> None:
        pause_s = _LOOK_EVERY_S
        while not self._closed.wait(pause_s):
            started_s = time.monotonic()
            # A store that is away comes back; callers meanwhile get an error.
            with suppress(StoreBusy, StoreError):
                self.committed(self._store.log_heads())
            pause_s = max(_LOOK_EVERY_S, _LOOK_SHARE * (time.monotonic() - started_s))

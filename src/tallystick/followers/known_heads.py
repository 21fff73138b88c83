"""The heads that a server knows, and how it notices that one of them is gone.

A log only grows, and has one root at each size. A head that is smaller than a known one may only
have been read earlier, so it is read again; a second one that is smaller, or one of the same size
with another root, says that acknowledged entries are gone, as after a failover to a standby that
lagged. A log that has grown beyond the known size meanwhile is found by the next read: the
mark of its cursor is not there any more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import structlog

from tallystick.store.base import LogHead, Store

_log = structlog.get_logger("tallystick.followers")


class KnownHeads:
    """The latest heads that were learnt; safe to share between threads."""

    def __init__(self, store: Store, heads: Iterable[LogHead]) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known = {head.tenant: (head.size, head.root) for head in heads}

    def learn(self, heads: Iterable[LogHead]) -> list[LogHead]:
        """Take in heads; return the present heads of the logs that were set back.

        Raises: StoreBusy, StoreFailed, when a head has to be read again.
        """
        found = (self._contradiction(head) for head in heads)
        return [head for head in found if head is not None]

    def _contradiction(self, head: LogHead) -> LogHead | None:
        if self._take(head):
            return None
        with self._lock:
            size, root = self._known[head.tenant]
        now = head
        if head.size < size:
            # Begun after the known one was learnt: on a log that only grows it is as large.
            read = self._store.log_head(head.tenant)
            now = head._replace(size=0, root=b"") if read is None else read
            if now.size > size or (now.size, now.root) == (size, root):
                self._take(now)
                return None
        with self._lock:
            self._known[now.tenant] = (now.size, now.root)
        _log.critical(
            "log_set_back",
            tenant=now.tenant,
            known_size=size,
            size=now.size,
            meaning="acknowledged entries are not in the log any more",
        )
        return now

    def _take(self, head: LogHead) -> bool:
        """Take a head in if it agrees with what is known; tell whether it does."""
        with self._lock:
            size, root = self._known.get(head.tenant, (0, b""))
            if head.size > size:
                self._known[head.tenant] = (head.size, head.root)
            return head.size > size or (head.size, head.root) == (size, root)

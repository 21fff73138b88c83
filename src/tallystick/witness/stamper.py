"""Checkpoints are stamped by a time-stamping authority every so many hours, beside the commits.

Of each log the stamped checkpoint and its token are kept side by side in the data folder, raw:

    timestamps/<tenant>/20261130T184500Z-1234.checkpoint      what was stamped
    timestamps/<tenant>/20261130T184500Z-1234.tsr             the token, as the authority sent it
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import httpx2
import structlog

from tallystick.durable import create_folder, replace_file
from tallystick.errors import for_operator
from tallystick.store.base import LogHead
from tallystick.witness.trusted_time import TIMEOUT_S, TimestampFailed, request_token

_NAME: Final = re.compile(r"\d{8}T\d{6}Z-\d{1,19}\.(?:checkpoint|tsr)")
_RETRY_S: Final = 300.0
_LOOK_S: Final = 1.0

_log = structlog.get_logger("tallystick.timestamps")


class TimestampFolder:
    """Reads and writes the stamped checkpoints; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self, tenant: str) -> list[str]:
        """Return the names of a log's files, oldest first."""
        folder = self._of(tenant)
        found = (path.name for path in folder.iterdir()) if folder.is_dir() else iter(())
        return sorted(name for name in found if _NAME.fullmatch(name))

    def read(self, tenant: str, name: str) -> bytes | None:
        """Return a file of a log; None when there is none of that name."""
        if not _NAME.fullmatch(name):
            return None
        try:
            return (self._of(tenant) / name).read_bytes()
        except FileNotFoundError:
            return None

    def add(self, head: LogHead, token: bytes, now_ms: int) -> None:
        """Keep the token over a checkpoint. Raises: OSError."""
        folder = self._of(head.tenant)
        create_folder(folder)
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_ms / 1000))
        path = folder / f"{at}-{head.size}.checkpoint"
        replace_file(path, head.checkpoint.encode())
        # Last: a checkpoint without its token says nothing, and is stamped again.
        replace_file(path.with_suffix(".tsr"), token)

    def last(self, tenant: str) -> tuple[int, float] | None:
        """Return the size that was stamped last, and when, in POSIX seconds."""
        tokens = [name for name in self.names(tenant) if name.endswith(".tsr")]
        if not tokens:
            return None
        size = tokens[-1].removesuffix(".tsr").partition("-")[2]
        return int(size), (self._of(tenant) / tokens[-1]).stat().st_mtime

    def _of(self, tenant: str) -> Path:
        name = hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / name


class Stamper:
    """Has the checkpoints of a server's logs stamped; safe to share between threads."""

    def __init__(
        self,
        folder: TimestampFolder,
        url: str,
        now_ms: Callable[[], int],
        *,
        interval_s: float,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._folder = folder
        self._url = url
        self._now_ms = now_ms
        self._interval_s = interval_s
        self._retry_s = retry_s
        self._http = httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False)
        # Guarded by `_condition`: all that follows.
        self._condition = threading.Condition()
        self._heads: dict[str, LogHead] = {}
        self._due_s: dict[str, float] = {}
        self._failures: dict[str, str] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="timestamps", daemon=True)

    def start(self, heads: Iterable[LogHead]) -> None:
        """Begin with these heads; one that was stamped before waits for its time."""
        with self._condition:
            for head in heads:
                self._heads[head.tenant] = head
                last = self._folder.last(head.tenant)
                if last is not None:
                    self._due_s[head.tenant] = last[1] + self._interval_s
        self._thread.start()

    def committed(self, heads: Iterable[LogHead]) -> None:
        """Take in heads that were just committed; never waits for anybody."""
        with self._condition:
            self._heads.update((head.tenant, head) for head in heads)

    @property
    def failures(self) -> list[str]:
        """Why logs have no token that they should have."""
        with self._condition:
            return [
                f"the log of {tenant!r} has no timestamp: {reason}"
                for tenant, reason in sorted(self._failures.items())
            ]

    def close(self) -> None:
        """Stop; idempotent."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join()
        self._http.close()

    def _run(self) -> None:
        while True:
            with self._condition:
                if self._stopping:
                    return
                now_s = time.time()
                heads = [h for h in self._heads.values() if self._due_s.get(h.tenant, 0) <= now_s]
            for head in heads:
                self._stamp(head)
            with self._condition:
                self._condition.wait_for(lambda: self._stopping, min(_LOOK_S, self._interval_s))

    def _stamp(self, head: LogHead) -> None:
        failure: str | None = None
        try:
            last = self._folder.last(head.tenant)
            if last is None or last[0] != head.size:
                token = request_token(self._http, self._url, head.checkpoint.encode())
                self._folder.add(head, token, self._now_ms())
        except TimestampFailed as error:
            failure = for_operator(error)
        except OSError as error:
            failure = f"the token cannot be kept: {error.strerror}"
        except Exception as error:  # the thread serves all logs
            _log.exception("timestamp_failed", tenant=head.tenant)
            failure = type(error).__name__
        with self._condition:
            known = self._failures.pop(head.tenant, None)
            wait_s = self._interval_s if failure is None else min(self._retry_s, self._interval_s)
            self._due_s[head.tenant] = time.time() + wait_s
            if failure is not None:
                self._failures[head.tenant] = failure
        if failure is not None and failure != known:
            _log.warning("no_timestamp", tenant=head.tenant, reason=failure)

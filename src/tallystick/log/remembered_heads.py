"""The latest head of every log, remembered outside the store, so that an older copy is noticed.

A folder or database that was set back is whole in itself: only what stands elsewhere can tell that
it once was longer. After each commit the signed checkpoint is written to a file of its own, one a
log, in the data folder and, by setting, in a second folder. The files may lag behind the store,
never lead it. They are not flushed: what a power failure takes from them makes them lag.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from tallystick import durable
from tallystick.errors import StoreCorrupt, VerificationError
from tallystick.log.head_proof import TreeReads, damaged_log, root_at
from tallystick.store.base import LogHead
from tallystick.tlog.checkpoint import Checkpoint, open_checkpoint
from tallystick.tlog.note import Verifier

_SUFFIX = ".checkpoint"
_PAUSE_S = 0.25
_log = structlog.get_logger(__name__)

VerifiersOf = Callable[[str], Sequence[Verifier]]
"""Gives the keys that may have signed the checkpoints of the log with an origin."""


class Remembered(NamedTuple):
    """A checkpoint in a file."""

    path: Path
    note: str


class RememberedHeads:
    """Remembers heads in folders; `close` writes what is not written yet.

    A thread of its own writes, so that no commit waits for it, and each log at most ten times a
    second.
    """

    def __init__(
        self, folders: Sequence[Path], verifiers_of: VerifiersOf, mirrors: Sequence[Path] = ()
    ) -> None:
        """Remember in `folders`; `mirrors` keep copies of logs, which are only looked at."""
        self._folders = folders
        self._mirrors = mirrors
        self._verifiers_of = verifiers_of
        # Guarded by `_condition`: heads to be written, stopping.
        self._condition = threading.Condition()
        self._unwritten: dict[str, LogHead] = {}
        self._stopping = False
        self._has_failed = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remembered-heads", daemon=True)
        self._thread.start()

    def committed(self, heads: Iterable[LogHead]) -> None:
        """Remember heads that were just committed, a moment later."""
        with self._condition:
            self._unwritten.update((head.tenant, head) for head in heads)
            self._condition.notify()

    def close(self) -> None:
        """Write what is not written yet, and stop; idempotent."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._stopped.set()
        self._thread.join()

    def require(self, reads: TreeReads, tenant: str, head: LogHead | None) -> None:
        """See that a log, None if there is none, has all that is remembered of it.

        Raises: StoreCorrupt when it is an older copy, or another log.
        """
        for remembered in self.of(tenant):
            if head is None:
                raise damaged_log(tenant, f"it is gone, though {remembered.path} remembers it")
            self._require_all_of(reads, head, remembered)
        if head is not None:
            for copy in self._mirrored(head):
                self._require_all_of(reads, head, copy)

    def _require_all_of(self, reads: TreeReads, head: LogHead, remembered: Remembered) -> None:
        checkpoint = self._open(remembered, head)
        if checkpoint.size > head.size:
            raise _set_back(head, checkpoint, remembered.path)
        if root_at(reads, head.tenant, checkpoint.size) != checkpoint.root:
            raise damaged_log(
                head.tenant,
                f"its first {checkpoint.size:,} entries are not the ones that "
                f"{remembered.path} remembers",
            )

    def _mirrored(self, head: LogHead) -> Iterator[Remembered]:
        """Yield the checkpoints of the copies of a log, where the mirrors have one."""
        name = hashlib.sha256(head.origin.encode()).hexdigest()
        for mirror in self._mirrors:
            path = mirror / name / "checkpoint"
            with contextlib.suppress(FileNotFoundError):
                yield Remembered(path, path.read_bytes().decode(errors="replace"))

    def of(self, tenant: str) -> list[Remembered]:
        """Return what is remembered of one log, at most once a folder."""
        found: list[Remembered] = []
        for folder in self._folders:
            path = folder / _file_name(tenant)
            # An empty file is what a power failure may leave: nothing is remembered.
            with contextlib.suppress(FileNotFoundError):
                if note := path.read_bytes().decode(errors="replace"):
                    found.append(Remembered(path, note))
        return found

    def latest_size(self, head: LogHead) -> int:
        """Return the greatest size that is remembered of a log; 0 when nothing is."""
        sizes = [0]
        for remembered in self.of(head.tenant):
            with contextlib.suppress(StoreCorrupt):
                sizes.append(self._open(remembered, head).size)
        return max(sizes)

    def vanished(self, tenants: Iterable[str]) -> Path | None:
        """Return a file about a log that is none of these tenants'; None if there is none."""
        known = {_file_name(tenant) for tenant in tenants}
        for folder in self._folders:
            for path in sorted(folder.glob(f"*{_SUFFIX}")):
                if path.name not in known and path.stat().st_size:
                    return path
        return None

    def reset(self, heads: Iterable[LogHead]) -> None:
        """Remember exactly these heads from here on, also where others were further."""
        with self._condition:
            self._unwritten.clear()
        for folder in self._folders:
            for path in folder.glob(f"*{_SUFFIX}"):
                path.unlink()
        for head in heads:
            self._write(head)

    def _open(self, remembered: Remembered, head: LogHead) -> Checkpoint:
        try:
            return open_checkpoint(remembered.note, self._verifiers_of(head.origin), head.origin)
        except VerificationError as error:
            raise damaged_log(
                head.tenant,
                f"{remembered.path} remembers no head of this log: {error.message}",
            ) from None

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._unwritten and not self._stopping:
                    self._condition.wait()
                heads, self._unwritten = list(self._unwritten.values()), {}
                if not heads:
                    return
            for head in heads:
                self._write(head)
            # Not on the condition: each commit would wake this thread for nothing.
            self._stopped.wait(_PAUSE_S)

    def _write(self, head: LogHead) -> None:
        for folder in self._folders:
            path = folder / _file_name(head.tenant)
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                # A head from before is as good; an empty file would stop the log.
                durable.replace_file(path, head.checkpoint.encode(), may_fall_back=True)
            except OSError as error:
                if not self._has_failed:
                    _log.warning("head_not_remembered", path=str(path), reason=error.strerror)
                self._has_failed = True
            else:
                self._has_failed = False


def _set_back(head: LogHead, checkpoint: Checkpoint, path: Path) -> StoreCorrupt:
    return StoreCorrupt(
        f"nothing is written to the log of {head.tenant!r}: it has {head.size:,} entries, but "
        f"{checkpoint.size:,} were signed ({path}): this is an older copy",
        hint="bring the newer copy back; to go on from this one: tallystick restore --accept NAME",
    )


def _file_name(tenant: str) -> str:
    """Return the name of a tenant's file: its id may hold anything."""
    return hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()[:32] + _SUFFIX

"""Followers without a process of their own: a read does the following first.

For commands that open a data folder for a moment, and for tests. A server uses `supervisor`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tallystick.errors import FollowerBehind, NotFound
from tallystick.events.dialect_rules import Rules
from tallystick.followers.consistency import indexed_extent
from tallystick.followers.damage import Health, IndexDamaged, LogSetBack
from tallystick.followers.follow import Following
from tallystick.followers.generations import Generations
from tallystick.followers.kind import FollowerKind, FollowerReader, load_index_kind
from tallystick.settings import Settings
from tallystick.store.base import LogHead, Store

Progress = Callable[[int, int], None]
"""Told how many entries of how many are done."""


_DEFAULTS = Settings()


class InlineFollowers:
    """Runs followers in the thread that reads; safe to share between threads."""

    def __init__(
        self,
        root: Path,
        store: Store,
        rules: Rules,
        kinds: Sequence[str],
        settings: Settings = _DEFAULTS,
    ) -> None:
        """Open nothing yet; `kinds` are the references of the followers."""
        self._store = store
        self._lock = threading.RLock()
        self._root = root
        self._rules = rules
        loaded = [load_index_kind(reference, settings) for reference in kinds]
        self._kinds = {kind.name: kind for kind in loaded}
        self._running: dict[str, _Running] = {}

    def committed(self, heads: Sequence[LogHead]) -> None:
        """Do nothing: heads are read when somebody asks."""

    def wait(
        self, follower: str, tenant: str, dialect: str | None = None, *, within: int = 0
    ) -> int:
        """Let a follower take in all of a tenant's log as of now; return that size."""
        head = self._store.log_head(tenant)
        if head is None:
            return 0
        with self._lock:
            self._get(follower).catch_up([(tenant, head.size)])
        extent = indexed_extent()
        if extent is not None:
            extent.note(head.size)
        return head.size

    def reader_of(self, follower: str) -> FollowerReader:
        """Return what reads a follower's current generation."""
        with self._lock:
            return self._get(follower).reader()

    def late(self) -> Sequence[str]:
        """Return nothing: a read does the following first."""
        return ()

    def lag(self) -> Mapping[str, int]:
        """Return by how many entries each follower is behind, over all tenants."""
        heads = {head.tenant: head.size for head in self._store.log_heads()}
        with self._lock:
            return {name: self._get(name).lag(heads) for name in self._kinds}

    def damaged(self, error: IndexDamaged) -> FollowerBehind:
        """Make an index again that a read found damaged; return what the read is told."""
        with self._lock:
            for name, running in self._running.items():
                if error.follower in (name, None):
                    running.start_over()
        return FollowerBehind(f"{error.follower or 'an index'} was damaged and is being rebuilt")

    def suspected(self) -> None:
        """Do nothing: what a command opens was checked just before."""

    def health(self) -> Mapping[str, Health]:
        """Return how each index is."""
        return dict.fromkeys(self._kinds, Health())

    def overrun(self) -> bool:
        """Tell that nothing has to wait: each read does the following."""
        return False

    def rebuild(self, name: str, progress: Progress) -> None:
        """Make what a follower keeps from the beginning, and serve that."""
        if name not in self._kinds:
            raise NotFound(f"no such follower: {name!r}")
        heads = [(head.tenant, head.size) for head in self._store.log_heads()]
        with self._lock:
            self._get(name).rebuild(heads, progress)

    def close(self) -> None:
        """Release files; idempotent."""
        with self._lock:
            for running in self._running.values():
                running.close()

    def _get(self, name: str) -> _Running:
        """Return a follower, opened when it is first needed."""
        running = self._running.get(name)
        if running is None:
            running = _Running(self._kinds[name], self._root / name, self._store, self._rules)
            self._running[name] = running
        return running


class _Running:
    """One follower with its generation and a reader on it."""

    def __init__(self, kind: FollowerKind, root: Path, store: Store, rules: Rules) -> None:
        self._kind = kind
        self._store = store
        self._rules = rules
        self._generations = Generations(root, rules)
        self._reader: FollowerReader | None = None
        folder = self._generations.current()
        if self._generations.is_outdated(folder):
            folder = self._generations.begin()
        try:
            self._open(folder)
        except (IndexDamaged, LogSetBack):
            self._open(self._generations.begin())

    def catch_up(self, heads: Sequence[tuple[str, int]]) -> None:
        """Take in logs up to the given sizes."""
        try:
            self._catch_up(heads)
        except (IndexDamaged, LogSetBack):
            self.start_over()
            self._catch_up(heads)

    def start_over(self) -> None:
        """Go on with an empty generation."""
        self.close()
        self._open(self._generations.begin())

    def _catch_up(self, heads: Sequence[tuple[str, int]]) -> None:
        self._following.learn_heads(heads)
        if self._following.behind():
            self._following.catch_up()
            while self._following.follower.tidy():
                pass

    def rebuild(self, heads: Sequence[tuple[str, int]], progress: Progress) -> None:
        """Fill a generation beside the current one, then serve it."""
        folder = self._generations.begin()
        follower = self._kind.open(folder, self._store, self._rules)
        following = Following(self._store, follower)
        following.learn_heads(heads)
        total = following.behind()
        while parts := following.read():
            following.take(parts)
            progress(total - following.behind(), total)
        following.commit(urgent=True)
        follower.close()
        self.close()
        self._open(folder)

    def reader(self) -> FollowerReader:
        """Return what reads the current generation."""
        if self._reader is None:
            self._reader = self._kind.read(self._folder, self._store, self._rules)
        return self._reader

    def lag(self, heads: Mapping[str, int]) -> int:
        """Return how many entries were not taken in yet."""
        cursors = self._following.readable
        return sum(max(size - cursors.get(tenant, 0), 0) for tenant, size in heads.items())

    def close(self) -> None:
        """Release files."""
        self._following.follower.close()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self, folder: Path) -> None:
        follower = self._kind.open(folder, self._store, self._rules)
        try:
            self._following = Following(self._store, follower)
        except BaseException:
            follower.close()
            raise
        self._folder = folder
        self._generations.promote(folder)
        self._generations.remove_others(folder)

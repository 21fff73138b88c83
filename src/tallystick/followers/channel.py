"""The server's end of one follower: what it was told, how far it has come, who waits for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable

from tallystick import limits
from tallystick.errors import FollowerBehind
from tallystick.followers.generations import Generations
from tallystick.followers.messages import Report, Told, send

_HEADS_A_MESSAGE = 500
_REBUILD_RETRY_S = 10.0


class Channel:
    """One follower as the server sees it; safe to share between threads.

    `commits` says that what the follower took can be read only after a commit, which a read that
    waits has to ask for. Behind by `near` entries at most, it answers within the read wait.
    """

    def __init__(
        self,
        name: str,
        generations: Generations,
        heads: dict[str, int],
        *,
        commits: bool,
        near: int,
    ) -> None:
        self.name = name
        self.generations = generations
        self._commits = commits
        self._near = near
        # Guards everything below; told whenever cursors, the folder or the socket changed.
        self._changed = threading.Condition()
        self._heads = dict(heads)
        self._cursors: dict[str, int] = {}
        self._behind = sum(heads.values())
        self._folder: str | None = None
        self._unknown: frozenset[str] = frozenset()
        self._moved_s = time.monotonic()
        self._socket: socket.socket | None = None
        self._unanswered = False
        self._untold: dict[str, int] = {}
        self._urgent = False
        self._waiting = 0
        self._swap: str | None = None
        # Whether the process came near the end of the log since it started, and since a read gave
        # up waiting for it.
        self._came_near = False
        self._gave_up_s = float("-inf")
        self._residue = False
        self._closed = False

    def attach(self, server: socket.socket) -> None:
        """Begin with a process that was just started."""
        with self._changed:
            self._socket = server
            self._unanswered = self._came_near = False
            self._untold = dict(self._heads)
            # One that died may have been told and have done nothing yet.
            self._urgent |= self._commits and self._waiting > 0
            self._flush()

    def detach(self) -> None:
        """End with a process that died."""
        with self._changed:
            self._socket = None

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def tell(self, heads: Iterable[tuple[str, int]]) -> None:
        """Tell the follower how far logs have come; never waits for it."""
        with self._changed:
            for tenant, size in heads:
                known = self._heads.get(tenant, 0)
                # Who reads heads from a store may come later than who wrote the next one.
                if size > known:
                    self._behind += size - known
                    self._heads[tenant] = self._untold[tenant] = size
            self._flush()

    def hear(self, report: Report) -> None:
        """Take in what the follower says."""
        with self._changed:
            if report.folder is not None:
                self._folder = report.folder
                self._unknown = self.generations.unknown_to(self.generations.folder(report.folder))
                # A generation made anew may be behind the one before it.
                self._cursors = {}
                self._behind = sum(self._heads.values())
                self._residue = False
                if self._swap == report.folder:
                    self._swap = None
            self._residue |= report.residue
            for tenant, cursor in report.cursors.items():
                self._behind -= cursor - self._cursors.get(tenant, 0)
                self._cursors[tenant] = cursor
            if report.cursors:
                self._moved_s = time.monotonic()
            if report.answer:
                self._unanswered = False
                self._flush()
            self._changed.notify_all()

    def wait(self, tenant: str, dialect: str | None) -> int:
        """Wait until the follower has all of a tenant's log as of now; return that size.

        Raises: FollowerBehind.
        """
        with self._changed:
            size = self._heads.get(tenant, 0)
            if dialect in self._unknown:
                raise FollowerBehind(
                    f"{self.name} is being made anew for {dialect}", retry_after_s=_REBUILD_RETRY_S
                )
            if self._has(tenant, size):
                return size
            if self._commits:
                self._urgent = True
                self._flush()
            self._waiting += 1
            self._changed.wait_for(
                lambda: self._closed or self._has(tenant, size), limits.READ_WAIT_S
            )
            self._waiting -= 1
            if not self._has(tenant, size):
                self._came_near, self._gave_up_s = False, time.monotonic()
                raise FollowerBehind(
                    f"{self.name} is behind the log by {self._behind:,} entries",
                    hint="send again after the given time",
                )
            return size

    def swap(self, generation: str, timeout_s: float) -> bool:
        """Have the follower go on with another generation; tell whether it did in time."""
        with self._changed:
            self._swap = generation
            self._flush()
            return self.wait_for_generation(generation, timeout_s)

    def wait_for_generation(self, generation: str, timeout_s: float) -> bool:
        """Wait until the follower serves a generation; tell whether it does."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._folder == generation, timeout_s)
            return self._folder == generation

    def folder(self) -> str:
        """Return the name of the generation that is served, waiting for the first.

        Raises: FollowerBehind.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._folder is not None, limits.READ_WAIT_S
            )
            if self._folder is None:
                raise FollowerBehind(f"{self.name} has not started yet")
            return self._folder

    def lag(self) -> int:
        """Return by how many entries the follower is behind, over all tenants."""
        with self._changed:
            return self._behind

    def answers(self) -> bool:
        """Tell whether reads are answered; never waits.

        A follower that came near the end of the log goes on to answer, however much is written,
        until a read gives up: commits wait for one that falls behind. One that is not yet near is
        hurried, as by a read.
        """
        with self._changed:
            if not self._came_near and self._moved_s > self._gave_up_s:
                self._came_near = self._behind <= self._near and (
                    self._folder is not None or not self._heads
                )
            if not self._came_near and self._commits:
                self._urgent = True
                self._flush()
            return self._came_near

    def has_residue(self) -> bool:
        """Tell whether only a rebuild destroys what is left of erased content."""
        with self._changed:
            return self._residue

    def is_moving(self, within_s: float) -> bool:
        """Tell whether the follower has come on lately."""
        with self._changed:
            return self._socket is not None and time.monotonic() - self._moved_s < within_s

    def _has(self, tenant: str, size: int) -> bool:
        return self._folder is not None and self._cursors.get(tenant, 0) >= size

    def _flush(self) -> None:
        """Send what is to be said, unless the last message is still unanswered."""
        if self._socket is None or self._unanswered:
            return
        if not (self._untold or self._urgent or self._swap):
            return
        heads = dict(list(self._untold.items())[:_HEADS_A_MESSAGE])
        urgent = self._urgent and len(heads) == len(self._untold)
        swap = None if self._swap == self._folder else self._swap
        try:
            send(self._socket, Told(heads=heads, urgent=urgent, swap=swap))
        except OSError:
            # It died; whoever watches it will attach another one and say everything again.
            self._socket = None
            return
        self._unanswered = True
        self._urgent = self._urgent and not urgent
        for tenant in heads:
            del self._untold[tenant]

"""The server's end of one follower: what it was told, how far it has come, who waits for it."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice

import structlog

from tallystick import deadline, limits
from tallystick.errors import FollowerBehind
from tallystick.followers.consistency import indexed_extent
from tallystick.followers.damage import Health
from tallystick.followers.generations import Generations
from tallystick.followers.messages import FollowerOrder, FollowerReport, send

_HEADS_A_MESSAGE = 500
_COMMIT_ENTRIES = 256
"""Entries that a read may look at beyond a commit before it has the next one begun."""

_REBUILD_RETRY_S = 10.0
_VERIFY_EVERY_S = 60.0
_SHORT = 1_000
"""Entries that a follower takes in within the read wait even while it starts."""

_log = structlog.get_logger("tallystick.followers")


class Channel:
    """One follower as the server sees it; safe to share between threads.

    `generations` is None for one that keeps no index: no read waits for it. `commits` says that
    what the follower took can be read only after a commit, which a read that waits has to ask for.
    Behind by `near` entries at most, it answers within the read wait.
    """

    def __init__(
        self,
        name: str,
        generations: Generations | None,
        heads: dict[str, int],
        *,
        commits: bool,
        near: int,
        cursors: Mapping[str, int] = {},
    ) -> None:
        """Begin with what is known before the follower has started: heads, and stored cursors."""
        self.name = name
        self._generations = generations
        self._commits = commits
        self._near = near
        # Guards everything below; told whenever cursors, the folder or the socket changed.
        self._changed = threading.Condition()
        self._heads = dict(heads)
        # Those that are stored count for readiness alone: no read is answered before the follower
        # has said how far it is.
        self._cursors: dict[str, int] = {
            tenant: min(cursors.get(tenant, 0), size) for tenant, size in heads.items()
        }
        self._behind = sum(heads.values()) - sum(self._cursors.values())
        self._folder: str | None = None
        self._unknown: frozenset[str] = frozenset()
        self._moved_s = time.monotonic()
        self._socket: socket.socket | None = None
        self._unanswered = False
        self._untold: dict[str, int] = {}
        # Tenants that reads wait for: how many each, and which the follower is still to be told.
        self._waiting: Counter[str] = Counter()
        self._urgent: set[str] = set()
        self._swap: str | None = None
        # Whether the process came near the end of the log since it started, and since a read gave
        # up waiting for it.
        self._came_near = False
        self._gave_up_s = float("-inf")
        self._residue = False
        self._closed = False
        # Doubts whether the follower's index is sound: raised, said, settled. Nobody is answered
        # while one is open.
        self._doubts = self._doubts_told = self._doubts_settled = 0
        self._damaged = False
        self._verify = False
        self._verified_s = -math.inf
        self._health = Health()

    @property
    def generations(self) -> Generations:
        """The generations of what the follower keeps."""
        assert self._generations is not None, f"{self.name} keeps no index"
        return self._generations

    def attach(self, server: socket.socket) -> None:
        """Begin with a process that was just started."""
        with self._changed:
            self._socket = server
            self._unanswered = self._came_near = False
            self._untold = dict(self._heads)
            self._doubts_told = self._doubts_settled
            # One that died may have been told and have done nothing yet.
            if self._commits:
                self._urgent |= self._waiting.keys()
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

    def doubt(self, tenant: str, size: int) -> None:
        """Let nobody be answered until it is settled that the index is of the log as it is now.

        `size` is that of a log which was found to be another one than the follower knows.
        """
        with self._changed:
            self._behind += size - self._heads.get(tenant, 0)
            self._heads[tenant] = self._untold[tenant] = size
            self._doubts += 1
            self._flush()

    def distrust(self, folder: str, why: str) -> None:
        """Let nobody be answered from a generation that a read found damaged."""
        with self._changed:
            if folder != self._folder or self._damaged:
                return
            _log.error("index_damaged", follower=self.name, generation=folder, reason=why)
            self._damaged = True
            self._doubts += 1
            self._flush()

    def suspect(self) -> None:
        """Have the checksums of the index compared, after a failure that damage would explain."""
        with self._changed:
            if time.monotonic() - self._verified_s > _VERIFY_EVERY_S:
                self._verified_s = time.monotonic()
                self._verify = True
                self._flush()

    def health(self) -> Health:
        """Return how the index is."""
        with self._changed:
            return self._health

    def hear(self, report: FollowerReport) -> None:
        """Take in what the follower says."""
        with self._changed:
            self._note(report)
            if report.folder is not None:
                self._folder = report.folder
                self._unknown = self.generations.unknown_to(self.generations.folder(report.folder))
                # A generation made again may be behind the one before it.
                self._cursors = {}
                self._behind = sum(self._heads.values())
                self._residue = False
                if self._swap == report.folder:
                    self._swap = None
            self._residue |= report.residue
            for tenant, cursor in report.cursors.items():
                self._behind -= cursor - self._cursors.get(tenant, 0)
                self._cursors[tenant] = cursor
            self._doubts_settled = max(self._doubts_settled, report.checked)
            if self._behind <= 0 and self._is_settled():
                self._health = self._health._replace(remaking=None)
            if report.cursors:
                self._moved_s = time.monotonic()
            if report.answer:
                self._unanswered = False
                self._flush()
            self._changed.notify_all()

    def wait(self, tenant: str, dialect: str | None, *, within: int = 0) -> int:
        """Wait until the follower has a tenant's log as of now but for some entries.

        Returns the size of the log; for a thread that reads what is indexed, how far that is. Who
        is content with less than all of it has a commit begun where that is due, and does not wait.
        Raises: FollowerBehind.
        """
        with self._changed:
            size = self._heads.get(tenant, 0)
            extent = indexed_extent()
            if extent is not None:
                within = size
            if dialect in self._unknown:
                raise FollowerBehind(
                    f"{self.name} is being rebuilt for {dialect}", retry_after_s=_REBUILD_RETRY_S
                )
            enough = max(size - within, 0)
            behind = size - self._cursors.get(tenant, 0)
            if self._commits and behind > min(within, _COMMIT_ENTRIES):
                self._urgent.add(tenant)
                self._flush()
            if not self._has(tenant, enough):
                self._wait_for(tenant, enough)
            if extent is not None:
                size = min(size, self._cursors.get(tenant, 0))
                extent.note(size)
            return size

    def _wait_for(self, tenant: str, enough: int) -> None:
        with self._changed:
            self._waiting[tenant] += 1
            self._changed.wait_for(
                lambda: self._closed or deadline.is_abandoned() or self._has(tenant, enough),
                deadline.at_most(limits.READ_WAIT_S),
            )
            self._waiting[tenant] -= 1
            if not self._waiting[tenant]:
                del self._waiting[tenant]
            if not self._has(tenant, enough):
                self._came_near, self._gave_up_s = False, time.monotonic()
                raise self._is_behind(tenant)

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
                lambda: self._closed or self._folder is not None,
                deadline.at_most(limits.READ_WAIT_S),
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
                    self._folder is not None or self._behind <= _SHORT
                )
            if not self._came_near and self._commits:
                self._urgent.update(self._behind_tenants())
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
        return (
            self._folder is not None and self._is_settled() and self._cursors.get(tenant, 0) >= size
        )

    def _is_behind(self, tenant: str) -> FollowerBehind:
        """Return what a read is told that waited in vain."""
        missing = self._heads.get(tenant, 0) - self._cursors.get(tenant, 0)
        state = f"behind the log by {max(missing, 0):,} entries"
        if self._health.remaking is not None or not self._is_settled():
            state = f"being made again, and {state}"
        return FollowerBehind(f"{self.name} is {state}", hint="retry after the given time")

    def _behind_tenants(self) -> list[str]:
        cursors = self._cursors
        behind = (t for t, size in self._heads.items() if size > cursors.get(t, 0))
        return list(islice(behind, _HEADS_A_MESSAGE))

    def _is_settled(self) -> bool:
        return self._doubts_settled >= self._doubts

    def _note(self, report: FollowerReport) -> None:
        """Note, and say in the server's log, what was wrong with an index."""
        if report.folder is not None:
            self._damaged = False
        if report.remade is None:
            return
        health = self._health
        self._came_near = False
        self._health = Health(report.remade, health.remade + 1, health.set_back)
        _log.error("index_made_again", follower=self.name, reason=report.remade)
        for tenant, position in report.set_back.items():
            self._health = self._health._replace(set_back=self._health.set_back + 1)
            _log.critical(
                "log_set_back",
                follower=self.name,
                tenant=tenant,
                followed_to=position,
                size=self._heads.get(tenant, 0),
                meaning="acknowledged entries are not in the log any more",
            )

    def _flush(self) -> None:
        """Send what is to be said, unless the last message is still unanswered."""
        if self._socket is None or self._unanswered:
            return
        check = self._doubts if self._doubts > self._doubts_told else 0
        if not (self._untold or self._urgent or self._swap or check or self._verify):
            return
        heads = dict(list(self._untold.items())[:_HEADS_A_MESSAGE])
        # Only once the follower knows how far their logs have come.
        urgent = sorted(self._urgent - (self._untold.keys() - heads.keys()))
        swap = None if self._swap == self._folder else self._swap
        try:
            send(
                self._socket,
                FollowerOrder(
                    heads=heads,
                    urgent=urgent,
                    swap=swap,
                    check=check,
                    damaged=self._damaged and check > 0,
                    verify=self._verify,
                ),
            )
        except OSError:
            # It died; the supervisor attaches another one and says everything again.
            self._socket = None
            return
        self._unanswered = True
        self._doubts_told = self._doubts
        self._verify = False
        self._urgent.difference_update(urgent)
        for tenant in heads:
            del self._untold[tenant]

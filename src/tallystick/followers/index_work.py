"""A follower that keeps an index, at work: it follows, commits, swaps generations, starts over."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tallystick.errors import StoreBusy, for_operator
from tallystick.events.dialect_rules import Rules
from tallystick.followers.damage import IndexDamaged, LogSetBack
from tallystick.followers.follow import SLICE_ROWS, Following
from tallystick.followers.generations import Generations
from tallystick.followers.kind import FollowerKind
from tallystick.followers.loop import BUSY_S, Tell
from tallystick.followers.messages import FollowerOrder, FollowerReport, send
from tallystick.store.base import Store

_SLICE_ROWS_MIN = 64
_SLICE_S = 0.03
"""How long a slice should take: somebody may be waiting for the next one."""

_TIDY_SHARE = 0.25
"""Housekeeping for each second of following, while there is something to follow."""

_GATHER_S = 0.1
"""How long to let entries gather that nobody can read before the next commit: slices of a few
entries cost half as much again for each, on a database twice to three times as much."""

_IDLE_S = 0.5
_REBUILD_NICE = 10
"""On top of that, so that a rebuild slows nobody down."""
_PROGRESS_EVERY_S = 0.2
_WRONG = (IndexDamaged, LogSetBack)
"""What an index is made again for."""

_NEARLY_ROWS = 4 * SLICE_ROWS
"""A rebuild that is so close leaves the rest to the follower itself."""


class IndexWork:
    """One follower with its current generation; used by one thread."""

    gather_s = 0.0

    def __init__(
        self, kind: FollowerKind, root: Path, store: Store, rules: Rules, tell: Tell
    ) -> None:
        """Open the current generation, or an empty one instead of one that is wrong."""
        self._kind = kind
        self._store = store
        self._rules = rules
        self._tell = tell
        self._generations = Generations(root / kind.name, rules)
        # How long to let entries gather before the next slice.
        self._slice_gather_s = _GATHER_S if kind.commits else 0.0
        self._caught_up_s = 0.0
        self._untidy = True
        # How long the turn took that is not yet matched by housekeeping.
        self._worked_s = 0.0
        try:
            self._following = self._open(self._generations.current())
        except _WRONG as error:
            self._following = self._empty(error)

    def cursors(self) -> Mapping[str, int]:
        """Return for each tenant up to where its log can be read."""
        return self._following.readable

    def hear(self, order: FollowerOrder) -> None:
        """Take in heads and which reads wait; swap; settle doubts."""
        self._following.learn_heads(order.heads.items())
        self._following.hurry(order.urgent)
        if order.swap is not None:
            self._swap(order.swap)
        if order.check or order.damaged or order.verify:
            self._doubt(order)

    def patience_s(self) -> float:
        """Return how long to wait for an order."""
        if self._untidy or self._is_time(time.monotonic()):
            return 0.0
        return self._slice_gather_s if self._following.behind() else _IDLE_S

    def turn(self) -> FollowerReport | None:
        """Take a slice if it is time for one, and make it readable."""
        started_s = time.monotonic()
        self._worked_s = 0.0
        try:
            worked = self._is_time(started_s) and self._take()
        except StoreBusy:
            time.sleep(BUSY_S)
            return None
        if worked:
            self._size_slices(time.monotonic() - started_s)
        moved = self._following.commit(urgent=self._following.has_arrived())
        if worked:
            self._worked_s = time.monotonic() - started_s
        if not moved:
            return None
        return FollowerReport(cursors=moved, residue=self._following.follower.residue())

    def tidy(self) -> None:
        """Do housekeeping: a share of the time while busy, a step at a time while idle."""
        until_s = time.monotonic() + self._worked_s * _TIDY_SHARE
        try:
            self._untidy = self._following.follower.tidy()
            while self._untidy and time.monotonic() < until_s:
                self._untidy = self._following.follower.tidy()
        except StoreBusy:
            self._untidy = True
        except IndexDamaged as error:
            self._start_over(error)

    def close(self) -> None:
        """Release files; idempotent."""
        self._following.follower.close()

    def _is_time(self, now_s: float) -> bool:
        """Tell whether to take a slice: somebody waits for it, or enough has gathered."""
        behind = self._following.behind()
        gathered = behind >= SLICE_ROWS or now_s - self._caught_up_s >= self._slice_gather_s
        return behind > 0 and (self._following.is_hurried() or gathered)

    def _take(self) -> bool:
        try:
            parts = self._following.read()
            if not parts:
                # A store that was set back, as by a failover, may come to have them again.
                time.sleep(BUSY_S)
                return False
            self._untidy = True
            self._following.take(parts)
        except _WRONG as error:
            self._start_over(error)
        if not self._following.behind():
            self._caught_up_s = time.monotonic()
        return True

    def _size_slices(self, took_s: float) -> None:
        rows = self._following.slice_rows
        if took_s > _SLICE_S:
            rows //= 2
        elif took_s < _SLICE_S / 3:
            rows *= 2
        self._following.slice_rows = min(max(rows, _SLICE_ROWS_MIN), SLICE_ROWS)

    def _doubt(self, order: FollowerOrder) -> None:
        """Settle whether what is kept is sound and of the log as it is now."""
        try:
            if order.damaged:
                raise IndexDamaged("a read found it damaged")
            if order.verify:
                self._following.follower.verify()
            if order.check:
                self._following.check()
        except _WRONG as error:
            self._start_over(error)

    def _swap(self, generation: str) -> None:
        """Go on with a generation that was rebuilt."""
        folder = self._generations.folder(generation)
        self._following.follower.close()
        self._following = self._open(folder)
        self._generations.remove_others(folder)

    def _start_over(self, error: IndexDamaged | LogSetBack) -> None:
        """Go on with an empty generation instead of one that is wrong."""
        self._following.follower.close()
        self._following = self._empty(error)

    def _empty(self, error: IndexDamaged | LogSetBack) -> Following:
        """Begin an empty generation beside what is wrong, and tell the server why."""
        folder = self._generations.begin()
        following = self._open(folder, error)
        self._generations.remove_others(folder)
        return following

    def _open(self, folder: Path, error: IndexDamaged | LogSetBack | None = None) -> Following:
        follower = self._kind.open(folder, self._store, self._rules)
        try:
            following = Following(self._store, follower)
        except BaseException:
            follower.close()
            raise
        following.learn_heads((head.tenant, head.size) for head in self._store.log_heads())
        self._generations.promote(folder)
        self._tell(
            FollowerReport(
                cursors=following.readable,
                folder=folder.name,
                residue=follower.residue(),
                remade=None if error is None else for_operator(error),
                set_back=_set_back(error),
            )
        )
        return following


def _set_back(error: IndexDamaged | LogSetBack | None) -> dict[str, int]:
    if not isinstance(error, LogSetBack):
        return {}
    return {tenant: cursor.next for tenant, cursor in error.cursors.items()}


def rebuild(
    kind: FollowerKind, folder: Path, store: Store, rules: Rules, server: socket.socket
) -> None:
    """Fill an empty generation until it has caught up with the log."""
    os.nice(_REBUILD_NICE)
    follower = kind.open(folder, store, rules)
    following = Following(store, follower)
    told_s = 0.0
    while True:
        try:
            heads = store.log_heads()
            following.learn_heads((head.tenant, head.size) for head in heads)
            total = sum(head.size for head in heads)
            if following.behind() <= _NEARLY_ROWS and told_s:
                break
            following.take(following.read())
        except StoreBusy:
            time.sleep(BUSY_S)
            continue
        following.commit(urgent=False)
        follower.tidy()
        if time.monotonic() - told_s > _PROGRESS_EVERY_S:
            told_s = time.monotonic()
            send(server, FollowerReport(done=total - following.behind(), total=total))
    following.commit(urgent=True)
    while follower.tidy():
        pass
    follower.close()
    send(server, FollowerReport(done=total, total=total, folder=folder.name))

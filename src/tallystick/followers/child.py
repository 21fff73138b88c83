"""The process in which a follower runs beside a server.

    python -m tallystick.followers.child KIND FOLDER RULES HANDLE
    python -m tallystick.followers.child KIND FOLDER RULES HANDLE GENERATION

KIND and RULES are references, `module:NAME`. The URL of the database, if there is one, comes on
standard input: it may hold a password.

The handle is that of a socket to the server; the process ends when the server does, since the
socket closes. With a generation it is a rebuild: it fills that one beside the current one, says
how far it is, and ends when it has caught up.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from tallystick.data_folder import INDEX_FOLDER
from tallystick.errors import StoreBusy, TallystickError, for_operator
from tallystick.events.dialect_rules import Rules
from tallystick.followers.damage import IndexDamaged, LogSetBack
from tallystick.followers.follow import SLICE_ROWS, Following
from tallystick.followers.generations import Generations
from tallystick.followers.kind import FollowerKind, load_kind
from tallystick.followers.messages import FollowerOrder, FollowerReport, Lines, receive, send
from tallystick.followers.registry import load_rules
from tallystick.log_lines import configure_logging
from tallystick.store.base import Store
from tallystick.store.opening import open_store

_SLICE_ROWS_MIN = 64
_SLICE_S = 0.03
"""How long a slice should take: somebody may be waiting for the next one."""

_TIDY_SHARE = 0.25
"""Housekeeping for each second of following, while there is something to follow."""

_GATHER_S = 0.1
"""How long to let entries gather that nobody can read before the next commit: slices of a few
entries cost half as much again for each, on a database twice to three times as much."""

_IDLE_S = 0.5
_BUSY_S = 0.05
_FOLLOW_NICE = 5
"""Writing comes first: what it leaves of the processors is enough to follow it."""
_REBUILD_NICE = 10
"""On top of that, so that a rebuild slows nobody down."""
_PROGRESS_EVERY_S = 0.2
_WRONG = (IndexDamaged, LogSetBack)
_log = structlog.get_logger("tallystick.followers")
"""What an index is made again for."""

_NEARLY_ROWS = 4 * SLICE_ROWS
"""A rebuild that is so close leaves the rest to the follower itself."""


class Loop:
    """One follower at work: listens to the server, follows, reports."""

    def __init__(
        self, kind: FollowerKind, root: Path, store: Store, rules: Rules, server: socket.socket
    ) -> None:
        self._kind = kind
        self._store = store
        self._rules = rules
        self._server = server
        self._lines = Lines(FollowerOrder)
        self._generations = Generations(root / kind.name, rules)
        self._gather_s = _GATHER_S if kind.commits else 0.0
        self._caught_up_s = 0.0
        self._answer = False
        self._untidy = True
        self._gone = False
        try:
            self._following = self._open(self._generations.current())
        except _WRONG as error:
            self._following = self._empty(error)

    def run(self) -> None:
        """Work until the server is gone."""
        while not self._gone:
            self.turn()
        self._following.follower.close()

    def turn(self) -> None:
        """Listen, take a slice if it is time for one, make it readable, report, tidy up."""
        self._listen(self._patience_s())
        started_s = time.monotonic()
        try:
            worked = self._is_time(started_s) and self._take()
        except StoreBusy:
            time.sleep(_BUSY_S)
            return
        if worked:
            self._size_slices(time.monotonic() - started_s)
        moved = self._following.commit(urgent=self._following.has_arrived())
        if moved or self._answer:
            residue = bool(moved) and self._following.follower.residue()
            self._send(FollowerReport(cursors=moved, answer=self._answer, residue=residue))
            self._answer = False
        self._tidy(time.monotonic() - started_s if worked else 0.0)

    def _patience_s(self) -> float:
        if self._untidy or self._is_time(time.monotonic()):
            return 0.0
        return self._gather_s if self._following.behind() else _IDLE_S

    def _is_time(self, now_s: float) -> bool:
        """Tell whether to take a slice: somebody waits for it, or enough has gathered."""
        behind = self._following.behind()
        gathered = behind >= SLICE_ROWS or now_s - self._caught_up_s >= self._gather_s
        return behind > 0 and (self._following.is_hurried() or gathered)

    def _listen(self, patience_s: float) -> None:
        readable, _, _ = select.select([self._server], [], [], patience_s)
        if not readable:
            return
        data = receive(self._server)
        self._gone = not data
        for told in self._lines.feed(data):
            self._answer = True
            self._following.learn_heads(told.heads.items())
            self._following.hurry(told.urgent)
            if told.swap is not None:
                self._swap(told.swap)
            if told.check or told.damaged or told.verify:
                self._doubt(told)

    def _take(self) -> bool:
        try:
            parts = self._following.read()
            if not parts:
                # A store that was set back, as by a failover, may come to have them again.
                time.sleep(_BUSY_S)
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

    def _tidy(self, worked_s: float) -> None:
        """Do housekeeping: a share of the time while busy, a step at a time while idle."""
        until_s = time.monotonic() + worked_s * _TIDY_SHARE
        try:
            self._untidy = self._following.follower.tidy()
            while self._untidy and time.monotonic() < until_s:
                self._untidy = self._following.follower.tidy()
        except StoreBusy:
            self._untidy = True
        except IndexDamaged as error:
            self._start_over(error)

    def _doubt(self, told: FollowerOrder) -> None:
        """Settle whether what is kept is sound and of the log as it is now."""
        try:
            if told.damaged:
                raise IndexDamaged("a read found it damaged")
            if told.verify:
                self._following.follower.verify()
            if told.check:
                self._following.check()
        except _WRONG as error:
            self._start_over(error)
        if told.check:
            self._send(FollowerReport(cursors=self._following.readable, checked=told.check))

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
        self._send(
            FollowerReport(
                cursors=following.readable,
                folder=folder.name,
                residue=follower.residue(),
                remade=None if error is None else for_operator(error),
                set_back=_set_back(error),
            )
        )
        return following

    def _send(self, report: FollowerReport) -> None:
        try:
            send(self._server, report)
        except OSError:
            self._gone = True


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
            time.sleep(_BUSY_S)
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


def main(arguments: Sequence[str]) -> int:
    """Run the follower named in the arguments."""
    # Signals may go to the whole group; only the server decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(_FOLLOW_NICE)
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(0.0005)
    named, folder, reference, handle, *generation = arguments
    server = socket.socket(fileno=int(handle))
    configure_logging("info")
    kind, rules = load_kind(named), load_rules(reference)
    try:
        store = open_store(Path(folder), sys.stdin.buffer.read().decode() or None)
        if generation:
            rebuild(
                kind, Path(folder, INDEX_FOLDER, kind.name, generation[0]), store, rules, server
            )
        else:
            Loop(kind, Path(folder, INDEX_FOLDER), store, rules, server).run()
    except BrokenPipeError:
        # The server is gone; nobody waits for a rebuild any longer.
        return 1
    except TallystickError as error:
        # As while a database starts again: the supervisor starts another process.
        _log.error("follower_stopped", follower=kind.name, reason=for_operator(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

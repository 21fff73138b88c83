"""The loop of every follower: listens to the server, works a turn, reports.

It runs in a process beside a server, or in a thread of a command. It ends when the server does,
since the socket closes.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from tallystick.followers.messages import FollowerOrder, FollowerReport, Lines, receive, send

BUSY_S = 0.05
"""Pause after a store that was busy."""

Tell = Callable[[FollowerReport], None]
"""Sends a report at once."""


class FollowerWork(Protocol):
    """What one follower does, as the loop drives it; used by one thread."""

    @property
    def gather_s(self) -> float:
        """How long to let orders gather after one: commits come by the hundred a second."""

    def cursors(self) -> Mapping[str, int]:
        """Return for each tenant up to where its log is followed."""

    def hear(self, order: FollowerOrder) -> None:
        """Take an order in; the doubt that it may name is settled on return."""

    def patience_s(self) -> float:
        """Return how long the next turn may wait for an order."""

    def turn(self) -> FollowerReport | None:
        """Do the next piece of work; return what moved."""

    def tidy(self) -> None:
        """Do housekeeping, after what moved was reported."""

    def close(self) -> None:
        """Release files; idempotent."""


class Loop:
    """One follower at work; used by one thread."""

    def __init__(self, server: socket.socket, begin: Callable[[Tell], FollowerWork]) -> None:
        """Begin the work; what it tells while it begins is sent."""
        self._server = server
        self._lines = Lines(FollowerOrder)
        # The server says nothing more until its last message was answered.
        self._answer = False
        self._gone = False
        self._work = begin(self.tell)

    def run(self) -> None:
        """Work until the server is gone."""
        while not self._gone:
            self.turn()
        self._work.close()

    def turn(self) -> None:
        """Listen, work, report, tidy up."""
        self._listen(self._work.patience_s())
        report = self._work.turn()
        if report is not None or self._answer:
            report = report or FollowerReport()
            report.answer, self._answer = self._answer, False
            self.tell(report)
        self._work.tidy()

    def tell(self, report: FollowerReport) -> None:
        """Send a report; note when the server is gone."""
        try:
            send(self._server, report)
        except OSError:
            self._gone = True

    def _listen(self, patience_s: float) -> None:
        readable, _, _ = select.select([self._server], [], [], patience_s)
        if not readable:
            return
        if self._work.gather_s:
            time.sleep(self._work.gather_s)
        data = receive(self._server)
        self._gone = not data
        for order in self._lines.feed(data):
            self._answer = True
            self._work.hear(order)
            if order.check:
                self.tell(FollowerReport(cursors=dict(self._work.cursors()), checked=order.check))

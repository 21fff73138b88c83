"""A lane: what one tenant has waiting for the sequencer."""

from __future__ import annotations

from collections import deque

from tallystick.log.commit_plan import Work


class Lane:
    """The works of one tenant that wait, and how much they hold."""

    __slots__ = ("events", "size_bytes", "works")

    def __init__(self) -> None:
        self.works: deque[Work] = deque()
        self.events = 0
        self.size_bytes = 0

    def put(self, work: Work) -> None:
        """Add a work at the end."""
        self.works.append(work)
        self.events += len(work.items)
        self.size_bytes += work.size_bytes

    def take(self) -> Work:
        """Remove the first work and return it."""
        work = self.works.popleft()
        self.events -= len(work.items)
        self.size_bytes -= work.size_bytes
        return work

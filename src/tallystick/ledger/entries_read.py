"""Which entries one request read, so that its answer can carry what proves them.

The ledger notes what it reads in the `EntriesRead` of the running request, if there is one; the
answer asks it for the entries that it may name. A request belongs to one task and the worker
threads that it waits for one after the other, so there is no lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

from tallystick.events.event import View


class EntriesRead:
    """The entries that one request read.

    An entry is *bound* if what the caller may see was part of the question that found it: only
    those may be named to callers who see a part.
    """

    __slots__ = ("asked", "bound", "ids", "tenant", "top")

    def __init__(self) -> None:
        self.asked: str | None = None
        """The tenant whose log was asked, whatever the answer."""
        self.tenant: str | None = None
        self.ids: dict[int, str | None] = {}
        """Event ids by index, in the order they were read; None where only the index is known."""
        self.bound: set[int] = set()
        self.top = -1
        """The last entry of the log that the answer depends on, revisions included."""

    def add_views(self, tenant: str, views: Iterable[View], *, bound: bool) -> None:
        """Note entries that were read."""
        self.tenant = self.asked = tenant
        for view in views:
            index = view.first.index
            self.ids[index] = view.first.id
            if bound:
                self.bound.add(index)
            if view.revision > self.top or index > self.top:
                self.top = max(view.revision, index)

    def add_indexes(self, tenant: str, indexes: Iterable[int], *, bound: bool) -> None:
        """Note entries that the answer will show."""
        self.tenant = self.asked = tenant
        for index in indexes:
            self.ids.setdefault(index, None)
            if bound:
                self.bound.add(index)
            self.top = max(self.top, index)


_running: ContextVar[EntriesRead | None] = ContextVar("entries_read", default=None)


def begin() -> EntriesRead:
    """Note from here on what the running task, and the threads it waits for, read."""
    shown = EntriesRead()
    _running.set(shown)
    return shown


def note_views(tenant: str, views: Iterable[View], *, bound: bool) -> None:
    """Note entries that were read, if a request is running."""
    shown = _running.get()
    if shown is not None:
        shown.add_views(tenant, views, bound=bound)


def note_indexes(tenant: str, indexes: Iterable[int], *, bound: bool) -> None:
    """Note entries that an answer will show, if a request is running."""
    shown = _running.get()
    if shown is not None:
        shown.add_indexes(tenant, indexes, bound=bound)


def note_question(tenant: str) -> None:
    """Note that a log was asked, if a request is running."""
    shown = _running.get()
    if shown is not None:
        shown.asked = tenant

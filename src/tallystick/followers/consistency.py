"""Reads that are content with what the indexes have by now, and how far that is.

    with as_indexed() as extent:
        page = ledger.find(...)
    extent.complete_to

Whatever the thread asks inside the block waits for no follower. One answer may come from several
indexes; it is complete as far as each of them was.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_thread = threading.local()


class IndexedExtent:
    """How far the answers of one block are complete; used by one thread."""

    def __init__(self) -> None:
        self.complete_to: int | None = None
        """Entries of the log that all answers took into account; None before the first."""

    def note(self, position: int) -> None:
        """Note how far an index was when it answered."""
        known = self.complete_to
        self.complete_to = position if known is None else min(known, position)


@contextmanager
def as_indexed() -> Iterator[IndexedExtent]:
    """Let this thread's reads wait for no follower until the block ends."""
    extent = _thread.extent = IndexedExtent()
    try:
        yield extent
    finally:
        _thread.extent = None


def indexed_extent() -> IndexedExtent | None:
    """Return where this thread's reads note how far they are complete; None if they wait."""
    extent: IndexedExtent | None = getattr(_thread, "extent", None)
    return extent

"""The follower that feeds the search index.

A commit of that index costs the same for one document as for thousands, so documents gather until
a read waits for them, there are many, or the oldest has waited two seconds.

What was erased shows nowhere after the next commit, but its words stay in the index's files until
these are written anew. A file beside them remembers that, and that a rebuild is due.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tallystick.events.dialect_rules import Rules
from tallystick.followers.follow import Slice
from tallystick.index.document import Document, documents_of

COMMIT_DOCUMENTS = 10_000
COMMIT_AFTER_S = 2.0

_ERASED = "erased"


class Documents(Protocol):
    """The writing side of the search index."""

    def cursors(self) -> Mapping[str, int]:
        """Return for each tenant the next index, as of the last commit."""

    def apply(
        self,
        tenant: str,
        documents: Sequence[Document],
        removed: Sequence[str],
        next_index: int,
    ) -> None:
        """Remove what has one of the keys, then add documents."""

    def commit(self) -> None:
        """Make everything applied durable and readable."""

    def residue(self) -> int:
        """Return how many removed documents still have their words in the files."""

    def close(self) -> None:
        """Drop what was not committed and release files; idempotent."""


class SearchFollower:
    """Turns slices into documents and decides when to commit; used by one thread."""

    name = "search"

    def __init__(self, documents: Documents, folder: Path, rules: Rules) -> None:
        self._documents = documents
        self._rules = rules
        self._erased = folder / _ERASED
        self._waiting = 0
        self._since_s = 0.0

    def cursors(self) -> Mapping[str, int]:
        """Return for each tenant the index up to which its entries can be searched."""
        return self._documents.cursors()

    def apply(self, parts: Sequence[Slice]) -> None:
        """Hand over one slice of each of some tenants."""
        if not self._waiting:
            self._since_s = time.monotonic()
        for part in parts:
            if any(view.first.erased for view in part.changed):
                self._erased.touch()
            documents, removed = documents_of(self._rules, part)
            self._documents.apply(part.tenant, documents, removed, part.stop)
            self._waiting += part.stop - part.start

    def commit(self, *, urgent: bool) -> bool:
        """Commit if a read waits or it is time; tell whether it did."""
        due = urgent or (
            self._waiting >= COMMIT_DOCUMENTS or time.monotonic() - self._since_s >= COMMIT_AFTER_S
        )
        if not self._waiting or not due:
            return False
        self._documents.commit()
        self._waiting = 0
        return True

    def tidy(self) -> bool:
        """There is nothing to tidy: the index merges its own segments."""
        return False

    def residue(self) -> bool:
        """Tell whether words of what was erased are still in the files."""
        if not self._erased.exists():
            return False
        if self._waiting or self._documents.residue():
            return True
        self._erased.unlink()
        return False

    def close(self) -> None:
        """Release files; idempotent."""
        self._documents.close()

"""The follower that feeds the search index.

A commit of that index costs the same for one document as for thousands, so documents gather until
a read waits for them, there are many, or the oldest has waited two seconds.

What was erased shows nowhere after the next commit, but its words stay in the index's files until
these are written again, for which a rebuild is due.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from tallystick.events.dialect_rules import Rules
from tallystick.followers.damage import Cursor
from tallystick.followers.follow import Slice
from tallystick.index.document import Document, documents_of

COMMIT_DOCUMENTS = 10_000
COMMIT_AFTER_S = 2.0


class Documents(Protocol):
    """The writing side of the search index."""

    def cursors(self) -> Mapping[str, Cursor]:
        """Return for each tenant how far its log was read, as of the last commit."""

    def apply(
        self,
        tenant: str,
        documents: Sequence[Document],
        removed: Sequence[str],
        cursor: Cursor,
    ) -> None:
        """Remove what has one of the keys, then add documents."""

    def has_erased(self) -> None:
        """Learn that the next commit takes away what was erased."""

    def commit(self) -> None:
        """Make everything applied durable and readable."""

    def residue(self) -> bool:
        """Tell whether words of what was erased may still be in the files."""

    def check_step(self) -> bool:
        """Take a step of the check that an entry has one document; tell whether to go on."""

    def verify(self) -> None:
        """Compare the checksums of all files."""

    def close(self) -> None:
        """Drop what was not committed and release files; idempotent."""


class SearchFollower:
    """Turns slices into documents and decides when to commit; used by one thread."""

    name = "search"

    def __init__(self, documents: Documents, rules: Rules) -> None:
        self._documents = documents
        self._rules = rules
        self._waiting = 0
        self._since_s = 0.0

    def cursors(self) -> Mapping[str, Cursor]:
        """Return for each tenant how far its log can be searched."""
        return self._documents.cursors()

    def apply(self, parts: Sequence[Slice]) -> None:
        """Hand over one slice of each of some tenants."""
        if not self._waiting:
            self._since_s = time.monotonic()
        for part in parts:
            if any(view.first.erased for view in part.changed):
                self._documents.has_erased()
            documents, removed = documents_of(self._rules, part)
            self._documents.apply(part.tenant, documents, removed, Cursor(part.stop, part.mark))
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
        """Take a step of the check of what was found when it was opened."""
        return self._documents.check_step()

    def verify(self) -> None:
        """Compare the checksums of all files."""
        self._documents.verify()

    def residue(self) -> bool:
        """Tell whether words of what was erased are still in the files."""
        return self._documents.residue()

    def close(self) -> None:
        """Release files; idempotent."""
        self._documents.close()

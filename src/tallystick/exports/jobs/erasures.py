"""Which files hold what was erased since they were begun.

Commits of this server say at once what they erased; those of other servers, and of the time before
a start, are found in the log. A file of a smaller log than all that was erased is not concerned.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tallystick.events import erased_sections
from tallystick.log.erasure_list import erase_entries
from tallystick.log.views import event_of
from tallystick.store.base import Store


class _Erased(NamedTuple):
    """An `erase` entry, and the lowest entry that lost something by it."""

    at: int
    lowest: int


class _Looked(NamedTuple):
    """The stretch of a log that was looked at, and what was found in it and by commits."""

    start: int
    stop: int
    found: frozenset[_Erased] = frozenset()


class ErasureWatch:
    """Knows the erasures of logs from some entry on; safe to share between threads.

    `is_told` says that no commit happens without `committed` being called.
    """

    def __init__(self, store: Store, *, is_told: bool) -> None:
        self._store = store
        self._is_told = is_told
        # Guards what follows; a commit waits for it, so nothing is read meanwhile.
        self._lock = threading.Lock()
        self._looked: dict[str, _Looked] = {}

    def committed(self, tenant: str, size: int, erased: Sequence[int]) -> None:
        """Note what a commit erased that made the log `size` entries long."""
        with self._lock:
            looked = self._looked.get(tenant)
            if looked is not None and erased:
                found = looked.found | {_Erased(size - 1, min(erased))}
                self._looked[tenant] = looked._replace(found=found)

    def advance(self, tenant: str, start: int) -> int:
        """Know of all erasures from entry `start` on, and return how far the log was read.

        Cost: each entry is read once; where this server commits everything, none that it commits.
        """
        with self._lock:
            # From here on `committed` adds to it, so that nothing falls between it and the reading.
            looked = self._looked.setdefault(tenant, _Looked(start, start))
        head = self._store.log_head(tenant)
        size = 0 if head is None else head.size
        found = set(self._find(tenant, start, looked.start))
        if looked.stop == looked.start or not self._is_told:
            found |= set(self._find(tenant, looked.stop, size))
        with self._lock:
            now = self._looked[tenant]
            self._looked[tenant] = _Looked(
                min(start, now.start), max(size, now.stop), now.found | found
            )
        return size

    def concerns(self, tenant: str, checked: int, size: int) -> bool:
        """Tell whether entries [0, size) lost something by an entry from `checked` on.

        As far as `advance` and `committed` know.
        """
        with self._lock:
            looked = self._looked.get(tenant)
            found = frozenset() if looked is None else looked.found
        return any(each.at >= checked and each.lowest < size for each in found)

    def _find(self, tenant: str, start: int, stop: int) -> Iterator[_Erased]:
        for index in erase_entries(self._store, tenant, start, stop):
            row = self._store.rows_at(tenant, [index])[index]
            erased = [each.index for each in erased_sections.decode(event_of(tenant, row))]
            if erased:
                yield _Erased(index, min(erased))

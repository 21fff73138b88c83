"""Differences: drafts that tell what they change of what they are about.

Such a draft's `previous` is worked out against the latest event on its target, and it is stored
only if that still is the latest; if others were faster, it is worked out anew. Threads of this
process that write about the same target take turns, so that only other processes can be faster.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import msgspec

from tallystick.diff import changed_members
from tallystick.errors import PreconditionFailed
from tallystick.event import Draft, Expectation, HeadSlot, Json
from tallystick.sequencer import Accepted
from tallystick.store.base import Store, head_key
from tallystick.turns import Turns, others_write
from tallystick.viewing import views_of

_WAIT_S = 20.0
_PAUSE_S = 0.01

State = Callable[[int], Json | None]
"""Returns what a target was after the entry at an index, the latest about it."""


class Differences:
    """Stores drafts with what they change; safe to share between threads."""

    def __init__(
        self, store: Store, append: Callable[[str, Sequence[Draft]], list[Accepted]]
    ) -> None:
        self._store = store
        self._append = append
        self._turns = Turns()

    def append(
        self,
        tenant: str,
        drafts: Sequence[Draft],
        *,
        ignore: frozenset[str] = frozenset(),
        state: State | None = None,
    ) -> list[Accepted]:
        """Store drafts, each with `previous` computed against the event before it on its target.

        A draft that brings `previous`, has no target, or is the first on its target is stored as
        it is. Those about the same target go one after another. `ignore` names members that do
        not count as changed. What a target was is the data of the latest event about it, unless
        `state` is given.
        Raises: what the ledger's `append` raises; StoreBusy when others keep writing to the same
        target.
        """
        state = state or (lambda index: self._data_at(tenant, index))
        targets = {(tenant, *draft.target.key) for draft in drafts if draft.target is not None}
        deadline_s = time.monotonic() + _WAIT_S
        with self._turns.taken(targets, _WAIT_S):
            diffed = self._diffed(tenant, drafts, ignore, state)
            while True:
                try:
                    return self._append(tenant, diffed)
                except PreconditionFailed:
                    anew = self._diffed(tenant, drafts, ignore, state)
                    if anew == diffed:  # nothing came in between: the drafts' own condition failed
                        raise
                    if time.monotonic() > deadline_s:
                        raise others_write() from None
                    diffed = anew
                time.sleep(random.uniform(0, _PAUSE_S))  # noqa: S311  # no secret

    def _diffed(
        self, tenant: str, drafts: Sequence[Draft], ignore: frozenset[str], state: State
    ) -> list[Draft]:
        latest: dict[tuple[str, str], Json | None] = {}
        diffed: list[Draft] = []
        for draft in drafts:
            target = draft.target
            if target is None:
                diffed.append(draft)
                continue
            expects = draft.expects
            if target.key not in latest:
                index = self._latest(tenant, target.key)
                latest[target.key] = None if index is None else state(index)
                expects += (Expectation(HeadSlot.EVENT, *target.key, index),)
            before = latest[target.key]
            previous = draft.previous
            if previous is None and before is not None:
                previous = changed_members(before, draft.data, ignore) or None
            diffed.append(msgspec.structs.replace(draft, previous=previous, expects=expects))
            latest[target.key] = draft.data
        return diffed

    def _latest(self, tenant: str, target: tuple[str, str]) -> int | None:
        key = head_key(HeadSlot.EVENT, *target)
        head = self._store.resource_heads(tenant, [key]).get(key)
        return None if head is None else head.index

    def _data_at(self, tenant: str, index: int) -> Json:
        row = self._store.rows_at(tenant, [index])[index]
        return views_of(self._store, tenant, [row])[0].event.data

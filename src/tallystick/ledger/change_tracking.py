"""Differences: drafts that tell what they change of what they are about.

Such a draft's `previous` is worked out against the latest event on its target, and it is stored
only if that still is the latest; if others were faster, it is worked out again. Threads of this
process that write about the same target take turns, so that only other processes can be faster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from tallystick.errors import PreconditionFailed
from tallystick.events.diff import changed_members
from tallystick.events.event import Draft, Expectation, HeadSlot, Json
from tallystick.ledger.striped_locks import Turns
from tallystick.log.sequencer import Accepted
from tallystick.log.views import views_of
from tallystick.store.base import Store, head_key

Target = tuple[str, str]
"""Type and id of a resource."""

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
        targets = {(tenant, *draft.target.key) for draft in drafts if draft.target is not None}
        with self._turns.taken(targets) as patience:
            diffed = self._diffed(tenant, drafts, ignore, state)
            while True:
                try:
                    return self._append(tenant, diffed)
                except PreconditionFailed:
                    again = self._diffed(tenant, drafts, ignore, state)
                    if again == diffed:  # nothing came in between: the drafts' own condition failed
                        raise
                    diffed = again
                patience.pause()

    def _diffed(
        self, tenant: str, drafts: Sequence[Draft], ignore: frozenset[str], state: State | None
    ) -> list[Draft]:
        """Return drafts with what they change; only the first on each target expects its state."""
        targets = {draft.target.key for draft in drafts if draft.target is not None}
        heads = self._latest(tenant, targets)
        at = self._data_at(tenant, heads.values()).__getitem__ if state is None else state
        latest = {target: at(index) for target, index in heads.items()}
        diffed: list[Draft] = []
        for draft in drafts:
            if draft.target is None or draft.replay_of is not None:
                diffed.append(draft)
                continue
            target, expects = draft.target.key, draft.expects
            if target in targets:
                targets.remove(target)
                expects += (Expectation(HeadSlot.EVENT, *target, heads.get(target)),)
            before, previous = latest.get(target), draft.previous
            if previous is None and before is not None:
                previous = changed_members(before, draft.data, ignore) or None
            diffed.append(msgspec.structs.replace(draft, previous=previous, expects=expects))
            latest[target] = draft.data
        return diffed

    def _latest(self, tenant: str, targets: Iterable[Target]) -> dict[Target, int]:
        """Return where the latest event on each target stands, of those that have one."""
        keys = {head_key(HeadSlot.EVENT, *target): target for target in targets}
        heads = self._store.resource_heads(tenant, list(keys)) if keys else {}
        return {keys[key]: head.index for key, head in heads.items()}

    def _data_at(self, tenant: str, indexes: Collection[int]) -> dict[int, Json]:
        rows = self._store.rows_at(tenant, indexes) if indexes else {}
        views = views_of(self._store, tenant, list(rows.values()))
        return {view.index: view.event.data for view in views}

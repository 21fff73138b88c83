"""Reviews: who looked through which stretch of a log, with what remark, and what is left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tallystick.errors import Malformed
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.log.views import event_of
from tallystick.store.base import Store

REVIEW_KIND = "review"

_ROWS = 256


class Review(NamedTuple):
    """One review of the entries [start, stop)."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    start: int
    stop: int
    remark: str
    reviewer: Resource | None
    recorded_ms: int


def review(start: int, stop: int, remark: str, *, by: Resource, size: int, origin: str) -> Draft:
    """Return the entry that says that somebody reviewed a stretch of a log.

    Raises: Malformed.
    """
    if not 0 <= start < stop <= size:
        raise Malformed(f"a review is of entries 0 to {size}, from before to", path="/from")
    if not remark.strip():
        raise Malformed("a review has a remark, such as: nothing found", path="/remark")
    data: Json = {"from": start, "to": stop, "remark": remark}
    target = Resource("log", origin)
    return Draft(kind=REVIEW_KIND, op=Op.SYSTEM, actor=by, target=target, data=data)


def reviews_of(store: Store, tenant: str) -> list[Review]:
    """Return the reviews of a log, oldest first; of one that was erased nothing is left.

    Cost: one read of the entries of op `system`.
    """
    head = store.log_head(tenant)
    indexes = store.system_indexes(tenant, 0, 0 if head is None else head.size)
    found: list[Review] = []
    for at in range(0, len(indexes), _ROWS):
        rows = store.rows_at(tenant, indexes[at : at + _ROWS])
        for index, row in sorted(rows.items()):
            event = event_of(tenant, row)
            match event.data:
                case {"from": int(start), "to": int(stop), "remark": str(remark)}:
                    if event.kind == REVIEW_KIND:
                        found.append(
                            Review(index, start, stop, remark, event.actor, event.recorded_ms)
                        )
    return found


def unreviewed(reviews: Iterable[Review], size: int) -> list[list[int]]:
    """Return the stretches [start, stop) of a log of `size` entries that nobody reviewed."""
    gaps: list[list[int]] = []
    reached = 0
    for start, stop in sorted((each.start, each.stop) for each in reviews):
        if start > reached:
            gaps.append([reached, start])
        reached = max(reached, stop)
    if reached < size:
        gaps.append([reached, size])
    return gaps

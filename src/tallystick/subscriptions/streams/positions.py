"""Positions in a log by time."""

from __future__ import annotations

from tallystick.events.entry import recorded_ms_of
from tallystick.store.base import Store


def recorded_from(store: Store, tenant: str, time_ms: int) -> int:
    """Return the position of the first entry recorded at a time or later.

    Cost: as many point reads as the log's size has binary digits.
    """
    head = store.log_head(tenant)
    low, high = 0, 0 if head is None else head.size
    while low < high:
        middle = (low + high) // 2
        (found,) = store.entries(tenant, middle, middle + 1)
        if recorded_ms_of(found) < time_ms:
            low = middle + 1
        else:
            high = middle
    return low

"""Events and views made from drafts, as the ledger would make them."""

from __future__ import annotations

import msgspec

from tallystick.events import entry
from tallystick.events.event import Draft, Event, View, as_recorded


def stored(draft: Draft, index: int = 6, recorded_ms: int = 1_425_398_999_671) -> Event:
    """Return the event that the ledger makes of a draft, through its very bytes."""
    prepared = entry.prepare(draft)
    sealed = entry.seal(prepared, index, recorded_ms, bytes(entry.NOISE_BYTES))
    return entry.decode("t", index, sealed.entry, sealed.sections)


def viewed(event: Event, **changed: object) -> View:
    return msgspec.structs.replace(as_recorded(event), **changed)

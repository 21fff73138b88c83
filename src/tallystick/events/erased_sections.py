"""What an `erase` entry records: which sections of which entries were destroyed with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tallystick.events.entry import SECTIONS
from tallystick.events.event import Event, Json

_MEMBER = "entries"


class ErasedSections(NamedTuple):
    """Sections of one entry that were destroyed."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    sections: tuple[str, ...]


def encode(erased: Iterable[tuple[int, tuple[str, ...]]]) -> Json:
    """Return the data of an `erase` entry for (index, sections) pairs."""
    return {_MEMBER: [{"index": index, "sections": sections} for index, sections in erased]}


def decode(event: Event) -> list[ErasedSections]:
    """Return what an `erase` entry records, in its order.

    Items of another shape and unknown sections, in entries of a foreign program, are passed over.
    """
    items = event.data.get(_MEMBER)
    erased: list[ErasedSections] = []
    for item in items if isinstance(items, list) else ():
        match item:
            case {"index": int(index), "sections": [*names]}:
                known = tuple(name for name in names if name in SECTIONS)
                erased.append(ErasedSections(index, known))
            case {"index": int(index)}:
                erased.append(ErasedSections(index, ()))
    return erased


def records_entries(event: Event) -> bool:
    """Tell whether an entry says which entries lost content: without it none could be checked."""
    return _MEMBER in event.data

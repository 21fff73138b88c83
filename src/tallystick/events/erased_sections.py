"""What an `erase` entry records: which sections of which entries were destroyed with it.

Each item names one entry, or `count` entries in a row that lost the same sections. An entry that a
retention policy made names the policy too: the events it took away are shown no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tallystick.events.entry import SECTIONS
from tallystick.events.event import Event, Json

ROW_MAX = 65_536
"""Entries that one item may name; more, in an entry of a foreign program, is not believed."""

_MEMBER = "entries"
_POLICY = "policy"


class ErasedSections(NamedTuple):
    """Sections of one entry that were destroyed."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    sections: tuple[str, ...]


def encode(erased: Iterable[tuple[int, tuple[str, ...]]]) -> Json:
    """Return the data of an `erase` entry for (index, sections) pairs."""
    return {_MEMBER: [{"index": index, "sections": sections} for index, sections in erased]}


def encode_rows(erased: Iterable[tuple[int, tuple[str, ...]]]) -> Json:
    """Return the same in fewer bytes, for pairs in the order of the log."""
    rows: list[Json] = []
    for index, sections in erased:
        last = rows[-1] if rows else None
        if (
            last is not None
            and last["index"] + last["count"] == index
            and last["sections"] == sections
            and last["count"] < ROW_MAX
        ):
            last["count"] += 1
        else:
            rows.append({"index": index, "count": 1, "sections": sections})
    return {_MEMBER: rows}


def decode(event: Event) -> list[ErasedSections]:
    """Return what an `erase` entry records, in its order.

    Items of another shape and unknown sections, in entries of a foreign program, are passed over.
    """
    return list(decode_data(event.data))


def decode_data(data: Json) -> Iterator[ErasedSections]:
    """Yield what the data of an `erase` entry records."""
    items = data.get(_MEMBER)
    for item in items if isinstance(items, list) else ():
        match item:
            case {"index": int(index), "sections": [*names]}:
                known = tuple(name for name in names if name in SECTIONS)
                for at in range(index, index + _count(item)):
                    yield ErasedSections(at, known)
            case {"index": int(index)}:
                yield ErasedSections(index, ())


def records_entries(event: Event) -> bool:
    """Tell whether an entry says which entries lost content: without it none could be checked."""
    return _MEMBER in event.data


def policy_of(data: Json) -> str | None:
    """Return the retention policy by which an `erase` entry took entries away, if it was one."""
    policy = data.get(_POLICY)
    return policy if isinstance(policy, str) else None


def _count(item: Json) -> int:
    count = item.get("count", 1)
    return count if isinstance(count, int) and 1 <= count <= ROW_MAX else 1

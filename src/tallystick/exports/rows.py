"""The rows of an export: events as of a size of the log, each with its leaf hash, as JSON lines.

An export is pinned to the size that the log had when it began. Entries behind it are not in it, and
neither are revisions and retractions behind it: an event is shown as it was shown at that size. So
an export that is broken off and goes on has the bytes of one that was not. Only an erasure reaches
back, as it does everywhere: what it destroyed reads as empty from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from tallystick import json_text
from tallystick.events.event import Event, HeadSlot, Op, View
from tallystick.events.rendering import rendered
from tallystick.exports import splicing
from tallystick.limits import SLICE_BYTES
from tallystick.log.views import event_of, views_of, with_content
from tallystick.query.expr import Everything, Expr
from tallystick.query.match import Predicate, to_predicate
from tallystick.query.values import Values
from tallystick.store.base import LogRow, Store, head_key

_SLICE_ENTRIES = 1024


class ExportSlice(NamedTuple):
    """Rows side by side, one a line, and the entry behind the last one that was looked at."""

    body: bytes
    following: int


def export_slices(
    store: Store, tenant: str, where: Expr, *, start: int, size: int
) -> Iterator[ExportSlice]:
    """Yield the rows of the entries [start, size), as they were shown at that size.

    Shape: `size` is at most that of the log; a slice may hold no row.
    Raises: StoreCorrupt.
    """
    predicate = None if isinstance(where, Everything) else to_predicate(where)
    while start < size:
        wanted = range(start, min(size, start + _SLICE_ENTRIES))
        rows = list(store.rows_within(tenant, wanted, SLICE_BYTES).values())
        if not rows:
            return
        lines = _spliced(store, tenant, rows) if predicate is None else None
        if lines is not None:
            start = rows[-1].index + 1
            yield ExportSlice(b"".join(lines), start)
            continue
        views = _views_as_of(store, tenant, rows, size)
        start = views[-1].index + 1
        lines = [
            _line(view, row)
            for view, row in zip(views, rows, strict=False)
            if _is_exported(view, predicate)
        ]
        yield ExportSlice(b"".join(lines), start)


class _Place(msgspec.Struct):
    index: int


_place = msgspec.json.Decoder(_Place)


def span_of(lines: bytes) -> tuple[int, int]:
    """Return the indexes of the first and the last of some rows."""
    ends = (lines[: lines.index(b"\n")], lines[lines.rfind(b"\n", 0, -1) + 1 :])
    first, last = (_place.decode(line).index for line in ends)
    return first, last


def _spliced(store: Store, tenant: str, rows: Sequence[LogRow]) -> list[bytes] | None:
    """Return the lines of entries none of which was changed; None when one was."""
    heads = [splicing.HEAD.decode(row.entry) for row in rows]
    events = [(head, row) for head, row in zip(heads, rows, strict=True) if head.op == Op.RECORD]
    if not all(splicing.is_whole(head, row) for head, row in events):
        return None
    keys = [head_key(HeadSlot.REVISION, "event", head.id) for head, _ in events]
    if keys and store.resource_heads(tenant, keys):
        return None
    return [splicing.spliced(head, row) for head, row in events]


def _is_exported(view: View, predicate: Predicate | None) -> bool:
    if view.first.op is not Op.RECORD or view.retracted:
        return False
    return predicate is None or predicate(Values(view))


def _line(view: View, row: LogRow) -> bytes:
    text = json_text.encode(rendered(view.event, view.revision))
    return b'%b,"leaf_hash":"%b"}\n' % (text[:-1], row.leaf.hex().encode())


def _views_as_of(store: Store, tenant: str, rows: Sequence[LogRow], size: int) -> list[View]:
    """Return entries as they were shown when the log had `size` entries."""
    views = views_of(store, tenant, rows, SLICE_BYTES)
    keys = {
        head_key(HeadSlot.REVISION, "event", view.first.id): at
        for at, view in enumerate(views)
        if view.first.op is Op.RECORD
    }
    for key, head in (store.resource_heads(tenant, list(keys)) if keys else {}).items():
        if head.index >= size:
            at = keys[key]
            views[at] = _as_of(store, tenant, views[at], head.index, size)
    return views


def _as_of(store: Store, tenant: str, view: View, head: int, size: int) -> View:
    """Return an event as shown at a size, following its revisions back from the latest one."""
    first = view.first
    shown = msgspec.structs.replace(
        view, event=first, revision=first.index, revised_ms=first.recorded_ms, retracted=False
    )
    index: int | None = head
    while index is not None and index != first.index:
        entry = event_of(tenant, store.rows_at(tenant, [index])[index])
        if index < size:
            return _folded_at(shown, entry)
        index = _replaced(entry)
    return shown


def _folded_at(shown: View, entry: Event) -> View:
    if entry.op is Op.REVISE:
        return with_content(shown, entry)
    return msgspec.structs.replace(shown, retracted=True)


def _replaced(entry: Event) -> int | None:
    index = None if entry.original is None else entry.original.get("revision")
    return index if isinstance(index, int) else None

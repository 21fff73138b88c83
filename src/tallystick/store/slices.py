"""How a whole log is read with bounded memory: in slices that shrink where entries are large."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.store.base import LogRow, Store

_ROWS = 256
_ROWS_WHEN_LARGE = 16
_SLICE_BYTES = 16 * 1024 * 1024


def row_slices(store: Store, tenant: str, start: int, stop: int) -> Iterator[list[LogRow]]:
    """Yield the entries [start, stop) in order, a slice at a time.

    Shape: a slice is never empty and says what is stored, gaps included: where rows are missing,
    it is shorter than asked for, and the walk goes on behind it.
    """
    size = _ROWS
    while start < stop:
        end = min(start + size, stop)
        rows = store.rows(tenant, start, end)
        if rows:
            yield rows
        size = _ROWS_WHEN_LARGE if _bytes_of(rows) > _SLICE_BYTES * size // _ROWS else _ROWS
        start = end


def _bytes_of(rows: list[LogRow]) -> int:
    return sum(len(section) for row in rows for section in row.sections if section is not None)

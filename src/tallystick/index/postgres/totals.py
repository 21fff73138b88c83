"""Totals: how many entries there are of a kind, seen by somebody, over all and in buckets.

They answer the questions that are about nothing but who sees an entry, its kind, and when it
occurred; and they say in which bucket a page far in begins, so that what is before it need not be
walked over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from tallystick.index.lists.block_query import AllOf, BlockNode, HappenedWithin, HasTerm
from tallystick.index.lists.term_hash import SEEN
from tallystick.index.postgres.conditions import Terms, union
from tallystick.index.postgres.sql import execute, select
from tallystick.store.postgres.binary_arrays import int8s
from tallystick.store.postgres.connection import Connection
from tallystick.times import HOUR_MS

_ALL, _HOURS, _STRETCHES = range(3)
_STRETCH = 4_096
_LOWEST, _HIGHEST = -(1 << 62), 1 << 62

Span = tuple[int, int]
"""Times or indexes, both ends included."""
Tally = Counter[tuple[int, int, int, int]]
"""How many entries more there are by axis, bucket, kind and bits of who sees them."""


def tally(totals: Tally, rows: Iterable[CountedTotals], n: int = 1) -> None:
    """Count entries in, or out."""
    alike = Counter(
        [(row.ms // HOUR_MS, row.index // _STRETCH, row.kind, row.seen) for row in rows]
    )
    for (hour, stretch, kind, seen), count in alike.items():
        totals[_ALL, 0, kind, seen] += n * count
        totals[_HOURS, hour, kind, seen] += n * count
        totals[_STRETCHES, stretch, kind, seen] += n * count


def add_totals(connection: Connection, tenant: bytes, totals: Tally) -> None:
    """Write what was counted."""
    moved = [(*key, n) for key, n in sorted(totals.items()) if n]
    if moved:
        axes, buckets, kinds, seen, n = map(int8s, zip(*moved, strict=True))
        execute(
            connection,
            "add_totals",
            tenant=tenant,
            axes=axes,
            buckets=buckets,
            kinds=kinds,
            seen=seen,
            n=n,
        )


class CountedTotals(Protocol):
    """What is counted of an entry."""

    @property
    def index(self) -> int:
        """Where it stands in the log."""

    @property
    def ms(self) -> int:
        """When it occurred."""

    @property
    def kind(self) -> int:
        """The number of its kind."""

    @property
    def seen(self) -> int:
        """The bits of who sees it."""


class Totals:
    """A question that totals answer."""

    def __init__(
        self, tenant: bytes, seen: int, kinds: list[int] | None, within: HappenedWithin | None
    ) -> None:
        self._tenant = tenant
        self._seen = seen
        self._kinds = kinds
        self.within = within

    def count(self, connection: Connection, walk: Callable[[Span], int]) -> int:
        """Return how many entries match; `walk` counts those of less than an hour."""
        if self.within is None:
            return sum(n for _, n in self._buckets(connection, _ALL, _LOWEST, _HIGHEST))
        return sum(n for _, n in self._hours(connection, self.within, walk))

    def begin(
        self,
        connection: Connection,
        offset: int,
        walk: Callable[[Span], int],
        *,
        by_time: bool,
        descending: bool,
    ) -> tuple[int, Span] | None:
        """Return how many matches come before a bucket, and the bucket that the offset is in.

        None where that is beyond the last one, or where totals cannot tell.
        """
        if by_time and self.within is not None:
            buckets = self._hours(connection, self.within, walk)
        elif self.within is not None:
            return None
        else:
            axis = _HOURS if by_time else _STRETCHES
            buckets = self._buckets(connection, axis, _LOWEST, _HIGHEST)
        width = HOUR_MS if by_time else _STRETCH
        skipped = 0
        for bucket, n in reversed(buckets) if descending else buckets:
            if skipped + n > offset:
                return skipped, _span(bucket, width)
            skipped += n
        return None

    def _hours(
        self, connection: Connection, within: HappenedWithin, walk: Callable[[Span], int]
    ) -> list[tuple[int, int]]:
        """Return the hours of a range; those that are only partly in it are walked over."""
        low, high = within
        first, last = low // HOUR_MS, high // HOUR_MS
        if first == last:
            return [(first, walk((low, high)))]
        whole = self._buckets(connection, _HOURS, first + 1, last - 1)
        begin = (first, walk((low, _span(first, HOUR_MS)[1])))
        end = (last, walk((_span(last, HOUR_MS)[0], high)))
        return [begin, *whole, end]

    def _buckets(
        self, connection: Connection, axis: int, low: int, high: int
    ) -> list[tuple[int, int]]:
        return [
            (bucket, n)
            for bucket, n in select(
                connection,
                "buckets",
                tenant=self._tenant,
                axis=axis,
                seen=self._seen,
                kinds=self._kinds,
                low=low,
                high=high,
            )
        ]


def as_totals(tenant: bytes, node: BlockNode, terms: Terms) -> Totals | None:
    """Return a question as one that totals answer; None if they cannot."""
    parts: Iterable[BlockNode] = (node,)
    if isinstance(node, AllOf):
        if node.but:
            return None
        parts = node.parts
    found: dict[str, BlockNode] = {}
    for part in parts:
        field = terms.field(part) if isinstance(part, HasTerm) else type(part).__name__
        if field in found or field not in (SEEN, "kind", HappenedWithin.__name__):
            return None
        found[field] = part
    match found.get(SEEN), found.get("kind"), found.get(HappenedWithin.__name__):
        case HasTerm(bits), None | HasTerm() as kinds, None | HappenedWithin() as within:
            return Totals(tenant, union(bits), list(kinds.numbers) if kinds else None, within)
    return None


def _span(bucket: int, width: int) -> Span:
    return bucket * width, (bucket + 1) * width - 1

"""Counts of single terms: how many entries have one, by who sees them.

Most terms have few entries, and those are counted when somebody asks. Once a term turned out to
have many, its count is kept: every batch that has entries with it moves it on. Which terms those
are is remembered with the lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from tallystick.index.postgres.conditions import Terms, union
from tallystick.index.postgres.sql import execute, select
from tallystick.index.views.nodes import AllOf, HasTerm, Node
from tallystick.index.views.terms import SEEN
from tallystick.store.postgres.connecting import Connection
from tallystick.store.postgres.packing import int8s

WORTH = 1_000
"""Entries that a term has when its count is worth keeping: so many are counted in a moment."""

Moved = Counter[tuple[int, int]]
"""How many entries more there are by term and bits of who sees them."""


class Counted(Protocol):
    """What is counted of an entry."""

    @property
    def seen(self) -> int:
        """The bits of who sees it."""

    def numbers(self) -> Iterable[int | None]:
        """Return the numbers of all its terms."""


class Single(NamedTuple):
    """A question about nothing but one term, and who sees it."""

    term: HasTerm
    seen: int


def as_single(node: Node, terms: Terms) -> Single | None:
    """Return a question as one about a single term; None if it is about something else."""
    if not isinstance(node, AllOf) or node.but:
        return None
    given: list[list[Node]] = [[], []]
    for part in node.parts:
        is_seen = isinstance(part, HasTerm) and terms.field(part) == SEEN
        given[is_seen].append(part)
    match given:
        case [[HasTerm((_,)) as term], [HasTerm(bits)]]:
            return Single(term, union(bits))
    return None


def count(moved: Moved, counted: frozenset[int], rows: Iterable[Counted], n: int = 1) -> None:
    """Count entries in, or out, where their terms are counted."""
    if counted:
        for row in rows:
            for number in counted.intersection(row.numbers()):
                moved[number, row.seen] += n


def counted_terms(connection: Connection, tenant: bytes) -> frozenset[int]:
    """Return the terms of a tenant whose counts are kept."""
    return frozenset(term for (term,) in select(connection, "counted_terms", tenant=tenant))


def count_of(connection: Connection, tenant: bytes, single: Single) -> int | None:
    """Return how many entries that somebody sees have a term; None if no count is kept."""
    [number] = single.term.numbers
    found = select(connection, "count_of", tenant=tenant, term=number, seen=single.seen)
    return int(found[0][0]) if found else None


def counts_of(connection: Connection, tenant: bytes, numbers: Sequence[int]) -> dict[int, int]:
    """Return how many entries have terms, those whose counts are kept."""
    return dict(select(connection, "counts_of", tenant=tenant, terms=int8s(numbers)))


def add_counts(connection: Connection, tenant: bytes, moved: Mapping[tuple[int, int], int]) -> None:
    """Write what was counted."""
    changed = [(*key, n) for key, n in sorted(moved.items())]
    if changed:
        numbers, seen, n = map(int8s, zip(*changed, strict=True))
        execute(connection, "add_counts", tenant=tenant, terms=numbers, seen=seen, n=n)


def keep_count(
    connection: Connection,
    tenant: bytes,
    term: int,
    before: Mapping[int, int],
    *,
    start: int,
    stop: int,
) -> None:
    """Keep the count of a term from here on, in a transaction that holds the log.

    `before` says how many of the entries below `start` have it, by who sees them; those from
    there to `stop` are looked at.
    """
    late = select(connection, "late_entries", tenant=tenant, term=term, start=start, stop=stop)
    # A row for entries that nobody sees says that the term is counted.
    moved = Counter({(term, 0): 0})
    for seen, n in (*before.items(), *late):
        moved[term, seen] += n
    add_counts(connection, tenant, moved)
    execute(connection, "change_lists", tenant=tenant)

"""Counts of single terms: how many entries have one, by who sees them.

Most terms have few entries, and those are counted when somebody asks. Once a term turned out to
have many, its count is kept: every batch that has entries with it moves it on. Which terms those
are is remembered with the lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from tallystick.index.lists.block_query import AllOf, BlockNode, HasTerm
from tallystick.index.lists.term_hash import SEEN
from tallystick.index.postgres.conditions import Terms, union
from tallystick.index.postgres.sql import execute, select
from tallystick.store.postgres.binary_arrays import int8s
from tallystick.store.postgres.connection import Connection

WORTH = 1_000
"""Entries that a term has when its count is worth keeping: so many are counted in a moment."""

Moved = Counter[tuple[int, int]]
"""How many entries more there are by term and bits of who sees them."""


class CountedTerms(Protocol):
    """What is counted of an entry."""

    @property
    def seen(self) -> int:
        """The bits of who sees it."""

    def numbers(self) -> Iterable[int | None]:
        """Return the numbers of all its terms."""


class Subject(NamedTuple):
    """What is counted: entries that have one of some terms, under a number of its own."""

    number: int
    members: tuple[int, ...]


Members = Mapping[int, Sequence[int]]
"""The numbers of what is counted, by each term of which entries count there."""


class Single(NamedTuple):
    """A question about nothing but one term, and who sees it."""

    term: HasTerm
    seen: int


def as_single(node: BlockNode, terms: Terms) -> Single | None:
    """Return a question as one about a single term; None if it is about something else."""
    if not isinstance(node, AllOf) or node.but:
        return None
    given: list[list[BlockNode]] = [[], []]
    for part in node.parts:
        is_seen = isinstance(part, HasTerm) and terms.field(part) == SEEN
        given[is_seen].append(part)
    match given:
        case [[HasTerm((_,)) as term], [HasTerm(bits)]]:
            return Single(term, union(bits))
    return None


def count(moved: Moved, counted: Members, rows: Iterable[CountedTerms], n: int = 1) -> None:
    """Count entries in, or out, where their terms are counted."""
    if counted:
        for row in rows:
            had = counted.keys() & set(row.numbers())
            for number in {number for member in had for number in counted[member]}:
                moved[number, row.seen] += n


def counted_members(connection: Connection, tenant: bytes) -> Members:
    """Return by which terms of a tenant counts are kept."""
    counted: dict[int, list[int]] = {}
    for number, members in select(connection, "counted_members", tenant=tenant):
        for member in members:
            counted.setdefault(member, []).append(number)
    return counted


def count_of(connection: Connection, tenant: bytes, number: int, seen: int) -> int | None:
    """Return how many entries that somebody sees count; None if no count is kept."""
    found = select(connection, "count_of", tenant=tenant, term=number, seen=seen)
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
    subject: Subject,
    before: Mapping[int, int],
    *,
    start: int,
    stop: int,
) -> None:
    """Keep a count from here on, in a transaction that holds the log.

    `before` says how many of the entries below `start` count, by who sees them; those from there
    to `stop` are looked at.
    """
    members = int8s(subject.members)
    late = select(
        connection, "late_entries", tenant=tenant, members=members, start=start, stop=stop
    )
    execute(connection, "begin_count", tenant=tenant, term=subject.number, members=members)
    moved: Moved = Counter()
    for seen, n in (*before.items(), *late):
        moved[subject.number, seen] += n
    add_counts(connection, tenant, moved)
    execute(connection, "change_lists", tenant=tenant)

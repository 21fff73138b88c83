"""One tenant's part of the index, as of one commit, while one question is answered.

It knows what the tenant's paths are called, counts the work that a question causes, and says what
a part of a question matches: between a lower bound, documents that surely match, and an upper one,
documents that may. Where the two differ, events are read to decide.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tallystick import deadline, limits
from tallystick.errors import InvalidQuery
from tallystick.index.search import queries, terms
from tallystick.index.search.catalogue import NamesReader
from tallystick.index.search.documents.paths import ROOTS
from tallystick.index.search.engine import Snapshot
from tallystick.index.search.queries import Match, Query

INDEX_BITS = 40
"""Bits of an index within a document's key; the tenant's ordinal stands above them."""

FREE_TEXT_WEIGHT = 4

INDEX_MAX = (1 << INDEX_BITS) - 1


class Bounds(NamedTuple):
    """What surely matches and what may; the same object when the index decides alone."""

    lower: Match
    upper: Match

    @property
    def exact(self) -> bool:
        """Whether nothing is left to decide."""
        return self.lower is self.upper


def exactly(match: Match) -> Bounds:
    """Say that the index decides."""
    return Bounds(match, match)


def at_most(match: Match) -> Bounds:
    """Say that nothing else can match."""
    return exactly(match) if match is False else Bounds(False, match)


NOTHING = exactly(False)
EVERYTHING = exactly(True)


def all_of(parts: Iterable[Bounds]) -> Bounds:
    """Match what all parts match."""
    found = list(parts)
    upper = queries.all_of(part.upper for part in found)
    if all(part.exact for part in found):
        return exactly(upper)
    return Bounds(queries.all_of(part.lower for part in found), upper)


def any_of(parts: Iterable[Bounds]) -> Bounds:
    """Match what some part matches."""
    found = list(parts)
    upper = queries.any_of(part.upper for part in found)
    if all(part.exact for part in found):
        return exactly(upper)
    return Bounds(queries.any_of(part.lower for part in found), upper)


def none_of(part: Bounds) -> Bounds:
    """Match what a part does not match."""
    upper = queries.none_of(part.lower)
    return exactly(upper) if part.exact else Bounds(queries.none_of(part.upper), upper)


def documents_with(prefix: str, above: int, keys: Iterable[str]) -> Match:
    """Match a tenant's documents with one of some keys: an entry's index, or an item's."""
    indexes: list[int] = []
    items: list[str] = []
    for key in keys:
        if key.isdecimal():
            indexes.append(above | int(key))
        else:
            items.append(terms.item_key(prefix, key))
    return queries.any_of((queries.keys_in(indexes), queries.any_fact(items)))


class Corpus:
    """A tenant's documents in a snapshot; made for one question."""

    def __init__(
        self, snapshot: Snapshot, names: NamesReader, tenant: int, hidden: Iterable[str] = ()
    ) -> None:
        """Begin a question; `hidden` are keys of documents that no longer hold."""
        self.snapshot = snapshot
        self.names = names
        self.tenant = tenant
        self.prefix = terms.number(tenant)
        self.above = tenant << INDEX_BITS
        self._hidden = documents_with(self.prefix, self.above, hidden)
        self.audience: Query | None = None
        """The documents in which relevance counts words, where it is asked for."""
        self._terms = self._patterns = 0
        self._size: int | None = None
        # Of the thread, so that a busy machine makes no question too long.
        self._started_s = time.thread_time()

    def seen_by(self, names: Iterable[str]) -> Match:
        """Match documents that hold and are seen by one of some names."""
        seen = queries.any_fact([terms.seen(self.prefix, name) for name in names])
        return queries.all_of((seen, queries.none_of(self._hidden)))

    def path(self, field: str) -> int | None:
        """Return the ordinal of a field where the tenant has values."""
        return self.names.path(self.tenant, field)

    def unknown(self, field: str) -> Bounds:
        """Return what may match at a field that has no ordinal: events with that very field."""
        if not field.startswith(ROOTS):
            return NOTHING
        other = terms.other(self.prefix, field)
        return at_most(queries.fact(other)) if self.snapshot.has_fact(other) else NOTHING

    def marked(self, mark: str, path: int) -> Match:
        """Match documents with a mark on a path, if there are any at all."""
        term = terms.marked(self.prefix, mark, path)
        return queries.fact(term) if self.snapshot.has_fact(term) else False

    def joined(self, path: int) -> Match:
        """Match documents with a value that is known by its words and their number only."""
        begin = terms.values_at(self.prefix, terms.JOINED, path)
        return queries.any_fact([term for term, _ in self.snapshot.facts(begin, 1_000)])

    def some(self, kind: str, path: int, pattern: str = ".*", relaxed: str = ".*") -> Bounds:
        """Match documents with a value of a kind at a path that matches a regular expression.

        `relaxed` matches all that `pattern` does, in case that one is too complex.
        """
        self.count_pattern()
        begin = terms.literal(terms.values_at(self.prefix, kind, path))
        found = queries.fact_pattern(begin + pattern)
        if found is not None:
            return exactly(found)
        return at_most(_simple(queries.fact_pattern(begin + relaxed)))

    def said(self, patterns: Sequence[str], relaxed: str) -> Bounds:
        """Match documents with words in a row that match regular expressions.

        The caller counts the patterns.
        """
        if len(patterns) == 1:
            found = queries.word_pattern(patterns[0])
        else:
            found = queries.word_patterns(patterns)
        if found is not None:
            return exactly(found)
        return at_most(_simple(queries.word_pattern(relaxed)))

    def rarity(self, found: Query) -> float:
        """Return how rare what matches is among what the asker may see.

        It is the inverse document frequency of BM25, and 1 without an audience.
        """
        if self.audience is None:
            return 1.0
        if self._size is None:
            self._size = self.snapshot.count(self.audience)
        having = self.snapshot.count(queries.to_query(queries.all_of((self.audience, found))))
        return math.log(1 + (self._size - having + 0.5) / (having + 0.5))

    def check_time(self) -> None:
        """Let a question go on that has not used up its time; called by the thread that began it.

        Raises: InvalidQuery; QueryTooSlow once nobody waits for the answer.
        """
        deadline.check()
        if time.thread_time() - self._started_s > limits.QUERY_SECONDS:
            raise InvalidQuery(
                f"the query takes more than {limits.QUERY_SECONDS:g} seconds of processor time",
                hint="narrow it, by a time range for example",
            )

    def count_terms(self, count: int) -> None:
        """Count terms that the question expands to.

        Raises: InvalidQuery when they become too many.
        """
        self.check_time()
        self._terms += count
        if self._terms > limits.QUERY_TERMS:
            raise InvalidQuery(
                f"the query expands to more than {limits.QUERY_TERMS:,} terms",
                hint="name the fields that are meant, or ask for less at once",
            )

    def count_pattern(self, weight: int = 1) -> None:
        """Count a walk through a dictionary, likewise; `weight` says through how much of it."""
        self.check_time()
        self._patterns += weight
        if self._patterns > limits.QUERY_PATTERNS:
            raise InvalidQuery(
                "the query has too many wildcards, fuzzy terms and ranges of texts",
                hint="ask for less at once",
            )


def _simple(found: Query | None) -> Query:
    if found is None:
        raise InvalidQuery("the pattern is too complex", hint="use fewer wildcards")
    return found

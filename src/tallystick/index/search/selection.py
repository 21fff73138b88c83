"""From the query tree to one query of the index that matches exactly what it means.

What the index cannot decide is read from the log and decided by `query.match`, up to
`limits.SEARCH_CANDIDATES` events a question; beyond that the question is refused.

A word or a phrase counts in relevance by how rare it is among the documents that the asker may see,
everything else counts 1. How often a word stands in a document and how long that is do not count:
the library weighs both by the words of all tenants together, so that scores would tell of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from tallystick import limits
from tallystick.errors import InvalidQuery
from tallystick.events.event import View
from tallystick.index.search import queries
from tallystick.index.search.clauses.geo import place_bounds
from tallystick.index.search.clauses.tenant_snapshot import (
    EVERYTHING,
    INDEX_MAX,
    NOTHING,
    Bounds,
    Corpus,
    all_of,
    any_of,
    none_of,
)
from tallystick.index.search.clauses.values import value_bounds
from tallystick.index.search.clauses.words import word_bounds
from tallystick.index.search.queries import KEY, Match, Query
from tallystick.query.expr import (
    And,
    Boost,
    Box,
    Eq,
    Everything,
    Exists,
    Expr,
    Fuzzy,
    In,
    Near,
    Not,
    Nothing,
    Or,
    Phrase,
    Prefix,
    Range,
    Regex,
    Term,
    Wildcard,
)
from tallystick.query.match import to_predicate
from tallystick.query.values import Terms, Values

Recall = Callable[[str, Sequence[int]], Iterable[tuple[View, Terms]]]
"""Reads events of a tenant by index as they are seen now, with the terms derived from them; no more
of them at once than are small together."""

_BOOST_MAX = 1e6
_READ_AT_ONCE = 500


class SearchSelection(NamedTuple):
    """What a question is about: a query to filter by, and one whose relevance counts."""

    query: Query
    ranked: Query


class KeptTexts:
    """Counts the texts that an answer keeps of the events it reads."""

    def __init__(self, why: str) -> None:
        """`why` says what the texts are kept for."""
        self._why = why
        self._chars = 0

    def add(self, values: Iterable[object]) -> None:
        """Count the values of one event.

        Raises: InvalidQuery when there are too many.
        """
        self._chars += sum(len(value) for value in values if isinstance(value, str))
        if self._chars > limits.SEARCH_KEPT_CHARS:
            raise InvalidQuery(
                f"{self._why} works for values of {limits.SEARCH_KEPT_CHARS:,} characters"
                " together at most; more match",
                hint="narrow the query, by a time range for example",
            )


class Selector:
    """Selects for one question of one tenant."""

    def __init__(self, corpus: Corpus, tenant: str, recall: Recall) -> None:
        self.corpus = corpus
        self._tenant = tenant
        self._recall = recall

    def select(
        self, where: Expr, seen: Sequence[str], *, scored_within: Expr | None = None
    ) -> SearchSelection:
        """Return the documents that match and are seen by one of some names.

        `scored_within` is what the asker may see, where relevance is asked for.
        Raises: InvalidQuery.
        """
        base = self.corpus.seen_by(seen)
        scored = scored_within is not None
        try:
            if scored_within is not None:
                self.corpus.audience = self._audience(base, scored_within)
            bounds = self._bounds(where, scored)
        except RecursionError:
            raise InvalidQuery("the query is nested too deeply") from None
        decided = bounds.upper if bounds.exact else self._decided(where, base, bounds)
        quiet = queries.unscored(queries.to_query(base))
        query = queries.to_query(queries.all_of((quiet, decided)))
        if not scored:
            return SearchSelection(query, query)
        found = (queries.unscored(query), bounds.upper)
        return SearchSelection(query, queries.to_query(queries.all_of(found)))

    def _audience(self, base: Match, visible: Expr) -> Query | None:
        """Return the documents that the asker may see; None if finding them is too much work."""
        try:
            bounds = self._bounds(visible, False)
            decided = bounds.upper if bounds.exact else self._decided(visible, base, bounds)
        except InvalidQuery:
            return None
        return queries.to_query(queries.all_of((base, decided)))

    def read(self, query: Query, why: str) -> Iterator[tuple[View, Terms]]:
        """Read all events that a query matches, in the order of their indexes, a few at a time.

        Raises: InvalidQuery for more than may be read; `why` says what they are needed for.
        """
        rows = self.corpus.snapshot.rows(query, KEY, limits.SEARCH_CANDIDATES + 1, descending=False)
        if len(rows) > limits.SEARCH_CANDIDATES:
            raise InvalidQuery(
                f"{why} works for {limits.SEARCH_CANDIDATES:,} events at most; more match",
                hint="narrow the query, by a time range for example",
            )
        return self.recall([row.value for row in rows])

    def recall(self, keys: Sequence[int]) -> Iterator[tuple[View, Terms]]:
        """Read events by the keys of their documents, a few at a time."""
        for at in range(0, len(keys), _READ_AT_ONCE):
            part = [key & INDEX_MAX for key in keys[at : at + _READ_AT_ONCE]]
            for read in self._recall(self._tenant, part):
                self.corpus.check_time()
                yield read

    def _decided(self, where: Expr, base: Match, bounds: Bounds) -> Match:
        undecided = queries.all_of((base, bounds.upper, queries.none_of(bounds.lower)))
        if undecided is False:
            return bounds.lower
        test = to_predicate(where)
        read = self.read(queries.to_query(undecided), "what the query asks")
        keys: list[int] = []
        for view, derived in read:
            if test(Values(view, derived)):
                keys.append(self.corpus.above | view.index)
        return queries.any_of((bounds.lower, queries.keys_in(keys)))

    def _bounds(self, expr: Expr, scored: bool) -> Bounds:
        _check_texts(expr)
        match expr:
            case Everything():
                return EVERYTHING
            case Nothing():
                return NOTHING
            case And(parts):
                return all_of(self._each(parts, scored))
            case Or(parts):
                return any_of(self._each(parts, scored))
            case Not(part):
                return none_of(self._bounds(part, False))
            case Boost(part, factor):
                return _boosted(self._bounds(part, scored), factor)
        bounds = self._leaf(expr)
        if not scored or not isinstance(bounds.upper, Query):
            return bounds
        # Whatever the library computes depends on the words of all tenants.
        upper = queries.alike(bounds.upper)
        if isinstance(expr, Term | Phrase):
            upper = queries.scored(upper, self.corpus.rarity(upper))
        return Bounds(upper if bounds.exact else bounds.lower, upper)

    def _leaf(self, expr: Expr) -> Bounds:
        match expr:
            case Eq() | In() | Range() | Exists() | Prefix():
                return value_bounds(self.corpus, expr)
            case Wildcard(whole=True) | Regex(whole=True):
                return value_bounds(self.corpus, expr)
            case Term() | Phrase() | Fuzzy() | Wildcard() | Regex():
                return word_bounds(self.corpus, expr)
            case Near() | Box():
                return place_bounds(self.corpus, expr)
        raise AssertionError(f"not a node of the query tree: {expr!r}")

    def _each(self, parts: Sequence[Expr], scored: bool) -> Iterator[Bounds]:
        self.corpus.count_terms(len(parts))
        return (self._bounds(part, scored) for part in parts)


def _check_texts(expr: Expr) -> None:
    for part in msgspec.structs.astuple(expr):
        for text in part if isinstance(part, tuple) else (part,):
            try:
                if isinstance(text, str):
                    text.encode()
            except UnicodeEncodeError:
                raise InvalidQuery("a query is Unicode without lone surrogates") from None


def _boosted(bounds: Bounds, factor: float) -> Bounds:
    if not 0 <= factor <= _BOOST_MAX:
        raise InvalidQuery(f"a boost lies between 0 and {_BOOST_MAX:,.0f}")
    if not isinstance(bounds.upper, Query):
        return bounds
    upper = queries.scored(bounds.upper, factor)
    return Bounds(upper if bounds.exact else bounds.lower, upper)

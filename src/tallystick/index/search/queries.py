"""Queries of the index, and the schema they are about.

With `engine`, this is all that knows the library. A part of a question is a `Match`, which may also
be everything or nothing, or everything but something; joining matches keeps negations where the
library is good at them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import tantivy
from tantivy import FieldType, Occur

KEY = "key"
OCCURRED = "occurred"
RECORDED = "recorded"
WORDS = "words"
FACTS = "facts"
NUMBERS = "numbers"

Query: TypeAlias = tantivy.Query

TOKENIZER = "blanks"

_TOO_COMPLEX = "exceeds size limit"
INTEGERS = {KEY: FieldType.Unsigned, OCCURRED: FieldType.Integer, RECORDED: FieldType.Integer}


class Without(NamedTuple):
    """Everything but what a query matches."""

    query: Query


Match = Query | Without | bool
"""What a part of a question matches: True is everything, False nothing."""


def schema_of(id: str) -> tantivy.Schema:
    """Return the schema of the index with an id, which is the name of its last field.

    The library opens no index under another schema, and queries know fields by their places: they
    are the same for every id.
    """
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field(KEY, indexed=True, fast=True)
    builder.add_integer_field(OCCURRED, fast=True)
    builder.add_integer_field(RECORDED, fast=True)
    builder.add_text_field(WORDS, tokenizer_name=TOKENIZER, index_option="position")
    builder.add_text_field(FACTS, tokenizer_name=TOKENIZER, index_option="basic")
    builder.add_json_field(NUMBERS, fast=True, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field(f"index_{id}")
    return builder.build()


SCHEMA = schema_of("")


def fact(term: str) -> Query:
    """Match documents with a term among their facts; it counts 1 in relevance."""
    return _constant(Query.term_query(SCHEMA, FACTS, term, index_option="basic"))


def any_fact(terms: Sequence[str]) -> Match:
    """Match documents with any of some facts."""
    if not terms:
        return False
    return fact(terms[0]) if len(terms) == 1 else Query.term_set_query(SCHEMA, FACTS, terms)


def fact_pattern(pattern: str) -> Query | None:
    """Match documents with a fact that matches a regular expression as a whole.

    Shape: None if it is too complex for the library.
    """
    return _pattern(FACTS, pattern)


def word(term: str) -> Query:
    """Match documents with a term among their words; its relevance is not for readers."""
    return Query.term_query(SCHEMA, WORDS, term)


def word_pattern(pattern: str) -> Query | None:
    """Match documents with a word that matches a regular expression as a whole."""
    return _pattern(WORDS, pattern)


def word_patterns(patterns: Sequence[str]) -> Query | None:
    """Match documents with words in a row that match regular expressions."""
    if any(_pattern(WORDS, pattern) is None for pattern in patterns):
        return None
    places: Any = list(enumerate(patterns))
    return _constant(Query.regex_phrase_query(SCHEMA, WORDS, places))


def phrase(terms: Sequence[str], positions: Sequence[int], slop: int = 0) -> Query:
    """Match documents with words at these distances from each other, give or take `slop`."""
    places: Any = list(zip(positions, terms, strict=True))
    return Query.phrase_query(SCHEMA, WORDS, places, slop)


def nearly(term: str, distance: int, *, prefix: bool) -> Query:
    """Match documents with a word, or one that begins so, within some edits of `term`."""
    return _constant(Query.fuzzy_term_query(SCHEMA, WORDS, term, distance, True, prefix))


def keys_in(keys: Sequence[int]) -> Match:
    """Match documents by their keys."""
    return Query.term_set_query(SCHEMA, KEY, keys) if keys else False


def between(column: str, low: int | None, high: int | None) -> Match:
    """Match documents by key or time, both bounds included."""
    if low is not None and high is not None and low > high:
        return False
    if low is None and high is None:
        return True
    return Query.range_query(SCHEMA, column, INTEGERS[column], low, high)


def has_number(column: str) -> Query:
    """Match documents with a number in a column of numbers."""
    return Query.exists_query(f"{NUMBERS}.{column}")


def is_number(column: str, value: float) -> Query:
    """Match documents with this number in a column of numbers."""
    return _constant(Query.term_query(SCHEMA, f"{NUMBERS}.{column}", value + 0.0))


def scored(query: Query, factor: float) -> Query:
    """Multiply the relevance of what matches."""
    return Query.boost_query(query, factor)


def unscored(query: Query) -> Query:
    """Match without counting in relevance."""
    return Query.const_score_query(query, 0.0)


def alike(query: Query) -> Query:
    """Match the same, whatever it is that matches counting 1 in relevance."""
    return _constant(query)


def all_of(parts: Iterable[Match]) -> Match:
    """Match what all parts match."""
    clauses: list[tuple[Occur, Query]] = []
    wanted = 0
    for part in parts:
        if part is False:
            return False
        if isinstance(part, Without):
            clauses.append((Occur.MustNot, part.query))
        elif part is not True:
            clauses.append((Occur.Must, part))
            wanted += 1
    if not clauses:
        return True
    if len(clauses) == 1:
        return clauses[0][1] if wanted else Without(clauses[0][1])
    if not wanted:
        clauses.append((Occur.Must, _constant(Query.all_query())))
    return Query.boolean_query(clauses)


def any_of(parts: Iterable[Match]) -> Match:
    """Match what some part matches; their relevance adds up."""
    found: list[Query] = []
    everything = False
    for part in parts:
        if part is True:
            everything = True
        elif part is not False:
            found.append(to_query(part))
    if everything:
        return (
            Query.boolean_query(
                [(Occur.Must, _constant(Query.all_query())), *((Occur.Should, q) for q in found)]
            )
            if found
            else True
        )
    if len(found) < 2:
        return found[0] if found else False
    return Query.boolean_query([(Occur.Should, query) for query in found])


def none_of(part: Match) -> Match:
    """Match what a part does not match."""
    if isinstance(part, Without):
        return part.query
    return not part if isinstance(part, bool) else Without(part)


def to_query(match: Match) -> Query:
    """Return a match as a query that can be asked by itself."""
    if isinstance(match, Without):
        everything = _constant(Query.all_query())
        return Query.boolean_query([(Occur.Must, everything), (Occur.MustNot, match.query)])
    if isinstance(match, bool):
        return _constant(Query.all_query()) if match else Query.empty_query()
    return match


def _constant(query: Query) -> Query:
    return Query.const_score_query(query, 1.0)


def _pattern(field: str, pattern: str) -> Query | None:
    try:
        return Query.regex_query(SCHEMA, field, pattern)
    except ValueError as error:
        if _TOO_COMPLEX in str(error):
            return None
        raise

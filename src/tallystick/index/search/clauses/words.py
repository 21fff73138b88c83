"""How words, phrases, misspelt words and patterns of words are asked of the index.

A word at one path is a single term, a word anywhere one term for each path where it stands. A
phrase stands within one path, so only paths that have all of its words
are tried, and each way that `slop` allows is a phrase of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile

import msgspec

from tallystick import limits
from tallystick.errors import InvalidQuery
from tallystick.events.event import Event, Op, View
from tallystick.index.search import queries, regex_terms, terms
from tallystick.index.search.clauses.tenant_snapshot import (
    FREE_TEXT_WEIGHT,
    NOTHING,
    Bounds,
    Corpus,
    any_of,
    at_most,
    exactly,
)
from tallystick.index.search.documents.paths import ALWAYS, ROLES, has_words
from tallystick.index.search.queries import Match, Query
from tallystick.query.expr import Fuzzy, Phrase, Regex, Term, Wildcard
from tallystick.query.match import matches
from tallystick.query.regex import head_of
from tallystick.query.regex_parser import parse_regex
from tallystick.query.text import tokens_of
from tallystick.query.values import PAYLOAD_TEXT
from tallystick.query.word_match import ANY, ONE, Pattern, layouts, to_test, word_patterns

_LAYOUTS = 200
_TRIED_VALUES = 1_000
_EDITS = 2
_LEAD_CHARS = 2
_FEW_WORDS = 200

Words = Term | Phrase | Fuzzy | Wildcard | Regex


def word_bounds(corpus: Corpus, expr: Words) -> Bounds:
    """Return what a search for words matches."""
    field = expr.field
    if field is None:
        return _in_text(corpus, expr, (terms.DATA, terms.REST))
    if field == PAYLOAD_TEXT:
        return _in_text(corpus, expr, (terms.DATA,))
    if field in ROLES:
        return _of_resource(corpus, expr, field)
    if field == "id":
        return at_most(True)
    path = corpus.path(field)
    if path is None:
        return corpus.unknown(field)
    if not has_words(field):
        return _of_names(corpus, expr, field, path)
    place = terms.place_of(path, data=field.startswith("data."))
    match expr:
        case Term(text=text):
            return _phrase(corpus, tokens_of(text), 0, lambda words: [place])
        case Phrase(text=text, slop=slop):
            return _phrase(corpus, tokens_of(text), slop, lambda words: [place])
        case Fuzzy(text=text, distance=distance):
            return _fuzzy(corpus, text, distance, (place,))
        case Wildcard(pattern=pattern):
            few = _of_few(corpus, expr, field, path) if pattern[:1] in (ANY, ONE) else None
            return _wildcard(corpus, pattern, (place,)) if few is None else few
        case Regex(pattern=pattern):
            return _regular(corpus, pattern, (place,))


def phrase_at(corpus: Corpus, field: str, path: int, words: Sequence[str]) -> Match:
    """Match documents with words in a row at a path that has words."""
    place = terms.place_of(path, data=field.startswith("data."))
    return _in_a_row(corpus, words, place)


def begun_at(corpus: Corpus, field: str, path: int, begin: str) -> Bounds:
    """Match documents with a word that begins so at a path that has words."""
    place = terms.place_of(path, data=field.startswith("data."))
    pattern = (*(f"\\{character}" for character in begin), ANY)
    corpus.count_pattern(FREE_TEXT_WEIGHT)
    return corpus.said([terms.word_pattern(corpus.prefix, pattern, (place,))], ".*")


def _in_text(corpus: Corpus, expr: Words, texts: tuple[str, ...]) -> Bounds:
    def places(words: Sequence[str]) -> list[str]:
        return _places(corpus, words, texts)

    match expr:
        case Term(text=text):
            words = tokens_of(text)
            if len(words) == 1:
                return exactly(_anywhere(corpus, words[0], places(words)))
            return _phrase(corpus, words, 0, places)
        case Phrase(text=text, slop=slop):
            words = tokens_of(text)
            if len(words) == 1:
                return exactly(_anywhere(corpus, words[0], places(words)))
            return _phrase(corpus, words, slop, places)
        case Fuzzy(text=text, distance=distance):
            return _fuzzy(corpus, text, distance, texts)
        case Wildcard(pattern=pattern):
            return _wildcard(corpus, pattern, texts)
        case Regex(pattern=pattern):
            return _regular(corpus, pattern, texts)


def _places(corpus: Corpus, words: Sequence[str], texts: Iterable[str]) -> list[str]:
    """Return the places where all of some words stand, in one document or another."""
    found: list[str] = []
    for text in texts:
        shared: set[str] | None = None
        for word in dict.fromkeys(words):
            begin = terms.word(corpus.prefix, word, "")
            known = corpus.snapshot.words(begin + text, limits.QUERY_TERMS)
            places = {term[len(begin) :] for term in known}
            shared = places if shared is None else shared & places
            if not shared:
                break
        found += sorted(shared or ())
    return found


# Words and phrases


def _anywhere(corpus: Corpus, word: str, places: Sequence[str]) -> Match:
    corpus.count_terms(len(places))
    return queries.any_of(queries.word(terms.word(corpus.prefix, word, place)) for place in places)


def _phrase(
    corpus: Corpus, words: Sequence[str], slop: int, places: Callable[[Sequence[str]], list[str]]
) -> Bounds:
    if not words:
        return NOTHING
    found = places(words)
    if len(words) == 1:
        return exactly(queries.any_of(_in_a_row(corpus, words, place) for place in found))
    if len(words) == 2 and words[0] != words[1] and slop < terms.GAP:
        return exactly(queries.any_of(_loose(corpus, words, place, slop) for place in found))
    ways = list(islice(layouts(words, slop), _LAYOUTS + 1)) if slop < terms.GAP else []
    decided = 0 < len(ways) <= _LAYOUTS and len(ways) * len(found) <= limits.QUERY_TERMS
    if not decided:
        ways = [tuple(range(len(words)))]
    corpus.count_terms(len(ways) * len(found))
    rows = [_laid_out(corpus, words, place, way) for place in found for way in ways]
    sure = queries.any_of(rows)
    if decided:
        return exactly(sure)
    together = (
        queries.all_of(_in_a_row(corpus, [word], place) for word in dict.fromkeys(words))
        for place in found
    )
    return Bounds(sure, queries.any_of(together))


def _in_a_row(corpus: Corpus, words: Sequence[str], place: str) -> Match:
    if len(words) == 1:
        return queries.word(terms.word(corpus.prefix, words[0], place))
    return _laid_out(corpus, words, place, range(len(words)))


def _laid_out(corpus: Corpus, words: Sequence[str], place: str, positions: Sequence[int]) -> Match:
    return queries.phrase([terms.word(corpus.prefix, word, place) for word in words], positions)


def _loose(corpus: Corpus, words: Sequence[str], place: str, slop: int) -> Match:
    """Match two different words: only there the library's own slop is what is meant."""
    spelt = [terms.word(corpus.prefix, word, place) for word in words]
    return queries.phrase(spelt, range(2), slop)


# Misspelt words and patterns


def _fuzzy(corpus: Corpus, text: str, distance: int, places: Sequence[str]) -> Bounds:
    words = tokens_of(text)
    if len(words) != 1:
        return NOTHING
    if distance > _EDITS:
        raise InvalidQuery(
            f"a fuzzy term may differ by {_EDITS} edits at most", hint="write ~1 or ~2 behind it"
        )
    corpus.count_pattern(FREE_TEXT_WEIGHT)
    (word,) = words
    return exactly(
        queries.any_of(
            queries.nearly(
                corpus.prefix + kind + word + place,
                max(distance, 0),
                prefix=len(place) == len(terms.DATA),
            )
            for kind in terms.WORD_CLASSES
            for place in places
        )
    )


def _wildcard(corpus: Corpus, pattern: str, places: Sequence[str]) -> Bounds:
    patterns = word_patterns(pattern)
    if not patterns:
        return NOTHING
    corpus.count_pattern(FREE_TEXT_WEIGHT * len(patterns))
    few = _spelt_out(corpus, patterns[0], places) if len(patterns) == 1 else None
    if few is not None:
        return exactly(few)
    spelt = [terms.word_pattern(corpus.prefix, one, places) for one in patterns]
    relaxed = terms.word_pattern(corpus.prefix, (*_head(patterns[0]), ANY), places)
    found = corpus.said(spelt, relaxed)
    # Words of different paths may stand side by side, where one path is not named.
    decided = len(spelt) == 1 or len(places[0]) > len(terms.DATA)
    return found if decided else at_most(found.upper)


def _regular(corpus: Corpus, text: str, places: Sequence[str]) -> Bounds:
    node = parse_regex(text, folded=True)
    corpus.count_pattern(FREE_TEXT_WEIGHT)
    pattern = regex_terms.word_pattern(corpus.prefix, node, places)
    if pattern is None:
        return NOTHING
    begin = (*(f"\\{character}" for character in head_of(node)), ANY)
    return corpus.said([pattern], terms.word_pattern(corpus.prefix, begin, places))


def _head(pattern: Pattern) -> Pattern:
    """Return the characters that a pattern begins with."""
    return tuple(takewhile(lambda symbol: symbol not in (ANY, ONE), pattern))


def _spelt_out(corpus: Corpus, pattern: Pattern, places: Sequence[str]) -> Match | None:
    """Match each word that a pattern means; None if it may mean many.

    The library unites all documents of all words of a pattern before it looks at the first; a few
    words are asked for as such, and only where the rest of the question leads.
    """
    head = "".join(symbol[1] for symbol in _head(pattern))
    if len(head) < _LEAD_CHARS:
        return None
    means = to_test(pattern)
    found: list[Query] = []
    for kind in terms.WORD_CLASSES:
        begin = corpus.prefix + kind
        known = corpus.snapshot.words(begin + head, _FEW_WORDS)
        if len(known) == _FEW_WORDS:
            return None
        for term in known:
            word, place = terms.word_and_place(term[len(begin) :])
            if means(word) and any(_is_at(place, one) for one in places):
                found.append(queries.word(term))
    match = queries.any_of(found)
    return queries.alike(match) if isinstance(match, Query) else match


def _is_at(place: str, wanted: str) -> bool:
    return place == wanted or (len(wanted) == len(terms.DATA) and place.startswith(wanted))


# Fields whose words are not indexed


def _of_resource(corpus: Corpus, expr: Words, role: str) -> Bounds:
    """Match a resource as "type:id": a word stands in the one or in the other."""
    fields = (f"{role}.type", f"{role}.id")

    def either(one: Words) -> Bounds:
        return any_of(
            word_bounds(corpus, msgspec.structs.replace(one, field=field)) for field in fields
        )

    if isinstance(expr, Fuzzy | Regex):
        return either(expr)
    if isinstance(expr, Wildcard):
        alone = len(word_patterns(expr.pattern)) < 2
        return either(expr) if alone else at_most(_has(corpus, role))
    words = tokens_of(expr.text)
    if len(words) < 2:
        return either(expr)
    each = [either(Term(role, word)).upper for word in dict.fromkeys(words)]
    return at_most(queries.all_of(each))


def _has(corpus: Corpus, field: str) -> Match:
    path = corpus.path(field)
    return False if path is None else corpus.marked(terms.EXISTS, path)


def _of_names(corpus: Corpus, expr: Words, field: str, path: int) -> Bounds:
    found = _of_few(corpus, expr, field, path)
    if found is not None:
        return found
    return at_most(field in ALWAYS or corpus.marked(terms.EXISTS, path))


def _of_few(corpus: Corpus, expr: Words, field: str, path: int) -> Bounds | None:
    """Try each value that a field has; None if they are many, or not all spelt out."""
    begin = terms.values_at(corpus.prefix, terms.EXACT, path)
    few = corpus.names.values(corpus.tenant, field) <= _TRIED_VALUES
    if not few or corpus.marked(terms.HAS_LONG, path) is not False:
        return None
    values = [
        terms.unescaped(term[len(begin) :])
        for term, _ in corpus.snapshot.facts(begin, limits.QUERY_TERMS)
    ]
    one = msgspec.structs.replace(expr, field="data.value")
    found = [value for value in values if matches(one, _view_of(value))]
    corpus.count_terms(len(found))
    return exactly(queries.any_fact([begin + terms.escaped(value) for value in found]))


def _view_of(value: str) -> View:
    event = Event(
        tenant="",
        index=0,
        id="",
        kind="",
        op=Op.RECORD,
        occurred_ms=0,
        recorded_ms=0,
        dialect="",
        data={"value": value},
    )
    return View(event=event, first=event, revision=0, revised_ms=0)

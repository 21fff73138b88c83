"""The Lucene parser on generated queries.

Compared with luqum where luqum is right: it reads `&&`, `||` and `!` as words and `field:-5` as a
prohibited 5, binds a signed clause beside AND or OR to the one it stands beside, and knows nothing
of backticks, places, blanks after a colon or colons in words, so generated queries have none of
these. How clauses combine is also compared with truth tables: Python's own operators where clauses
side by side mean AND, and Lucene's rule, written down naively, where they mean OR.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import luqum.tree  # type: ignore[import-untyped]  # it has no types
from hypothesis import assume, example, given
from hypothesis import strategies as st
from luqum.parser import parser as luqum_parser  # type: ignore[import-untyped]  # likewise

from tallystick import limits
from tallystick.errors import InvalidQuery, TooLarge
from tallystick.query.expr import (
    And,
    Boost,
    Everything,
    Exists,
    Expr,
    Fuzzy,
    Not,
    Nothing,
    Or,
    Phrase,
    Range,
    Term,
    Wildcard,
    all_of,
    any_of,
)
from tallystick.query.lucene import Fields, Leaf, Operator, parse
from tallystick.query.lucene.scanner import number_of
from tallystick.query.native_fields import NativeFields

_WORDS = st.text("abcxyzäß0189._", min_size=1, max_size=5).filter(lambda w: w.strip("._"))
_FIELDS = st.sampled_from(("value.a", "@path.kind", "f", "data.x_y"))
_PHRASES = st.lists(_WORDS, min_size=1, max_size=3).map(" ".join)


def as_written(leaf: Leaf) -> Expr:
    """Take every leaf for what it says."""
    return leaf


def _weighted(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(str.__add__, text, st.sampled_from(("", "", "^2", "^0.5")))


def _bounds() -> st.SearchStrategy[str]:
    return _WORDS | st.just("*") | st.integers(0, 99).map(str) | _PHRASES.map(lambda p: f'"{p}"')


def _patterns() -> st.SearchStrategy[str]:
    return st.text("ab*?", min_size=2, max_size=6).filter(
        lambda p: p.strip("*") and set(p) & {"*", "?"}
    )


_FUZZY = st.builds(
    lambda w, d: f"{w}~{d}", st.text("abc", min_size=1, max_size=4), st.sampled_from("012")
)
_TEXTS = _weighted(
    st.one_of(
        _WORDS,
        _patterns(),
        _FUZZY,
        _PHRASES.map(lambda p: f'"{p}"'),
        st.builds(lambda p, n: f'"{p}"~{n}', _PHRASES, st.integers(1, 9)),
    )
)
_RANGES = st.builds(
    lambda field, a, low, high, z: f"{field}:{a}{low} TO {high}{z}",
    _FIELDS,
    st.sampled_from("[{"),
    _bounds(),
    _bounds(),
    st.sampled_from("]}"),
)


def _lists(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    modified = st.builds(str.__add__, st.sampled_from(("", "", "", "NOT ", "-", "+")), inner)
    joined = st.tuples(st.sampled_from((" AND ", " OR ")), modified)
    plain = st.tuples(st.just(" "), inner)
    side_by_side = st.tuples(st.just(" "), modified)
    # Beside AND or OR, luqum lets a clause with a sign bind to the one it stands beside.
    rest = st.lists(joined | plain, max_size=3) | st.lists(side_by_side, max_size=3)
    return st.builds(
        lambda first, others: first + "".join(a + b for a, b in others), modified, rest
    )


def _queries() -> st.SearchStrategy[str]:
    leaf = _TEXTS | _RANGES | st.builds("{}:{}".format, _FIELDS, _TEXTS)
    clause = st.recursive(
        leaf,
        lambda inner: st.one_of(
            _weighted(_lists(inner).map(lambda q: f"({q})")),
            st.builds("{}:({})".format, _FIELDS, _lists(_TEXTS)),
        ),
        max_leaves=6,
    )
    return _lists(clause)


def _expected(node: Any, field: str | None = None) -> Expr:
    """Return the tree that luqum's tree means where clauses side by side mean AND."""
    match node:
        case luqum.tree.UnknownOperation() | luqum.tree.AndOperation():
            return all_of(_expected(child, field) for child in node.children)
        case luqum.tree.OrOperation():
            return any_of(_expected(child, field) for child in node.children)
        case luqum.tree.Not() | luqum.tree.Prohibit():
            return Not(_expected(node.a, field))
        case luqum.tree.Plus():
            return _expected(node.a, field)
        case luqum.tree.BaseGroup():
            return _expected(node.expr, field)
        case luqum.tree.SearchField():
            return _expected(node.expr, node.name)
        case luqum.tree.Boost():
            return Boost(_expected(node.expr, field), float(node.force))
        case luqum.tree.Fuzzy():
            return Fuzzy(field, str(node.term), int(node.degree))
        case luqum.tree.Proximity():
            return Phrase(field, str(node.term)[1:-1], int(node.degree))
        case luqum.tree.Phrase():
            return Phrase(field, node.value[1:-1])
        case luqum.tree.Word():
            wild = {"*", "?"} & set(node.value)
            return Wildcard(field, node.value) if wild else Term(field, node.value)
        case luqum.tree.Range():
            assert field is not None
            low, high = _bound(node.low), _bound(node.high)
            if low is None and high is None:
                return Exists(field)
            return Range(field, low, high, node.include_low, node.include_high)
    raise AssertionError(repr(node))


def _bound(node: Any) -> str | int | float | None:
    if isinstance(node, luqum.tree.Phrase):
        return str(node.value[1:-1])
    if node.value == "*":
        return None
    number = number_of(node.value)
    return str(node.value) if number is None else number


@given(_queries())
def test_queries_mean_what_luqum_reads(text: str) -> None:
    try:
        expected = _expected(luqum_parser.parse(text))
        actual = parse(text, as_written)
    except TooLarge:
        assume(False)
    assert actual == expected


_NAMES = "abcd"
_CLAUSES = st.lists(
    st.tuples(
        st.sampled_from(("", "", "AND", "OR", "&&", "||")),
        st.sampled_from(("", "", "", "+", "-", "NOT ", "! ")),
        st.sampled_from(_NAMES),
    ),
    min_size=1,
    max_size=6,
)
Clauses = list[tuple[str, str, str]]


def _text(clauses: Clauses) -> str:
    first, *rest = clauses
    return f"{first[1]}{first[2]}" + "".join(f" {c} {m}{name}" for c, m, name in rest)


def _truth(expr: Expr, true: frozenset[str]) -> bool:
    match expr:
        case Term(_, text):
            return text in true
        case And(parts):
            return all(_truth(part, true) for part in parts)
        case Or(parts):
            return any(_truth(part, true) for part in parts)
        case Not(part):
            return not _truth(part, true)
        case Everything():
            return True
        case Nothing():
            return False
    raise AssertionError(repr(expr))


def _worlds() -> list[frozenset[str]]:
    return [
        frozenset(some)
        for size in range(len(_NAMES) + 1)
        for some in itertools.combinations(_NAMES, size)
    ]


@given(_CLAUSES)
def test_clauses_side_by_side_mean_and_with_the_precedence_everybody_knows(
    clauses: Clauses,
) -> None:
    # Python binds not, and, or in the same order; standing side by side closes a parenthesis.
    words = {"AND": " and ", "&&": " and ", "OR": " or ", "||": " or ", "": ") and ("}
    source = "("
    for n, (conjunction, modifier, name) in enumerate(clauses):
        source += words[conjunction] if n else ""
        source += f"not {name}" if modifier in ("-", "NOT ", "! ") else name
    expr = parse(_text(clauses), as_written)
    for true in _worlds():
        expected = eval(source + ")", {}, {name: name in true for name in _NAMES})  # noqa: S307
        assert _truth(expr, true) == expected, (source, true)


def _lucene_truth(clauses: Clauses, true: frozenset[str]) -> bool:
    """Decide a list of clauses as Lucene's classic parser and its boolean query do."""
    required: list[bool] = []
    prohibited: list[bool] = []
    for n, (conjunction, modifier, _) in enumerate(clauses):
        joined = n > 0 and conjunction in ("AND", "&&")
        if joined and not prohibited[-1]:
            required[-1] = True
        prohibited.append(modifier in ("-", "NOT ", "! "))
        required.append(modifier == "+" or (joined and not prohibited[-1]))
    holds = [name in true for _, _, name in clauses]
    if any(p and h for p, h in zip(prohibited, holds, strict=True)):
        return False
    if any(required):
        return all(h for r, h in zip(required, holds, strict=True) if r)
    optional = [h for p, h in zip(prohibited, holds, strict=True) if not p]
    # Lucene finds nothing with prohibited clauses only; here they match everything else.
    return any(optional) or not optional


@given(_CLAUSES)
def test_clauses_side_by_side_mean_or_as_in_lucene(clauses: Clauses) -> None:
    expr = parse(_text(clauses), as_written, default_operator="or")
    for true in _worlds():
        assert _truth(expr, true) == _lucene_truth(clauses, true), true


_PIECES = """
    ( ) [ ] { } " ` ^ ~ : * ? \\ + - ! & | / . , < > ' # AND OR NOT TO && || a f: data.x: kind:
    actor: occurred: 2024-05-01 -5 1e999 NaN NEAR:{ lat:1 IN:{ n:1 ~2 ^2
    @2 >= <= = *:* \\u \\u0041 /a/ /a.*[b]{2}/ é 🎉 \u3000
"""
_SYNTAX = st.sampled_from(
    [*_PIECES.split(), " ", "\t", "\n", "\u3000", "\x00", "\ud800", " AND ", "[1 TO 2]"]
)
_GARBAGE = st.lists(_SYNTAX, max_size=30).map("".join) | st.text(max_size=50)


def _outcome(
    text: str, fields: Fields, operator: Operator = "and"
) -> Expr | InvalidQuery | TooLarge:
    try:
        return parse(text, fields, default_operator=operator)
    except (InvalidQuery, TooLarge) as error:
        return error


@given(_GARBAGE, st.sampled_from(("and", "or")))
@example("NOT (", "and")
@example("data.x:NEAR:{", "or")
def test_any_text_is_a_query_or_an_error_with_a_position(text: str, operator: Operator) -> None:
    match _outcome(text, NativeFields(), operator):
        case InvalidQuery(position=int(position), message=message):
            assert 0 <= position <= len(text)
            assert message
        case TooLarge(limit=limit):
            assert limit in (limits.QUERY_BYTES, limits.QUERY_DEPTH, limits.QUERY_CLAUSES)
        case expr:
            assert isinstance(expr, Expr)
            hash(expr)


@given(st.text(min_size=1, max_size=30))
def test_an_escaped_text_is_one_word(text: str) -> None:
    assume(text.encode("utf-8", "ignore").decode() == text)
    # What follows \u is the code of a character.
    escaped = "".join(c if c == "u" else "\\" + c for c in text)
    assert parse("f:" + escaped, as_written) == Term("f", text)
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    assert parse(f'f:"{quoted}"', as_written) == Phrase("f", text)


@given(st.lists(_queries(), min_size=1, max_size=5))
def test_queries_parsed_by_many_threads_do_not_disturb_each_other(texts: list[str]) -> None:
    expected = [repr(_outcome(text, as_written)) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        outcomes = pool.map(lambda text: repr(_outcome(text, as_written)), texts * 3)
        assert list(outcomes) == expected * 3

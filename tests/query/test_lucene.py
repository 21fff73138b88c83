"""The Lucene parser, construct by construct."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from tallystick import limits
from tallystick.errors import InvalidQuery, TooLarge, UnsupportedField, UnsupportedOperator
from tallystick.query.expr import (
    And,
    Boost,
    Box,
    Eq,
    Everything,
    Exists,
    Expr,
    Fuzzy,
    Near,
    Not,
    Nothing,
    Or,
    Phrase,
    Range,
    Regex,
    Term,
    Wildcard,
)
from tallystick.query.lucene import Leaf, Operator, parse
from tallystick.query.lucene.scanner import number_of
from tallystick.query.word_match import SLOP_MAX

A, B, C = (Term(None, name) for name in "abc")


def as_written(leaf: Leaf) -> Expr:
    """Take every leaf for what it says."""
    return leaf


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", A),
        (" \t\u3000a\n", A),
        ("*", Everything()),
        ("**", Everything()),
        ("*:*", Everything()),
        ("*:a", A),
        ('"a b"', Phrase(None, "a b")),
        ('"a b"~3', Phrase(None, "a b", 3)),
        ('"a \\" \\\\ * b"', Phrase(None, 'a " \\ * b')),
        ("`a b`", Phrase(None, "a b")),
        ("f:`a b`", Eq("f", "a b")),
        ("f:`a \\` b`", Eq("f", "a ` b")),
        ("f:a", Term("f", "a")),
        ("f: a", Term("f", "a")),
        ("f :a", Term("f", "a")),
        ("@path.kind:event", Term("@path.kind", "event")),
        ("f:*", Exists("f")),
        ("f:[* TO *]", Exists("f")),
        ("wor*", Wildcard(None, "wor*")),
        ("*ord", Wildcard(None, "*ord")),
        ("f:w?rd", Wildcard("f", "w?rd")),
        (r"f:w\*rd", Term("f", "w*rd")),
        (r"f:w\*r*", Wildcard("f", r"w\*r*")),
        (r"f:w\\r*", Wildcard("f", r"w\\r*")),
        ("a~", Fuzzy(None, "a", 2)),
        ("f:a~1", Fuzzy("f", "a", 1)),
        ("f:a~0", Fuzzy("f", "a", 0)),
        ("abcd~0.5", Fuzzy(None, "abcd", 2)),
        ("abcd~0.8", Fuzzy(None, "abcd", 0)),
        ("abcd~1.0", Fuzzy(None, "abcd", 1)),
        ("a^2", Boost(A, 2.0)),
        ("a^.5", Boost(A, 0.5)),
        ("(a)^2", Boost(A, 2.0)),
        ("f:[1 TO 2]^3", Boost(Range("f", 1, 2), 3.0)),
        ('"a b"~1^2', Boost(Phrase(None, "a b", 1), 2.0)),
        ("f:[1 TO 5]", Range("f", 1, 5)),
        ("f:{1 TO 5}", Range("f", 1, 5, False, False)),
        ("f:[1 TO 5}", Range("f", 1, 5, True, False)),
        ("f:{1 TO 5]", Range("f", 1, 5, False, True)),
        ("f:[* TO 5]", Range("f", None, 5)),
        ("f:[-5.5 TO *]", Range("f", -5.5, None)),
        ("f:[1e3 TO +4]", Range("f", 1000.0, 4)),
        ('f:["1" TO "a b"]', Range("f", "1", "a b")),
        (r"f:[\1 TO b]", Range("f", "1", "b")),
        ("f:[2024-05-01T10:00:00Z TO NaN]", Range("f", "2024-05-01T10:00:00Z", "NaN")),
        ("f:[ a TO b ]", Range("f", "a", "b")),
        ("f:-5", Term("f", "-5")),
        ("f:-.5", Term("f", "-.5")),
        ("f:+5", Term("f", "+5")),
        ("f:a:b", Term("f", "a:b")),
        ("f:http://x/y?z", Wildcard("f", "http://x/y?z")),
        (r"f:\-a", Term("f", "-a")),
        (r"\AND", Term(None, "AND")),
        ("and", Term(None, "and")),
        ("ANDY", Term(None, "ANDY")),
        ("a!b", And((A, Not(B)))),
        (r"a\!b", Term(None, "a!b")),
        (r"\u0061", A),
        (r"f:\ud83c\udf89*", Wildcard("f", "🎉*")),
        (r'"\u0041CME\Admin"', Phrase(None, "ACMEAdmin")),
        (r'"ACME\\Admin"', Phrase(None, r"ACME\Admin")),
        ("f:>5", Range("f", 5, None, low_inclusive=False)),
        ("f:>=5", Range("f", 5, None)),
        ("f:<-5.5", Range("f", None, -5.5, high_inclusive=False)),
        ("f:<= 5", Range("f", None, 5)),
        ("f: >5", Range("f", 5, None, low_inclusive=False)),
        ('f:>"5"', Range("f", "5", None, low_inclusive=False)),
        ('f:<="a b"^2', Boost(Range("f", None, "a b"), 2.0)),
        ("f:>2024-05-01T10:00:00Z", Range("f", "2024-05-01T10:00:00Z", None, low_inclusive=False)),
        (
            "f:(>=1 <5)",
            And((Range("f", 1, None), Range("f", None, 5, high_inclusive=False))),
        ),
        (r"f:\>5", Term("f", ">5")),
        (r"a\<b", Term(None, "a<b")),
        ("/a.*/", Regex(None, "a.*")),
        ("f:/a.*/", Regex("f", "a.*")),
        (r"f:/a\/b/", Regex("f", r"a\/b")),
        ("f:(/a/ /b c/)", And((Regex("f", "a"), Regex("f", "b c")))),
        ("f:/a/^2", Boost(Regex("f", "a"), 2.0)),
        ("f:a/b/c", Term("f", "a/b/c")),
        (r"f:\/a", Term("f", "/a")),
        ("f:a=b", Term("f", "a=b")),
        (r"\=b", Term(None, "=b")),
        ("a-b", Term(None, "a-b")),
        ("a&&b", Term(None, "a&&b")),
        ("TO", Term(None, "TO")),
        ("f:(a b)", And((Term("f", "a"), Term("f", "b")))),
        ("f:(a OR g:b)", Or((Term("f", "a"), Term("g", "b")))),
        ("f:(a -5)", And((Term("f", "a"), Not(Term("f", "5"))))),
        ("f:(*)", Exists("f")),
        ("((a))", A),
        ('a"b c"', And((A, Phrase(None, "b c")))),
        ("(a)(b)", And((A, B))),
        ("a & b", And((A, B))),
        ("&", Nothing()),
        ("(&)^2", Nothing()),
        ("🎉 OR a", A),
        ("a AND & OR b", Or((A, B))),
        ("f:&", Term("f", "&")),
        (
            "f:NEAR:{lat:1 lon:-2.5 dist:3km}",
            Near("f", 1.0, -2.5, 3000.0, "km"),
        ),
        (
            "f:NEAR:{ longitude: -2.5, latitude: 1, radius: 3 }",
            Near("f", 1.0, -2.5, 3.0, "m"),
        ),
        ("f: NEAR:{lat:1 lng:2 rad:1mi}", Near("f", 1.0, 2.0, 1609.344, "mi")),
        ("f:NEAR:{lat:1 long:2 dst:1e2nmi}", Near("f", 1.0, 2.0, 185_200.0, "nmi")),
        ("f:IN:{north:2 south:1 east:-170 west:170}", Box("f", 2.0, 1.0, -170.0, 170.0)),
        ("f:IN:{n:2 w:1 s:1 e:2} a", And((Box("f", 2.0, 1.0, 2.0, 1.0), A))),
        ("f:IN:x", Term("f", "IN:x")),
        ("f:IN", Term("f", "IN")),
    ],
)
def test_constructs(text: str, expected: Expr) -> None:
    assert parse(text, as_written) == expected
    assert parse(f"({text})", as_written) == expected


@pytest.mark.parametrize(
    ("text", "both_and", "both_or"),
    [
        ("a b", And((A, B)), Or((A, B))),
        ("a AND b", And((A, B)), And((A, B))),
        ("a && b", And((A, B)), And((A, B))),
        ("a OR b", Or((A, B)), Or((A, B))),
        ("a || b", Or((A, B)), Or((A, B))),
        ("NOT a", Not(A), Not(A)),
        ("!a", Not(A), Not(A)),
        ("- a", Not(A), Not(A)),
        ("-a -b", And((Not(A), Not(B))), And((Not(A), Not(B)))),
        ("+a", A, A),
        ("+a b", And((A, B)), And((A, Or((Everything(), B))))),
        ("a -b", And((A, Not(B))), And((A, Not(B)))),
        ("a OR NOT b", Or((A, Not(B))), And((A, Not(B)))),
        ("a OR b AND c", Or((A, And((B, C)))), And((B, C, Or((Everything(), A))))),
        ("a AND b OR c", Or((And((A, B)), C)), And((A, B, Or((Everything(), C))))),
        ("a AND b c", And((A, B, C)), And((A, B, Or((Everything(), C))))),
        ("-a AND b", And((Not(A), B)), And((B, Not(A)))),
        ("a (b c)", And((A, B, C)), Or((A, B, C))),
        ("a OR * b", B, Everything()),
        ("a b OR c", And((A, Or((B, C)))), Or((A, B, C))),
        (
            "(a) AND @path.kind:(event) AND @path.type:(x y)",
            And((A, Term("@path.kind", "event"), Term("@path.type", "x"), Term("@path.type", "y"))),
            And(
                (
                    A,
                    Term("@path.kind", "event"),
                    Or((Term("@path.type", "x"), Term("@path.type", "y"))),
                )
            ),
        ),
    ],
)
def test_clauses_combine(text: str, both_and: Expr, both_or: Expr) -> None:
    assert parse(text, as_written) == both_and
    assert parse(text, as_written, default_operator="or") == both_or


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("  ", 0),
        ("(", 0),
        ("a (b", 2),
        ("a)", 1),
        ("()", 0),
        ("a ( )", 2),
        ('a "b', 2),
        ('"b\\', 0),
        ("`b", 0),
        ("a AND", 2),
        ("a AND )", 2),
        ("AND a", 0),
        ("|| a", 0),
        ("(OR a)", 1),
        ("a AND OR b", 6),
        ("NOT NOT a", 4),
        ("+-a", 1),
        ("NOT", 0),
        ("a -", 2),
        ("f:", 2),
        ("(f:)", 3),
        ("f: AND b", 3),
        ("f:NOT", 2),
        ("f:-a", 2),
        ("f:!5", 2),
        (":a", 0),
        (":(", 0),
        ("a :", 3),
        ("f*:a", 0),
        (f"{'f' * 1025}:a", 0),
        (f"{'.' * 65}:a", 0),
        ("[1 TO 2]", 0),
        ("(a {1 TO 2})", 3),
        ("*:[1 TO 2]", 2),
        ("f:[1 2]", 2),
        ("f:[1 TO 2", 2),
        ("f:[1 TO", 2),
        ("f:[TO 2]", 2),
        ("f:[1 TO ]", 2),
        ("f:[1", 2),
        ("f:[", 2),
        ('f:["1 TO 2]', 3),
        ("]", 0),
        ("a }", 2),
        ("^2", 0),
        ("~", 0),
        ("a^", 1),
        ("a^x", 1),
        ("a^-1", 1),
        ("a^1001", 1),
        ("a^2x", 3),
        ("a~3", 0),
        (">5", 0),
        ("a > 5", 2),
        ("a<5", 1),
        ("f:>", 2),
        ("f:> AND b", 2),
        ("f:>*", 2),
        ("f:>a*", 2),
        ("f:>(1)", 2),
        ("f:>>5", 2),
        ("f:>==5", 2),
        ("f:=>5", 2),
        ("f:>5~1", 4),
        ('f:>"5"a', 6),
        ("f:<a>", 4),
        ("f:=5", 2),
        ("f:==5", 2),
        ("a = b", 2),
        ("f:!=5", 2),
        ("(a b)@2", 5),
        ('"a b"@2', 5),
        ("(a b)~2", 5),
        ("a^=2", 1),
        ("hello!", 5),
        (r"\u00", 0),
        (r'f:"C:\users"', 5),
        (r"\ud800", 0),
        (r"\ud800\u0041", 0),
        ("/", 0),
        ("f:/a", 2),
        ("f:/a\\/", 2),
        ("//", 1),
        ("f:/a/b", 5),
        ("f:/a/i", 5),
        ("f:/var/log", 7),
        ("f:/^a/", 3),
        ("f:/a$/", 4),
        ("f:/(?i)a/", 4),
        ("f:/a*?/", 5),
        ("f:/a**/", 5),
        ("f:/*a/", 3),
        ("f:/a(b/", 4),
        ("f:/a)b/", 4),
        ("f:/[a/", 3),
        ("f:/[]/", 3),
        ("f:/[z-a]/", 4),
        ("f:/a|/", 5),
        ("f:/()/", 4),
        ("f:/a{/", 5),
        ("f:/a{2,1}/", 4),
        ("f:/a{999}/", 4),
        ("f:/(a{50}){50}/", 10),
        ("f:/<1-9>/", 3),
        ("f:/a~b/", 4),
        ("f:/a&b/", 4),
        ("f:/@/", 3),
        ("f:/#/", 3),
        ('f:/"a"/', 3),
        ("f:/\\b/", 3),
        ("f:/\\pL/", 3),
        (f"f:/{'a' * 251}/", 3),
        (f"f:/{'a' * 1001}/", 3),
        ("a~1.5", 0),
        ("a~" + "9" * 500, 0),
        ("a~b", 2),
        ("a*~", 0),
        ("a-b~", 0),
        ("&~", 0),
        ('"a"~', 4),
        ('"a"~1.5', 7),
        ('"a b"~1001', 0),
        ("a\\", 1),
        ("f:NEAR:{lat:1 lon:2}", 2),
        ("f:NEAR:{lat:1 lon:2 dist:3km", 28),
        ("f:NEAR:{lat:1 lon:2 dist:3parsec}", 25),
        ("f:NEAR:{lat:1 lon:2 dist:-3km}", 25),
        ("f:NEAR:{lat:1 lon:2 dist:km}", 25),
        ("f:NEAR:{lat:91 lon:2 dist:3}", 12),
        ("f:NEAR:{lat:x lon:2 dist:3}", 12),
        ("f:NEAR:{lat:NaN lon:2 dist:3}", 12),
        ("f:NEAR:{lat:1 latitude:2 dist:3}", 14),
        ("f:NEAR:{what:1}", 8),
        ("f:NEAR:{", 8),
        ("f:IN:{n:1 s:2 e:1 w:1}", 2),
        ("f:IN:{n:1}", 2),
        ("a \ud800", 2),
    ],
)
def test_errors_say_where(text: str, position: int) -> None:
    operators: tuple[Operator, Operator] = ("and", "or")
    for operator in operators:
        with pytest.raises(InvalidQuery) as caught:
            parse(text, as_written, default_operator=operator)
        assert caught.value.position == position
        assert caught.value.message


@pytest.mark.parametrize("operator", ["and", "or"])
@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("a " * 10_000, limits.QUERY_BYTES),
        ("é" * (limits.QUERY_BYTES - 100), limits.QUERY_BYTES),
        ("(" * 5_000 + "a" + ")" * 3_000, limits.QUERY_DEPTH),
        ("f:(" * 2_000, limits.QUERY_DEPTH),
        ("NOT (" * 1_000, limits.QUERY_DEPTH),
        ("a " * 257, limits.QUERY_CLAUSES),
        ("(a b c) " * 100, limits.QUERY_CLAUSES),
        ('"' + "a " * 257 + '"', limits.QUERY_CLAUSES),
        ("a-" * 257, limits.QUERY_CLAUSES),
        ("*a" * 2_000, limits.QUERY_CLAUSES),
        ("f:[1 TO 2] " * 300, limits.QUERY_CLAUSES),
    ],
)
def test_queries_beyond_a_limit_are_refused_at_once(
    text: str, limit: int, operator: Operator
) -> None:
    def cost() -> tuple[int, float]:
        start_s = time.thread_time()
        tracemalloc.start()
        with pytest.raises(TooLarge) as caught:
            parse(text, as_written, default_operator=operator)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert caught.value.limit == limit
        return peak_bytes, time.thread_time() - start_s

    # Servers of other tests may take memory meanwhile: the least of a few is the parser's own.
    costs = [cost() for _ in range(3)]
    assert min(peak_bytes for peak_bytes, _ in costs) < 2_000_000
    assert min(seconds for _, seconds in costs) < 1


def test_no_leaf_beyond_the_limit_is_looked_up() -> None:
    asked: list[Leaf] = []

    def counting(leaf: Leaf) -> Expr:
        asked.append(leaf)
        return leaf

    with pytest.raises(TooLarge):
        parse("a " * 3_000, counting)
    assert len(asked) == limits.QUERY_CLAUSES


def test_queries_at_their_limits_are_read() -> None:
    assert isinstance(parse("a " * limits.QUERY_CLAUSES, as_written), And)
    depth = limits.QUERY_DEPTH
    assert parse("(" * depth + "a" + ")" * depth, as_written) == A
    assert parse("a" + " " * (limits.QUERY_BYTES - 1), as_written) == A
    assert parse(f'"a b"~{SLOP_MAX}', as_written) == Phrase(None, "a b", SLOP_MAX)
    assert parse("(a) " * limits.QUERY_CLAUSES, as_written, default_operator="or") == Or(
        (A,) * limits.QUERY_CLAUSES
    )


def test_errors_about_fields_point_at_the_name() -> None:
    def refusing(leaf: Leaf) -> Expr:
        raise UnsupportedField("no such field", field=str(leaf.field))

    for text, position in [("x AND f:a", 0), ("f:a", 0), ("  f:(a)", 2), ("f:(g:b)", 3)]:
        with pytest.raises(UnsupportedField) as caught:
            parse(text, refusing)
        assert caught.value.position == position


def test_errors_about_values_point_at_the_value() -> None:
    def refusing(leaf: Leaf) -> Expr:
        raise UnsupportedOperator("not with this field", operator="term")

    with pytest.raises(UnsupportedOperator) as caught:
        parse("f: a", refusing)
    assert caught.value.position == 3


def test_positions_that_are_known_stay() -> None:
    def refusing(leaf: Leaf) -> Expr:
        raise InvalidQuery("somewhere else", position=99)

    with pytest.raises(InvalidQuery) as caught:
        parse("f:a", refusing)
    assert caught.value.position == 99


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("007", 7),
        ("5.", 5.0),
        (".5", 0.5),
        ("-.5e-1", -0.05),
        ("1e3", 1000.0),
        (str(2**70), 2**70),
        ("1e999", None),
        ("9" * 401, None),
        ("NaN", None),
        ("Infinity", None),
        ("0x10", None),
        ("1_000", None),
        ("٥", None),
        ("", None),
        ("-", None),
        (".", None),
        ("1 ", None),
    ],
)
def test_numbers(text: str, number: int | float | None) -> None:
    found = number_of(text)
    assert found == number
    assert type(found) is type(number)

"""A recursive descent parser of the classic Lucene query syntax.

    word  "a phrase"  "near enough"~3  wor*  w?rd  *ord  word~  word~1  `whole value`  clause^2
    field:word  field: word  field:"a phrase"  field:(a OR b)  field:*  *  *:*
    field:>5  field:>=5  field:<"a b"  field:<=2024-05-01  field:(>=1 <5)  /regex/  field:/regex/
    field:[1 TO 5]  field:{1 TO 5}  field:[1 TO 5}  field:[* TO 5]  field:["a b" TO *]  field:-5
    a AND b   a && b   a OR b   a || b   NOT a   !a   +a   -a   (a OR b) AND c
    field:NEAR:{lat:1 lon:2 dist:3km}  field:IN:{north:2 south:1 east:2 west:1}

AND, OR, NOT and TO count in capitals only. A backslash makes the next character an ordinary one,
in quoted texts too; `\\u` and four hexadecimal digits are the character of that code. After
`field:` a word may contain colons and begin with a sign and a digit; inside parentheses a sign is
always an operator. A slash begins a regular expression where a clause begins, `<`, `>` and `!` are
never part of a word, and what classic Lucene does not have (`=`, `@2`) is refused.
Numbers in ranges and comparisons are numbers unless they are quoted.

How clauses combine depends on what clauses side by side mean:

- "and": NOT binds tighter than AND, AND tighter than OR, OR tighter than standing side by side:
  `a b OR c` is a AND (b OR c).
- "or": Lucene's own rule, for clients that were written against it. Each list of clauses has
  required, prohibited and optional ones. `+` and AND on either side make a clause required; `-`,
  `!` and NOT make it prohibited; the others are optional. Optional clauses filter only where none
  is required; otherwise they count for relevance alone, which the tree says as Or(Everything, x).
  So `a OR b AND c` requires b and c, and `a AND b c` does not require c.

A list of prohibited clauses only matches everything else. A text without a field in which there is
no word, such as `&`, asks nothing and is left out; a query of nothing else matches nothing.

Which fields there are is not decided here: every leaf is handed to `fields` with the name as it
was written, and what that returns stands in the tree. Limits hold before work is done: the text's
bytes, the depth of parentheses, and the number of clauses, where each word of a phrase counts.
Source: wire specification of Orchestrate, sections 10 and 13.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from tallystick import limits
from tallystick.errors import InvalidQuery, TooLarge, UnsupportedField
from tallystick.query.expr import (
    Boost,
    Box,
    Eq,
    Everything,
    Exists,
    Expr,
    Fuzzy,
    Near,
    Nothing,
    Phrase,
    Range,
    Regex,
    Term,
    Wildcard,
)
from tallystick.query.lucene.clauses import Clause, by_occurrence, by_precedence
from tallystick.query.lucene.geo import place_clause
from tallystick.query.lucene.scanner import Scanner, Word, number_of
from tallystick.query.regex_parser import parse_regex
from tallystick.query.text import tokens_of
from tallystick.query.word_match import SLOP_MAX

Operator = Literal["and", "or"]

Leaf = Term | Phrase | Eq | Wildcard | Regex | Fuzzy | Range | Exists | Near | Box
"""What `fields` is given: the field named as in the query, None without one.

`Eq` stands for a text in backticks, `Exists` for `field:*`; bounds of a `Range` are numbers if
they look like numbers and are not quoted.
"""

Fields = Callable[[Leaf], Expr]
"""Turns a leaf into what it means.

Raises: InvalidQuery, UnsupportedField, UnsupportedOperator; the parser adds the position.
"""

EDITS_MAX = 2
"""Edits of a fuzzy clause: indexes hold automata for no more."""

BOOST_MAX = 1000.0
"""Weight of a clause: keeps scores within what indexes compute with."""

_Spellings = dict[str, str]
_CONJUNCTIONS: _Spellings = {"AND": "and", "&&": "and", "OR": "or", "||": "or"}
_MODIFIERS: _Spellings = {"NOT": "-", "!": "-", "-": "-", "+": "+"}
_KEYWORDS = ("AND", "OR", "NOT")


def parse(text: str, fields: Fields, *, default_operator: Operator = "and") -> Expr:
    """Return the query that `text` spells.

    Raises: InvalidQuery, its position counted in characters from zero; TooLarge.
    """
    if len(text) > limits.QUERY_BYTES:
        raise _too_long(len(text))
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidQuery(
            "a query is Unicode without lone surrogates", position=error.start
        ) from None
    if size > limits.QUERY_BYTES:
        raise _too_long(size)
    return _Parser(text, fields, default_operator).query()


class _Parser:
    """One query being parsed: how far it is read, and what of its limits is used up."""

    def __init__(self, text: str, fields: Fields, default_operator: Operator) -> None:
        self._scanner = Scanner(text)
        self._fields = fields
        self._combined = by_precedence if default_operator == "and" else by_occurrence
        self._depth = 0
        self._clauses = 0

    def query(self) -> Expr:
        """Read the whole text."""
        scanner = self._scanner
        if not scanner.peek():
            scanner.fail("the query is empty", 0, "* matches everything")
        expr = self._list(None)
        if scanner.peek():
            scanner.fail("this ) closes nothing", hint="escape it as \\)")
        return Nothing() if expr is None else expr

    def _list(self, field: str | None) -> Expr | None:
        """Read clauses up to a closing parenthesis or the end; None when they ask nothing."""
        clauses: list[Clause] = []
        first = True
        while self._scanner.peek() not in ("", ")"):
            clause = self._joined(field, first=first)
            if clause is not None:
                clauses.append(clause)
            first = False
        return self._combined(clauses) if clauses else None

    def _joined(self, field: str | None, *, first: bool) -> Clause | None:
        """Read one clause with the operators before it."""
        scanner = self._scanner
        start = scanner.at
        conjunction = self._operator(_CONJUNCTIONS)
        if conjunction and first:
            scanner.fail(
                "this operator stands between two clauses", start, "quote it to search for it"
            )
        modifier = self._operator(_MODIFIERS)
        if conjunction or modifier:
            self._expect_clause(start)
        expr = self._clause(field)
        if scanner.here() == "@":
            scanner.fail("@ after a clause is not supported", hint="escape it as \\@")
        return None if expr is None else Clause(conjunction, modifier, expr)

    def _operator(self, spellings: _Spellings) -> str:
        """Read an operator and return what it means; empty when none comes next."""
        scanner = self._scanner
        scanner.peek()
        for spelling, meaning in spellings.items():
            if spelling in _KEYWORDS:
                start = scanner.at
                if scanner.word().raw == spelling:
                    return meaning
                scanner.at = start
            elif scanner.take(spelling):
                return meaning
        return ""

    def _expect_clause(self, operator_at: int) -> None:
        scanner = self._scanner
        if scanner.peek() in ("", ")"):
            scanner.fail("a clause is missing after this operator", operator_at)
        start = scanner.at
        if self._operator(_CONJUNCTIONS) or self._operator(_MODIFIERS):
            scanner.fail("an operator follows an operator", start, "set one in parentheses")

    def _clause(self, field: str | None) -> Expr | None:
        """Read a clause: a name if there is one, what is asked of it, and its weight."""
        scanner = self._scanner
        word = scanner.word()
        if scanner.peek() != ":":
            scanner.at = word.position
            return self._weighted(self._operand(field))
        scanner.at += 1
        name = self._name(word)
        try:
            return self._weighted(self._value(name))
        except UnsupportedField as error:
            if error.field == name:
                error.position = word.position
            raise

    def _name(self, word: Word) -> str | None:
        """Return the field that a word before a colon names; `*` names none in particular."""
        if word.raw == "*":
            return None
        problem = None
        if not word.raw:
            problem = "a field's name is missing before the colon"
        elif word.wild:
            problem = "a field's name has no wildcards"
        elif len(word.text) > limits.NAME_BYTES or word.text.count(".") > limits.JSON_DEPTH:
            problem = "a field's name is not that long"
        if problem is not None:
            self._scanner.fail(problem, word.position, "escape a colon in a text as \\:")
        return word.text

    def _value(self, field: str | None) -> Expr | None:
        """Read what follows the colon after a field's name."""
        scanner = self._scanner
        following = scanner.peek()
        start = scanner.at
        if following in ("", ")"):
            scanner.fail("a value is missing after the colon")
        if field is not None:
            place = place_clause(scanner, field)
            if place is not None:
                return self._leaf(place, start)
        if following in "+-!":
            sign, digit = scanner.text[start : start + 1], scanner.text[start + 1 : start + 2]
            if sign == "!" or not (digit.isdigit() or digit == "."):
                scanner.fail(
                    "an operator follows the colon", start, "set it before the field, or escape it"
                )
        return self._operand(field, colons=True)

    def _operand(self, field: str | None, *, colons: bool = False) -> Expr | None:
        """Read a group, a text, a range or a word."""
        scanner = self._scanner
        following = scanner.peek()
        start = scanner.at
        if following == "(":
            return self._group(field)
        if following == '"':
            return self._phrase(field, start)
        if following == "`":
            text = scanner.quoted()
            leaf = Phrase(None, text) if field is None else Eq(field, text)
            return self._text_leaf(leaf, text, start)
        if following in "[{":
            return self._range(field, start)
        if following in "<>":
            return self._comparison(field, start)
        if following == "/":
            return self._regex(field, start)
        return self._word(field, start, scanner.word(colons=colons))

    def _group(self, field: str | None) -> Expr | None:
        scanner = self._scanner
        start = scanner.at
        self._depth += 1
        if self._depth > limits.QUERY_DEPTH:
            raise TooLarge(
                f"a query may be nested {limits.QUERY_DEPTH} deep", limit=limits.QUERY_DEPTH
            )
        scanner.at += 1
        if scanner.peek() == ")":
            scanner.fail("these parentheses are empty", start, "escape them as \\( and \\)")
        expr = self._list(field)
        if not scanner.take(")"):
            scanner.fail("this ( is never closed", start, "escape it as \\(")
        self._depth -= 1
        return expr

    def _phrase(self, field: str | None, start: int) -> Expr | None:
        scanner = self._scanner
        text = scanner.quoted()
        slop = 0
        if scanner.take("~"):
            number = number_of(scanner.suffix_number())
            if not isinstance(number, int):
                scanner.fail("a whole number is missing after ~", hint='such as "a b"~3')
            self._expect_end()
            slop = number
        if slop > SLOP_MAX:
            scanner.fail(f"the words of a phrase may be {SLOP_MAX} moves apart", start)
        return self._text_leaf(Phrase(field, text, slop), text, start)

    def _word(self, field: str | None, start: int, word: Word) -> Expr | None:
        scanner = self._scanner
        if not word.raw:
            character = scanner.here()
            scanner.fail(f"{character} does not belong here", start, f"escape it as \\{character}")
        if word.raw in _KEYWORDS:
            scanner.fail("a value is missing before this operator", start, "quote a word like it")
        if word.raw.startswith("="):
            scanner.fail("= is no operator of this language", start, "escape a = that is text")
        if scanner.take("~"):
            return self._fuzzy(field, word)
        if word.raw.strip("*") == "":
            return Everything() if field is None else self._leaf(Exists(field), start)
        leaf = Wildcard(field, word.pattern) if word.wild else Term(field, word.text)
        return self._text_leaf(leaf, word.text, start)

    def _fuzzy(self, field: str | None, word: Word) -> Expr:
        scanner = self._scanner
        written = scanner.suffix_number()
        self._expect_end()
        if word.wild or len(tokens_of(word.text)) != 1:
            scanner.fail("~ follows a single word without wildcards", word.position)
        number = number_of(written) if written else EDITS_MAX
        if number is None or number > EDITS_MAX or (number > 1 and number != int(number)):
            scanner.fail(f"a word may be {EDITS_MAX} edits away", word.position, "0, 1 or 2")
        if isinstance(number, float) and number < 1:
            # Lucene's older spelling: how similar the words are, from 0 to 1.
            number = min(EDITS_MAX, (1 - number) * len(word.text))
        return self._leaf(Fuzzy(field, word.text, int(number)), word.position)

    def _range(self, field: str | None, start: int) -> Expr:
        scanner = self._scanner
        if field is None:
            scanner.fail(
                "a range belongs to a field", start, "such as occurred_at:[2024-01-01 TO *]"
            )
        low_inclusive = scanner.here() == "["
        scanner.at += 1
        low = self._bound(start)
        scanner.peek()
        if scanner.word().raw != "TO":
            scanner.fail("TO is missing in this range", start, "such as [1 TO 5] or [* TO 5}")
        high = self._bound(start)
        closing = scanner.peek()
        if closing not in ("]", "}"):
            scanner.fail("this range is never closed", start, "with ] or with }")
        scanner.at += 1
        leaf: Leaf = Range(field, low, high, low_inclusive, closing == "]")
        return self._leaf(Exists(field) if low is None and high is None else leaf, start)

    def _comparison(self, field: str | None, start: int) -> Expr:
        """Read a bound with its operator: a range that is open at the other end."""
        scanner = self._scanner
        operator = scanner.comparison()
        if field is None:
            scanner.fail(
                "a comparison belongs to a field",
                start,
                f"such as data.amount:{operator}100, or escape it as \\{operator[0]}",
            )
        bound: str | int | float
        if scanner.peek() == '"':
            bound = scanner.quoted()
        else:
            word = scanner.word(colons=True)
            if not word.raw or word.wild or word.raw in _KEYWORDS or word.raw.startswith("="):
                scanner.fail("a value is missing after this operator", start, "such as >100")
            number = number_of(word.raw)
            bound = word.text if number is None else number
        self._expect_end()
        inclusive = operator.endswith("=")
        if operator.startswith(">"):
            return self._leaf(Range(field, bound, None, low_inclusive=inclusive), start)
        return self._leaf(Range(field, None, bound, high_inclusive=inclusive), start)

    def _regex(self, field: str | None, start: int) -> Expr:
        scanner = self._scanner
        pattern = scanner.regex()
        self._expect_end()
        try:
            parse_regex(pattern)
        except InvalidQuery as error:
            error.position = start + 1 + (error.position or 0)
            raise
        return self._leaf(Regex(field, pattern), start)

    def _bound(self, range_at: int) -> str | int | float | None:
        scanner = self._scanner
        if scanner.peek() == '"':
            return scanner.quoted()
        word = scanner.word(colons=True, ends="]}")
        if word.raw in ("", "TO"):
            scanner.fail("a bound is missing in this range", range_at, "an open one is *")
        if word.raw == "*":
            return None
        number = number_of(word.raw)
        return word.text if number is None else number

    def _weighted(self, expr: Expr | None) -> Expr | None:
        """Read the weight of a clause if one comes next."""
        scanner = self._scanner
        start = scanner.at
        if not scanner.take("^"):
            return expr
        factor = number_of(scanner.suffix_number())
        if factor is None or factor > BOOST_MAX:
            scanner.fail(f"a weight from 0 to {BOOST_MAX:g} is missing after ^", start)
        self._expect_end()
        return None if expr is None else Boost(expr, float(factor))

    def _expect_end(self) -> None:
        """Check that a clause's suffix is not run together with what follows."""
        following = self._scanner.here()
        if following and not following.isspace() and following not in ")^":
            self._scanner.fail("a blank is missing here", hint="escape a ~ or ^ that is text")

    def _text_leaf(self, leaf: Leaf, text: str, position: int) -> Expr | None:
        """Return what a leaf with a text means; None if it has no field and no word either."""
        words = len(tokens_of(text))
        if leaf.field is None and not words and not isinstance(leaf, Wildcard):
            return None
        return self._leaf(leaf, position, words)

    def _leaf(self, leaf: Leaf, position: int, words: int = 1) -> Expr:
        """Count a leaf, and return what it means."""
        self._clauses += max(1, words)
        if self._clauses > limits.QUERY_CLAUSES:
            raise TooLarge(
                f"a query may have {limits.QUERY_CLAUSES} clauses, words of phrases counted",
                limit=limits.QUERY_CLAUSES,
            )
        try:
            return self._fields(leaf)
        except InvalidQuery as error:
            if error.position is None:
                error.position = position
            raise


def _too_long(size: int) -> TooLarge:
    return TooLarge(
        f"a query may have {limits.QUERY_BYTES:,} bytes", limit=limits.QUERY_BYTES, actual=size
    )

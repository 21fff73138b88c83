"""The part of OData's filter language that DataTrails documents, as a tree of its own.

Grammar only: which properties there are and what a comparison means is in `filters`. Source:
seed, section "Filtering and Paging Events"; wire specification of DataTrails 2.4.

    expr    = term *( "or" term )          term = factor *( "and" factor )
    factor  = "not" factor | "(" expr ")" | any | compare
    compare = property op literal
    any     = property "/any(" var ":" expr ")"        with `var` as the only property inside
    literal = "'" *( char | "''" ) "'" | ["-"] digits
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeGuard

from tallystick import limits
from tallystick.errors import InvalidQuery, TooLarge, UnsupportedOperator

Operator = Literal["eq", "ne", "gt", "ge", "lt", "le"]
OPERATORS: tuple[Operator, ...] = ("eq", "ne", "gt", "ge", "lt", "le")
LOGIC = ("and", "or", "not")
FUNCTIONS = ("any",)


class Compare(NamedTuple):
    """`property op literal`; `value` is an int when the literal stood bare."""

    name: str
    operator: Operator
    value: str | int
    position: int
    """Where the property's name begins."""
    value_position: int


class Any(NamedTuple):
    """Some element of the collection `name` satisfies `body`, in which `variable` stands for it."""

    name: str
    variable: str
    body: Node
    position: int


class ODataAnd(NamedTuple):
    """All parts hold."""

    parts: tuple[Node, ...]


class ODataOr(NamedTuple):
    """Some part holds."""

    parts: tuple[Node, ...]


class ODataNot(NamedTuple):
    """The part does not hold."""

    part: Node


Node = Compare | Any | ODataAnd | ODataOr | ODataNot


class _Token(NamedTuple):
    kind: str
    """The name of its group in `_TOKEN`, or "end"."""
    text: str
    position: int


_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:/[A-Za-z_][A-Za-z0-9_]*)*)
      | (?P<string>'(?:[^']|'')*')
      | (?P<number>-?[0-9]+)(?![A-Za-z0-9_.])
      | (?P<punctuation>[():,])
    )""",
    re.VERBOSE,
)
_BLANKS = " \t\r\n"
# Python refuses to read longer digits; no number of ours is anywhere near.
_DIGITS_MAX = 19
_HUGE = 1 << 63


def parse(text: str) -> Node | None:
    """Return the tree of a filter; None for one that is blank and so filters nothing.

    Raises: InvalidQuery, UnsupportedOperator with the position; TooLarge.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.QUERY_BYTES:
        raise TooLarge(
            f"a filter may have {limits.QUERY_BYTES:,} bytes; this one has {size:,}",
            limit=limits.QUERY_BYTES,
            actual=size,
        )
    parser = _Parser(_tokens(text))
    if parser.token.kind == "end":
        return None
    return parser.whole()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while found := _TOKEN.match(text, at):
        kind = str(found.lastgroup)
        tokens.append(_Token(kind, found.group(kind), found.start(kind)))
        at = found.end()
    end = len(text) - len(text[at:].lstrip(_BLANKS))
    if end < len(text):
        problem = "a string without its closing quote" if text[end] == "'" else "no filter syntax"
        raise InvalidQuery(f"position {end}: {text[end]!r} begins {problem}", position=end)
    return [*tokens, _Token("end", "", end)]


class _Parser:
    """Recursive descent over the tokens; one method a rule."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._clauses = 0
        self._variable: str | None = None
        """The lambda's variable while its body is read."""

    @property
    def token(self) -> _Token:
        return self._tokens[self._at]

    def whole(self) -> Node:
        node = self._expression()
        if self.token.kind != "end":
            raise self._expected("the end of the filter")
        return node

    def _expression(self) -> Node:
        self._descend()
        parts = [self._term()]
        while self._take_name("or"):
            parts.append(self._term())
        if self.token.kind == "name":
            raise _unsupported(self.token, "connective", ("and", "or"))
        self._depth -= 1
        return parts[0] if len(parts) == 1 else ODataOr(tuple(parts))

    def _term(self) -> Node:
        parts = [self._factor()]
        while self._take_name("and"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else ODataAnd(tuple(parts))

    def _factor(self) -> Node:
        if self._take_name("not"):
            self._descend()
            part = self._factor()
            self._depth -= 1
            return ODataNot(part)
        if self._take("("):
            node = self._expression()
            self._demand(")")
            return node
        if self.token.kind != "name":
            raise self._expected("a property")
        name = self._next()
        if self.token.text == "(":
            return self._call(name)
        return self._compare(name)

    def _call(self, name: _Token) -> Node:
        if self._variable is not None:
            raise self._expected("a comparison, since functions do not nest")
        collection, _, function = name.text.rpartition("/")
        if function not in FUNCTIONS or not collection:
            position = name.position + len(name.text) - len(function)
            name = name._replace(text=function, position=position)
            raise _unsupported(name, "function", ("trails/any(…)",))
        self._demand("(")
        variable = self._next()
        if variable.kind != "name" or "/" in variable.text:
            raise _expected(variable, "a variable such as t in any(t: t eq 'x')")
        self._demand(":")
        self._variable = variable.text
        body = self._expression()
        self._variable = None
        self._demand(")")
        return Any(collection, variable.text, body, name.position)

    def _compare(self, name: _Token) -> Compare:
        if self._variable not in (None, name.text):
            raise InvalidQuery(
                f"position {name.position}: inside any(…) only {self._variable!r} can be compared,"
                f" not {name.text!r}",
                position=name.position,
            )
        operator = self._next()
        if operator.kind != "name":
            raise _expected(operator, f"one of {', '.join(OPERATORS)}")
        if not _is_operator(operator.text):
            raise _unsupported(operator, "comparison", OPERATORS)
        literal = self._next()
        if literal.kind not in ("string", "number"):
            raise _expected(literal, "a quoted string or a number")
        self._clauses += 1
        if self._clauses > limits.QUERY_CLAUSES:
            raise TooLarge(
                f"a filter may have {limits.QUERY_CLAUSES} comparisons",
                limit=limits.QUERY_CLAUSES,
            )
        return Compare(name.text, operator.text, _value(literal), name.position, literal.position)

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > limits.QUERY_DEPTH:
            raise TooLarge(
                f"a filter may be nested {limits.QUERY_DEPTH} deep", limit=limits.QUERY_DEPTH
            )

    def _next(self) -> _Token:
        token = self.token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _take(self, text: str) -> bool:
        if self.token.kind != "punctuation" or self.token.text != text:
            return False
        self._at += 1
        return True

    def _take_name(self, text: str) -> bool:
        if self.token.kind != "name" or self.token.text != text:
            return False
        self._at += 1
        return True

    def _demand(self, text: str) -> None:
        if not self._take(text):
            raise self._expected(repr(text))

    def _expected(self, what: str) -> InvalidQuery:
        return _expected(self.token, what)


def _is_operator(text: str) -> TypeGuard[Operator]:
    return text in OPERATORS


def _value(literal: _Token) -> str | int:
    if literal.kind == "string":
        return literal.text[1:-1].replace("''", "'")
    return to_number(literal.text)


def to_number(digits: str) -> int:
    """Return the integer that `digits` spell; beyond 19 digits, one that no event reaches."""
    negative = digits.startswith("-")
    significant = digits.removeprefix("-").lstrip("0")
    value = int(significant or "0") if len(significant) <= _DIGITS_MAX else _HUGE
    return -value if negative else value


def _expected(token: _Token, what: str) -> InvalidQuery:
    found = "the filter ends" if token.kind == "end" else f"{token.text!r} stands"
    return InvalidQuery(
        f"position {token.position}: {found} where {what} is expected", position=token.position
    )


def _unsupported(token: _Token, what: str, allowed: tuple[str, ...]) -> UnsupportedOperator:
    return UnsupportedOperator(
        f"position {token.position}: {token.text!r} is no supported {what};"
        f" supported: {', '.join(allowed)}",
        operator=token.text,
        allowed=allowed,
        position=token.position,
    )

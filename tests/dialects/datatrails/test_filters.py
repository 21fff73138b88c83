"""Filters mean what OData says they mean, over what the API shows.

The oracle is odata-query's parser and an evaluator over the answer's JSON; the product's side is
its own parser, the shared query tree and the meaning that every index has to agree with.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odata_query import ast
from odata_query.grammar import ODataLexer, ODataParser

from tallystick.dialects.datatrails import filters, wire
from tallystick.errors import InvalidQuery, UnsupportedField, UnsupportedOperator
from tallystick.events import ids
from tallystick.events.event import View
from tallystick.query import expr
from tallystick.query.match import matches
from tests.dialects.datatrails import logs, strategies

_OPERATORS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_NUMBERS = {"created_at", "ledger_entry/index"}


def _created(low: int | None = None, high: int | None = None) -> expr.Expr:
    """Return what it means that the time an event shows lies within bounds."""
    ours = expr.Eq("dialect", "datatrails")
    here = expr.And((ours, expr.Range("occurred_ms", low, high)))
    elsewhere = expr.And((expr.Not(ours), expr.Range("recorded_ms", low, high)))
    return expr.Or((here, elsewhere))


def _oracle(text: str, answer: dict[str, Any]) -> bool:
    return _holds(ODataParser().parse(ODataLexer().tokenize(text)), answer, {})


def _holds(node: Any, answer: dict[str, Any], variables: Mapping[str, str]) -> bool:
    match node:
        case ast.BoolOp(ast.And(), left, right):
            return _holds(left, answer, variables) and _holds(right, answer, variables)
        case ast.BoolOp(ast.Or(), left, right):
            return _holds(left, answer, variables) or _holds(right, answer, variables)
        case ast.UnaryOp(ast.Not(), operand):
            return not _holds(operand, answer, variables)
        case ast.CollectionLambda(ast.Identifier("trails"), ast.Any(), ast.Lambda() as function):
            name = function.identifier.name
            return any(_holds(function.expression, answer, {name: t}) for t in answer["trails"])
        case ast.Compare(comparator, left, ast.String(literal) | ast.Integer(literal)):
            return _compares(comparator, left, literal, answer, variables)
    raise AssertionError(f"no rule for {node}")


def _compares(
    comparator: Any, left: Any, literal: str, answer: dict[str, Any], variables: Mapping[str, str]
) -> bool:
    if isinstance(left, ast.Attribute):
        owner: Any = left.owner
        name = f"{owner.name}/{left.attr}"
        found = answer.get(owner.name, {}).get(left.attr)
        if found is None:
            return False
    else:
        name = left.name
        found = variables[name] if name in variables else answer[name]
    if name in _NUMBERS:
        return bool(_OPERATORS[type(comparator)](int(found), int(literal)))
    return bool(_OPERATORS[type(comparator)](found, literal))


def _terms(view: View) -> dict[str, str]:
    tenant = str(logs.TENANT)
    derived = wire.derived(view, tenant) | wire.searched(view, tenant)
    return {f"datatrails.{name}": value for name, value in derived.items()}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_VIEWS = strategies.EVENTS.map(logs.view)
_COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")
_TIMES = st.integers(0, 41).map(lambda i: logs.START_MS + i)
_NODES = st.integers(-1, 90)
_IDS = st.integers(0, 40).map(lambda i: ids.idtimestamp(logs.START_MS + i, i))
_NEARLY_IDS = st.builds(
    lambda text, cut, end: text[:cut] + end,
    _IDS,
    st.integers(0, 18),
    st.sampled_from(["", "0", "f", "g", "F", ":", "/", "\x7f", "0000000000", "é"]),
)


@st.composite
def _comparisons(draw: st.DrawFn) -> str:
    name, literal = draw(
        st.sampled_from(
            [
                ("event_type", strategies.NAMES.map(_quoted)),
                ("origin_tenant", st.sampled_from([f"'tenant/{logs.TENANT}'", "'tenant/'", "'z'"])),
                ("created_by", st.sampled_from([f"'{logs.APP.id}'", "''", "'9'", _MADE_BY])),
                ("created_at", _TIMES.map(str) | _TIMES.map(lambda ms: f"'{ms}'")),
                ("ledger_entry/index", _NODES.map(str) | _NODES.map(lambda n: f"'{n}'")),
                ("ledger_entry/idtimestamp", (_IDS | _NEARLY_IDS).map(_quoted)),
                ("ledger_entry/content_hash", st.sampled_from(["'0'", "'8'", "'c'"])),
            ]
        )
    )
    return f"{name} {draw(st.sampled_from(_COMPARISONS))} {draw(literal)}"


@st.composite
def _lambdas(draw: st.DrawFn) -> str:
    variable = draw(st.sampled_from(["t", "trails", "x1", "event_type"]))
    part = st.builds(
        lambda op, value: f"{variable} {op} {_quoted(value)}",
        st.sampled_from(_COMPARISONS),
        strategies.NAMES,
    )
    body = draw(part)
    for other in draw(st.lists(part, max_size=3)):
        body += f" {draw(st.sampled_from(['and', 'or']))} {other}"
    colon = draw(st.sampled_from([":", ": "]))
    return f"trails/any({variable}{colon}{body})"


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.builds(lambda a, op, b: f"{a} {op} {b}", inner, st.sampled_from(["and", "or"]), inner)
    return pair | inner.map("not ({})".format) | pair.map("({})".format)


_MADE_BY = f"'{ids.derived_uuid(logs.TENANT, 'file:7')}'"
_FILTERS = st.recursive(_comparisons() | _lambdas(), _joined, max_leaves=5)


@pytest.mark.row("D-39", "D-41", "D-42", "D-43", "D-44", "D-45", "D-46", "D-47", "D-48", "D-49")
@given(_FILTERS, st.lists(_VIEWS, min_size=1, max_size=6), st.none() | st.integers(0, 41))
def test_filter_matches_exactly_what_odata_says_of_the_answer(
    text: str, views: list[View], committed: int | None
) -> None:
    found = filters.parse_filter(text, tenant_uuid=logs.TENANT, committed=committed)
    assert found.touches_ledger == ("ledger_entry" in text)
    for view in views:
        status = wire.status_of(
            view.index, committed=41 if committed is None else committed, confirmed=0
        )
        answer = wire.from_event(view, tenant_uuid=logs.TENANT, status=status)
        assert matches(found.expr, view, _terms(view)) == _oracle(text, answer), answer


def _expr(text: str, *, committed: int | None = None) -> expr.Expr:
    return filters.parse_filter(text, tenant_uuid=logs.TENANT, committed=committed).expr


@pytest.mark.row("D-39", "D-40")
@pytest.mark.parametrize(
    "text",
    [
        "trails/any(t: t eq 'Clouseau')",
        "trails/any(anything:anything eq 'Clouseau')",
        "trails/any ( t : t eq 'Clouseau' ) ",
        "  trails/any(\tt:\r\nt eq 'Clouseau')",
        "(trails/any(t: t eq 'Clouseau'))",
    ],
    ids=repr,
)
def test_lambda_name_is_free_and_blanks_are_optional(text: str) -> None:
    assert _expr(text) == expr.Eq("trail", "Clouseau")


@pytest.mark.row("D-39", "D-41", "D-42", "D-43", "D-44", "D-45", "D-46", "D-47")
@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("event_type eq 'Safety Conformance'", expr.Eq("kind", "Safety Conformance")),
        (f"origin_tenant eq 'tenant/{logs.TENANT}'", expr.Everything()),
        ("origin_tenant eq 'tenant/xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx'", expr.Nothing()),
        ("created_by eq 'x'", expr.Eq("datatrails.created_by", "x")),
        ("created_at gt '1736421833577'", _created(low=1736421833578)),
        ("created_at gt 1736421833577", _created(low=1736421833578)),
        # Nodes 0, 1, 3, 4, 7, 8, 10, 11, 15, 16 … are leaves 0, 1, 2 …
        ("ledger_entry/index lt 123", expr.Range("index", high=63)),
        ("ledger_entry/index eq 16", expr.Eq("index", 9)),
        ("ledger_entry/index eq '8'", expr.Eq("index", 5)),
        ("ledger_entry/index eq 9", expr.Nothing()),
        ("ledger_entry/index ne 9", expr.Everything()),
        (
            "ledger_entry/idtimestamp eq '0196cf103fe5064c00'",
            expr.And(
                (
                    expr.Eq("recorded_ms", 1747230670820),
                    expr.In("index", tuple(range(0x064C00, 1 << 32, 1 << 24))),
                )
            ),
        ),
        ("ledger_entry/content_hash eq '0e9b'", expr.Eq("datatrails.content_hash", "0e9b")),
        ("", expr.Everything()),
        (" \n", expr.Everything()),
    ],
)
def test_property_of_the_seed_becomes_its_indexed_field(text: str, meaning: expr.Expr) -> None:
    assert _expr(text) == meaning


@pytest.mark.row("D-45")
def test_uncommitted_event_matches_no_comparison_of_its_ledger_entry() -> None:
    committed = expr.Range("index", high=2)
    assert _expr("ledger_entry/idtimestamp ne 'x'", committed=3) == committed
    assert _expr("ledger_entry/content_hash ne 'x'", committed=3) == expr.And(
        (expr.Not(expr.Eq("datatrails.content_hash", "x")), committed)
    )
    assert _expr("ledger_entry/index ge 0", committed=0) == expr.Nothing()


@pytest.mark.row("D-49")
def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    a, b, c = (expr.Eq("kind", name) for name in "abc")
    text = "event_type eq 'a' or event_type eq 'b' and not event_type eq 'c'"
    assert _expr(text) == expr.Or((a, expr.And((b, expr.Not(c)))))
    text = "(event_type eq 'a' or event_type eq 'b') and not (event_type eq 'c')"
    assert _expr(text) == expr.And((expr.Or((a, b)), expr.Not(c)))
    text = "not not event_type ne 'a' and event_type eq 'b'"
    assert _expr(text) == expr.And((expr.Not(a), b))


@pytest.mark.row("D-50")
@given(strategies.TEXT)
def test_any_string_can_be_quoted(text: str) -> None:
    assert _expr(f"event_type eq {_quoted(text)}") == expr.Eq("kind", text)


def test_one_trail_must_satisfy_the_whole_body() -> None:
    view = logs.view(logs.event(0, trails=("a", "z")))
    for text, holds in (
        ("trails/any(t: t gt 'b' and t lt 'y')", False),
        ("trails/any(t: t gt 'b') and trails/any(t: t lt 'y')", True),
        ("trails/any(t: t ne 'a')", True),
        ("trails/any(t: t ne 'a' and t ne 'z')", False),
        ("trails/any(t: not (t eq 'a' or t eq 'z'))", False),
    ):
        assert matches(_expr(text), view, _terms(view)) is holds


def test_body_that_all_or_no_strings_satisfy_is_recognised() -> None:
    assert _expr("trails/any(t: t eq 'a' and t eq 'b')") == expr.Nothing()
    everything = _expr("trails/any(t: t eq 'a' or t ne 'a')")
    assert everything == expr.Or((expr.Exists("trail"), expr.Exists("datatrails.target_trail")))


def test_foreign_event_is_found_by_the_trail_made_of_its_target() -> None:
    found = _expr("trails/any(t: t eq 'file/7')")
    assert found == expr.Or(
        (expr.Eq("trail", "file/7"), expr.Eq("datatrails.target_trail", "file/7"))
    )


def test_numbers_beyond_any_index_compare_without_overflow() -> None:
    huge = "9" * 5000
    assert _expr(f"created_at lt {huge}") == _created(high=(1 << 62) - 1)
    assert _expr(f"created_at gt -{huge}") == _created(low=1 - (1 << 62))
    assert _expr(f"ledger_entry/index lt '-{huge}'") == expr.Range("index", high=-1)
    assert _expr("created_at eq 007") == _expr("created_at eq 7") == _expr("created_at eq '7'")


@pytest.mark.row("D-51")
@pytest.mark.parametrize(
    ("text", "name", "position"),
    [
        ("identity eq 'x'", "identity", 0),
        ("event_type eq 'x' and (attributes/foo eq 'x')", "attributes/foo", 23),
        ("attributes/any(a: a eq 'x')", "attributes", 0),
        ("ledger_entry eq 'x'", "ledger_entry", 0),
        ("ledger_entry/hash_schema eq 'v0'", "ledger_entry/hash_schema", 0),
        ("Trails/any(t: t eq 'x')", "Trails", 0),
    ],
)
def test_unknown_property_is_refused_by_name(text: str, name: str, position: int) -> None:
    with pytest.raises(UnsupportedField, match=f"position {position}: '{name}'") as caught:
        _expr(text)
    assert (caught.value.field, caught.value.position) == (name, position)
    assert caught.value.allowed == filters.PROPERTIES


@pytest.mark.row("D-51")
@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("trails eq 'x'", 0),
        ("event_type/any(t: t eq 'x')", 0),
    ],
)
def test_operator_that_does_not_fit_the_property_is_refused(text: str, position: int) -> None:
    with pytest.raises(UnsupportedOperator) as caught:
        _expr(text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("event_type eq 5", 14),
        ("created_at eq 'yesterday'", 14),
        ("created_at eq ''", 14),
        ("created_at eq '--5'", 14),
        ("created_at eq '٣'", 14),
        ("trails/any(t: t eq 5)", 19),
    ],
)
def test_literal_of_the_wrong_type_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(InvalidQuery, match=f"position {position}:") as caught:
        _expr(text)
    assert caught.value.position == position


def test_constant_conditions_can_be_negated() -> None:
    own = f"origin_tenant eq 'tenant/{logs.TENANT}'"
    assert _expr(f"not {own}") == expr.Nothing()
    assert _expr(f"not not {own}") == expr.Everything()


def test_filter_of_another_tenant_finds_nothing() -> None:
    other = UUID("00000000-0000-4000-8000-000000000000")
    found = filters.parse_filter(f"origin_tenant eq 'tenant/{logs.TENANT}'", tenant_uuid=other)
    assert found.expr == expr.Nothing()

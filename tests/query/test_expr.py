"""Putting queries together."""

from __future__ import annotations

import pytest

from tallystick.query.expr import And, Eq, Everything, Expr, Not, Nothing, Or, all_of, any_of

A, B, C = (Eq("kind", name) for name in "abc")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], Everything()),
        ([A], A),
        ([A, B], And((A, B))),
        ([A, And((B, C))], And((A, B, C))),
        ([A, Everything()], A),
        ([Everything()], Everything()),
        ([A, Nothing(), B], Nothing()),
        ([A, Or((B, C))], And((A, Or((B, C))))),
    ],
)
def test_all_of_keeps_what_changes_something(parts: list[Expr], expected: Expr) -> None:
    assert all_of(parts) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], Nothing()),
        ([A], A),
        ([A, B], Or((A, B))),
        ([A, Or((B, C))], Or((A, B, C))),
        ([A, Nothing()], A),
        ([Nothing()], Nothing()),
        ([A, Everything(), B], Everything()),
        ([A, And((B, C))], Or((A, And((B, C))))),
    ],
)
def test_any_of_keeps_what_changes_something(parts: list[Expr], expected: Expr) -> None:
    assert any_of(parts) == expected


def test_queries_are_values() -> None:
    assert len({A, Eq("kind", "a"), Not(A), Not(Eq("kind", "a"))}) == 2

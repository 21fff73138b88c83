"""Regular expressions through the index: the same answer as the plain meaning gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tallystick.errors import InvalidQuery
from tallystick.query.expr import Expr, Not, Regex
from tests.index.search_world import Searched, event
from tests.support import strategies

VALUES = (
    "pay.made", "Pay Made", "PAY", "a b", "a\tb\x01\x02\x03", "", " ", "tab\nend", "wi-fi",
    "x-1-2", "0042", "deadbeef", "ab12", "Straße", "用户删除", "🎉🎉", "\ud7ff\ue000",
    "a long text of more than thirty-two characters", "a long text of more than thirty-two CHARS",
    "q" * 33, "q" * 1023 + "z", "q" * 1024 + "z", "a" * 31 + " ",
)  # fmt: skip


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    views = [
        event(n, {"v": value, "all": list(VALUES[n % 5 :: 5])}, kind=value[:20] or "k")
        for n, value in enumerate(VALUES)
    ]
    return Searched(tmp_path_factory.mktemp("regex"), views)


FIELDS = st.sampled_from(("data.v", "data.all", "kind", "class", "data.none"))


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.builds(Regex, FIELDS, st.sampled_from(VALUES).flatmap(strategies.regexes), st.booleans())
    | st.builds(
        Regex, st.sampled_from((None, "data")), st.sampled_from(VALUES).flatmap(strategies.regexes)
    )
)
@example(Regex("data.v", r"[\W]*", whole=True))
@example(Regex("data.v", r"\s*", whole=True))
@example(Regex("data.v", "a.b.*", whole=True))
@example(Regex("data.v", "q*z", whole=True))
@example(Regex("data.v", "q{100}q*", whole=True))
@example(Regex("data.v", "[^a]{0,120}x?", whole=True))
@example(Regex("data.v", "(a{0}|b{0})c{0}", whole=True))
@example(Regex(None, "[A-D]+[^0-9]*"))
@example(Regex("data", r"[-.]+"))
@example(Not(Regex("data.v", ".*[é-￿].*", whole=True)))
def test_the_index_means_what_the_expression_means(searched: Searched, where: Expr) -> None:
    wanted = [view.index for view in searched.matching(where)]
    try:
        found = searched.indexes(where)
    except InvalidQuery:
        # Refused as too much work; the health check keeps that rare.
        assume(False)
    assert found == wanted


def test_an_automaton_too_large_for_the_index_is_answered_by_reading(tmp_path: Path) -> None:
    views = [event(n, {"v": "ab" * n + "a" * 20}) for n in range(5)]
    where = Regex("data.v", "(a|b)*a(a|b){15}", whole=True)
    with Searched(tmp_path, views) as few:
        assert few.indexes(where) == [view.index for view in few.matching(where)]

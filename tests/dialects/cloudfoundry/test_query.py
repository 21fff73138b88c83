"""What `q` means: against an evaluation over plain values that shares no code with the parser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.dialects.cloudfoundry import query, wire
from tallystick.errors import InvalidQuery, TooLarge, UnsupportedField
from tallystick.events.event import View
from tallystick.query.match import matches
from tests.dialects.cloudfoundry.samples import draft_of, resource, view_of

EVENT = view_of(draft_of(resource()))


def holds(*texts: str, view: View = EVENT) -> bool:
    """Tell whether an event satisfies `q` parameters."""
    expr = query.to_expr(query.parse(texts, query.EVENT_KEYS))
    derived = {f"cloudfoundry.{name}": value for name, value in wire.derived(view).items()}
    return matches(expr, view, derived)


@pytest.mark.row("C-15", "C-16", "C-18", "C-19", "C-21", "C-22")
@pytest.mark.parametrize(
    "text",
    [
        "type:audit.app.update",
        "type IN app.crash,audit.app.update",
        "actee:app-1",
        "space_guid:space-1",
        "organization_guid IN org-2,org-1",
        "type>audit.app.create",
        "type<audit.app.updatf",
        "type>=audit.app.update",
        "type<=audit.app.update",
        "actee>=app",
    ],
)
def test_condition_that_holds(text: str) -> None:
    assert holds(text)


@pytest.mark.row("C-15", "C-16", "C-18", "C-19", "C-21", "C-22")
@pytest.mark.parametrize(
    "text",
    [
        "type:app.crash",
        "type:AUDIT.APP.UPDATE",
        "type:",
        "type",
        "type: audit.app.update",
        "type IN app.crash, audit.app.update",
        "type IN ",
        "type>audit.app.update",
        "type<audit.app.update",
        "actee:app-1 ",
        "space_guid:",
        "actee:audit.app.update",
    ],
)
def test_condition_that_does_not_hold(text: str) -> None:
    assert not holds(text)


@pytest.mark.row("C-17", "C-20", "C-29")
@pytest.mark.parametrize(
    ("operator", "before", "same", "after"),
    [
        (":", False, True, False),
        (">", True, False, False),
        (">=", True, True, False),
        ("<", False, False, True),
        ("<=", False, True, True),
    ],
)
@pytest.mark.parametrize("fraction", ["", ".001", ".999"])
@pytest.mark.parametrize("bound_fraction", ["", ".5"])
def test_bound_on_the_time_stands_for_its_whole_second(
    operator: str, before: bool, same: bool, after: bool, fraction: str, bound_fraction: str
) -> None:
    view = view_of(draft_of(resource(timestamp=f"2014-06-20T00:18:46{fraction}Z")))
    for second, expected in (("45", before), ("46", same), ("47", after)):
        text = f"timestamp{operator}2014-06-20T00:18:{second}{bound_fraction}Z"
        assert holds(text, view=view) is expected, text


@pytest.mark.row("C-17", "C-22")
def test_times_may_be_listed() -> None:
    assert holds("timestamp IN 2014-06-19,2014-06-19 17:18:46 -0700")
    assert not holds("timestamp IN 2014-06-19,2014-06-20")


@pytest.mark.row("C-23", "C-24")
def test_all_conditions_must_hold() -> None:
    assert holds("type:audit.app.update;actee:app-1")
    assert not holds("type:audit.app.update;actee:app-2")
    assert holds("type:audit.app.update", "actee:app-1")
    assert not holds("type:audit.app.update", "actee:app-2")


@pytest.mark.row("C-23")
@pytest.mark.parametrize("texts", [[], [""], [";"], [" ;".strip()]])
def test_no_condition_is_no_filter(texts: list[str]) -> None:
    assert holds(*texts)


@pytest.mark.row("C-25")
def test_doubled_semicolon_is_one_in_the_value() -> None:
    view = view_of(draft_of(resource(actee="a;b:c>d")))
    assert holds("actee:a;;b:c>d", view=view)
    assert holds("actee:a;;b:c>d;type:audit.app.update", view=view)
    assert not holds("actee:a;;;;b:c>d", view=view)


@pytest.mark.row("C-19")
def test_condition_is_cut_at_its_first_operator() -> None:
    conditions = query.parse(["type:a>=b IN c", "actee>=x:y", "type<=>"], query.EVENT_KEYS)
    assert conditions == [
        ("type", ":", "a>=b IN c"),
        ("actee", ">=", "x:y"),
        ("type", "<=", ">"),
    ]


@pytest.mark.row("C-58")
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Type:x", "Type"),
        ("type :x", "type "),
        (" type:x", " type"),
        (":x", ""),
        ("actor:x", "actor"),
        ("type=app.crash", "type=app.crash"),
        ("type in a,b", "type in a,b"),
        ("type IN", "type IN"),
        ("type:x;nope>1", "nope"),
    ],
)
def test_unknown_key_is_named_as_it_was_cut(text: str, key: str) -> None:
    with pytest.raises(UnsupportedField) as caught:
        query.parse([text], query.EVENT_KEYS)
    assert caught.value.field == key


@pytest.mark.row("C-58")
@pytest.mark.parametrize("text", ["timestamp", "timestamp:", "timestamp>soon", "timestamp IN a"])
def test_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuery):
        holds(text)


def test_number_of_conditions_is_limited() -> None:
    most = ["type:x"] * limits.QUERY_CLAUSES
    assert len(query.parse(most, query.EVENT_KEYS)) == limits.QUERY_CLAUSES
    with pytest.raises(TooLarge):
        query.parse([*most, "type:x"], query.EVENT_KEYS)


COMPARE: dict[str, Callable[[str, str], bool]] = {
    ":": lambda value, bound: value == bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    " IN ": lambda value, bound: value in bound.split(","),
}
WORDS = st.text(st.sampled_from("ab,;: <>é"), min_size=1, max_size=4)


@pytest.mark.row("C-21")
@given(
    WORDS, WORDS, st.sampled_from(sorted(COMPARE)), st.sampled_from(["type", "actee", "space_guid"])
)
def test_text_conditions_agree_with_plain_comparison(
    value: str, bound: str, operator: str, key: str
) -> None:
    member = {"type": "type", "actee": "actee", "space_guid": "space_guid"}[key]
    view = view_of(draft_of(resource(**{member: value})))
    text = f"{key}{operator}{bound}".replace(";", ";;")
    expected = COMPARE[operator](value, bound)
    # After `<` or `>`, a bound that starts with `=` would be another operator; none does.
    assert holds(text, view=view) is expected
    [condition] = query.parse([text], query.EVENT_KEYS)
    assert query.holds(condition, value) is expected

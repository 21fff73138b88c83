"""What the fields of the native query language mean."""

from __future__ import annotations

import pytest

from tallystick.errors import InvalidQuery, UnsupportedField, UnsupportedOperator
from tallystick.events.event import Draft, Resource
from tallystick.query.expr import (
    And,
    Box,
    Eq,
    Exists,
    Expr,
    Fuzzy,
    Near,
    Not,
    Or,
    Phrase,
    Prefix,
    Range,
    Term,
    Wildcard,
)
from tallystick.query.lucene import parse
from tallystick.query.match import matches
from tallystick.query.native_fields import FIELDS, NativeFields
from tests.support import strategies

DAY = 86_400_000
MAY = 1_714_521_600_000
"""2024-05-01T00:00:00Z"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("free", Term(None, "free")),
        ("fr*", Wildcard(None, "fr*")),
        ("kind:order.created", Eq("kind", "order.created")),
        ('kind:"order created"', Eq("kind", "order created")),
        ("kind:`x`", Eq("kind", "x")),
        ("kind:order.*", Prefix("kind", "order.")),
        (r"kind:a\*b*", Prefix("kind", "a*b")),
        ("kind:*.created", Wildcard("kind", "*.created", whole=True)),
        ("kind:o?d*", Wildcard("kind", "o?d*", whole=True)),
        ("kind:a*b*", Wildcard("kind", "a*b*", whole=True)),
        ("kind:*", Exists("kind")),
        ("kind:[a TO b}", Range("kind", "a", "b", True, False)),
        ("kind:[1 TO *]", Range("kind", "1", None)),
        ("class:order", Eq("class", "order")),
        ("actor.id:42", Eq("actor.id", "42")),
        ("actor.id:bob~1", Fuzzy("actor.id", "bob", 1)),
        ("trail:a/b", Eq("trail", "a/b")),
        ("actor:alice", Or((Eq("actor.id", "alice"), Term("actor.name", "alice")))),
        (
            "actor:user:alice",
            Or(
                (
                    Eq("actor.id", "user:alice"),
                    Eq("actor", "user:alice"),
                    Term("actor.name", "user:alice"),
                )
            ),
        ),
        (
            'target:"Big Order"~2',
            Or((Eq("target.id", "Big Order"), Phrase("target.name", "Big Order", 2))),
        ),
        ("scope:`S 1`", Or((Eq("scope.id", "S 1"), Eq("scope.name", "S 1")))),
        (
            "actor:al*",
            Or((Prefix("actor.id", "al"), Prefix("actor", "al"), Wildcard("actor.name", "al*"))),
        ),
        ("actor:alcie~", Fuzzy("actor.name", "alcie", 2)),
        ("actor:*", Exists("actor")),
        ("actor.name:smith", Term("actor.name", "smith")),
        ("actor.name:`A B`", Eq("actor.name", "A B")),
        ("actor.name:[a TO 5]", Range("actor.name", "a", "5")),
        ("index:5", Eq("index", 5)),
        ("index:[5 TO *]", Range("index", 5, None)),
        ("index:*", Exists("index")),
        ("occurred:2024-05-01", Range("occurred_ms", MAY, MAY + DAY, high_inclusive=False)),
        (
            "occurred_at:2024-05-01T10:00:00Z",
            Range("occurred_ms", MAY + 36_000_000, MAY + 36_001_000, high_inclusive=False),
        ),
        (
            'recorded:"2024-05-01T12:00:00.123+02:00"',
            Range("recorded_ms", MAY + 36_000_123, MAY + 36_000_124, high_inclusive=False),
        ),
        ("recorded_ms:5", Range("recorded_ms", 5, 6, high_inclusive=False)),
        ("recorded_at:`5`", Range("recorded_ms", 5, 6, high_inclusive=False)),
        (
            "occurred:[2024-05-01 TO 2024-05-02]",
            Range("occurred_ms", MAY, MAY + 2 * DAY, high_inclusive=False),
        ),
        (
            "occurred:{2024-05-01 TO 2024-05-03}",
            Range("occurred_ms", MAY + DAY, MAY + 2 * DAY, high_inclusive=False),
        ),
        ("occurred:[* TO -5]", Range("occurred_ms", None, -4, high_inclusive=False)),
        ("occurred_ms:*", Exists("occurred_ms")),
        ("data:fox", Term("data", "fox")),
        ("data:*", Exists("data")),
        ("data.x:fox", Term("data.x", "fox")),
        ("data.x:5", Or((Eq("data.x", 5), Term("data.x", "5")))),
        ("data.x:-5.5", Or((Eq("data.x", -5.5), Term("data.x", "-5.5")))),
        ("data.x:true", Or((Eq("data.x", True), Term("data.x", "true")))),
        ("data.x:null", Or((Eq("data.x", None), Term("data.x", "null")))),
        ('data.x:"5"', Phrase("data.x", "5")),
        ("data.x:`5`", Or((Eq("data.x", 5), Eq("data.x", "5")))),
        ("data.x:a*", Wildcard("data.x", "a*")),
        ("data.x:a~", Fuzzy("data.x", "a", 2)),
        ("data.x:[1 TO 5]", Range("data.x", 1, 5)),
        ("data.x:[a TO *]", Range("data.x", "a", None)),
        ("data.x:*", Exists("data.x")),
        ("previous.x:a", Term("previous.x", "a")),
        ("actor.attributes.x:a", Term("actor.attributes.x", "a")),
        ("data.x:NEAR:{lat:1 lon:2 dist:3m}", Near("data.x", 1.0, 2.0, 3.0, "m")),
        ("data:IN:{n:1 s:0 e:1 w:0}", Box("data", 1.0, 0.0, 1.0, 0.0)),
        (
            "kind:order.* -kind:order.viewed",
            And((Prefix("kind", "order."), Not(Eq("kind", "order.viewed")))),
        ),
    ],
)
def test_fields_mean(text: str, expected: Expr) -> None:
    assert parse(text, NativeFields()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "index:x",
        "index:-1",
        "index:1.5",
        f"index:{2**40}",
        "index:[a TO 5]",
        "index:[1.5 TO 5]",
        "occurred:yesterday",
        "occurred:2024-13-01",
        "occurred:2024-05-01T10:00:00",
        "occurred:[x TO *]",
        f"occurred:{10**30}",
        "data.x:[1 TO b]",
        'data.x:["1" TO 5]',
    ],
)
def test_values_that_a_field_cannot_have_are_errors(text: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse(text, NativeFields())
    assert caught.value.position == text.index(":") + 1
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "kind:NEAR:{lat:1 lon:2 dist:3}",
        "actor:[a TO b]",
        "index:5~",
        "index:5*",
        "occurred:2024*",
        "data:[1 TO 5]",
        "data:`x`",
        "actor.name:IN:{n:1 s:0 e:1 w:0}",
    ],
)
def test_questions_that_a_field_cannot_answer_are_errors(text: str) -> None:
    with pytest.raises(UnsupportedOperator) as caught:
        parse(text, NativeFields())
    assert caught.value.operator in ("near", "range", "fuzzy", "wildcard", "eq", "box")


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("knd:x", "kind"),
        ("ocurred_at:5", "occurred_at"),
        ("totl:5", "data.total"),
        ("data.totl:5", "data.total"),
        ("actor.nam:x", "actor.name"),
        ("zzz:5", None),
        ("data.zzz:5", None),
    ],
)
def test_unknown_fields_are_errors_with_the_nearest_known_name(text: str, near: str | None) -> None:
    paths = {"data.total", "data.name"}
    fields = NativeFields(
        lambda path: path in paths,
        lambda path: ["data.total", "data.name"] if path == "data.totl" else [],
    )
    with pytest.raises(UnsupportedField) as caught:
        parse(text, fields)
    assert caught.value.field == text.partition(":")[0]
    assert caught.value.position == 0
    assert caught.value.allowed == FIELDS
    assert caught.value.hint == (f"did you mean {near}?" if near else caught.value.hint)
    assert ("did you mean" in str(caught.value.hint)) is (near is not None)


def test_known_paths_are_taken() -> None:
    fields = NativeFields(lambda path: path == "data.total", lambda path: [])
    assert parse("data.total:x", fields) == Term("data.total", "x")


def test_a_query_finds_its_event() -> None:
    draft = Draft(
        kind="order.created",
        occurred_ms=MAY + 5,
        actor=Resource("user", "alice", "Alice Smith"),
        target=Resource("order", "o-1", "Big Order"),
        data={"total": 150, "note": "free text here", "paid": True},
    )
    view = strategies.view_of(strategies.event_of(draft, 0, MAY + 10))
    for text in (
        'actor:alice kind:order.* -kind:order.viewed data.total:[100 TO *] "free text"',
        "actor:smith target:order:o-1 class:order",
        "occurred:2024-05-01 recorded:[2024-05-01 TO *]",
        "data.paid:true data.note:fre* data.note:txet~1 150",
        "data.total:150 NOT data.total:151",
    ):
        assert matches(parse(text, NativeFields()), view), text
    for text in ("actor:bob", "kind:Order.*", "data.total:[* TO 100]", "-free", "occurred:2024"):
        assert not matches(parse(text, NativeFields()), view), text

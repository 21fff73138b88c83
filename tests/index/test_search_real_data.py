"""Real audit records: whatever is asked of them, the index answers as plain values do."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import InvalidQuery
from tallystick.events.event import Json, Resource, View
from tallystick.events.ids import event_id
from tallystick.index.search import SearchWriter
from tallystick.query.aggregate import Ranges, Stats, TimeSeries, TopValues
from tallystick.query.calendar import Interval
from tallystick.query.expr import (
    And,
    Eq,
    Everything,
    Exists,
    Expr,
    Fuzzy,
    Not,
    Or,
    Phrase,
    Prefix,
    Range,
    Scalar,
    Sort,
    Term,
    Wildcard,
)
from tallystick.query.text import text_of, tokens_of
from tallystick.query.values import flatten
from tallystick.times import from_rfc3339
from tests.index.search_world import NOW_MS, Searched, assert_same, at, document, event

RECORDS = 350
QUESTIONS = 120


def record(index: int, data: Json) -> View:
    """Return a record of the trail as an event."""
    who = data.get("userIdentity", {})
    return event(
        index,
        data,
        id=event_id(NOW_MS + index, index, index * 7),
        kind=f"{data['eventSource'].split('.')[0]}.{data['eventName']}",
        occurred_ms=from_rfc3339(data["eventTime"]),
        actor=Resource(who.get("type", "none"), who.get("arn", "none"), who.get("userName")),
        target=Resource("service", data["eventSource"]),
    )


@pytest.fixture(scope="module")
def records(shared_data: Path) -> list[View]:
    folder = shared_data / "data" / "aws-cloudtrail-invictus" / "CloudTrail"
    found = [
        data
        for path in sorted(folder.glob("*.json"))
        for data in json.loads(path.read_bytes())["Records"]
    ]
    return [record(n, data) for n, data in enumerate(found)]


@pytest.fixture(scope="module")
def searched(records: list[View], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    some = records[:: len(records) // RECORDS]
    with Searched(tmp_path_factory.mktemp("search"), some, commits=5) as searched:
        yield searched


def question(chance: random.Random, field: str, value: Scalar) -> Expr:
    """Return a question that some record answers."""
    text = text_of(value)
    words = tokens_of(text) or ["none"]
    word = chance.choice(words)
    cut = chance.randint(1, max(1, len(text)))
    scope = chance.choice((field, field, None, "data"))
    simple: list[Expr] = [
        Eq(field, value),
        Exists(field),
        Prefix(field, text[:cut]),
        Term(scope, word),
        Phrase(scope, " ".join(words[:3]), chance.randint(0, 3)),
        Wildcard(scope, f"{word[:2]}*{word[-1]}"),
        Wildcard(scope, f"*{word[1:4]}*"),
        Wildcard(field, f"*{text[cut // 2 : cut]}*".replace("\\", ""), whole=True),
        Fuzzy(scope, word[:-1] + "x", 1),
    ]
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        simple.append(Range(field, value, None))
        simple.append(Range(field, None, value, high_inclusive=False))
    return chance.choice(simple)


def test_questions_made_of_the_records_are_answered_rightly(searched: Searched) -> None:
    chance = random.Random(11)  # noqa: S311  # questions for a test, the same each time
    views = list(searched.views.values())

    def one() -> Expr:
        found = [
            (field, value) for field, value in flatten(chance.choice(views)) if value is not None
        ]
        return question(chance, *chance.choice(found))

    refused = 0
    for _ in range(QUESTIONS):
        where = chance.choice((one(), And((one(), one())), Or((one(), Not(one())))))
        wanted = [view.index for view in searched.matching(where)]
        try:
            assert searched.indexes(where) == wanted, where
        except InvalidQuery:
            refused += 1
    assert refused == 0


@pytest.mark.parametrize(
    "request_",
    [
        TopValues("kind"),
        TopValues("actor", 2, 5),
        TopValues("data.userAgent"),
        TopValues("data.errorCode", 0, 3),
        TopValues("data.readOnly"),
        TopValues("data.requestParameters.maxResults"),
        TopValues("data.responseElements"),
        Stats("data.requestParameters.maxResults"),
        Stats("occurred_ms"),
        Ranges("data.requestParameters.maxResults", ((None, 10), (10, 500), (500, None))),
        TimeSeries("occurred_ms", Interval.HOUR, 120),
        TimeSeries("occurred_ms", Interval.MONTH),
        TimeSeries("data.eventTime", Interval.DAY, -60),
        TimeSeries("data.userIdentity.sessionContext.attributes.creationDate", Interval.WEEK),
    ],
    ids=str,
)
def test_aggregates_over_the_records_are_those_of_plain_values(
    searched: Searched, request_: TopValues | Stats | Ranges | TimeSeries
) -> None:
    for where in (Everything(), Term(None, "ec2"), Exists("data.errorCode")):
        found = searched.aggregate(request_, where)
        assert_same(found, searched.worked_out(request_, where))


def test_lists_of_the_records_are_in_the_order_asked_for(searched: Searched) -> None:
    for field in (
        "occurred_ms",
        "data.eventName",
        "data.eventID",
        "data.requestParameters.maxResults",
    ):
        for descending in (False, True):
            sort = (Sort(field, descending),)
            where = Not(Eq("data.eventType", "AwsConsoleSignIn"))
            wanted = [view.index for view in searched.sorted(where, sort)]
            assert searched.walk(where, sort, 200) == wanted, sort


def test_the_index_is_smaller_than_the_records(records: list[View], tmp_path: Path) -> None:
    writer = SearchWriter(tmp_path)
    writer.apply("t", [document(view) for view in records], [], at(len(records)))
    writer.commit()
    writer.close()
    size = sum(path.stat().st_size for path in (tmp_path / "segments").iterdir())
    raw = sum(len(json.dumps(view.event.data, separators=(",", ":"))) for view in records)
    assert size < 0.46 * raw, size / raw

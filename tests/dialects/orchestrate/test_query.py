"""What a query, a sort and an aggregate mean: worked out on plain values, no index involved."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tallystick.dialects.orchestrate import aggregates, wire
from tallystick.dialects.orchestrate.aggregates import parse_aggregates
from tallystick.dialects.orchestrate.errors import Refusal
from tallystick.dialects.orchestrate.query import (
    PATH_FIELDS,
    RELEVANCE,
    field_of,
    parse_order,
    parse_question,
)
from tallystick.dialects.orchestrate.wire import Address, Relation
from tallystick.errors import InvalidQuery, UnsupportedField
from tallystick.events.event import Json, Op, View
from tallystick.query.aggregate import aggregate
from tallystick.query.expr import Near, Nothing, Sort
from tallystick.query.match import matches
from tallystick.query.question import Over
from tallystick.query.values import Values
from tests.dialects.orchestrate.views import stored, viewed

TRIP: Json = {"type": "liked", "page_title": "Photos from my trip"}
VALUE: Json = {
    "name": "Steve Kaliski", "location": "New York", "n": 7, "ok": True, "code": "a-b",
    "tags": ["x", "y"], "when": "2014-12-02", "where": {"lat": 45.5, "lon": -122.7},
}  # fmt: skip


def world() -> dict[str, View]:
    kate = Address("users", "kates-user-id")
    steve = Address("users", "steve@example.com")
    other = Address("posts", ":(")
    drafts = {
        "timeline": wire.event_draft(kate, "timeline", TRIP, occurred_ms=1_000),
        "login": wire.event_draft(kate, "login", {"from": "home"}, occurred_ms=2_000),
        "post": wire.event_draft(other, "item.put", TRIP, occurred_ms=3_000),
        "kate": wire.item_draft(kate, {"name": "Kate", "trip": "no"}),
        "steve": wire.item_draft(steve, VALUE),
        "odd": wire.item_draft(other, {"name": "nobody"}),
        "likes": wire.relation_draft(Relation(kate, "likes", other), {"foo": "bar"}),
        "knows": wire.relation_draft(Relation(other, "knows", kate), {"foo": "trip"}),
    }
    return {
        name: viewed(stored(draft, index, 10_000 + index))
        for index, (name, draft) in enumerate(drafts.items())
    }


WORLD = world()


def found(query: str, collection: str | None = None) -> set[str]:
    question = parse_question(query, collection)
    ops = {Over.EVENTS: {Op.RECORD}, Over.ITEMS: {Op.DOCUMENT}, Over.BOTH: set(Op)}[question.over]
    return {
        name
        for name, view in WORLD.items()
        if view.first.op in ops
        and matches(
            question.where,
            view,
            {f"orchestrate.{term}": value for term, value in wire.derived(view, "").items()},
        )
    }


@pytest.mark.row("O-63", "O-64", "O-66", "O-67", "O-68", "O-69", "O-80")
@pytest.mark.parametrize(
    ("query", "collection", "expected"),
    [
        # The seed's own.
        ("@path.kind:event AND trip", "users", {"timeline"}),
        # Items unless kinds are named.
        ("*", None, {"kate", "steve", "odd"}),
        ("*", "users", {"kate", "steve"}),
        ("trip", None, set()),
        ("no", None, {"kate"}),
        ("@path.kind:*", "users", {"timeline", "login", "kate", "steve", "likes"}),
        ("@path.kind:event", None, {"timeline", "login", "post"}),
        ("@path.kind:item", None, {"kate", "steve", "odd"}),
        ("@path.kind:relationship", None, {"likes", "knows"}),
        ("@path.kind:(item event)", "users", {"timeline", "login", "kate", "steve"}),
        ("@path.kind:(item OR event) AND trip", None, {"timeline", "post"}),
        ("@path.kind:event AND @path.kind:item", None, set()),
        ("NOT @path.kind:event", "users", {"kate", "steve", "likes"}),
        ("@path.kind:`event`", "users", {"timeline", "login"}),
        ("@path.kind:ev*", "users", {"timeline", "login"}),
        ("@path.kind:Event", "users", {"timeline", "login"}),
        ("@path.kind:nothing", None, set()),
        # As the clients build them.
        ("@path.kind:(event) AND (*)", "users", {"timeline", "login"}),
        ("@path.kind:(event) AND (@path.type:timeline AND photos)", "users", {"timeline"}),
        ("(trip) AND @path.kind:(event) AND @path.type:(login timeline)", "users", {"timeline"}),
        # Members of the path.
        ("@path.type:timeline AND @path.kind:event", None, {"timeline"}),
        ("@path.type:item.put", None, set()),
        ("@path.type:item.put AND @path.kind:*", None, {"post"}),
        ("@path.key:steve@example.com", None, {"steve"}),
        ("@path.key:`steve@example.com`", None, {"steve"}),
        ("@path.key:`steve`", None, set()),
        ("@path.key:\\:\\(", None, {"odd"}),
        ("@path.collection:`posts`", None, {"odd"}),
        ("@path.collection:users AND @path.kind:*", None, {"timeline", "login", "kate", "steve"}),
        ("@path.timestamp:[1500 TO *] AND @path.kind:event", "users", {"login"}),
        ("@path.timestamp:1000 AND @path.kind:event", None, {"timeline"}),
        ("@path.timestamp:[1970-01-01T00:00:01Z TO 2000} AND @path.kind:event", None, {"timeline"}),
        ("@path.timestamp:[* TO *]", None, set()),
        ("@path.reftime:10004", None, {"steve"}),
        ("@path.reftime:{10003 TO 10005]", None, {"steve", "odd"}),
        (f"@path.ref:{wire.ref_of(VALUE)}", None, {"steve"}),
        (f"@path.ref:`{wire.ref_of(TRIP)}` AND @path.kind:event", None, {"timeline", "post"}),
        ("@path.relation:likes AND @path.kind:relationship", None, {"likes"}),
        ("@path.source.collection:`users` AND value.foo:bar AND @path.kind:relationship", None,
         {"likes"}),
        ("@path.kind:relationship", "users", {"likes"}),
        ("@path.destination.key:kates-user-id AND @path.kind:(relationship)", None, {"knows"}),
        ("@path.destination.collection:posts AND @path.kind:*", None, {"likes"}),
        ("@path.source.key:\\:\\( AND @path.kind:*", None, {"knows"}),
        # Members of the value.
        ("name:kate", None, {"kate"}),
        ("value.name:Kate", None, {"kate"}),
        ("location: New*", None, {"steve"}),
        ("value.location:`New York`", None, {"steve"}),
        ("value.location:`new york`", None, set()),
        ('value.name:"steve kaliski"', None, {"steve"}),
        ('value.name:"kaliski steve"~2', None, {"steve"}),
        ("name:*isk*", None, {"steve"}),
        ("name:kal?ski", None, {"steve"}),
        ("name:kalisky~1", None, {"steve"}),
        ("New York", None, {"steve"}),
        ("New AND kate", None, set()),
        ("New && York", None, {"steve"}),
        ("kate || york", None, {"kate", "steve"}),
        ("!york", "users", {"kate"}),
        ("+name:steve -york", None, set()),
        ("name:(kate OR kaliski)", None, {"kate", "steve"}),
        ("n:7", None, {"steve"}),
        ("value.n: 7.0", None, {"steve"}),
        ("n:[5 TO 7}", None, set()),
        ("n:[5 TO 7]", None, {"steve"}),
        ("n:{* TO 8}", None, {"steve"}),
        ("ok:true", None, {"steve"}),
        ("ok:`true`", None, {"steve"}),
        ("tags:y", None, {"steve"}),
        ("when:[2014-12-01 TO 2015]", None, {"steve"}),
        ("where:NEAR:{lat:45.5 lon:-122.7 dist:1km}", None, {"steve"}),
        ("value.where:IN:{n:46 s:45 e:-122 w:-123}", None, {"steve"}),
        ("gone:*", None, set()),
        ("ok:*", None, {"steve"}),
        ("value:york", None, {"steve"}),
    ],
)  # fmt: skip
def test_query_finds(query: str, collection: str | None, expected: set[str]) -> None:
    assert found(query, collection) == expected


@pytest.mark.row("O-66")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("n:>6", {"steve"}),
        ("value.n:(>=7 <8)", {"steve"}),
        ("+n:>=7 +n:<7", set()),
        ("when:>=2014-12", {"steve"}),
        ("name:/stev./", {"steve"}),
        ("name:/Steve K.*/", {"steve"}),
        ("/kal.*ki/", {"steve"}),
        ("@path.key:/kates-.*/", {"kate"}),
        ("@path.kind:/ev.*/ AND @path.timestamp:<2000", {"timeline"}),
    ],
)
def test_comparisons_and_expressions_find(query: str, expected: set[str]) -> None:
    assert found(query) == expected


def test_question_about_one_kind_goes_to_its_own_index() -> None:
    assert parse_question("*", "c").over is Over.ITEMS
    assert parse_question("@path.kind:event AND trip", "c").over is Over.EVENTS
    assert parse_question("@path.kind:*", "c").over is Over.BOTH
    assert parse_question("@path.kind:x", "c").where == Nothing()


@pytest.mark.row("O-77")
@pytest.mark.parametrize(
    "query",
    [":(", "(", "a AND", "a:[1 TO", '"a', "`a", "@path.huh:1", "@path.timestamp:soon",
     "@path.timestamp:1*", "@path.key:NEAR:{lat:1 lon:1 dist:1km}", 
     "x:NEAR:{lat:100 lon:1 dist:1m}"],
)  # fmt: skip
def test_query_that_makes_no_sense_is_refused_with_its_position(query: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse_question(query, None)
    assert caught.value.position is not None


@pytest.mark.row("O-70", "O-76", "O-77")
@pytest.mark.parametrize(
    ("text", "sorts"),
    [
        (None, RELEVANCE),
        ("", RELEVANCE),
        ("value.name", (Sort("data.name"),)),
        ("name:desc", (Sort("data.name", True),)),
        ("value.name:dsc,value.n:asc", (Sort("data.name", True), Sort("data.n"))),
        ("@path.timestamp:desc", (Sort("occurred_ms", True),)),
        ("key", (Sort("target.id"),)),
        ("@path.kind", (Sort("op", True), Sort("kind"))),
        ("value.where:distance:asc", (Sort("distance"),)),
        ("value.where:distance", (Sort("distance"),)),
        (":(", RELEVANCE),
        ("value.name:sideways", RELEVANCE),
        ("@path.huh,value.n", (Sort("data.n"),)),
        ("@path.key,_random", (Sort("target.id"),)),
    ],
)
def test_sort_means(text: str | None, sorts: tuple[Sort, ...]) -> None:
    near = Near("data.where", 0, 0, 1)
    assert parse_order(text, near) == (sorts, None)


@pytest.mark.row("O-70")
def test_random_order_has_a_seed() -> None:
    assert parse_order("_random", None).seed == ""
    assert parse_order("_random:42,value.n", None).seed == "42"


@pytest.mark.row("O-76")
def test_distance_without_a_place_is_no_order() -> None:
    assert parse_order("value.where:distance", None).sorts == RELEVANCE


def test_every_path_member_is_a_field() -> None:
    assert {field_of(name) for name in PATH_FIELDS} == set(PATH_FIELDS.values())
    with pytest.raises(UnsupportedField) as caught:
        field_of("@path.huh")
    assert "@path.kind" in caught.value.allowed


# Aggregates


def told(text: str, values: list[Any], near: Near | None = None) -> Json:
    views = [viewed(stored(wire.item_draft(Address("c", "k"), {"a": value}))) for value in values]
    (clause,) = clauses = parse_aggregates(text, near)
    results = [aggregate(map(Values, views), clause.request)]
    (answer,) = aggregates.tell(clauses, results)
    msgspec.json.encode(answer)
    return answer


@pytest.mark.row("O-75")
def test_stats_are_of_the_population() -> None:
    assert told("value.a:stats", [1, 2.0, 3, 4, 5, "x"]) == {
        "aggregate_kind": "stats",
        "field_name": "value.a",
        "value_count": 5,
        "statistics": {
            "min": 1.0, "max": 5.0, "mean": 3.0, "sum": 15.0, "sum_of_squares": 55.0,
            "variance": 2.0, "std_dev": 2.0**0.5,
        },
    }  # fmt: skip


@pytest.mark.row("O-75")
def test_top_values_are_of_any_type() -> None:
    values = [1.0] * 3 + ["monkey"] * 4 + [True] + [None] * 2
    assert told("value.a:top_values", values) == {
        "aggregate_kind": "top_values",
        "field_name": "value.a",
        "value_count": 10,
        "offset": 0,
        "limit": 10,
        "entries": [
            {"value": "monkey", "count": 4}, {"value": 1, "count": 3},
            {"value": None, "count": 2}, {"value": True, "count": 1},
        ],
    }  # fmt: skip
    part = told("value.a:top_values:offset:1:limit:2", values)
    assert (part["offset"], part["limit"], len(part["entries"])) == (1, 2, 2)
    assert part["entries"][0] == {"value": 1, "count": 3}


@pytest.mark.row("O-75")
def test_ranges_include_their_lower_end() -> None:
    answer = told("a:range:*~-10:-10~0:0~2:2~4:4~10:10~*:", [1, 2, 3, 4, 5])
    assert answer["field_name"] == "a"
    assert answer["buckets"] == [
        {"max": -10.0, "count": 0}, {"min": -10.0, "max": 0.0, "count": 0},
        {"min": 0.0, "max": 2.0, "count": 1}, {"min": 2.0, "max": 4.0, "count": 2},
        {"min": 4.0, "max": 10.0, "count": 2}, {"min": 10.0, "count": 0},
    ]  # fmt: skip


@pytest.mark.row("O-75", "O-76")
def test_distances_are_in_the_unit_of_the_query() -> None:
    places = [{"lat": 0, "lon": lon} for lon in (0, 1, -1, 2, -2, 3, -3)]
    near = Near("data.a", 0, 0, 500_000, "km")
    answer = told("value.a:distance:0~112:112~224:224~*", places, near)
    assert answer["value_count"] == 7
    assert answer["buckets"] == [
        {"min": 0.0, "max": 112.0, "count": 3},
        {"min": 112.0, "max": 224.0, "count": 2},
        {"min": 224.0, "count": 2},
    ]


TIMES = [
    "2014-12-01T05:15:21.123Z", "2014-12-02T07:55:19.433Z", "2014-12-02T18:48:35.909Z",
    "2014-12-03T12:01:21.451Z", "2014-12-04T16:40:56.202Z", "2014-12-04T18:33:36.555Z",
    "2014-12-04T22:20:04.753Z",
]  # fmt: skip


@pytest.mark.row("O-75")
@pytest.mark.parametrize(
    ("arguments", "buckets"),
    [
        ("day", [("2014-12-01", 1), ("2014-12-02", 2), ("2014-12-03", 1), ("2014-12-04", 3)]),
        ("day:+1100", [("2014-12-01", 1), ("2014-12-02", 1), ("2014-12-03", 2), ("2014-12-05", 3)]),
        ("day: 1100", [("2014-12-01", 1), ("2014-12-02", 1), ("2014-12-03", 2), ("2014-12-05", 3)]),
        ("year", [("2014", 7)]),
        ("quarter", [("2014-Q4", 7)]),
        ("month", [("2014-12", 7)]),
        ("week", [("2014-W49", 7)]),
        ("hour:-0530", [("2014-11-30T23", 1), ("2014-12-02T02", 1), ("2014-12-02T13", 1),
                        ("2014-12-03T06", 1), ("2014-12-04T11", 1), ("2014-12-04T13", 1),
                        ("2014-12-04T16", 1)]),
    ],
)  # fmt: skip
def test_time_series_are_by_calendar(arguments: str, buckets: list[tuple[str, int]]) -> None:
    answer = told(f"value.a:time_series:{arguments}", [*TIMES, "later", 3.5])
    interval, _, zone = arguments.partition(":")
    assert answer["interval"] == interval
    assert answer.get("time_zone") == (zone.replace(" ", "+") or None)
    assert [(b["bucket"], b["count"]) for b in answer["buckets"]] == buckets
    assert answer["value_count"] == 7


@pytest.mark.row("O-75")
def test_clauses_keep_their_order_and_lost_arguments_do_not_matter() -> None:
    text = "value.b:top_values:offset,value.a:stats:,path:time_series:day"
    clauses = parse_aggregates(text, None)
    assert [(c.field, c.kind) for c in clauses] == [
        ("value.b", "top_values"), ("value.a", "stats"), ("path", "time_series"),
    ]  # fmt: skip
    assert parse_aggregates(None, None) == parse_aggregates("", None) == []


@pytest.mark.row("O-75")
@pytest.mark.parametrize(
    "text",
    ["a", "a:huh", "a:range", "a:range:1", "a:range:x~1", "a:time_series", "a:time_series:minute",
     "a:time_series:day:+9999", "a:time_series:day:CET", "a:distance:0~1", "@path.huh:stats",
     "a:top_values:limit:x", "a:top_values:limit:99999", "a:top_values:size:1",
     ",".join(["a:stats"] * 21), "a:range:" + ":".join(["1~2"] * 101)],
)  # fmt: skip
def test_aggregate_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_aggregates(text, None)
    assert caught.value.answer == "search_param_invalid"

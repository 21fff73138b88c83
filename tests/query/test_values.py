"""The values of an event's fields."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from msgspec import structs

from tallystick.events.event import Draft, Event, Json, Op, Resource, View
from tallystick.query.expr import Scalar
from tallystick.query.geo import Point, distance_m, in_box, place_of
from tallystick.query.values import Values, flatten, flatten_places, texts_of, values_of
from tests.support import strategies

EVENT = Event(
    tenant="t",
    index=7,
    id="00000000-0000-7000-8000-000000000007",
    kind="order.created",
    op=Op.RECORD,
    occurred_ms=1_000,
    recorded_ms=2_000,
    dialect="native",
    actor=Resource("user", "alice", "Alice A.", {"team": {"name": "red"}}),
    target=Resource("order", "o:1"),
    scopes=(Resource("space", "s1", "Space"), Resource("org", "o1", attributes={"size": [1, 2]})),
    trails=("t1", "t2"),
    data={
        "total": 5,
        "none": None,
        "tags": ["a", ["b", {"c": "d"}], None],
        "address": {"city": "Köln", "at": {"lat": 50.9, "lon": 6.9}},
        "a": {"b": 1, "b.c": 2},
        "a.b": {"c": 3},
        "": {"": "empty"},
        "x y": True,
        "hole": {},
        "holes": [[], {}],
    },
    previous={"total": 4},
    subject="someone",
    original={"id": "old"},
)
VIEW = View(event=EVENT, first=EVENT, revision=7, revised_ms=2_000)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("index", [7]),
        ("id", ["00000000-0000-7000-8000-000000000007"]),
        ("kind", ["order.created"]),
        ("class", ["order"]),
        ("op", ["record"]),
        ("occurred_ms", [1_000]),
        ("recorded_ms", [2_000]),
        ("dialect", ["native"]),
        ("subject", ["someone"]),
        ("actor", ["user:alice"]),
        ("actor.type", ["user"]),
        ("actor.id", ["alice"]),
        ("actor.name", ["Alice A."]),
        ("actor.attributes.team.name", ["red"]),
        ("actor.attributes", []),
        ("actor.color", []),
        ("target", ["order:o:1"]),
        ("target.name", []),
        ("target.attributes.x", []),
        ("scope", ["space:s1", "org:o1"]),
        ("scope.type", ["space", "org"]),
        ("scope.name", ["Space"]),
        ("scope.attributes.size", [1, 2]),
        ("nested", []),
        ("trail", ["t1", "t2"]),
        ("data.total", [5]),
        ("data.none", [None]),
        ("data.tags", ["a", "b", None]),
        ("data.tags.c", ["d"]),
        ("data.address", []),
        ("data.address.city", ["Köln"]),
        ("data.address.city.x", []),
        ("data.a.b", [1]),
        ("data.a.b.c", [2, 3]),
        ("data..", ["empty"]),
        ("data.x y", [True]),
        ("data", []),
        ("previous.total", [4]),
        ("original.id", ["old"]),
        ("kvass.id", ["0a"]),
        ("kvass.ids", [1, None]),
        ("nothing", []),
        ("", []),
    ],
)
def test_fields_have_these_values(field: str, values: list[Scalar]) -> None:
    derived: dict[str, Scalar | tuple[Scalar, ...]] = {"kvass.id": "0a", "kvass.ids": (1, None)}
    found = values_of(field, VIEW, derived)
    assert Counter(map(repr, found)) == Counter(map(repr, values))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("data", True),
        ("data.total", True),
        ("data.none", False),
        ("data.hole", False),
        ("data.holes", False),
        ("data.missing", False),
        ("data.address", True),
        ("data.a", True),
        ("data.a.b.c", True),
        ("data.total.x", False),
        ("previous", True),
        ("actor.attributes", True),
        ("target.attributes", False),
        ("target", True),
        ("target.name", False),
        ("kvass.id", True),
        ("kvass.no", False),
    ],
)
def test_a_field_exists_when_something_is_there_or_below(field: str, expected: bool) -> None:
    assert Values(VIEW, {"kvass.id": "0a", "kvass.no": None}).exists(field) is expected


def test_what_an_event_lacks_has_no_values() -> None:
    bare = strategies.view_of(strategies.event_of(Draft(kind="k"), 0, 0))
    for field in strategies.FIELDS:
        if field.startswith(("actor", "target", "scope", "data", "previous", "original", "subj")):
            assert values_of(field, bare) in ((), [])
            assert not Values(bare).exists(field)


@given(strategies.views(max_size=3))
def test_flattening_an_event_yields_the_values_of_every_field(views: list[View]) -> None:
    for view in views:
        flat = list(flatten(view))
        for field in {field for field, _ in flat} | set(strategies.FIELDS):
            expected = Counter(repr(value) for found, value in flat if found == field)
            assert Counter(map(repr, values_of(field, view))) == expected
            if "." in field:
                below = any(
                    value is not None and f"{found}.".startswith(f"{field}.")
                    for found, value in flat
                )
                assert Values(view).exists(field) == below


@given(strategies.views(max_size=3))
def test_flattening_an_event_yields_its_places(views: list[View]) -> None:
    for view in views:
        flat = list(flatten_places(view))
        for field in {field for field, _ in flat} | {"data", "data.place", "data.a.b"}:
            expected = Counter(place for found, place in flat if found == field)
            assert Counter(Values(view).places(field)) == expected


def test_identity_and_times_are_those_of_the_first_recording() -> None:
    later = strategies.event_of(Draft(kind="new", occurred_ms=9, data={"x": 1}), 99, 99_000)
    view = View(event=later, first=EVENT, revision=99, revised_ms=99_000)
    assert [values_of(f, view)[0] for f in ("index", "occurred_ms", "recorded_ms")] == [
        7,
        1_000,
        2_000,
    ]
    assert values_of("kind", view) == ("new",)
    assert values_of("data.x", view) == [1]


def test_the_whole_text_is_names_and_payload_but_no_times_and_no_ids_of_ours() -> None:
    texts = texts_of(None, VIEW)
    assert {"order.created", "alice", "Alice A.", "red", "order", "o:1", "t2", "5", "true"} <= {
        *texts
    }
    assert {"old", "4", "Köln", "50.9"} <= {*texts}
    assert not {"7", "1000", "native", "someone", "user:alice", EVENT.id, ""} & {*texts}


def test_the_payload_has_a_text_of_its_own() -> None:
    texts = texts_of("data", VIEW)
    assert {"5", "a", "b", "d", "Köln", "empty", "true"} <= {*texts}
    assert not {"alice", "old", "4"} & {*texts}


def test_only_strings_of_a_field_are_text() -> None:
    assert texts_of("data.total", VIEW) == []
    assert texts_of("data.tags", VIEW) == ["a", "b"]


def test_words_are_analysed_once_a_field() -> None:
    values = Values(VIEW)
    assert values.words("data.address.city") == [["köln"]]
    assert values.words("data.address.city") is values.words("data.address.city")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"lat": 1, "lon": 2}, Point(1, 2)),
        ({"latitude": 1.5, "longitude": -2}, Point(1.5, -2)),
        ({"lat": 1, "lng": 180}, Point(1, 180)),
        ({"lat": 90, "long": 2}, Point(90, 2)),
        ({"latitude": 1, "lat": 5, "lon": 2}, Point(1, 2)),
        ({"latitude": "1", "lat": 5, "lon": 2}, Point(5, 2)),
        ({"lat": 90.1, "lon": 2}, None),
        ({"lat": 1, "lon": 181}, None),
        ({"lat": True, "lon": 2}, None),
        ({"lat": "1", "lon": "2"}, None),
        ({"lat": 1}, None),
        ({"lat": 10**400, "lon": 1}, None),
        ({}, None),
    ],
)
def test_objects_that_are_places(value: Json, place: Point | None) -> None:
    assert place_of(value) == place


@pytest.mark.parametrize(
    ("a", "b", "metres"),
    [
        ((52.52, 13.405), (52.52, 13.405), 0),
        ((52.52, 13.405), (48.8566, 2.3522), 877_464),
        ((0, 179.5), (0, -179.5), 111_195),
        ((90, 0), (-90, 0), 20_015_115),
        ((0, 0), (0, 180), 20_015_115),
    ],
)
def test_distances_on_the_globe(
    a: tuple[float, float], b: tuple[float, float], metres: float
) -> None:
    assert distance_m(Point(*a), Point(*b)) == pytest.approx(metres, abs=1)
    assert distance_m(Point(*b), Point(*a)) == pytest.approx(metres, abs=1)


@pytest.mark.parametrize(
    ("place", "box", "expected"),
    [
        ((5, 5), (10, 0, 10, 0), True),
        ((10, 10), (10, 0, 10, 0), True),
        ((11, 5), (10, 0, 10, 0), False),
        ((5, 11), (10, 0, 10, 0), False),
        ((5, 5), (0, 10, 10, 0), False),
        ((5, 175), (10, 0, -170, 170), True),
        ((5, -175), (10, 0, -170, 170), True),
        ((5, 0), (10, 0, -170, 170), False),
    ],
)
def test_boxes_may_cross_the_last_meridian(
    place: tuple[float, float], box: tuple[float, float, float, float], expected: bool
) -> None:
    north, south, east, west = box
    assert in_box(Point(*place), north=north, south=south, east=east, west=west) is expected


def test_scopes_and_target_of_one_type_are_nested_in_the_order_given() -> None:
    scopes = (
        Resource("workspace", "1"),
        Resource("folder", "10"),
        Resource("folder", "20"),
    )
    event = structs.replace(EVENT, scopes=scopes, target=Resource("folder", "30"))
    view = View(event=event, first=event, revision=7, revised_ms=2_000)
    pairs = ["folder:10>folder:20", "folder:10>folder:30", "folder:20>folder:30"]
    assert list(values_of("nested", view)) == pairs
    assert [value for field, value in flatten(view) if field == "nested"] == pairs

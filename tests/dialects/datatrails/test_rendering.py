"""What DataTrails shows of events that it did not write is total, pure and without collisions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.datatrails import rendering
from tallystick.events import ids
from tallystick.events.event import Event, Resource
from tests.dialects.datatrails import logs, strategies

_SALTS = bytes(range(32))


def _is_flat(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(part, str) for part in value.values())


def _is_attribute(value: object) -> bool:
    if isinstance(value, list):
        return all(_is_flat(part) for part in value)
    return isinstance(value, str) or _is_flat(value)


@given(strategies.EVENTS)
def test_every_event_is_shown_in_attributes_of_the_three_kinds(event: Event) -> None:
    shown = rendering.shown(event, None if event.erased else _SALTS)
    assert all(_is_attribute(value) for value in shown.attributes.values())
    assert all(isinstance(trail, str) for trail in shown.trails)
    assert shown == rendering.shown(event, None if event.erased else _SALTS)


@given(strategies.foreign_events())
def test_foreign_event_keeps_what_both_dialects_have(event: Event) -> None:
    attributes, trails, event_type = rendering.shown(event, _SALTS)
    assert event_type == event.kind
    assert trails[: len(event.trails)] == list(event.trails)
    payload = {name: value for name, value in attributes.items() if not _is_ours(name)}
    assert len(payload) == len(event.data)
    for name, value in event.data.items():
        escaped = f"data.{name}" if rendering._TAKEN.match(name) else name
        assert _unflattened(payload[escaped], value) == value


def _is_ours(name: str) -> bool:
    return name.startswith(rendering.RESERVED)


def _unflattened(shown: Any, original: Any) -> Any:
    """Undo the flattening, told by the original only which strings were JSON text."""
    if isinstance(original, str):
        return shown
    if isinstance(shown, dict):
        return {name: _unflattened(part, original[name]) for name, part in shown.items()}
    if isinstance(shown, list):
        return [_unflattened(part, one) for part, one in zip(shown, original, strict=True)]
    return json.loads(shown)


def test_foreign_event_is_flattened_as_the_readme_says() -> None:
    event = logs.event(
        3,
        kind="order.created",
        dialect="native",
        occurred_ms=1_700_000_000_000,
        actor=Resource("user", "7", "Ann", {"role": "admin", "level": 3}),
        target=Resource("order", "4711"),
        scopes=(Resource("shop", "12", "Main"),),
        trails=(),
        data={
            "note": "fragile",
            "total": 12.5,
            "paid": True,
            "coupon": None,
            "address": {"city": "Köln", "geo": {"lat": 50.9}, "floor": 2},
            "lines": [{"sku": "A", "count": 2}, {"sku": "B"}],
            "tags": ["a", 1],
            "empty": [],
            "tallystick_actor": "mine",
        },
        previous={"paid": False},
        original={"id": "evt_1"},
    )
    assert rendering.shown(event, _SALTS) == (
        {
            "note": "fragile",
            "total": "12.5",
            "paid": "true",
            "coupon": "null",
            "address": {"city": "Köln", "geo": '{"lat":50.9}', "floor": "2"},
            "lines": [{"sku": "A", "count": "2"}, {"sku": "B"}],
            "tags": '["a",1]',
            "empty": "[]",
            "data.tallystick_actor": "mine",
            "tallystick_actor": {
                "type": "user",
                "id": "7",
                "name": "Ann",
                "attributes": '{"role":"admin","level":3}',
            },
            "tallystick_target": {"type": "order", "id": "4711"},
            "tallystick_scopes": [{"type": "shop", "id": "12", "name": "Main"}],
            "tallystick_previous": {"paid": "false"},
            "tallystick_original": {"id": "evt_1"},
            "tallystick_dialect": "native",
            "tallystick_occurred_ms": "1700000000000",
            "tallystick_salt_hash": _SALTS.hex(),
        },
        ["order/4711"],
        "order.created",
    )


def test_own_event_is_shown_as_it_was_sent() -> None:
    event = logs.event(0, data={"tallystick_actor": {"a": "b"}})
    assert rendering.shown(event, _SALTS).attributes is event.data


def test_erased_event_shows_neither_salts_nor_a_made_up_trail() -> None:
    event = logs.event(
        0, dialect="native", data={}, trails=(), target=Resource("a", "b"), erased=("data", "place")
    )
    attributes, trails, _ = rendering.shown(event, None)
    assert trails == []
    assert set(attributes) == {
        "tallystick_actor",
        "tallystick_target",
        "tallystick_dialect",
        "tallystick_occurred_ms",
    }


def test_own_event_without_trails_shows_none() -> None:
    assert rendering.trails(logs.event(0, trails=())) == []


@given(
    st.dictionaries(
        st.sampled_from(["x", "tallystick_x", "data.tallystick_x", "data.x"]), st.just("v")
    )
)
def test_no_two_payload_members_get_the_same_name(data: dict[str, str]) -> None:
    event = logs.event(0, dialect="native", data=data)
    attributes = rendering.shown(event, None).attributes
    assert sum(value == "v" for value in attributes.values()) == len(data)


@pytest.mark.row("D-22")
def test_creator_is_the_actors_uuid_or_one_made_of_its_type_and_id() -> None:
    given_uuid = "2EF471C2-f997-4503-94c8-60b5c929a3c3"
    made = str(ids.derived_uuid(logs.TENANT, "user:7"))
    for actor, expected in (
        (None, ""),
        (Resource("application", given_uuid), given_uuid),
        (Resource("user", "7"), made),
    ):
        event = logs.event(0, actor=actor)
        assert rendering.created_by(event, logs.TENANT) == expected
    assert rendering.created_by(logs.event(0, actor=Resource("user", "8")), logs.TENANT) != made

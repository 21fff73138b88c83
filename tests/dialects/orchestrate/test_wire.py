"""The codec: round trips, refs, ordinals, what is shown and derived."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.orchestrate import wire
from tallystick.dialects.orchestrate.wire import Address, Relation
from tallystick.errors import Malformed
from tallystick.events.event import Draft, Json, Op, Resource
from tests.dialects.orchestrate.views import stored, viewed

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
COLLECTIONS = NAMES.filter(lambda name: not name.startswith(wire.RELATION_TYPE))
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
) | st.floats(allow_nan=False, allow_infinity=False)  # fmt: skip
VALUES = st.dictionaries(
    NAMES,
    st.recursive(
        PLAIN,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
ADDRESSES = st.builds(Address, COLLECTIONS, NAMES)


@pytest.mark.row("O-38", "O-52", "O-53")
def test_event_row_is_the_seeds_to_the_letter() -> None:
    value = {"type": "liked", "page_title": "Photos from my trip"}
    draft = wire.event_draft(Address("users", "kates-user-id"), "timeline", value)
    # The index that would give the ordinal of the seed; its decimal form there is rounded.
    index = 0x08954D2677087000 - 1
    event = stored(draft)
    event = msgspec.structs.replace(event, index=index)
    assert wire.from_event(viewed(event)) == {
        "path": {
            "collection": "users",
            "kind": "event",
            "key": "kates-user-id",
            "type": "timeline",
            "timestamp": 1425398999671,
            "ordinal": 618485351434448896,
            "ref": wire.ref_of(value),
            "reftime": 1425398999671,
            "ordinal_str": "08954d2677087000",
        },
        "value": value,
        "timestamp": 1425398999671,
        "ordinal": 618485351434448896,
        "reftime": 1425398999671,
    }
    assert list(wire.from_event(viewed(event))["path"]) == [
        "collection", "kind", "key", "type", "timestamp", "ordinal", "ref", "reftime",
        "ordinal_str",
    ]  # fmt: skip


@given(ADDRESSES, NAMES, VALUES, st.integers(-(10**12), 10**13))
def test_events_survive_the_round_trip(
    address: Address, type: str, value: Json, occurred_ms: int
) -> None:
    draft = wire.event_draft(address, type, value, occurred_ms=occurred_ms)
    row = wire.from_event(viewed(stored(draft)))
    assert wire.to_draft(row) == draft
    assert wire.from_event(viewed(stored(wire.to_draft(row)))) == row


@given(ADDRESSES, VALUES)
def test_items_survive_the_round_trip(address: Address, value: Json) -> None:
    draft = wire.item_draft(address, value)
    row = wire.from_document(stored(draft))
    assert (row["path"]["collection"], row["path"]["key"]) == address
    assert wire.to_draft(row) == draft


@given(ADDRESSES, NAMES, ADDRESSES, VALUES)
def test_relations_survive_the_round_trip(
    source: Address, kind: str, destination: Address, value: Json
) -> None:
    relation = Relation(source, kind, destination)
    draft = wire.relation_draft(relation, value)
    row = wire.from_document(stored(draft))
    assert wire.to_draft(row) == draft
    resource = wire.relation_resource(relation)
    assert wire.relation_of(resource) == relation
    low, high = wire.relation_bounds(source)
    assert low < resource.id < high


@given(ADDRESSES, ADDRESSES, NAMES, ADDRESSES)
def test_relations_from_elsewhere_lie_outside_the_bounds(
    source: Address, other: Address, kind: str, destination: Address
) -> None:
    low, high = wire.relation_bounds(source)
    id = wire.relation_resource(Relation(other, kind, destination)).id
    assert (low < id < high) is (other == source)


@pytest.mark.row("O-31")
def test_equal_values_have_equal_refs_whatever_their_order() -> None:
    assert wire.ref_of({"a": 1, "b": [1, {"x": 2, "y": 3}]}) == wire.ref_of(
        {"b": [1, {"y": 3, "x": 2}], "a": 1}
    )
    assert wire.ref_of({"a": 1}) != wire.ref_of({"a": True})
    assert len(wire.ref_of({})) == 16


@given(VALUES, VALUES)
def test_refs_are_as_equal_as_the_stored_bytes(a: Json, b: Json) -> None:
    same = msgspec.json.encode(a, order="sorted") == msgspec.json.encode(b, order="sorted")
    assert (wire.ref_of(a) == wire.ref_of(b)) is same
    assert int(wire.ref_of(a), 16) >= 0


@pytest.mark.row("O-51")
@pytest.mark.parametrize(
    ("text", "ordinal"),
    [("7", 7), ("0000000000000007", 7), ("000000000000000a", 10), ("000000000000000A", 10),
     ("618485351434448896", 618485351434448896), ("08954d2677087000", 618485351434448896),
     ("0", 0), ("1234567890123456", 0x1234567890123456)],
)  # fmt: skip
def test_ordinal_is_read_in_both_forms(text: str, ordinal: int) -> None:
    assert wire.parse_ordinal(text) == ordinal


@pytest.mark.row("O-51")
@pytest.mark.parametrize("text", ["", "a", "-1", "+1", "1.0", "0x7", "٣", "9" * 20, "g" * 16, " 1"])
def test_ordinal_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        wire.parse_ordinal(text)
    assert caught.value.path == "ordinal"


@given(st.integers(1, 2**40))
def test_ordinals_are_read_as_they_are_written(ordinal: int) -> None:
    assert wire.parse_ordinal(wire.ordinal_text(ordinal)) == ordinal
    assert wire.parse_ordinal(str(ordinal)) == ordinal


@given(st.none() | st.builds(Resource, NAMES, NAMES), NAMES, VALUES, st.booleans())
def test_every_shown_event_renders_and_no_other_is_shown(
    target: Resource | None, kind: str, data: Json, retracted: bool
) -> None:
    event = stored(Draft(kind=kind, target=target, data=data, dialect="native"))
    view = viewed(event, retracted=retracted)
    assert wire.shows(view) is (target is not None and not retracted)
    wire.derived(view, "")
    if wire.shows(view):
        assert wire.from_event(view)["path"]["collection"] == target.type  # type: ignore[union-attr]


def test_reftime_is_derived_only_where_a_revision_moved_it() -> None:
    event = stored(wire.event_draft(Address("c", "k"), "t", {"a": 1}))
    assert wire.derived(viewed(event), "") == {"ref": wire.ref_of({"a": 1})}
    revised = viewed(event, revision=event.index + 1, revised_ms=event.recorded_ms + 5)
    assert wire.derived(revised, "")["reftime"] == event.recorded_ms + 5


def test_relation_derives_both_of_its_ends() -> None:
    relation = Relation(Address("a", "b/c"), "likes", Address("d", "e%f"))
    document = stored(wire.relation_draft(relation, {}))
    assert wire.derived(viewed(document), "") == {
        "ref": wire.ref_of({}),
        "relation": "likes",
        "source.collection": "a",
        "source.key": "b/c",
        "destination.collection": "d",
        "destination.key": "e%f",
    }


@pytest.mark.row("O-21", "O-29")
def test_tombstone_has_a_ref_and_no_value() -> None:
    draft = wire.delete_draft(Resource("c", "k"))
    assert (draft.op, draft.kind) == (Op.DOCUMENT, "item.delete")
    row = wire.from_document(stored(draft))
    assert row["path"]["tombstone"] is True
    assert "value" not in row
    assert not wire.ends_history(stored(draft))
    assert wire.ends_history(stored(wire.delete_draft(Resource("c", "k"), purged=True)))


@pytest.mark.row("O-81")
@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({}, "/source"),
        ({"path": {"key": "k"}}, "/path/collection"),
        ({"path": {"collection": "c", "key": ""}}, "/path/key"),
        ({"path": {"collection": "c", "key": "k"}, "value": []}, "/value"),
        ({"path": {"collection": "c", "key": "k", "kind": "huh"}}, "/path/kind"),
        ({"path": {"collection": "c", "key": "k", "kind": 1}}, "/path/kind"),
        ({"path": {"collection": "c", "key": "k", "kind": ["item"]}}, "/path/kind"),
        ({"path": {"collection": "c", "key": "k", "kind": "event"}}, "/path/type"),
        ({"path": {"collection": "c", "key": "k", "type": "t", "timestamp": "x"}},
         "/path/timestamp"),
        ({"path": {"collection": "relation:x", "key": "k"}}, "collection"),
        ({"source": {"collection": "c", "key": "k"}, "destination": 1}, "/destination"),
    ],
)  # fmt: skip
def test_row_that_describes_nothing_is_malformed(row: Json, path: str) -> None:
    with pytest.raises(Malformed) as caught:
        wire.to_draft(row)
    assert caught.value.path == path


MOVED: Json = {
    "path": {
        "collection": "users", "kind": "event", "key": "kates-user-id", "type": "timeline",
        "timestamp": 1425398999671, "ordinal": 618485351434448900, "ref": "f8a86a25029a907b",
        "reftime": 1425398999672, "ordinal_str": "08954d2677087000",
    },
    "value": {"type": "liked"},
}  # fmt: skip


def test_event_that_is_moved_in_keeps_its_name_and_its_reftime() -> None:
    draft = wire.to_draft(MOVED)
    view = viewed(stored(draft))
    path = wire.event_path(view)
    assert (path["ordinal"], path["ordinal_str"]) == (618485351434448896, "08954d2677087000")
    assert path["reftime"] == 1425398999672
    assert wire.derived(view, "")["ordinal"] == 618485351434448896
    again = wire.to_draft(wire.from_event(view))
    again.earlier_digests = draft.earlier_digests
    assert again == draft
    revised = viewed(view.event, revision=9, revised_ms=1425399000000)
    assert wire.event_path(revised)["reftime"] == 1425399000000
    other = wire.to_draft({**MOVED, "value": {}})
    assert draft.claims[0][0] == other.claims[0][0]
    assert draft.claims != other.claims


@pytest.mark.parametrize(
    ("change", "path"),
    [({"ordinal": 2**63, "ordinal_str": None}, "/path/ordinal"),
     ({"ordinal": "7"}, "/path/ordinal"), ({"reftime": "x"}, "/path/reftime"),
     ({"reftime": 10**16}, "/path/reftime")],
)  # fmt: skip
def test_name_that_cannot_be_kept_is_refused(change: Json, path: str) -> None:
    with pytest.raises(Malformed) as caught:
        wire.to_draft({**MOVED, "path": MOVED["path"] | change})
    assert caught.value.path == path


def test_small_ordinals_and_those_without_a_time_are_given_anew() -> None:
    for change in ({"ordinal": 7, "ordinal_str": None}, {"timestamp": None}):
        draft = wire.to_draft({**MOVED, "path": MOVED["path"] | change})
        assert (draft.original, draft.claims) == (None, ())

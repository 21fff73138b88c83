"""The Kvass codec: what it shows, what it takes, and what pymongo reads of it."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from bson import ObjectId, json_util
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tallystick import json_text
from tallystick.dialects.kvass import extended, wire
from tallystick.dialects.kvass.kinds import KINDS
from tallystick.errors import Malformed
from tallystick.events.event import Draft, Event, Json, Resource, class_of
from tallystick.identity.records import User
from tests.dialects.kvass.samples import (
    AUTHOR,
    CHANGED,
    COMPANY,
    CREATED_MS,
    ORDER_ID,
    created,
    event_of,
    order,
    stored,
    updated,
    view_of,
)
from tests.support import strategies

object_ids = st.integers(0, 2**96 - 1).map(lambda number: f"{number:024x}")
names = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda n: not n.startswith("$"))
times_ms = st.integers(-62_104_060_800_000, 253_370_764_799_999)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | object_ids.map(extended.oid)
    | times_ms.map(extended.date),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
identities = object_ids.map(extended.oid) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20
)


@st.composite
def documents(draw: st.DrawFn) -> Json:
    """Events as Kvass prints them."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    payloads = st.dictionaries(names, values, max_size=4)
    data = {
        "object_type": class_of(kind),
        "kind": kind,
        "object": {**draw(payloads), "_id": draw(identities)},
    }
    if kind.endswith(".updated") and draw(st.booleans()):
        data["previous_data"] = draw(payloads)
    foreign = draw(st.integers(2**63, 2**64 - 1))
    document = {
        "_id": {"$oid": f"{draw(st.integers(0, 2**32 - 1)):08x}{foreign:016x}"},
        "kind": kind,
        "created": extended.date(draw(times_ms)),
        "company": extended.oid(COMPANY),
        "data": data,
    }
    if draw(st.booleans()):
        document["author"] = {**draw(payloads), "_id": draw(identities)}
    return document


@pytest.mark.row("K-17", "K-18", "K-20")
@pytest.mark.resolution("kvass-K5", "kvass-K6", "kvass-K7", "kvass-K9", "kvass-K16")
@pytest.mark.parametrize("document", [created(), updated()])
def test_the_seeds_events_come_back_to_the_letter(document: Json) -> None:
    draft = wire.to_draft(document, company=COMPANY)
    shown = wire.render(stored(draft), COMPANY)
    assert json_text.encode(shown) == json_text.encode(document)


@given(documents())
def test_what_is_recorded_is_shown(document: Json) -> None:
    draft = wire.to_draft(document, company=COMPANY)
    shown = wire.render(stored(draft), COMPANY)
    assert json_text.encode(shown) == json_text.encode(document)
    assert wire.shows(stored(draft))


@pytest.mark.row("K-16")
@given(documents())
def test_pymongo_reads_the_same_values(document: Json) -> None:
    """`bson.json_util` with the options of version 1 reads ids and times as what they are."""
    shown = wire.render(stored(wire.to_draft(document, company=COMPANY)), COMPANY)
    read = json_util.loads(
        json_text.encode(shown).decode(), json_options=json_util.LEGACY_JSON_OPTIONS
    )
    # By their text, in which 1.0 is not 1.
    assert repr(read) == repr(bson_of(document))
    assert isinstance(read["_id"], ObjectId)


def bson_of(value: Any) -> Any:
    """Return what extended JSON stands for, worked out without pymongo's reader."""
    if isinstance(value, dict):
        if value.keys() == {"$oid"}:
            return ObjectId(value["$oid"])
        if value.keys() == {"$date"}:
            return datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=value["$date"])
        return {name: bson_of(member) for name, member in value.items()}
    return [bson_of(item) for item in value] if isinstance(value, list) else value


@pytest.mark.resolution("kvass-K6")
def test_an_event_of_another_api_has_id_time_and_company_too() -> None:
    shown = wire.render(view_of(event_of()), COMPANY)
    assert shown == {
        "_id": {"$oid": "5964a0ea0000000000000008"},
        "kind": "order.created",
        "created": {"$date": CREATED_MS},
        "company": {"$oid": COMPANY},
        "data": {
            "object_type": "order",
            "kind": "order.created",
            "object": {"total": 1.0, "_id": "17"},
        },
        "author": {
            "_id": "alice",
            "_cls": "User",
            "first_name": "Alice Ann",
            "last_name": "Smith",
        },
    }


@pytest.mark.parametrize(
    ("target", "data", "shown"),
    [
        ("17", {}, {"_id": "17"}),
        (ORDER_ID, {}, {"_id": {"$oid": ORDER_ID}}),
        (ORDER_ID.upper(), {}, {"_id": ORDER_ID.upper()}),
        (ORDER_ID, {"_id": {"$oid": ORDER_ID}, "a": 1}, {"_id": {"$oid": ORDER_ID}, "a": 1}),
        ("17", {"_id": 17}, {"_id": 17}),
        ("17", {"_id": "another"}, {"_id": "17"}),
        ("17", {"_id": {"$oid": 5}}, {"_id": "17"}),
    ],
)
def test_an_object_names_the_target(target: str, data: Json, shown: Json) -> None:
    assert wire.object_of(event_of(target=Resource("order", target), data=data)) == shown


@pytest.mark.parametrize(
    ("actor", "author"),
    [
        (Resource("user", "1", "Alice"), {"_id": "1", "first_name": "Alice", "last_name": ""}),
        (Resource("user", "1", " x"), {"_id": "1", "first_name": " x", "last_name": ""}),
        (Resource("user", "1", "x "), {"_id": "1", "first_name": "x ", "last_name": ""}),
        (Resource("user", "1"), {"_id": "1"}),
        (Resource("user", ORDER_ID), {"_id": {"$oid": ORDER_ID}}),
        (
            Resource("user", "1", "A B", {"_id": "9", "email": "a@x.org", "first_name": "Z"}),
            {"_id": "1", "first_name": "Z", "last_name": "B", "email": "a@x.org"},
        ),
    ],
)
def test_an_author_is_what_is_known_of_the_actor(actor: Resource, author: Json) -> None:
    shown = wire.render(view_of(event_of(actor=actor)), COMPANY)["author"]
    assert shown == {**author, "_cls": "User"}


def test_an_actor_that_is_no_user_says_what_it_is() -> None:
    shown = wire.render(view_of(event_of(actor=Resource("app", "1", "A job"))), COMPANY)
    assert shown["author"]["_cls"] == "app"
    assert "author" not in wire.render(view_of(event_of(actor=None)), COMPANY)


@pytest.mark.row("K-21")
def test_there_are_31_kinds() -> None:
    assert len(KINDS) == 31
    by_class = {name: [k for k in KINDS if class_of(k) == name] for name in map(class_of, KINDS)}
    assert {name: len(kinds) for name, kinds in by_class.items()} == {
        "order": 3, "invoice": 3, "user": 3, "subscription": 8, "payment": 8, "product": 3,
        "plan": 3,
    }  # fmt: skip
    for kind in KINDS:
        event = event_of(kind, target=Resource(class_of(kind), "1"))
        assert wire.shows(view_of(event))
        assert wire.render(view_of(event), COMPANY)["data"]["object_type"] == class_of(kind)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, True),
        ({"kind": "order.deleted"}, False),
        ({"kind": "order"}, False),
        ({"kind": "ORDER.created"}, False),
        ({"kind": "user.created"}, False),
        ({"target": None}, False),
        ({"target": Resource("Order", "17")}, False),
        ({"actor": None}, True),
        ({"target": None, "erased": ("target",)}, False),
        ({"target": None, "erased": ("target",), "dialect": "kvass"}, True),
        ({"target": None, "erased": ("data",), "dialect": "kvass"}, False),
    ],
)
def test_only_its_kinds_about_its_objects_are_shown(changes: Json, shown: bool) -> None:
    assert wire.shows(view_of(event_of(**changes))) is shown


def test_a_retracted_event_is_still_shown() -> None:
    assert wire.shows(structs.replace(view_of(event_of()), retracted=True))


def test_an_erased_event_is_shown_empty_in_its_place() -> None:
    erased = event_of(
        dialect="kvass", target=None, actor=None, data={}, erased=("actor", "target", "data")
    )
    shown = wire.render(view_of(erased), COMPANY)
    assert shown["data"] == {"object_type": "order", "kind": "order.created", "object": {}}
    assert "author" not in shown


@given(strategies.drafts(), st.sampled_from(sorted(KINDS)), st.booleans())
def test_rendering_never_raises_for_what_is_shown(draft: Draft, kind: str, fits: bool) -> None:
    event: Event = strategies.event_of(structs.replace(draft, kind=kind), 3, strategies.NOW_MS)
    if fits and event.target is not None:
        event = structs.replace(event, target=structs.replace(event.target, type=class_of(kind)))
    view = view_of(event)
    if wire.shows(view):
        shown = wire.render(view, COMPANY)
        assert event.target is not None
        assert extended.id_of(shown["data"]["object"]["_id"]) == event.target.id
        assert wire.derived(view, "uuid") == {"id": shown["_id"]["$oid"]}


@pytest.mark.row("K-24")
@given(times_ms, st.integers(0, 10**12))
def test_an_id_begins_with_the_second_of_the_event(ms: int, index: int) -> None:
    id = wire.object_id(event_of(occurred_ms=ms, index=index))
    assert len(id) == 24
    generated = ObjectId(id).generation_time.timestamp()
    assert generated == min(max(ms // 1000, 0), 2**32 - 1)


def test_only_an_import_of_ours_has_an_id_of_its_own() -> None:
    original = {"_id": "5964a0ead57ba2036750a3b4"}
    ours = "5964a0ea0000000000000008"
    assert wire.object_id(event_of(original=original, dialect="kvass")) == original["_id"]
    assert wire.object_id(event_of(original=original)) == ours
    assert wire.object_id(event_of(original={"_id": 5}, dialect="kvass")) == ours
    assert wire.object_id(event_of(original={"_id": "5"}, dialect="kvass")) == ours


def test_the_short_form_is_enough() -> None:
    document = {"kind": "order.created", "object": order()}
    draft = wire.to_draft(document, company=COMPANY, author=Resource("user", "1"))
    assert draft.kind == "order.created"
    assert draft.target == Resource("order", ORDER_ID, "51Q4LN")
    assert draft.scopes == (Resource("company", COMPANY),)
    assert draft.actor == Resource("user", "1")
    assert (draft.occurred_ms, draft.previous, draft.claims) == (None, None, ())
    assert wire.to_draft({**document, "author": None}, company=COMPANY).actor is None


def test_an_author_becomes_the_actor() -> None:
    actor = wire.to_actor(AUTHOR)
    assert actor == Resource("user", "57ee9c72d76d431f85111432", "John Doe", AUTHOR)
    nameless: Json = {"_id": 5, "email": "a@x.org", "first_name": None}
    assert wire.to_actor(nameless) == Resource("user", "5", "a@x.org", nameless)
    long = wire.to_actor({"_id": "5", "first_name": "x" * 1024, "last_name": "y"})
    assert long is not None
    assert long.name is None


@pytest.mark.row("K-19")
@pytest.mark.resolution("kvass-K17")
def test_the_old_object_may_be_given_instead_of_what_changed() -> None:
    before = order(modified={"$date": 1}, gone=True)
    document = {"kind": "order.updated", "object": order(**CHANGED), "previous_object": before}
    draft = wire.to_draft(document, company=COMPANY)
    assert draft.previous == {**{name: order()[name] for name in CHANGED}, "gone": True}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({}, "kind"),
        ({"kind": "order.deleted", "object": order()}, "kind"),
        ({"kind": 5, "object": order()}, "kind"),
        ({"kind": ["order.created"], "object": order()}, "kind"),
        ({"kind": "order.created"}, "object"),
        ({"kind": "order.created", "object": "text"}, "object"),
        ({"kind": "order.created", "object": {}}, "object._id"),
        ({"kind": "order.created", "object": {"_id": {"$oid": "5"}}}, "object._id"),
        ({"kind": "order.created", "object": {"_id": ""}}, "object._id"),
        ({"kind": "order.created", "object": {"_id": True}}, "object._id"),
        ({"kind": "order.created", "object": {"_id": 2**64}}, "object._id"),
        ({"kind": "order.created", "object": order(), "colour": 1}, "colour"),
        ({"kind": "order.created", "object": order(), "author": "me"}, "author"),
        ({"kind": "order.created", "object": order(), "author": {}}, "author._id"),
        ({"kind": "order.created", "object": order(), "created": 5}, "created"),
        ({"kind": "order.created", "object": order(), "created": {"$date": True}}, "created"),
        ({"kind": "order.created", "object": order(), "created": {"$date": 1.5}}, "created"),
        ({"kind": "order.created", "object": order(), "created": {"$date": 2**60}}, "created"),
        ({"kind": "order.created", "object": order(), "created": {"$date": "now"}}, "created"),
        ({"kind": "order.created", "object": order(), "company": {"$oid": "0" * 24}}, "company"),
        ({"kind": "order.created", "object": order(), "_id": "5"}, "_id"),
        ({"kind": "order.created", "object": order(), "_id": {"$oid": "0" * 23 + "5"}}, "_id"),
        ({"kind": "order.created", "object": order(), "previous_data": {}}, "previous_data"),
        ({"kind": "order.created", "object": order(), "previous_object": {}}, "previous_object"),
        ({"kind": "order.updated", "object": order(), "previous_data": 5}, "previous_data"),
        ({"kind": "order.updated", "object": order(), "previous_object": 5}, "previous_object"),
        ({**created(), "data": 5}, "data"),
        ({**created(), "data": {}}, "object"),
        ({**created(), "object": order()}, "object"),
        ({**created(), "data": {**created()["data"], "kind": "user.created"}}, "data.kind"),
        ({**created(), "data": {**created()["data"], "object_type": "user"}}, "data.object_type"),
        ({**created(), "data": {**created()["data"], "more": 1}}, "data.more"),
    ],
)
def test_what_is_wrong_is_refused_by_name(document: Json, path: str) -> None:
    with pytest.raises(Malformed) as refusal:
        wire.to_draft(document, company=COMPANY)
    assert refusal.value.path == path


@pytest.mark.row("K-16")
@pytest.mark.parametrize(
    ("value", "fine"),
    [
        ({"$oid": ORDER_ID}, True),
        ({"$date": 1495196003948}, True),
        ({"$oid": "5"}, False),
        ({"$oid": ORDER_ID, "more": 1}, False),
        ({"$date": "2017-07-11T09:56:58Z"}, False),
        ({"$date": {"$numberLong": "5"}}, False),
        ({"$date": 2**70}, False),
        ({"$date": 1.5}, False),
        ({"$numberLong": "5"}, False),
        ({"$regex": "x", "$options": ""}, False),
        ({"$undefined": True}, False),
        ({"$": 1}, False),
        ({"a$b": 1, "": {"c": [1.0, "$oid"]}}, True),
    ],
)
def test_only_ids_and_times_are_written_with_a_dollar_sign(value: Json, fine: bool) -> None:
    document = {"kind": "order.created", "object": order(extra=[{"x": value}])}
    if fine:
        assert wire.to_draft(document, company=COMPANY).data["extra"] == [{"x": value}]
        return
    with pytest.raises(Malformed) as refusal:
        wire.to_draft(document, company=COMPANY)
    assert (refusal.value.path or "").startswith("object.extra[0].x")


def test_a_payload_may_be_nested_only_so_deep() -> None:
    nested: Any = 1
    for _ in range(200):
        nested = [nested]
    with pytest.raises(Malformed, match="64 deep"):
        wire.to_draft({"kind": "order.created", "object": order(x=nested)}, company=COMPANY)


def test_times_may_be_given_as_text() -> None:
    text = {"$date": "2017-07-11T09:56:58.360Z"}
    document = {"kind": "order.created", "object": order(), "created": text}
    assert wire.to_draft(document, company=COMPANY).occurred_ms == CREATED_MS


def test_a_user_is_an_author_in_full() -> None:
    """All members of the seed's author are there, in its order."""
    user = User(
        id="john",
        tenant="t",
        created_ms=1475428903950,
        name="John Doe",
        email="john@email.com",
        aliases=("57EE9C72D76D431F85111432",),
        attributes={"mobile_phone_number": "+4712345678", "shoe_size": 43},
    )
    author = wire.author_of(user, COMPANY, ("admin",))
    assert author.id == "john"
    assert author.attributes == {
        **AUTHOR,
        "modified": {"$date": 1475428903950},
        "roles": ["admin"],
        "deleted": False,
    }
    assert list(author.attributes) == list(AUTHOR)
    nameless = wire.author_of(User(id="1", tenant="t", created_ms=0), COMPANY, ("admin",))
    assert nameless.attributes is not None
    assert (nameless.attributes["_id"], nameless.attributes["first_name"]) == ("1", "")

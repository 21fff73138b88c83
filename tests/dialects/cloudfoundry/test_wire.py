"""Events in and out: every member survives, what cannot be shown is said by one rule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.dialects.cloudfoundry import timestamps, wire
from tallystick.dialects.cloudfoundry.wire import Relations, Style
from tallystick.errors import Malformed, TooLarge
from tallystick.events import entry
from tallystick.events.event import Draft, Event, Resource, View
from tests.dialects.cloudfoundry.samples import (
    SEED_ZONE,
    Json,
    draft_of,
    resource,
    seed_resources,
    seen,
    view_of,
)
from tests.support import strategies

SEED_STYLE = Style(zone=timestamps.zone_of(SEED_ZONE))

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30) | st.sampled_from(
    ["a\x00b", "<script>", "\u202eevil", "line\r\nbreak", "x" * 1024, "'; DROP TABLE", "日本"]
)
SECONDS = st.integers(limits.OCCURRED_MS_MIN // 1000 + 1, limits.OCCURRED_MS_MAX // 1000)
GUID = st.uuids().map(str) | st.from_regex(r"[A-Za-z0-9_.-]{1,255}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def resources(draw: st.DrawFn) -> Json:
    """Draw an event as version 2 shows it."""
    guid = draw(GUID)
    created_at, timestamp = (timestamps.to_text(draw(SECONDS) * 1000) for _ in range(2))
    return {
        "metadata": {
            "guid": guid,
            "url": f"/v2/events/{guid}",
            "created_at": created_at,
            "updated_at": None,
        },
        "entity": {
            "type": draw(NAME),
            "actor": draw(NAME),
            "actor_type": draw(NAME),
            "actor_name": draw(NAME),
            "actee": draw(NAME),
            "actee_type": draw(NAME),
            "actee_name": draw(NAME | st.just("")),
            "timestamp": timestamp,
            "metadata": draw(st.dictionaries(TEXT, JSON, max_size=3)),
            "space_guid": draw(NAME | st.just("")),
            "organization_guid": draw(NAME | st.just("")),
        },
    }


@pytest.mark.row("C-3", "C-4", "C-5", "C-6", "C-7", "C-8", "C-10", "C-11")
def test_seed_sample_reads_back_as_it_was_printed() -> None:
    for printed in seed_resources():
        shown = wire.from_event(view_of(draft_of(printed)), SEED_STYLE)
        assert msgspec.json.encode(shown) == msgspec.json.encode(printed)


@given(resources())
def test_what_comes_in_goes_out(given_resource: Json) -> None:
    view = view_of(draft_of(given_resource))
    assert wire.shows(view)
    assert wire.from_event(view) == given_resource


@pytest.mark.row("C-6")
def test_times_left_out_are_the_moment_of_recording() -> None:
    sent = resource()
    del sent["entity"]["timestamp"]
    shown = wire.from_event(view_of(draft_of(sent), recorded_ms=1_403_223_526_789))
    assert shown["entity"]["timestamp"] == "2014-06-20T00:18:46Z"
    assert shown["metadata"]["created_at"] == "2014-06-20T00:18:46Z"


@pytest.mark.row("C-7")
def test_metadata_left_out_is_an_empty_object() -> None:
    for absent in ({}, {"metadata": None}):
        sent = resource()
        del sent["entity"]["metadata"]
        sent["entity"] |= absent
        assert wire.from_event(view_of(draft_of(sent)))["entity"]["metadata"] == {}


@pytest.mark.row("C-9")
def test_actor_username_is_kept_and_shown_only_when_asked_for() -> None:
    view = view_of(draft_of(resource(actor_username="dev")))
    assert "actor_username" not in wire.from_event(view)["entity"]
    entity = wire.from_event(view, Style(actor_username=True))["entity"]
    assert entity["actor_username"] == "dev"
    assert list(entity)[:5] == ["type", "actor", "actor_type", "actor_name", "actor_username"]
    without = wire.from_event(view_of(draft_of(resource())), Style(actor_username=True))
    assert without["entity"]["actor_username"] == ""


@pytest.mark.row("C-43", "C-44", "C-45")
def test_relations_are_shown_with_the_names_frozen_in_the_event() -> None:
    sent = resource(
        space={"metadata": {"guid": "space-1"}, "entity": {"name": "prod"}},
        organization={"entity": {"name": "acme"}},
    )
    view = view_of(draft_of(sent))
    plain = wire.from_event(view)["entity"]
    urls = wire.from_event(view, wire.PLAIN, Relations(urls=True))["entity"]
    assert urls == plain | {
        "space_url": "/v2/spaces/space-1",
        "organization_url": "/v2/organizations/org-1",
    }
    both = Relations(urls=True, inlined=frozenset(wire.RELATIONS))
    inlined = wire.from_event(view, wire.PLAIN, both)["entity"]
    assert inlined["space"] == {
        "metadata": {
            "guid": "space-1", "url": "/v2/spaces/space-1", "created_at": None, "updated_at": None
        },
        "entity": {"name": "prod", "organization_guid": "org-1"},
    }  # fmt: skip
    assert inlined["organization"]["entity"] == {"name": "acme"}
    # What is shown with relations can be sent in again.
    assert wire.from_event(
        view_of(draft_of({"metadata": {}, "entity": inlined})), wire.PLAIN, both
    )["entity"] == inlined  # fmt: skip


@pytest.mark.row("C-43")
def test_event_outside_a_space_has_no_relations() -> None:
    view = view_of(draft_of(resource(space_guid="", organization_guid="")))
    both = Relations(urls=True, inlined=frozenset(wire.RELATIONS))
    assert wire.from_event(view, wire.PLAIN, both) == wire.from_event(view)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": ""}, "/entity/type"),
        ({"actor_name": ""}, "/entity/actor_name"),
        ({"actee_type": ""}, "/entity/actee_type"),
        ({"timestamp": "soon"}, "/entity/timestamp"),
        ({"timestamp": 1403223526}, "/entity/timestamp"),
        ({"metadata": []}, "/entity/metadata"),
        ({"space_guid": None}, "/entity/space_guid"),
        ({"colour": "red"}, "/entity/colour"),
        ({"space": {"metadata": {"guid": "other"}}}, "/entity/space"),
    ],
)
def test_bad_member_is_refused_by_name(change: Json, path: str) -> None:
    with pytest.raises(Malformed) as caught:
        draft_of(resource(**change))
    assert caught.value.path == path


@pytest.mark.parametrize("name", ["type", "actor", "actor_type", "actor_name", "actee_name"])
def test_missing_member_is_refused(name: str) -> None:
    sent = resource()
    del sent["entity"][name]
    with pytest.raises(Malformed, match=name):
        draft_of(sent)


@pytest.mark.parametrize("guid", ["", "a/b", "a b", "ü", "x" * 256, "a\x00"])
def test_text_that_cannot_be_a_guid_is_refused(guid: str) -> None:
    with pytest.raises(Malformed):
        draft_of(resource(guid))


@pytest.mark.parametrize("body", [b"", b"null", b"7", b"[7]", b"{", b'{"entity":{}}', b"\xff"])
def test_body_of_another_shape_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        wire.decode(body)


def test_list_is_limited() -> None:
    many = [resource()] * (limits.BATCH_EVENTS + 1)
    with pytest.raises(TooLarge):
        wire.decode(msgspec.json.encode(many))


def test_guid_of_the_source_is_kept_whatever_its_spelling() -> None:
    upper = "D9DF3E10-A8C9-4484-BF67-10F0D9914DFB"
    for guid in (upper, upper.lower(), "event-17"):
        draft = draft_of(resource(guid))
        assert draft.id == wire.id_of(guid)
        assert wire.guid_of(view_of(draft).first) == guid
    assert wire.id_of(upper) == upper.lower()


def test_same_event_of_either_version_has_one_claim() -> None:
    """Version 3 tells neither the user name nor when the row was written."""
    first = resource("event-17", actor_username="dev")
    first["metadata"]["created_at"] = "2014-06-20T00:18:47Z"
    assert draft_of(first).claims == draft_of(resource("event-17")).claims
    assert draft_of(first).claims != draft_of(resource("event-17", actee_name="other")).claims


def eligible(event: Event) -> bool:
    """Say independently which events of other dialects have all that Cloud Foundry shows."""
    parts = [event.kind]
    for party in (event.actor, event.target):
        parts += ["", ""] if party is None else [party.type, party.id]
    named = event.actor is not None and bool(event.actor.name)
    target_named = event.target is not None and event.target.name is not None
    return all(parts) and named and target_named


@given(strategies.views().filter(bool).flatmap(st.sampled_from))
def test_shown_is_what_has_every_member_and_rendering_never_fails(view: View) -> None:
    assert wire.shows(view) is (view.first.dialect == "cloudfoundry" or eligible(view.first))
    if wire.shows(view):
        shown = wire.from_event(view, Style(actor_username=True), Relations(urls=True))
        entity = shown["entity"]
        assert shown["metadata"]["guid"] == view.first.id
        assert entity["space_guid"] == wire.derived(view)["space_guid"]
        assert entity["organization_guid"] == wire.derived(view)["organization_guid"]


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({}, True),
        ({"kind": ""}, False),
        ({"actor": None}, False),
        ({"actor": Resource("user", "u", None)}, False),
        ({"actor": Resource("user", "u", "")}, False),
        ({"actor": Resource("", "u", "n")}, False),
        ({"target": Resource("app", "a", "")}, True),
        ({"target": Resource("app", "a", None)}, False),
        ({"target": Resource("app", "", "n")}, False),
    ],
)
def test_native_event_is_shown_when_nothing_is_missing(change: dict[str, Any], shown: bool) -> None:
    draft = Draft(
        kind="order.created",
        actor=Resource("user", "u", "Una"),
        target=Resource("order", "o", "No. 1"),
    )
    view = view_of(msgspec.structs.replace(draft, **change))
    assert wire.shows(view) is shown


def test_scopes_of_a_foreign_event_are_its_first_space_and_organization() -> None:
    draft = Draft(
        kind="k",
        actor=Resource("user", "u", "Una"),
        target=Resource("app", "a", ""),
        scopes=(
            Resource("workspace", "1"),
            Resource("space", "s-1"),
            Resource("space", "s-2"),
            Resource("organization", "o"),
        ),
    )
    entity = wire.from_event(view_of(draft))["entity"]
    assert (entity["space_guid"], entity["organization_guid"]) == ("s-1", "o")


def test_original_of_another_dialect_is_not_ours_to_show() -> None:
    draft = Draft(
        kind="k",
        actor=Resource("user", "u", "Una"),
        target=Resource("app", "a", ""),
        original={"guid": "stolen", "created_ms": "never", "source": 7},
    )
    view = view_of(draft)
    assert wire.guid_of(view.first) == view.first.id
    assert "source" not in wire.derived(view)
    assert wire.from_event(view)["metadata"]["created_at"] == "2023-11-14T22:13:20Z"


def test_erased_event_of_ours_is_shown_with_empty_members() -> None:
    draft = draft_of(resource("event-17", actor_username="dev"))
    sealed = entry.seal(entry.prepare(draft), 0, 1_700_000_000_123, bytes(entry.NOISE_BYTES))
    view = seen(entry.decode("default", 0, sealed.entry, (None,) * 5))
    assert wire.shows(view)
    entity = wire.from_event(view, Style(actor_username=True), Relations(urls=True))["entity"]
    assert entity == {
        "type": "audit.app.update",
        "actor": "", "actor_type": "", "actor_name": "", "actor_username": "",
        "actee": "", "actee_type": "", "actee_name": "",
        "timestamp": "2014-06-20T00:18:46Z",
        "metadata": {},
        "space_guid": "", "organization_guid": "",
    }  # fmt: skip


def test_erased_event_of_another_dialect_is_not_taken_for_one_of_ours() -> None:
    draft = Draft(kind="k", actor=Resource("user", "u", "Una"), target=Resource("app", "a", ""))
    sealed = entry.seal(entry.prepare(draft), 0, 1_700_000_000_123, bytes(entry.NOISE_BYTES))
    assert not wire.shows(seen(entry.decode("default", 0, sealed.entry, (None,) * 5)))

"""The Onehub codec: what it shows, what it takes, and that both fit together."""

from __future__ import annotations

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tallystick.dialects.onehub import sentence, wire
from tallystick.errors import Malformed, TooLarge
from tallystick.events.entry import prepare
from tallystick.events.event import Event, Json, Resource, as_recorded
from tests.dialects.onehub.samples import (
    LOGO,
    MATTHEW,
    SEED_UPLOAD,
    SEED_VIEW,
    TESTING,
    act,
    event_of,
    stored,
)
from tests.support import strategies

PACIFIC = ZoneInfo("America/Los_Angeles")
SEED_EVENTS: list[Json] = [
    {
        "id": 5063247,
        "updated_at": "2016-01-18T11:16:53-08:00",
        "detail": SEED_VIEW,
        "workspace_id": 4137,
        "user_id": 481,
    },
    {
        "id": 5062927,
        "updated_at": "2016-01-15T16:22:45-08:00",
        "detail": SEED_UPLOAD,
        "workspace_id": 4137,
        "user_id": 481,
    },
]
ids = st.integers(0, wire.ID_MAX)
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    lambda text: not set(text) & {"\ufffe", "\uffff"}
)


@st.composite
def facts(draw: st.DrawFn) -> Json:
    """What the extension is told of any act that can be printed with all its ids."""
    type = draw(st.sampled_from(wire.TYPES))
    verb = draw(st.sampled_from([verb for verb in wire.VERBS if verb != "delete"]))
    thing: Json = {"id": draw(ids), "filename": draw(words)}
    thing["ancestor_ids"] = draw(st.lists(ids, max_size=3, unique=True))
    if type == "file" and draw(st.booleans()):
        thing["size"] = draw(st.integers(0, 10**15))
    told: Json = {"verb": verb, "user": {"id": draw(ids), "name": draw(words)}}
    told["workspace"] = {"id": draw(ids), "name": draw(words)}
    if type != "workspace":
        told[type] = thing
    if verb == "invite":
        told |= {"email": draw(words), "role": draw(st.sampled_from(["Viewer", "Creator"]))}
    return told


@given(facts(), st.sampled_from(["UTC", "America/Los_Angeles", "Asia/Kolkata"]))
def test_what_is_printed_can_be_recorded_and_prints_alike(told: Json, zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    printed = wire.render(stored(wire.to_draft(told, zone=UTC)), zone)
    again = wire.to_draft(printed, zone=zone)
    assert wire.render(stored(again, index=99), zone) == printed


@pytest.mark.parametrize("event", SEED_EVENTS)
def test_the_seeds_events_can_be_moved_in(event: Json) -> None:
    draft = wire.to_draft({"event": event}, zone=UTC)
    assert wire.render(stored(draft, index=3), PACIFIC) == {"event": event}
    assert draft.claims == wire.to_draft({"event": event}, zone=UTC).claims != ()


def test_facts_become_what_happened() -> None:
    draft = wire.to_draft(act("upload", file={**LOGO, "ancestor_ids": [1, 2]}), zone=UTC)
    assert draft.kind == "file.upload"
    assert draft.actor == Resource("user", "481", "Matthew Anderson")
    assert draft.target == Resource("file", "849607", "Onehub_Med_RGB.png")
    assert draft.scopes == (
        Resource("workspace", "4137", "Testing the API"),
        Resource("folder", "1"),
        Resource("folder", "2"),
    )
    assert draft.data == {"size": 6736}
    assert draft.dialect == "onehub"
    assert draft.occurred_ms is None


def test_an_invitation_says_who_and_as_what() -> None:
    told = act("invite", file=None, email="b@x.org", role="Creator")
    draft = wire.to_draft(told, zone=UTC)
    assert (draft.kind, draft.data) == (
        "workspace.invite",
        {"email": "b@x.org", "role": "Creator"},
    )
    assert draft.target == draft.scopes[0] == Resource("workspace", "4137", "Testing the API")


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ({}, "verb"),
        (act("eat"), "verb"),
        (act("Upload"), "verb"),
        ({**act("upload"), "verb": ["upload"]}, "verb"),
        ({**act("upload"), "colour": "red"}, "colour"),
        (act("upload", user=None), "user"),
        (act("upload", user={"id": "481"}), "user.id"),
        (act("upload", user={"id": True}), "user.id"),
        (act("upload", user={"id": -1}), "user.id"),
        (act("upload", user={"id": 2**53 + 1}), "user.id"),
        (act("upload", user={"id": 1, "name": ""}), "user.name"),
        (act("upload", user={"id": 1, "name": "a\x00b"}), "user.name"),
        (act("upload", user={"id": 1, "name": "\ufffd\x1b"}), "user.name"),
        (act("upload", user={"id": 1, "login": "x"}), "user.login"),
        (act("upload", user=481), "user"),
        (act("upload", workspace=None), "workspace"),
        (act("upload", workspace={"id": 1}), "workspace.name"),
        (act("upload", file={"id": 1}), "file.filename"),
        (act("upload", file={**LOGO, "filename": "\x08"}), "file.filename"),
        (act("upload", file={**LOGO, "size": -1}), "file.size"),
        (act("upload", file={**LOGO, "size": 1.5}), "file.size"),
        (act("upload", file={**LOGO, "size": True}), "file.size"),
        (act("upload", file={**LOGO, "ancestor_ids": 5}), "file.ancestor_ids"),
        (act("upload", file={**LOGO, "ancestor_ids": [5, "6"]}), "file.ancestor_ids[1]"),
        (act("upload", folder={"id": 1, "filename": "x"}), "folder"),
        (act("upload", file=None, folder={"id": 1, "filename": "x", "size": 1}), "folder.size"),
        (act("upload", email="b@x.org"), "email"),
        (act("invite"), "email"),
        (act("invite", email="b@x.org", role="viewer"), "role"),
        (act("upload", updated_at="yesterday"), "updated_at"),
        (act("upload", updated_at=5), "updated_at"),
        (act("upload", updated_at="0001-01-01T00:00:00Z"), "updated_at"),
        (act("upload", id="5"), "id"),
        ({"event": 5}, "event"),
        ({"event": act("upload"), "more": 1}, "event"),
        ({"event": {**SEED_EVENTS[0], "workspace_id": 1}}, "workspace_id"),
        ({"event": {"detail": SEED_VIEW}}, "user_id"),
        ({"event": {**SEED_EVENTS[0], "detail": 5}}, "detail"),
        ({"event": {**SEED_EVENTS[0], "detail": "\x00"}}, "detail"),
        ({"event": {**SEED_EVENTS[0], "verb": "read"}}, "verb"),
        (
            {"event": {"user_id": 1, "detail": SEED_VIEW.replace("849607", f"{2**53 + 1}")}},
            "detail",
        ),
        ({"event": {"user_id": 1, "detail": SEED_VIEW.replace("4137", f"{2**53 + 1}")}}, "detail"),
    ],
)
def test_what_is_wrong_is_refused_by_name(told: Json, path: str) -> None:
    with pytest.raises(Malformed) as refusal:
        wire.to_draft(told, zone=UTC)
    assert refusal.value.path == path


def test_a_name_may_have_1024_bytes() -> None:
    name = "é" * 512
    draft = wire.to_draft(act("upload", file={**LOGO, "filename": name}), zone=UTC)
    assert f">{name}</a>" in wire.render(stored(draft), UTC)["event"]["detail"]
    longer = wire.to_draft(act("upload", file={**LOGO, "filename": name + "x"}), zone=UTC)
    with pytest.raises(TooLarge) as refusal:
        prepare(longer)
    assert refusal.value.path == "target.name"


@pytest.mark.row("H-3")
def test_an_item_is_a_wrapper_around_five_members() -> None:
    item = wire.render(as_recorded(event_of()), PACIFIC)
    assert list(item) == ["event"]
    assert item["event"] == {
        "id": 8,
        "updated_at": "2016-01-18T11:16:53-08:00",
        "detail": SEED_UPLOAD,
        "workspace_id": 4137,
        "user_id": 481,
    }


WORKSPACE = Resource("workspace", "4137", "Testing the API")


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, True),
        ({"dialect": "native"}, True),
        ({"data": {}}, True),
        ({"kind": "file.eat"}, False),
        ({"kind": "file"}, False),
        ({"kind": "upload"}, False),
        ({"kind": "file.upload.again"}, False),
        ({"kind": "folder.upload"}, False),
        ({"kind": "order.created"}, False),
        ({"actor": None}, False),
        ({"actor": Resource("user", "alice")}, False),
        ({"actor": Resource("user", "007")}, False),
        ({"actor": Resource("user", "9007199254740993")}, False),
        ({"actor": Resource("user", "9007199254740992")}, True),
        ({"actor": Resource("user", "٤")}, False),
        ({"target": None}, False),
        ({"target": Resource("file", "x.png")}, False),
        ({"scopes": ()}, False),
        ({"scopes": (Resource("folder", "1"),)}, False),
        ({"scopes": (Resource("folder", "1"), WORKSPACE)}, True),
        ({"scopes": (Resource("workspace", "main"),)}, False),
    ],
)
def test_only_what_can_be_told_is_shown(changes: dict[str, Any], shown: bool) -> None:
    view = as_recorded(event_of(**changes))
    assert wire.shows(view) is shown
    assert bool(wire.derived(view, "uuid")) is shown


def test_a_retracted_event_is_still_shown() -> None:
    assert wire.shows(structs.replace(as_recorded(event_of()), retracted=True))


def test_terms_are_integers_and_a_verb() -> None:
    assert wire.derived(as_recorded(event_of()), "uuid") == {
        "verb": "upload",
        "workspace": 4137,
        "user": 481,
    }


def test_only_an_import_of_ours_has_an_id_of_its_own() -> None:
    original = {"id": 5062927}
    assert wire.id_of(event_of(original=original)) == 5062927
    assert wire.id_of(event_of(original=original, dialect="native")) == 8
    assert wire.id_of(event_of(original={"id": "5"})) == 8


@given(strategies.drafts(), st.sampled_from(["file.read", "folder.invite", "workspace.create"]))
def test_rendering_never_raises_for_what_is_shown(draft: Any, kind: str) -> None:
    """Payloads and names are anything; only the ids are such that there is something to show."""
    type = kind.partition(".")[0]
    event: Event = strategies.event_of(draft, 3, strategies.NOW_MS)
    named = structs.replace(event.target or WORKSPACE, type=type, id="5")
    view = as_recorded(
        structs.replace(
            event,
            kind=kind,
            actor=structs.replace(event.actor or WORKSPACE, id="6"),
            target=named,
            scopes=(*event.scopes, WORKSPACE),
        )
    )
    if wire.shows(view):
        item = wire.render(view, PACIFIC)["event"]
        assert item["user_id"] == 6
        assert item["detail"].startswith("<subject>")
    else:
        assert any(scope.type == "workspace" for scope in event.scopes)


def test_every_verb_has_a_predicate_and_a_preposition() -> None:
    assert set(sentence.PREDICATES) == set(sentence.PREPOSITIONS) == set(wire.VERBS)
    assert (MATTHEW["id"], TESTING["id"]) == (481, 4137)


@pytest.mark.row("H-11")
@pytest.mark.resolution("onehub-O2", "onehub-O8", "onehub-O10")
@pytest.mark.parametrize(
    ("total", "offset", "per_page", "current", "pages"),
    [
        (0, 0, 30, 1, 0),
        (0, 60, 30, 1, 0),
        (1, 0, 30, 1, 1),
        (42, 1, 30, 2, 2),
        (42, 0, 30, 1, 2),
        (42, 30, 30, 2, 2),
        (61, 60, 30, 3, 3),
        (60, 0, 30, 1, 2),
        (60, 3000, 30, 101, 2),
        (5, 0, 1, 1, 5),
    ],
)
def test_pages_are_counted_as_the_documents_do(
    total: int, offset: int, per_page: int, current: int, pages: int
) -> None:
    page = wire.page_of([], total=total, offset=offset, per_page=per_page)
    assert page == {
        "total_entries": total,
        "current_page": current,
        "total_pages": pages,
        "per_page": per_page,
        "items": [],
    }

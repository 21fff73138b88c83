"""One event, five renderings: what one API wrote the others show if their rule admits it.

The rules are written here a second time, from the table of the design, without looking at the
dialects' own; generated events of every dialect then go through all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.dialects import DIALECTS
from tallystick.dialects.cloudfoundry import wire as cloudfoundry
from tallystick.dialects.datatrails import wire as datatrails
from tallystick.dialects.kvass import wire as kvass
from tallystick.dialects.onehub import wire as onehub
from tallystick.dialects.orchestrate import wire as orchestrate
from tallystick.events.event import Event, Op, Resource, View
from tests.support.needs import ROOT
from tests.support.strategies import payloads

TENANT_UUID = UUID("112758ce-a8cb-4924-8df8-fcba1e31f8b0")
NAMES = tuple(dialect.name for dialect in DIALECTS)

KVASS_KINDS = [
    *(f"order.{verb}" for verb in ("created", "updated", "cancelled")),
    *(f"{noun}.{verb}" for noun in ("invoice", "user", "product", "plan")
      for verb in ("created", "updated", "deleted")),
    *(f"subscription.{verb}" for verb in (
        "created", "updated", "deleted", "activated", "future", "completed", "non_renewing",
        "cancelled")),
    *(f"payment.{verb}" for verb in (
        "created", "updated", "deleted", "succeeded", "processing", "failed", "captured",
        "cancelled")),
]  # fmt: skip
ONEHUB_KINDS = [
    f"{noun}.{verb}" for noun in ("file", "folder", "workspace")
    for verb in ("create", "upload", "read", "download", "update", "delete", "invite")
]  # fmt: skip


def whole(text: str) -> bool:
    """Tell whether an id is an integer as JSON would print it."""
    return text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < 2**53


def orchestrate_admits(event: Event) -> bool:
    return event.target is not None


def kvass_admits(event: Event) -> bool:
    return event.kind in KVASS_KINDS and (
        event.target is not None and event.target.type == event.kind.split(".")[0]
    )


def datatrails_admits(event: Event) -> bool:
    return True


def cloudfoundry_admits(event: Event) -> bool:
    actor, target = event.actor, event.target
    return bool(
        event.kind
        and actor and actor.type and actor.id and actor.name
        and target and target.type and target.id and target.name is not None
    )  # fmt: skip


def onehub_admits(event: Event) -> bool:
    actor, target = event.actor, event.target
    workspaces = [scope for scope in event.scopes if scope.type == "workspace"]
    return (
        event.kind in ONEHUB_KINDS
        and actor is not None and whole(actor.id)
        and len(workspaces) >= 1 and whole(workspaces[0].id)
        and target is not None
        and target.type == event.kind.split(".")[0] and whole(target.id)
    )  # fmt: skip


ADMITS: dict[str, Callable[[Event], bool]] = {
    "orchestrate": orchestrate_admits,
    "kvass": kvass_admits,
    "datatrails": datatrails_admits,
    "cloudfoundry": cloudfoundry_admits,
    "onehub": onehub_admits,
}
RENDER: dict[str, Callable[[View], object]] = {
    "orchestrate": orchestrate.from_event,
    "kvass": lambda view: kvass.render(view, "57ee9c71d76d431f8511142f"),
    "datatrails": lambda view: datatrails.from_event(view, tenant_uuid=TENANT_UUID),
    "cloudfoundry": cloudfoundry.from_event,
    "onehub": lambda view: onehub.render(view, UTC),
}

IDS = st.sampled_from(["481", "4137", "0", "007", "x", "a/b", "57ee9c71d76d431f8511142f"])
NAMES_OR_NONE = st.sampled_from([None, "", "Alice", "</object><b>", "Ünï"])


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Draw events around the edges of every rule."""
    kind = draw(st.sampled_from([*KVASS_KINDS, *ONEHUB_KINDS, "", "timeline", "audit.app.update"]))
    noun = kind.split(".")[0] or "thing"
    types = st.sampled_from([noun, "user", "app", "workspace", "file"])
    resource = st.builds(Resource, types, IDS, NAMES_OR_NONE)
    workspace = st.builds(Resource, st.sampled_from(["workspace", "space"]), IDS, NAMES_OR_NONE)
    return Event(
        tenant="t",
        index=draw(st.integers(0, 10**6)),
        id=draw(st.uuids(version=4).map(str)),
        kind=kind,
        op=Op.RECORD,
        occurred_ms=draw(st.integers(-(10**12), 2 * 10**12)),
        recorded_ms=1_700_000_000_000,
        dialect="native",
        actor=draw(st.none() | resource),
        target=draw(st.none() | resource),
        scopes=tuple(draw(st.lists(workspace, max_size=2))),
        trails=tuple(draw(st.lists(IDS, max_size=2))),
        data=draw(payloads()),
        previous=draw(st.none() | payloads()),
    )


def seen(event: Event, /, **members: object) -> View:
    view = View(
        event=event, first=event, revision=event.index, revised_ms=event.recorded_ms,
        salt_hash=bytes(32),
    )  # fmt: skip
    return msgspec.structs.replace(view, **members)


def test_every_dialect_has_a_rule_here() -> None:
    assert set(ADMITS) == set(RENDER) == set(NAMES)


@pytest.mark.parametrize("dialect", DIALECTS, ids=NAMES)
@settings(max_examples=60)
@given(event=events())
def test_a_dialect_shows_exactly_what_its_rule_admits(dialect: object, event: Event) -> None:
    """And what it shows it renders, and derives terms from, without ever raising."""
    assert isinstance(dialect, tuple)
    name, rules = dialect.name, dialect.rules  # type: ignore[attr-defined]  # a named tuple
    view = seen(event)
    assert rules.shows(view) is ADMITS[name](event), event
    if rules.shows(view):
        assert msgspec.json.encode(RENDER[name](view))
        terms = rules.derived(view, str(TENANT_UUID))
        assert all(isinstance(value, str | int | tuple) for value in terms.values())


@settings(max_examples=60)
@given(event=events())
def test_dialects_without_a_notion_of_change_show_the_first_content(event: Event) -> None:
    """A revision changes what native and Orchestrate show; a retraction hides it there alone."""
    revised = seen(event, event=msgspec.structs.replace(event, data={"revised": True}))
    hidden = seen(event, retracted=True)
    for dialect in DIALECTS:
        if not ADMITS[dialect.name](event):
            continue
        changes = dialect.name == "orchestrate"
        assert dialect.rules.shows(hidden) is not changes, dialect.name
        same = RENDER[dialect.name](revised) == RENDER[dialect.name](seen(event))
        assert same is (not changes or event.data == {"revised": True}), dialect.name


@settings(max_examples=60)
@given(event=events())
def test_mapped_fields_survive_from_any_writer_to_any_reader(event: Event) -> None:
    """The columns of the mapping table, read back from each rendering."""
    view = seen(event)
    if orchestrate_admits(event):
        shown = orchestrate.from_event(view)
        assert event.target is not None
        path = shown["path"]
        assert (path["collection"], path["key"]) == event.target.key
        assert (path["type"], path["timestamp"]) == (event.kind, event.occurred_ms)
        assert path["ordinal"] == event.index + 1
        assert path["reftime"] == event.recorded_ms
        assert shown["value"] == event.data
    if kvass_admits(event):
        shown = kvass.render(view, "57ee9c71d76d431f8511142f")
        assert shown["kind"] == shown["data"]["kind"] == event.kind
        assert shown["created"] == {"$date": event.occurred_ms}
        assert int(shown["_id"]["$oid"][8:], 16) == event.index + 1
        assert ("author" in shown) is (event.actor is not None)
    shown = datatrails.from_event(view, tenant_uuid=TENANT_UUID)
    assert shown["identity"] == f"events/{event.id}"
    assert shown["event_type"] == event.kind
    assert shown["created_at"] == event.recorded_ms
    assert shown["trails"] == list(event.trails) or not event.trails
    if cloudfoundry_admits(event):
        entity = cloudfoundry.from_event(view)["entity"]
        assert event.actor is not None
        assert event.target is not None
        assert (entity["actor_type"], entity["actor"], entity["actor_name"]) == (
            event.actor.type, event.actor.id, event.actor.name,
        )  # fmt: skip
        assert (entity["actee_type"], entity["actee"], entity["actee_name"]) == (
            event.target.type, event.target.id, event.target.name,
        )  # fmt: skip
        assert (entity["type"], entity["metadata"]) == (event.kind, event.data)
    if onehub_admits(event):
        inner = onehub.render(view, UTC)["event"]
        assert event.actor is not None
        assert inner["user_id"] == int(event.actor.id)
        assert inner["id"] == event.index + 1


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_the_checklist_is_a_test(name: str) -> None:
    """Markers are read from the test sources, so that one test alone can be run."""
    rows = {
        line.split()[0]
        for line in (ROOT / f"tests/dialects/rows/{name}.txt").read_text("utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    }
    sources = "\n".join(
        path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")
    ) + "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("transcripts/*.http"))
    missing = sorted(row for row in rows if f'"{row}"' not in sources)
    assert len(rows) == {"orchestrate": 82, "kvass": 28, "datatrails": 82, "cloudfoundry": 78,
                         "onehub": 26}[name]  # fmt: skip
    assert not missing, missing


RESOLUTIONS = [*(f"kvass-K{n}" for n in range(1, 18)), *(f"onehub-O{n}" for n in range(1, 12))]


def test_every_resolution_of_a_contradiction_is_a_named_test() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    missing = [name for name in RESOLUTIONS if f'"{name}"' not in sources]
    assert not missing, missing

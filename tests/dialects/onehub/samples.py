"""Events of a file share, and views of them without a server."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from tallystick.events.event import (
    Draft,
    Event,
    Json,
    Op,
    Resource,
    View,
    as_recorded,
    stored_event,
)
from tallystick.log.sequencer import Accepted

MATTHEW = {"id": 481, "name": "Matthew Anderson"}
TESTING = {"id": 4137, "name": "Testing the API"}
LOGO = {"id": 849607, "filename": "Onehub_Med_RGB.png", "size": 6736}

SEED_UPLOAD = (
    "<subject>Matthew Anderson</subject> <predicate>uploaded</predicate> the <object>"
    '<a href="/workspaces/4137/files/849607">Onehub_Med_RGB.png</a> File</object>'
    " <complement>(7 KB)</complement> to the <object>"
    '<a href="/workspaces/4137">Testing the API</a> Workspace</object>'
)
SEED_VIEW = (
    "<subject>Matthew Anderson</subject> <predicate>viewed</predicate> the <object>"
    '<a href="/workspaces/4137/files/849607">onehub-logo.png</a> File</object>'
    " <complement>(7 KB)</complement> in the <object>"
    '<a href="/workspaces/4137">Testing the API</a> Workspace</object>'
)


def act(verb: str, **members: Any) -> Json:
    """Return what the extension is told of an act on the seed's file, unless told otherwise."""
    told: Json = {"verb": verb, "user": MATTHEW, "workspace": TESTING, "file": LOGO, **members}
    return {name: value for name, value in told.items() if value is not None}


def event_of(kind: str = "file.upload", **members: Any) -> Event:
    """Return an event that Onehub shows, with some members changed."""
    event = Event(
        tenant="t",
        index=7,
        id="",
        kind=kind,
        op=Op.RECORD,
        occurred_ms=1_453_144_613_700,
        recorded_ms=1_453_144_613_700,
        dialect="onehub",
        actor=Resource("user", "481", "Matthew Anderson"),
        target=Resource("file", "849607", "Onehub_Med_RGB.png"),
        scopes=(Resource("workspace", "4137", "Testing the API"),),
        data={"size": 6736},
    )
    return structs.replace(event, **members)


def stored(draft: Draft, index: int = 7, recorded_ms: int = 1_453_144_613_700) -> View:
    """Return the view of a draft once it is stored."""
    occurred_ms = recorded_ms if draft.occurred_ms is None else draft.occurred_ms
    return as_recorded(stored_event("t", draft, Accepted(index, "", recorded_ms, occurred_ms)))

"""Generated events of every origin, from pools small enough that filters find some of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tallystick.events.event import Event, Resource
from tests.dialects.datatrails import logs

# Markup, controls, right-to-left, NUL, header breaks, quotes, astral letters, all of them legal.
HOSTILE = (
    "",
    "a",
    "a/b",
    "it's",
    "<b>&amp;",
    "\x00\x01\x7f",
    "\r\nX: y",
    "\u202eabc",
    "é\u2028",
    "\U0001f600",
    "\uffff",
)
TEXT = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SENDABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\b\f"), max_size=8)
_FLAT = st.dictionaries(SENDABLE, SENDABLE, max_size=3)
ATTRIBUTES = st.dictionaries(SENDABLE, SENDABLE | _FLAT | st.lists(_FLAT, max_size=3), max_size=4)
NAMES = st.sampled_from(["", "t", "Clouseau", "Dreyfus", "file/7", "it's", "é", "z"])

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
PAYLOADS = st.dictionaries(
    TEXT | st.sampled_from(["tallystick_actor", "data.tallystick_actor", "data.x"]),
    st.recursive(
        _SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
RESOURCES = st.builds(
    Resource,
    type=st.sampled_from(["file", "user", "a/b"]),
    id=st.sampled_from(["7", "c", "2ef471c2-f997-4503-94c8-60b5c929a3c3"]),
    name=st.none() | TEXT,
    attributes=st.none() | PAYLOADS,
)
ERASED = st.sampled_from(
    [(), (), (), ("data",), ("actor",), ("place",), ("actor", "target", "place", "data")]
)


@st.composite
def own_events(draw: st.DrawFn, index: int | None = None) -> Event:
    """Generate events that DataTrails wrote."""
    at = draw(st.integers(0, 40)) if index is None else index
    return logs.event(
        at,
        kind=draw(NAMES),
        trails=tuple(draw(st.lists(NAMES, max_size=3))),
        data=draw(ATTRIBUTES),
        actor=draw(st.none() | RESOURCES),
    )


@st.composite
def foreign_events(draw: st.DrawFn, index: int | None = None) -> Event:
    """Generate ordinary events that another dialect wrote, some of them partly erased."""
    at = draw(st.integers(0, 40)) if index is None else index
    erased = draw(ERASED)
    members: dict[str, Any] = {
        "kind": draw(NAMES),
        "dialect": draw(st.sampled_from(["native", "orchestrate", "kvass"])),
        "occurred_ms": draw(st.integers(-(10**13), 10**13)),
        "actor": None if "actor" in erased else draw(st.none() | RESOURCES),
        "target": None if "target" in erased else draw(st.none() | RESOURCES),
        "scopes": () if "place" in erased else tuple(draw(st.lists(RESOURCES, max_size=2))),
        "trails": () if "place" in erased else tuple(draw(st.lists(NAMES, max_size=2))),
        "data": {} if "data" in erased else draw(PAYLOADS),
        "previous": draw(st.none() | PAYLOADS),
        "original": draw(st.none() | PAYLOADS),
        "erased": erased,
    }
    return logs.event(at, **members)


EVENTS = own_events() | foreign_events()

"""Places in a Lucene query: `field:NEAR:{lat:1 lon:2 dist:3km}` and `field:IN:{n:2 s:1 e:2 w:1}`.

Not classic syntax: Orchestrate's. Source: its wire specification, section 13. A distance without
a unit is in metres.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tallystick.query.expr import Box, Near
from tallystick.query.lucene.scanner import Scanner, number_of

METRES = {
    "m": 1.0,
    "km": 1000.0,
    "cm": 0.01,
    "mm": 0.001,
    "mi": 1609.344,
    "yd": 0.9144,
    "ft": 0.3048,
    "in": 0.0254,
    "nmi": 1852.0,
}
"""Metres in one of each unit of distance."""

_START = re.compile(r"(NEAR|IN)\s*:\s*\{")
_MEMBER = re.compile(r"\s*,?\s*([A-Za-z]+)\s*:\s*([^\s{},:]+)")
_DISTANCE = re.compile(r"(.*?)([a-z]*)\Z", re.DOTALL)
_NEAR_NAMES = {
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "long", "lng"),
    "distance": ("distance", "dist", "dst", "radius", "rad"),
}
_BOX_NAMES = {name: (name, name[0]) for name in ("north", "south", "east", "west")}
_LIMITS = {"latitude": 90, "longitude": 180, "north": 90, "south": 90, "east": 180, "west": 180}


def place_clause(scanner: Scanner, field: str) -> Near | Box | None:
    """Read a clause about places if one comes next.

    Raises: InvalidQuery.
    """
    start = _START.match(scanner.text, scanner.at)
    if start is None:
        return None
    position = scanner.at
    scanner.at = start.end()
    if start.group(1) == "NEAR":
        return _near(scanner, field, position)
    members = _members(scanner, _BOX_NAMES, position)
    edges = {name: _degrees(scanner, name, *member) for name, member in members.items()}
    if edges["north"] < edges["south"]:
        scanner.fail("north is south of south", position, "swap the two")
    return Box(field, **edges)


def _near(scanner: Scanner, field: str, position: int) -> Near:
    members = _members(scanner, _NEAR_NAMES, position)
    latitude = _degrees(scanner, "latitude", *members["latitude"])
    longitude = _degrees(scanner, "longitude", *members["longitude"])
    text, at = members["distance"]
    match = _DISTANCE.match(text)
    assert match is not None, "the pattern matches anything"
    unit = match.group(2) or "m"
    distance = number_of(match.group(1))
    if distance is None or distance < 0 or unit not in METRES:
        scanner.fail(
            f"{text!r} is no distance", at, f"a number and a unit, one of {', '.join(METRES)}"
        )
    return Near(field, latitude, longitude, distance * METRES[unit], unit)


def _members(
    scanner: Scanner, names: Mapping[str, tuple[str, ...]], position: int
) -> dict[str, tuple[str, int]]:
    """Read `name:value` pairs up to the closing brace; return each value and where it stands."""
    found: dict[str, tuple[str, int]] = {}
    while match := _MEMBER.match(scanner.text, scanner.at):
        written = match.group(1).lower()
        name = next((name for name, spellings in names.items() if written in spellings), None)
        if name is None or name in found:
            problem = "unknown" if name is None else "given twice"
            scanner.fail(f"{written!r} is {problem}", match.start(1), f"give {', '.join(names)}")
        found[name] = (match.group(2), match.start(2))
        scanner.at = match.end()
    if scanner.peek() != "}":
        scanner.fail("the closing } is missing", hint="write name:value pairs between braces")
    scanner.at += 1
    if missing := names.keys() - found.keys():
        scanner.fail(f"{', '.join(sorted(missing))} missing", position, f"give {', '.join(names)}")
    return found


def _degrees(scanner: Scanner, name: str, text: str, position: int) -> float:
    limit = _LIMITS[name]
    number = number_of(text)
    if number is None or not -limit <= number <= limit:
        scanner.fail(f"{text!r} is no {name}", position, f"degrees from -{limit} to {limit}")
    return float(number)

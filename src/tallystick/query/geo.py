"""Places on the globe: which objects are one, and how far apart two of them are.

A place is an object with a number under `latitude` or `lat` and one under `longitude`, `lon`,
`long` or `lng`, both in degrees and in range. The globe is a sphere. Source: wire specification
of Orchestrate, section 13.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the Earth (IUGG)."""

_LATITUDES = ("latitude", "lat")
_LONGITUDES = ("longitude", "lon", "long", "lng")


class Point(NamedTuple):
    """A point on the globe, in degrees."""

    latitude: float
    longitude: float


def place_of(value: Mapping[str, Any]) -> Point | None:
    """Return the place that an object describes, or None.

    Shape: latitude within 90 degrees, longitude within 180 degrees of zero; of several names the
    first that holds a number counts.
    """
    latitude = _degrees(value, _LATITUDES, 90)
    if latitude is None:
        return None
    longitude = _degrees(value, _LONGITUDES, 180)
    return None if longitude is None else Point(latitude, longitude)


def distance_m(a: Point, b: Point) -> float:
    """Return the great-circle distance by the haversine formula.

    Units: metres.
    """
    phi_a, phi_b = math.radians(a.latitude), math.radians(b.latitude)
    half_lat = (phi_b - phi_a) / 2
    half_lon = math.radians(b.longitude - a.longitude) / 2
    h = math.sin(half_lat) ** 2 + math.cos(phi_a) * math.cos(phi_b) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(h, 1.0)))


def in_box(place: Point, *, north: float, south: float, east: float, west: float) -> bool:
    """Tell whether a place lies between two parallels and two meridians, borders included.

    A box whose west is greater than its east crosses the 180th meridian.
    """
    if not south <= place.latitude <= north:
        return False
    if west <= east:
        return west <= place.longitude <= east
    return place.longitude >= west or place.longitude <= east


def _degrees(value: Mapping[str, Any], names: tuple[str, ...], limit: int) -> float | None:
    for name in names:
        number = value.get(name)
        if isinstance(number, int | float) and not isinstance(number, bool):
            return float(number) if -limit <= number <= limit else None
    return None

"""How places are asked of the index: as columns of degrees, and the rest by reading.

A box is two ranges, which decide unless an event has several places at a path. A circle is a box
around it first; what lies in the box is read.
"""

from __future__ import annotations

import math

from tallystick import limits
from tallystick.index.search import queries, terms
from tallystick.index.search.clauses.tenant_snapshot import Bounds, Corpus, at_most, exactly
from tallystick.index.search.documents.encoder import LATITUDE, LONGITUDE
from tallystick.index.search.queries import Match
from tallystick.query.expr import Box, Near
from tallystick.query.geo import EARTH_RADIUS_M

_FAR = 1_000.0
"""Degrees that no place has."""

_SLACK = 1e-6
"""Degrees that a box is made wider so that rounding loses nothing."""


def place_bounds(corpus: Corpus, expr: Near | Box) -> Bounds:
    """Return what a question about places matches."""
    path = corpus.path(expr.field)
    if path is None:
        return corpus.unknown(expr.field)
    somewhere = corpus.marked(terms.PLACE, path)
    if path >= limits.SEARCH_COLUMNS or somewhere is False:
        return at_most(somewhere)
    if isinstance(expr, Near):
        return at_most(_around(corpus, path, expr, somewhere))
    inside = _inside(corpus, path, expr)
    several = corpus.marked(terms.PLACES, path)
    if several is False:
        return exactly(inside)
    return Bounds(queries.all_of((inside, queries.none_of(several))), inside)


def _inside(corpus: Corpus, path: int, box: Box) -> Match:
    if any(edge != edge for edge in (box.north, box.south, box.east, box.west)):
        return False
    if box.west <= box.east:
        longitudes = _degrees(corpus, LONGITUDE, path, box.west, box.east)
    else:
        longitudes = queries.any_of(
            (
                _degrees(corpus, LONGITUDE, path, box.west, None),
                _degrees(corpus, LONGITUDE, path, None, box.east),
            )
        )
    return queries.all_of((_degrees(corpus, LATITUDE, path, box.south, box.north), longitudes))


def _around(corpus: Corpus, path: int, circle: Near, somewhere: Match) -> Match:
    """Return a match for a box that holds a circle."""
    numbers = (circle.latitude, circle.longitude, circle.distance_m)
    if not circle.distance_m >= 0 or any(map(math.isnan, numbers)):
        return False
    angle = circle.distance_m / EARTH_RADIUS_M
    if abs(circle.latitude) > 90 or abs(circle.longitude) > 180 or angle >= math.pi / 2:
        return somewhere
    reach = math.degrees(angle) + _SLACK
    south, north = circle.latitude - reach, circle.latitude + reach
    latitudes = _degrees(corpus, LATITUDE, path, south, north)
    if south <= -90 or north >= 90:
        return latitudes
    across = math.asin(math.sin(angle) / math.cos(math.radians(circle.latitude)))
    wide = math.degrees(across) + _SLACK
    west, east = circle.longitude - wide, circle.longitude + wide
    pieces = [_degrees(corpus, LONGITUDE, path, west, east)]
    if west < -180:
        pieces.append(_degrees(corpus, LONGITUDE, path, west + 360, None))
    if east > 180:
        pieces.append(_degrees(corpus, LONGITUDE, path, None, east - 360))
    return queries.all_of((latitudes, queries.any_of(pieces)))


def _degrees(
    corpus: Corpus, column: str, path: int, low: float | None, high: float | None
) -> Match:
    ends = [None if end is None else float(min(max(end, -_FAR), _FAR)) for end in (low, high)]
    return corpus.snapshot.number_between(f"{column}{path}", *ends)

"""The order of events: what sorts mean over plain values, and positions within that order.

A position is the value of each sort key followed by the event's index; it is what a keyset cursor
remembers. Rules: of a field's values the smallest counts when ascending and the largest when
descending; null and missing come last either way; booleans come before numbers and numbers before
strings; numbers order by exact value, strings by the code points of their first `SORTED_CHARS`
characters. Ties are broken by the index, in the direction of the last key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tallystick.events.event import View
from tallystick.query.expr import Near, Scalar, Sort
from tallystick.query.geo import Point, distance_m
from tallystick.query.values import NO_TERMS, Terms, Values

SORTED_CHARS = 256
"""Characters of a string that sorting sees, so that a cursor stays short."""

RELEVANCE = "relevance"
DISTANCE = "distance"

Position = tuple[Scalar, ...]
"""One value a sort key, None where there is none, and the index last."""

_NO_SCORES: Mapping[int, float] = MappingProxyType({})


class Scene:
    """What some sorts need beside the event: its score, and the place distances start from."""

    __slots__ = ("near", "scores")

    def __init__(
        self, *, scores: Mapping[int, float] = _NO_SCORES, near: Near | None = None
    ) -> None:
        self.scores = scores
        self.near = near


_NO_SCENE = Scene()


def sort_views(
    views: Iterable[View],
    sorts: Sequence[Sort],
    *,
    terms: Callable[[View], Terms] = lambda view: NO_TERMS,
    scene: Scene = _NO_SCENE,
) -> list[View]:
    """Return `views` in the order that `sorts` asks for."""

    def key(view: View) -> tuple[Any, ...]:
        return order_key(position_of(view, Values(view, terms(view)), sorts, scene), sorts)

    return sorted(views, key=key)


def position_of(
    view: View, values: Values, sorts: Sequence[Sort], scene: Scene = _NO_SCENE
) -> Position:
    """Return where a view stands in the order of `sorts`."""
    return (*(_sort_value(view, values, sort, scene) for sort in sorts), view.index)


def order_key(position: Position, sorts: Sequence[Sort]) -> tuple[Any, ...]:
    """Return a key that compares as positions do; smaller comes first."""
    *values, index = position
    keys = [_key(value, sort.descending) for value, sort in zip(values, sorts, strict=True)]
    return (*keys, _key(index, bool(sorts) and sorts[-1].descending))


def first_of(values: Iterable[Scalar], descending: bool) -> Scalar:
    """Return the value that counts when an event has several; None if it has none."""
    present = [value for value in values if value is not None]
    if not present:
        return None
    chosen = (max if descending else min)(present, key=order_of)
    return chosen[:SORTED_CHARS] if isinstance(chosen, str) else chosen


def order_of(value: Scalar) -> tuple[Any, ...]:
    """Return a key by which plain values of any type compare, null last."""
    return _key(value, False)


def distance_to(near: Near, values: Values) -> float | None:
    """Return the distance from the place asked for to the nearest one of the event.

    Units: metres.
    """
    centre = Point(near.latitude, near.longitude)
    return min((distance_m(centre, place) for place in values.places(near.field)), default=None)


def _sort_value(view: View, values: Values, sort: Sort, scene: Scene) -> Scalar:
    if sort.field == RELEVANCE:
        return scene.scores.get(view.index)
    if sort.field == DISTANCE:
        return None if scene.near is None else distance_to(scene.near, values)
    return first_of(values.of(sort.field), sort.descending)


def _key(value: Scalar, descending: bool) -> tuple[Any, ...]:
    if value is None:
        return (1,)
    if isinstance(value, str):
        text = value[:SORTED_CHARS]
        return (0, -2, _Reversed(text)) if descending else (0, 2, text)
    rank = 0 if isinstance(value, bool) else 1
    return (0, -rank, -value) if descending else (0, rank, value)


class _Reversed:
    """A string that compares the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: _Reversed) -> bool:
        return self.text > other.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and self.text == other.text

    __hash__ = None  # type: ignore[assignment]  # a sort key is no dictionary key

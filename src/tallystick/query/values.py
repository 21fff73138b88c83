"""The values of an event's fields, as queries see them.

`expr` lists the fields. Identity and times are those of the event as first recorded; everything
else is what the reader sees, revisions folded in. A field has as many values as it has places in
the event: arrays are walked element by element, and member names that contain dots are reached by
the same path as nested members. `flatten` is the same read the other way round, for code
that builds an index.

The event's whole text (field None) is every name, kind, trail and payload value; the payload's
own text is the field `data`. There numbers and booleans read as text too; in any other field only
strings have words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tallystick.events.event import Event, Json, Resource, View, class_of
from tallystick.events.references import nested_pair, to_text
from tallystick.query.expr import Scalar
from tallystick.query.geo import Point, place_of
from tallystick.query.text import text_of, tokens_of

Terms = Mapping[str, Scalar | tuple[Scalar, ...]]
"""What a dialect derives from an event, by field name."""

NO_TERMS: Terms = MappingProxyType({})

PAYLOAD_TEXT = "data"
"""The field that stands for the text of the whole payload."""

_TEXTLESS = frozenset(
    (
        "index",
        "id",
        "class",
        "op",
        "occurred_ms",
        "recorded_ms",
        "dialect",
        "subject",
        "actor",
        "target",
        "scope",
        "nested",
    )
)


class Values:
    """The values of one event, read when asked for; its words are analysed once a field."""

    __slots__ = ("_derived", "_view", "_words")

    def __init__(self, view: View, derived: Terms = NO_TERMS) -> None:
        self._view = view
        self._derived = derived
        self._words: dict[str | None, list[list[str]]] = {}

    def of(self, field: str) -> Sequence[Scalar]:
        """Return the values of `field`, null included."""
        return values_of(field, self._view, self._derived)

    def exists(self, field: str) -> bool:
        """Tell whether `field`, or a member below it, has a value that is not null."""
        nodes = _nodes(field, self._view)
        if nodes:
            return any(_has_below(node, path) for node, path in nodes)
        return any(value is not None for value in self.of(field))

    def words(self, field: str | None) -> list[list[str]]:
        """Return the words of each text in `field`."""
        words = self._words.get(field)
        if words is None:
            texts = texts_of(field, self._view, self._derived)
            words = self._words[field] = [tokens_of(text) for text in texts]
        return words

    def places(self, field: str) -> list[Point]:
        """Return the places at `field`."""
        return places_of(field, self._view)


def values_of(field: str, view: View, derived: Terms = NO_TERMS) -> Sequence[Scalar]:
    """Return the values of `field`, null included."""
    values = _plain_values(field, view)
    if values is not None:
        return values
    nodes = _nodes(field, view)
    if nodes:
        found: list[Scalar] = []
        for node, path in nodes:
            if path is not None:
                _collect(node, path, found)
        return found
    value = derived.get(field, ())
    return value if isinstance(value, tuple) else (value,)


def texts_of(field: str | None, view: View, derived: Terms = NO_TERMS) -> list[str]:
    """Return the texts in which the words of `field` are looked for.

    `field` None means the event's whole text.
    """
    if field is None:
        return [text_of(value) for path, value in flatten(view) if is_text(path, value)]
    if field == PAYLOAD_TEXT:
        return [text_of(value) for _, value in _leaves("", view.event.data) if value is not None]
    return [value for value in values_of(field, view, derived) if isinstance(value, str)]


def is_text(field: str, value: Scalar) -> bool:
    """Tell whether a value found at `field` belongs to the event's whole text."""
    return value is not None and field not in _TEXTLESS


def places_of(field: str, view: View) -> list[Point]:
    """Return the places at `field`."""
    found: list[Point] = []
    for node, path in _nodes(field, view):
        _collect_places(node, path, found)
    return found


def flatten(view: View) -> Iterator[tuple[str, Scalar]]:
    """Yield every field of the event with each of its values; derived terms are not among them.

    Shape: for any field of an event, the values yielded with it are `values_of` it.
    """
    first, event = view.first, view.event
    yield "index", first.index
    yield "id", first.id
    yield "kind", event.kind
    yield "class", class_of(event.kind)
    yield "op", first.op.value
    yield "occurred_ms", first.occurred_ms
    yield "recorded_ms", first.recorded_ms
    yield "dialect", first.dialect
    if event.subject is not None:
        yield "subject", event.subject
    for name, resource in _resources(view):
        yield from _flat_resource(name, resource)
    for pair in nested(event):
        yield "nested", pair
    for trail in event.trails:
        yield "trail", trail
    for name, payload in _payloads(view):
        yield from _leaves(name, payload)


def nested(event: Event) -> Sequence[str]:
    """Return which scope of an event is inside which: pairs of one type, the outer one first.

    Scopes are named from the outside in; a target is inside the scopes of its own type.
    """
    inside = event.scopes if event.target is None else (*event.scopes, event.target)
    if len(inside) < 2:
        return ()
    return [
        nested_pair(to_text(*outer.key), to_text(*inner.key))
        for n, outer in enumerate(event.scopes)
        for inner in inside[n + 1 :]
        if inner.type == outer.type and inner.id != outer.id
    ]


def flatten_places(view: View) -> Iterator[tuple[str, Point]]:
    """Yield every field of the event that is a place."""
    for name, resource in _resources(view):
        yield from _places(f"{name}.attributes", resource.attributes)
    for name, payload in _payloads(view):
        yield from _places(name, payload)


def _plain_values(field: str, view: View) -> Sequence[Scalar] | None:
    """Return the values of a field that is not a path; None when it is a path or unknown."""
    first, event = view.first, view.event
    match field:
        case "kind":
            return (event.kind,)
        case "occurred_ms":
            return (first.occurred_ms,)
        case "recorded_ms":
            return (first.recorded_ms,)
        case "index":
            return (first.index,)
        case "id":
            return (first.id,)
        case "class":
            return (class_of(event.kind),)
        case "op":
            return (first.op.value,)
        case "dialect":
            return (first.dialect,)
        case "subject":
            return () if event.subject is None else (event.subject,)
        case "nested":
            return nested(event)
        case "trail":
            return event.trails
    head, _, member = field.partition(".")
    if head not in ("actor", "target", "scope"):
        return None
    resources = (resource for name, resource in _resources(view) if name == head)
    match member:
        case "":
            return tuple(to_text(*resource.key) for resource in resources)
        case "type":
            return tuple(resource.type for resource in resources)
        case "id":
            return tuple(resource.id for resource in resources)
        case "name":
            return tuple(resource.name for resource in resources if resource.name is not None)
    return None


def _resources(view: View) -> Iterator[tuple[str, Resource]]:
    event = view.event
    if event.actor is not None:
        yield "actor", event.actor
    if event.target is not None:
        yield "target", event.target
    for scope in event.scopes:
        yield "scope", scope


def _payloads(view: View) -> Iterator[tuple[str, Json]]:
    event = view.event
    yield "data", event.data
    if event.previous is not None:
        yield "previous", event.previous
    if event.original is not None:
        yield "original", event.original


def _nodes(field: str, view: View) -> list[tuple[Any, str | None]]:
    """Return the objects that hold `field`, each with the path that is left to walk in it."""
    head, dot, rest = field.partition(".")
    path = rest if dot else None
    match head:
        case "data":
            return [(view.event.data, path)]
        case "previous" | "original":
            payload = view.event.previous if head == "previous" else view.event.original
            return [] if payload is None else [(payload, path)]
        case "actor" | "target" | "scope":
            member, dot, rest = rest.partition(".")
            if member != "attributes":
                return []
            path = rest if dot else None
            return [
                (resource.attributes, path)
                for name, resource in _resources(view)
                if name == head and resource.attributes is not None
            ]
    return []


def _steps(node: Mapping[str, Any], path: str) -> Iterator[tuple[Any, str | None]]:
    """Yield the members of `node` on the way along `path`, each with what is left of it."""
    cut = path.find(".")
    while cut >= 0:
        name = path[:cut]
        if name in node:
            yield node[name], path[cut + 1 :]
        cut = path.find(".", cut + 1)
    if path in node:
        yield node[path], None


def _collect(node: Any, path: str | None, found: list[Scalar]) -> None:
    if isinstance(node, dict):
        if path is not None:
            for member, rest in _steps(node, path):
                _collect(member, rest, found)
    elif isinstance(node, list):
        for item in node:
            _collect(item, path, found)
    elif path is None:
        found.append(node)


def _collect_places(node: Any, path: str | None, found: list[Point]) -> None:
    if isinstance(node, list):
        for item in node:
            _collect_places(item, path, found)
    elif isinstance(node, dict):
        if path is not None:
            for member, rest in _steps(node, path):
                _collect_places(member, rest, found)
        elif (place := place_of(node)) is not None:
            found.append(place)


def _has_below(node: Any, path: str | None) -> bool:
    if path is None:
        return any(value is not None for _, value in _leaves("", node))
    if isinstance(node, list):
        return any(_has_below(item, path) for item in node)
    if not isinstance(node, dict):
        return False
    longer = f"{path}."
    return any(_has_below(member, rest) for member, rest in _steps(node, path)) or any(
        _has_below(member, None) for name, member in node.items() if name.startswith(longer)
    )


def _flat_resource(name: str, resource: Resource) -> Iterator[tuple[str, Scalar]]:
    yield name, to_text(*resource.key)
    yield f"{name}.type", resource.type
    yield f"{name}.id", resource.id
    if resource.name is not None:
        yield f"{name}.name", resource.name
    if resource.attributes is not None:
        yield from _leaves(f"{name}.attributes", resource.attributes)


def _leaves(path: str, node: Any) -> Iterator[tuple[str, Scalar]]:
    if isinstance(node, dict):
        for name, member in node.items():
            yield from _leaves(f"{path}.{name}", member)
    elif isinstance(node, list):
        for item in node:
            yield from _leaves(path, item)
    else:
        yield path, node


def _places(path: str, node: Any) -> Iterator[tuple[str, Point]]:
    if isinstance(node, list):
        for item in node:
            yield from _places(path, item)
    elif isinstance(node, dict):
        place = place_of(node)
        if place is not None:
            yield path, place
        for name, member in node.items():
            yield from _places(f"{path}.{name}", member)

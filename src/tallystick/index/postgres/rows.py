"""What stands in the lists for an entry: a row of `lists`, and the terms it has in `places`."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from tallystick.event import Event, Op, Resource, View, class_of
from tallystick.index.document import ITEM, seen_by
from tallystick.index.postgres.terms import Numbering, Sight
from tallystick.index.views.terms import is_sighting
from tallystick.query.values import Terms, nested
from tallystick.reading import Rules

_CACHED = 20_000

_K = TypeVar("_K")
_V = TypeVar("_V")
_Role = tuple[int, tuple[int, int]]


class Listed(NamedTuple):
    """What stands in the lists for one entry."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    ms: int
    seen: int
    kind: int
    actor_id: int | None
    target_id: int | None
    document: bool
    terms: list[int]
    places: set[int]
    """Those of the terms that have rows of their own."""


class RowMaker:
    """Makes rows of one tenant's entries; used by whoever holds its head."""

    def __init__(self, number_of: Numbering, sight: Sight, rules: Rules, uuid: str) -> None:
        self._number_of = number_of
        self._sight = sight
        self._rules = rules
        self._uuid = uuid
        self._listed = {
            name: (rule.listed.derive, {term: f"{name}.{term}" for term in rule.listed.names})
            for name, rule in rules.items()
            if rule.listed.names
        }
        # Most entries name the same resources and are of the same few kinds.
        self._roles: dict[str, dict[tuple[str, str], _Role]] = {
            "actor": {},
            "target": {},
            "scope": {},
        }
        self._sorts: dict[tuple[str, Op, str], tuple[int, tuple[int, ...]]] = {}

    def __call__(self, view: View, current: frozenset[int]) -> Listed:
        """Return what stands in the lists for a view."""
        event = view.event
        names = seen_by(self._rules, view, current)
        kind, common = self._sort(event)
        terms = [*common]
        actor_id = target_id = None
        if event.actor is not None:
            actor_id, numbers = self._role("actor", event.actor)
            terms += numbers
        if event.target is not None:
            target_id, numbers = self._role("target", event.target)
            terms += numbers
        if event.subject is not None:
            terms.append(self._number_of("subject", event.subject))
        places = self._derived(view, names)
        for scope in event.scopes:
            place, numbers = self._role("scope", scope)
            terms += numbers
            places.add(place)
        places.update([self._number_of("trail", trail) for trail in event.trails])
        if event.scopes:
            terms += [self._number_of("nested", pair) for pair in nested(event)]
        return Listed(
            view.index,
            view.first.occurred_ms,
            self._sight.of(names, is_sighting=is_sighting(view)),
            kind,
            actor_id,
            target_id,
            event.op is Op.DOCUMENT and event.target is not None,
            [*terms, *places],
            places,
        )

    def _derived(self, view: View, names: tuple[str, ...]) -> set[int]:
        """Return the numbers of what dialects derive for their lists."""
        numbers: set[int] = set()
        for name in (view.first.dialect,) if names == (ITEM,) else names:
            listed = self._listed.get(name)
            if listed is None:
                continue
            derive, fields = listed
            derived: Terms = derive(view, self._uuid)
            for term, value in derived.items():
                if term in fields:
                    for one in value if isinstance(value, tuple) else (value,):
                        numbers.add(self._number_of(fields[term], one))
        return numbers

    def _sort(self, event: Event) -> tuple[int, tuple[int, ...]]:
        """Return the numbers of the kind, and of class, op and dialect."""
        key = (event.kind, event.op, event.dialect)
        sort = self._sorts.get(key)
        if sort is None:
            number_of = self._number_of
            sort = (
                number_of("kind", event.kind),
                (
                    number_of("class", class_of(event.kind)),
                    number_of("op", event.op.value),
                    number_of("dialect", event.dialect),
                ),
            )
            _keep(self._sorts, key, sort)
        return sort

    def _role(self, role: str, resource: Resource) -> _Role:
        """Return the number that a resource is looked up by, and those of its other terms."""
        type, id = key = resource.key
        found = self._roles[role].get(key)
        if found is None:
            number_of = self._number_of
            whole, only_id = number_of(role, f"{type}:{id}"), number_of(f"{role}.id", id)
            only_type = number_of(f"{role}.type", type)
            by, other = (whole, only_id) if role == "scope" else (only_id, whole)
            found = (by, (other, only_type))
            _keep(self._roles[role], key, found)
        return found


def _keep(known: dict[_K, _V], key: _K, value: _V) -> None:
    """Remember a value, forgetting all others once there are many."""
    if len(known) >= _CACHED:
        known.clear()
    known[key] = value

"""What stands in the lists for an entry: a row of `lists`, and the terms it has in `places`."""

from __future__ import annotations

from typing import NamedTuple

from tallystick.events.dialect_rules import Rules
from tallystick.events.event import Event, Op, Resource, View, class_of
from tallystick.events.references import to_text
from tallystick.index.document import ITEM, seen_by
from tallystick.index.lists.term_hash import is_sighting, keep
from tallystick.index.postgres.terms import Numbering, Sight
from tallystick.query.values import Terms, nested
from tallystick.store.postgres.binary_arrays import int8, unpacked


class Listed(NamedTuple):
    """What stands in the lists for one entry."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    ms: int
    seen: int
    kind: int
    actor_id: int | None
    target_id: int | None
    document: bool
    terms: bytes
    """Numbers of terms, packed as elements of an array."""
    places: tuple[int, ...]
    """Those of the terms that have rows of their own."""

    def numbers(self) -> list[int | None]:
        """Return the numbers of all its terms."""
        return [*unpacked(self.terms), self.actor_id, self.target_id]


class _Known(NamedTuple):
    """The number by which something is looked up, and all its terms, packed."""

    number: int
    terms: bytes


class RowMaker:
    """Makes rows of one tenant's entries; used by the thread that holds its head."""

    def __init__(self, number_of: Numbering, sight: Sight, rules: Rules, uuid: str) -> None:
        self._number_of = number_of
        self._sight = sight
        self._rules = rules
        self._uuid = uuid
        self._listed = {
            name: (
                rule.listed.derive,
                {term: f"{name}.{term}" for term in rule.listed.names},
                rule.listed.targets,
            )
            for name, rule in rules.items()
            if rule.listed.names
        }
        # Most entries name the same resources and are of the same few kinds.
        self._actors: dict[tuple[str, str], _Known] = {}
        self._targets: dict[tuple[str, str], _Known] = {}
        self._scopes: dict[tuple[str, str], _Known] = {}
        self._sorts: dict[tuple[str, Op, str], _Known] = {}

    def __call__(self, view: View, current: frozenset[int]) -> Listed:
        """Return what stands in the lists for a view."""
        event = view.event
        names = seen_by(self._rules, view, current)
        sort = self._sorts.get((event.kind, event.op, event.dialect)) or self._sort(event)
        terms = [sort.terms]
        actor_id = target_id = None
        actor, target = event.actor, event.target
        if actor is not None:
            known = self._actors.get((actor.type, actor.id)) or self._role("actor", actor)
            actor_id = known.number
            terms.append(known.terms)
        if target is not None:
            known = self._targets.get((target.type, target.id)) or self._role("target", target)
            target_id = known.number
            terms.append(known.terms)
        if event.subject is not None:
            terms.append(int8(self._number_of("subject", event.subject)))
        places: dict[int, None] = {}
        self._derive(view, names, terms, places)
        for scope in event.scopes:
            known = self._scopes.get((scope.type, scope.id)) or self._role("scope", scope)
            terms.append(known.terms)
            places[known.number] = None
        for trail in event.trails:
            places[self._number_of("trail", trail)] = None
        if event.scopes:
            terms += [int8(self._number_of("nested", pair)) for pair in nested(event)]
        terms += map(int8, places)
        return Listed(
            view.index,
            view.first.occurred_ms,
            self._sight.of(names, is_sighting=is_sighting(view)),
            sort.number,
            actor_id,
            target_id,
            event.op is Op.DOCUMENT and target is not None,
            b"".join(terms),
            tuple(places),
        )

    def _derive(
        self, view: View, names: tuple[str, ...], terms: list[bytes], places: dict[int, None]
    ) -> None:
        """Add the numbers of what dialects derive for their lists."""
        for name in (view.first.dialect,) if names == (ITEM,) else names:
            listed = self._listed.get(name)
            if listed is None:
                continue
            derive, fields, targets = listed
            derived: Terms = derive(view, self._uuid)
            for term, value in derived.items():
                if term not in fields:
                    continue
                for one in value if isinstance(value, tuple) else (value,):
                    number = self._number_of(fields[term], one)
                    if term in targets:
                        terms.append(int8(number))
                    else:
                        places[number] = None

    def _sort(self, event: Event) -> _Known:
        """Return the number of the kind, and class, op and dialect."""
        number_of = self._number_of
        common = (
            number_of("class", class_of(event.kind)),
            number_of("op", event.op.value),
            number_of("dialect", event.dialect),
        )
        known = _Known(number_of("kind", event.kind), b"".join(map(int8, common)))
        keep(self._sorts, (event.kind, event.op, event.dialect), known)
        return known

    def _role(self, role: str, resource: Resource) -> _Known:
        """Return the number that a resource is looked up by, and those of its other terms."""
        number_of, (type, id) = self._number_of, resource.key
        whole, only_id = number_of(role, to_text(type, id)), number_of(f"{role}.id", id)
        by, other = (whole, only_id) if role == "scope" else (only_id, whole)
        packed = int8(other) + int8(number_of(f"{role}.type", type))
        known = _Known(by, packed)
        by_role = {"actor": self._actors, "target": self._targets, "scope": self._scopes}
        keep(by_role[role], (type, id), known)
        return known

"""Which entries are about a person, and which of their sections name the person.

The log itself is read, not an index: nothing that names the person may hide behind a dialect, a
retraction, or an index that is being made. An entry is selected when its actor, its target or one
of its scopes is the person, or when a named path of its data holds the person's id. Of a selected
entry those sections are destroyed that name the person: by resource, by id, or by a name, address
or number that the person's own resources carry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from tallystick.errors import Malformed
from tallystick.events import erased_sections, references
from tallystick.events.entry import SECTIONS
from tallystick.events.event import Event, Json, Op, Resource
from tallystick.log.views import event_of
from tallystick.store.base import LogRow, Store
from tallystick.store.slices import row_slices

ACCESS_KIND = "access.read"
"""Kind of the entries that say who looked; what was asked may name a person."""

_DATA = ("data", "previous")
_QUESTIONS = ("export.",)
"""Kinds of entries whose data holds what somebody asked for."""

_NAME_CHARS_MIN = 3
_ID_CHARS_MIN = 6
_is_identifying = re.compile(r"@|(?:\d\D?){6}").search


class PersonQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is to be erased, and from what.

    `paths` are paths of data such as `data.customer.id`, or `data.email=a@example.com` where the
    value is not the person's id. Without `sections`, those that name the person are meant.
    `from_ms` (inclusive) and `to_ms` (exclusive) bound when the events occurred.
    """

    subject: str
    paths: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None

    def check(self) -> None:
        """Raise Malformed for a subject, path, section or time that means nothing."""
        if references.parse(self.subject) is None:
            raise Malformed("a subject is a type and an id, such as user:481", path="/subject")
        for n, path in enumerate(self.paths):
            if not all(path.partition("=")[0].split(".")):
                raise Malformed("a path has the form data.customer.id", path=f"/paths/{n}")
        for n, section in enumerate(self.sections):
            if section not in SECTIONS:
                known = ", ".join(SECTIONS)
                raise Malformed(
                    f"unknown section {section!r}; known sections: {known}", path=f"/sections/{n}"
                )
        if self.from_ms is not None and self.to_ms is not None and self.from_ms >= self.to_ms:
            raise Malformed("the time ends before it begins", path="/to")


class Selected(NamedTuple):
    """One entry and the sections of it that are to be destroyed."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    kind: str
    sections: tuple[str, ...]


class Person:
    """What tells that an entry is about a person; it learns names from what it is shown."""

    def __init__(self, query: PersonQuery) -> None:
        key = references.parse(query.subject)
        assert key is not None, "a query is checked first"
        self._query = query
        self._key = key
        self._paths = [_path_of(path, key) for path in query.paths]
        self._texts = {query.subject, references.to_text(*key)}
        if len(key[1]) >= _ID_CHARS_MIN:
            self._texts.add(key[1])
        self._texts |= {path.value for path in self._paths if path.is_own_value}
        needles = {key[1], *(path.value for path in self._paths)}
        self._needles = [msgspec.json.encode(text)[1:-1] for text in needles]

    def may_be_in(self, row: LogRow) -> bool:
        """Tell whether an entry is worth decoding."""
        return any(
            needle in section
            for section in row.sections
            if section is not None
            for needle in self._needles
        )

    def is_in(self, event: Event) -> bool:
        """Tell whether an entry is about the person, in the time asked for; learn names."""
        query, occurred_ms = self._query, event.occurred_ms
        if query.from_ms is not None and occurred_ms < query.from_ms:
            return False
        if query.to_ms is not None and occurred_ms >= query.to_ms:
            return False
        own = [each for each in (event.actor, event.target, *event.scopes) if self._is(each)]
        for resource in own:
            self._learn(resource)
        if event.op is Op.SYSTEM and event.kind.startswith(_QUESTIONS):
            # Somebody asked for the person: the question goes, that it was asked stays.
            return bool(own) or self._names(event.data)
        if event.kind == ACCESS_KIND and self._names(event.data):
            return True  # who asked for the person, and in which words
        return bool(own) or any(
            path.value in _texts_at(content, path.names)
            for path in self._paths
            for content in (event.data, event.previous)
            if content is not None
        )

    def sections_of(self, event: Event, present: Iterable[str]) -> tuple[str, ...]:
        """Return the sections of a selected entry that are to be destroyed."""
        kept = _kept(event)
        wanted = self._query.sections
        return tuple(
            name
            for name in present
            if name not in kept and (name in wanted if wanted else self._is_named(event, name))
        )

    def _is(self, resource: Resource | None) -> bool:
        return resource is not None and resource.key == self._key

    def _learn(self, resource: Resource | None) -> None:
        assert resource is not None
        if resource.name and len(resource.name) >= _NAME_CHARS_MIN:
            self._texts.add(resource.name)
        for text in _strings(resource.attributes):
            if _is_identifying(text):
                self._texts.add(text)

    def _is_named(self, event: Event, section: str) -> bool:
        match section:
            case "actor":
                return self._is(event.actor) or self._names(msgspec.to_builtins(event.actor))
            case "target":
                return self._is(event.target) or self._names(msgspec.to_builtins(event.target))
            case "place":
                place = (event.scopes, event.trails, event.original)
                return any(map(self._is, event.scopes)) or self._names(msgspec.to_builtins(place))
            case _:
                # What happened to a person, and what an item of a person holds, is the person's.
                content = event.data if section == "data" else event.previous
                return self._is(event.target) or self._names(content) or self._is_at_path(content)

    def _is_at_path(self, content: Json | None) -> bool:
        return content is not None and any(
            path.value in _texts_at(content, path.names) for path in self._paths
        )

    def _names(self, value: object) -> bool:
        return any(self._is_name(text) for text in _strings(value))

    def _is_name(self, text: str) -> bool:
        if text in self._texts:
            return True
        lowered = text.casefold()
        return any(_contains_word(lowered, name.casefold()) for name in self._texts)


def select(store: Store, tenant: str, person: Person, size: int) -> Iterator[list[Event]]:
    """Yield the entries below `size` that are about a person, a slice of the log at a time.

    Cost: one read of the log; only entries that hold the person's id somewhere are decoded.
    """
    for rows in row_slices(store, tenant, 0, size):
        events = (event_of(tenant, row) for row in rows if person.may_be_in(row))
        yield [event for event in events if person.is_in(event)]


class _Path(NamedTuple):
    names: Sequence[str]
    value: str
    is_own_value: bool


def _path_of(text: str, key: tuple[str, str]) -> _Path:
    path, equals, value = text.partition("=")
    names = path.split(".")
    if names[0] in _DATA and len(names) > 1:
        names = names[1:]
    return _Path(names, value if equals else key[1], bool(equals))


def _texts_at(value: Any, names: Sequence[str]) -> Iterator[str]:
    """Yield the scalars at a path as texts, through every element of arrays."""
    if isinstance(value, list):
        for item in value:
            yield from _texts_at(item, names)
    elif not names:
        if isinstance(value, str):
            yield value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield msgspec.json.encode(value).decode()
    elif isinstance(value, dict) and names[0] in value:
        yield from _texts_at(value[names[0]], names[1:])


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _strings(member)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _contains_word(text: str, word: str) -> bool:
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not (at and text[at - 1].isalnum()) and not (end < len(text) and text[end].isalnum()):
            return True
        at = text.find(word, at + 1)
    return False


def _kept(event: Event) -> tuple[str, ...]:
    """Return the sections without which the log could no longer be checked."""
    if event.op is Op.SYSTEM:
        return ("target",)
    if event.op is Op.ERASE and erased_sections.records_entries(event):
        return ("data",)
    return ()

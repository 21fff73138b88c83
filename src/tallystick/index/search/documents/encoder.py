"""What is written to the index for a document: its words, its facts, its numbers.

This says the same of an event as `query.values.flatten` does, but in a form that costs a lookup
for every value that was met before, since it is run for every event. `terms` says how things are
spelt, `paths` what is kept between documents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tallystick.events.event import Json, Resource, View, class_of
from tallystick.events.ids import index_of_event_id
from tallystick.events.references import to_text
from tallystick.index.document import Document
from tallystick.index.search import terms
from tallystick.index.search.documents.paths import (
    SPAN_BITS,
    Path,
    PathNode,
    RolePaths,
    Spelling,
    TenantPaths,
)
from tallystick.query.expr import Scalar
from tallystick.query.geo import place_of
from tallystick.query.text import tokens_of
from tallystick.query.values import nested

NUMBER = "n"
LATITUDE = "y"
LONGITUDE = "x"
"""What the names of columns begin with; the path's ordinal follows."""

_FILLERS = " ".join([terms.FILLER] * terms.GAP)
_KEPT_CHARS = 64
_KEPT_SPELLINGS = 50_000
_KEPT_AT_PATH = 1_000


class Fields(NamedTuple):
    """A document as it is written: texts of terms, and numbers by column."""

    words: str
    facts: str
    numbers: dict[str, list[float]]


class Speller:
    """Spells documents; what it keeps between them is bounded."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._kept = 0
        # The number of the document that is spelt now: values met twice in it are told by it.
        self._stamp = 0

    @property
    def is_full(self) -> bool:
        """Whether the paths it was given keep so much that they have to be loaded again."""
        return self._kept > _KEPT_SPELLINGS

    def forget(self) -> None:
        """Begin again: all paths given before are gone."""
        self._kept = 0

    def fields(self, tenant: TenantPaths, document: Document) -> Fields:
        """Return what is written for a document."""
        self._tenant = tenant
        self._stamp += 1
        self._numbers: dict[str, list[float]] = {}
        self._begin()
        self._add(self._bundle(("", *document.seen), lambda: self._seen(document.seen)))
        self._facts.append(tenant.moments[document.view.first.occurred_ms >> SPAN_BITS])
        self._facts.extend([terms.item_key(tenant.prefix, key) for key in document.keys[1:]])
        self._event(document.view)
        for field, value in document.terms.items():
            path = tenant.path(field)
            for one in value if isinstance(value, tuple) else (value,):
                self._scalar(path, one)
        facts, singles, others = self._spelling()
        # Texts of one word stand first; the same path may have a text of several behind them.
        words = f"{singles} {_FILLERS} {others}" if others else singles
        return Fields(words, facts, self._numbers)

    def _begin(self) -> None:
        self._facts: list[str] = []
        self._singles: list[str] = []
        self._others: list[str] = []

    def _spelling(self) -> Spelling:
        return " ".join(self._facts), " ".join(self._singles), " ".join(self._others)

    def _event(self, view: View) -> None:
        event, first = view.event, view.first
        self._add(
            self._bundle(
                ("", event.kind, first.op.value, first.dialect),
                lambda: self._head(event.kind, view),
            )
        )
        if index_of_event_id(first.id) != first.index:
            self._string(self._tenant.path("id"), first.id)
        if event.subject is not None:
            self._string(self._tenant.path("subject"), event.subject)
        for trail in event.trails:
            self._string(self._tenant.path("trail"), trail)
        if event.actor is not None:
            self._single_resource("actor", event.actor)
        if event.target is not None:
            self._single_resource("target", event.target)
        if len(event.scopes) == 1:
            self._single_resource("scope", event.scopes[0])
        else:
            for scope in event.scopes:
                self._resource("scope", scope)
                self._attributes("scope", scope)
        for pair in nested(event):
            self._string(self._tenant.path("nested"), pair)
        nodes = self._tenant.nodes
        self._object(nodes["data"], event.data)
        if event.previous is not None:
            self._object(nodes["previous"], event.previous)
        if event.original is not None:
            self._object(nodes["original"], event.original)

    def _add(self, spelling: Spelling) -> None:
        facts, singles, others = spelling
        self._facts.append(facts)
        if singles:
            self._singles.append(singles)
        if others:
            self._others.append(others)

    def _bundle(self, key: tuple[str | None, ...], spell: Callable[[], None]) -> Spelling:
        """Return what `spell` writes, which `key` determines: from the last time, if it is kept."""
        found = self._tenant.bundles.get(key)
        if found is None:
            outer = self._facts, self._singles, self._others
            self._begin()
            spell()
            found = self._tenant.bundles[key] = self._spelling()
            self._facts, self._singles, self._others = outer
            self._kept += 1
        return found

    def _seen(self, names: tuple[str, ...]) -> None:
        self._facts.extend([terms.seen(self._tenant.prefix, name) for name in names])

    def _head(self, kind: str, view: View) -> None:
        path, string = self._tenant.path, self._string
        string(path("kind"), kind)
        string(path("class"), class_of(kind))
        string(path("op"), view.first.op.value)
        string(path("dialect"), view.first.dialect)

    def _single_resource(self, role: str, resource: Resource) -> None:
        key = (role, resource.type, resource.id, resource.name)
        self._add(self._bundle(key, lambda: self._resource(role, resource)))
        self._attributes(role, resource)

    def _resource(self, role: str, resource: Resource) -> None:
        paths: RolePaths = self._tenant.roles[role]
        string = self._string
        string(paths.whole, to_text(resource.type, resource.id))
        string(paths.type, resource.type)
        string(paths.id, resource.id)
        if resource.name is not None:
            string(self._tenant.path(f"{role}.name"), resource.name)

    def _attributes(self, role: str, resource: Resource) -> None:
        if resource.attributes is not None:
            self._object(self._tenant.nodes[f"{role}.attributes"], resource.attributes)

    def _object(self, node: PathNode, members: Json) -> None:
        if "lat" in members or "latitude" in members:
            self._place(node.path, members)
        for name, value in members.items():
            if type(value) is str:
                self._string(node[name].path, value)
            else:
                self._value(node[name], value)

    def _value(self, node: PathNode, value: object) -> None:
        if isinstance(value, dict):
            self._object(node, value)
        elif isinstance(value, list):
            for item in value:
                self._value(node, item)
        else:
            self._scalar(node.path, value)  # type: ignore[arg-type]  # JSON has nothing else

    def _scalar(self, path: Path, value: Scalar) -> None:
        if isinstance(value, str):
            self._string(path, value)
            return
        if path.stamp == self._stamp:
            self._facts.append(path.several)
        path.stamp = self._stamp
        if value is None:
            self._facts.append(path.null)
            return
        if path.mark != self._stamp:
            self._mark(path)
        if isinstance(value, bool):
            if path.known:
                self._facts.append(terms.flag(self._tenant.prefix, path.ordinal, value))
        elif path.known:
            self._number(path, value)
        if path.number_place:
            self._number_text(path, value)

    def _string(self, path: Path, value: str) -> None:
        facts, singles, others = path.spellings.get(value) or self._spell(path, value)
        stamp, written = self._stamp, self._facts
        if path.mark != stamp:
            # As `_mark` does; a call for each string would be felt.
            path.mark = stamp
            if path.exists:
                written.append(path.exists)
            for above in path.above:
                if above.mark != stamp:
                    above.mark = stamp
                    written.append(above.exists)
        if facts:
            written.append(facts)
        if path.stamp == stamp:
            # A second value: its words must not go on from those of the first.
            written.append(path.several)
            singles = singles and f"{_FILLERS} {singles}"
            others = others and f"{_FILLERS} {others}"
        path.stamp = stamp
        if singles:
            self._singles.append(singles)
        elif others:
            self._others.append(others)

    def _mark(self, path: Path) -> None:
        """Write that a path, and all above it, have a value that is not null."""
        stamp = self._stamp
        path.mark = stamp
        if path.exists:
            self._facts.append(path.exists)
        for above in path.above:
            if above.mark != stamp:
                above.mark = stamp
                self._facts.append(above.exists)

    def _spell(self, path: Path, value: str) -> Spelling:
        words = tokens_of(value) if path.place else []
        text = ""
        if words:
            heads, place = self._tenant.heads, path.place
            if len(words) == 1:
                text = heads[words[0]] + place
            else:
                text = f"{place} ".join([heads[word] for word in words]) + place
        facts = self._fact(path, value, words) if path.known else ""
        spelling = (facts, text, "") if len(words) == 1 else (facts, "", text)
        if path.known:
            if not path.crowded:
                self._tenant.has(path, value)
            if len(value) <= _KEPT_CHARS:
                self._keep(path, value, spelling)
        return spelling

    def _keep(self, path: Path, value: str, spelling: Spelling) -> None:
        """Remember how a value is spelt; where no two are the same, that costs others nothing."""
        kept = path.spellings
        if len(kept) >= _KEPT_AT_PATH:
            self._kept -= len(kept)
            kept.clear()
        kept[value] = spelling
        self._kept += 1

    def _fact(self, path: Path, value: str, words: list[str]) -> str:
        prefix = self._tenant.prefix
        if path.crowded and path.place:
            joint = terms.joint_of(value, words)
            if joint:
                return terms.joined(prefix, path.ordinal, joint, len(words))
        if len(value) <= terms.EXACT_CHARS:
            return path.exact + terms.escaped(value)
        return f"{path.long}{terms.long(value, self._secret)} {path.has_long}"

    def _number(self, path: Path, value: int | float) -> None:
        prefix = self._tenant.prefix
        double = _double(value)
        if double != value:
            self._facts.append(terms.inexact(prefix, path.ordinal, int(value)))
            self._facts.append(path.several)
        if double is None or not path.column:
            self._facts.append(terms.marked(prefix, terms.UNLISTED_NUMBER, path.ordinal))
        else:
            # Adding zero makes one of the two zeros.
            self._numbers.setdefault(NUMBER + path.column, []).append(double + 0.0)

    def _number_text(self, path: Path, value: int | float) -> None:
        """Write the words of a number or boolean."""
        words = self._tenant.number_words[path.number_place, type(value), value]
        if words:
            self._others.append(f"{_FILLERS} {words}")

    def _place(self, path: Path, members: Json) -> None:
        place = place_of(members)
        if place is None or not path.known:
            return
        prefix = self._tenant.prefix
        self._facts.append(terms.marked(prefix, terms.PLACE, path.ordinal))
        latitude, longitude = LATITUDE + path.column, LONGITUDE + path.column
        if not path.column or latitude in self._numbers:
            self._facts.append(terms.marked(prefix, terms.PLACES, path.ordinal))
        if path.column:
            self._numbers.setdefault(latitude, []).append(place.latitude + 0.0)
            self._numbers.setdefault(longitude, []).append(place.longitude + 0.0)


def _double(value: int | float) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None

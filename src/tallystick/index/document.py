"""What followers are given: slices of the log as views, and views as documents to be indexed.

A slice says which entries are new and which earlier ones look different because of them; a
document adds what the dialects make of a view. Both are the same for every index, so that lists
and search cannot disagree about who sees what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tallystick.events.dialect_rules import Rules
from tallystick.events.event import Op, View
from tallystick.followers.follow import Slice
from tallystick.query.expr import Scalar
from tallystick.query.question import Find, Over
from tallystick.query.values import Terms

ITEM = "item"
"""Stands among the names of dialects in `Document.seen` of a live item."""


class Document(NamedTuple):
    """A view with what the dialects make of it.

    `keys` are the texts by which an index removes it later. `seen` names the dialects that show
    the event, or says that it is an item. `fresh` promises that none of the keys was given before.
    """

    keys: tuple[str, ...]
    view: View
    seen: tuple[str, ...]
    terms: Mapping[str, Scalar | tuple[Scalar, ...]]
    fresh: bool


def seen_by(rules: Rules, view: View, current: frozenset[int]) -> tuple[str, ...]:
    """Return the names of the dialects that show the view; `ITEM` alone for a live item."""
    op = view.first.op
    if op is Op.RECORD:
        return tuple([name for name, rule in rules.items() if rule.shows(view)])
    return (ITEM,) if op is Op.DOCUMENT and view.index in current else ()


def still_shown(rules: Rules, question: Find, view: View) -> bool:
    """Tell whether what an index found for a question was not taken away since."""
    if question.over is Over.LOG:
        return True
    if view.first.op is Op.RECORD:
        return rules[question.dialect].shows(view)
    # Nothing but its erasure takes a document's target away.
    return view.first.target is not None


def derived_terms(rules: Rules, view: View, tenant_uuid: str, seen: tuple[str, ...]) -> Terms:
    """Return what dialects derive from the view, by field name.

    Of an event, these are the dialects that show it; of a live item, the one that wrote it.
    """
    return {
        f"{name}.{term}": value
        for name in (view.first.dialect if name == ITEM else name for name in seen)
        if name in rules
        for term, value in rules[name].derived(view, tenant_uuid).items()
    }


def searched_terms(rules: Rules, view: View, tenant_uuid: str, seen: tuple[str, ...]) -> Terms:
    """Return what dialects derive from the view, with what only the search knows of an event."""
    terms = dict(derived_terms(rules, view, tenant_uuid, seen))
    for name in seen:
        if name in rules:
            for term, value in rules[name].searched.derive(view, tenant_uuid).items():
                terms[f"{name}.{term}"] = value
    return terms


def documents_of(rules: Rules, part: Slice) -> tuple[list[Document], list[str]]:
    """Return the documents a slice gives to an index of latest states, and the keys it removes."""
    documents: dict[str, Document] = {}
    removed: dict[str, None] = {}
    for fresh, views in ((True, part.fresh), (False, part.changed)):
        for view in views:
            seen = seen_by(rules, view, part.current)
            keys = _keys(view)
            if seen:
                new = fresh and view.first.op is Op.RECORD
                terms = searched_terms(rules, view, part.tenant_uuid, seen)
                documents[keys[0]] = Document(keys, view, seen, terms, new)
            elif view.first.op is Op.DOCUMENT and fresh:
                # A deletion, or a state that a later entry of the slice replaced.
                removed.update(dict.fromkeys(keys[1:]))
            elif view.first.op in (Op.RECORD, Op.DOCUMENT) and not fresh:
                removed[keys[0]] = None
    given = {key for document in documents.values() for key in document.keys}
    return list(documents.values()), [key for key in removed if key not in given]


def _keys(view: View) -> tuple[str, ...]:
    target = view.event.target
    index = str(view.index)
    if view.first.op is not Op.DOCUMENT or target is None:
        return (index,)
    return (index, f"i{target.type}\0{target.id}")

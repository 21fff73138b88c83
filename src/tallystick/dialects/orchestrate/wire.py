"""The Orchestrate codec: requests to drafts, views to rows. Pure.

An event has its collection and key from the target, its type from the kind, its value from the
data; an item is the latest document of a resource; a relation is a resource of its own whose id
names both ends. Source: seed "Events"; wire specification, sections 4 to 9 and 14.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from hashlib import blake2b, sha256
from typing import NamedTuple

import msgspec

from tallystick import times
from tallystick.errors import Malformed
from tallystick.events import ids
from tallystick.events.event import Draft, Event, Json, Op, Resource, View
from tallystick.log.idempotency import claim

DIALECT = "orchestrate"
ITEM_PUT = "item.put"
ITEM_DELETE = "item.delete"
RELATION_PUT = "relation.put"
RELATION_DELETE = "relation.delete"
RELATION_TYPE = "relation:"
"""What the type of a relation's resource begins with, and no collection's name may."""

REF_DIGITS = 16
ORDINAL_FIELD = f"{DIALECT}.ordinal"
"""Where an event is found by the ordinal it was moved in with."""

OWN_ORDINAL_MAX = 1 << ids.INDEX_BITS
"""The highest ordinal given here; those the original gave from 2014 on are higher."""

_ORDINAL_MAX = (1 << 63) - 1
_HEX_ORDINAL = re.compile(r"[0-9a-fA-F]{16}\Z")
_ORDINAL_DIGITS_MAX = 19
_PURGED = "purged"
_KINDS = ("item", "event", "relationship")


class Address(NamedTuple):
    """Where an item is: its collection and key."""

    collection: str
    key: str


class Relation(NamedTuple):
    """A directed edge between two items."""

    source: Address
    kind: str
    destination: Address


# Numbers and names


def ref_of(value: Json) -> str:
    """Return the ref of a value: equal values have equal refs, whatever their key.

    The original function is lost. Ours is BLAKE2b over the value's JSON with members sorted.
    """
    text = msgspec.json.encode(value, order="deterministic")
    return blake2b(text, digest_size=REF_DIGITS // 2, person=b"orchestrate.ref").hexdigest()


def ordinal_text(ordinal: int) -> str:
    """Return an ordinal as the 16 hexadecimal digits of `ordinal_str`."""
    return f"{ordinal:016x}"


def parse_ordinal(text: str) -> int:
    """Return an ordinal from its 16 hexadecimal digits, or from decimal ones.

    Raises: Malformed.
    """
    ordinal = _ORDINAL_MAX + 1
    if _HEX_ORDINAL.match(text):
        ordinal = int(text, 16)
    elif text.isascii() and text.isdigit() and len(text) <= _ORDINAL_DIGITS_MAX:
        ordinal = int(text)
    if ordinal > _ORDINAL_MAX:
        raise Malformed(
            f"{text[:64]!r} is no ordinal", path="ordinal", hint="decimal, or 16 hexadecimal digits"
        )
    return ordinal


def checked_collection(name: str) -> str:
    """Return a collection's name if something may be written to it.

    Raises: Malformed.
    """
    if name.startswith(RELATION_TYPE):
        raise Malformed(f"no collection's name begins with {RELATION_TYPE!r}", path="collection")
    return name


# Drafts


def event_draft(
    address: Address,
    type: str,
    value: Json,
    *,
    occurred_ms: int | None = None,
    actor: Resource | None = None,
) -> Draft:
    """Return the draft of an event of `type` under an item's address."""
    return Draft(
        kind=type,
        occurred_ms=occurred_ms,
        actor=actor,
        target=Resource(checked_collection(address.collection), address.key),
        data=value,
        dialect=DIALECT,
    )


def item_draft(address: Address, value: Json, *, actor: Resource | None = None) -> Draft:
    """Return the draft that puts an item."""
    target = Resource(checked_collection(address.collection), address.key)
    return _document(ITEM_PUT, target, value, actor)


def relation_draft(relation: Relation, value: Json, *, actor: Resource | None = None) -> Draft:
    """Return the draft that puts a relation."""
    return _document(RELATION_PUT, relation_resource(relation), value, actor)


def delete_draft(target: Resource, *, purged: bool = False, actor: Resource | None = None) -> Draft:
    """Return the draft that deletes the item or relation at `target`.

    A `purged` one also ends the history: what was before it is no longer listed.
    """
    kind = RELATION_DELETE if target.type.startswith(RELATION_TYPE) else ITEM_DELETE
    return _document(kind, target, {_PURGED: True} if purged else {}, actor)


def to_draft(row: Json, *, actor: Resource | None = None) -> Draft:
    """Return the draft that a row of a list, or of an export stream, describes.

    Raises: Malformed when `row` is no item, event or relation.
    """
    path, value = row.get("path"), row.get("value", {})
    if not isinstance(path, dict):
        path = {name: row.get(name) for name in ("source", "destination", "relation")}
        path["kind"] = "relationship"
    if not isinstance(value, dict):
        raise Malformed("a value is a JSON object", path="/value")
    kind = _kind_of(path)
    if kind == "relationship":
        return relation_draft(_relation_of_path(path), value, actor=actor)
    address = _address_of_path(path)
    if kind == "item":
        return item_draft(address, value, actor=actor)
    draft = event_draft(
        address,
        _text_of(path, "type"),
        value,
        occurred_ms=_integer_of(path, "timestamp"),
        actor=actor,
    )
    return _moved_in(draft, path)


def _kind_of(path: Json) -> str:
    """Return the kind of row that a path names, in any case, or that its members tell.

    Raises: Malformed for an unknown kind.
    """
    given = path.get("kind")
    if given is None:
        if "relation" in path:
            return "relationship"
        return "event" if "type" in path else "item"
    kind = given.lower() if isinstance(given, str) else ""
    if kind not in _KINDS:
        known = ", ".join(_KINDS)
        raise Malformed(f"unknown kind {given!r}; known kinds: {known}", path="/path/kind")
    return kind


# Rows


def from_event(view: View) -> Json:
    """Return an event as a row of a list, or as its own answer."""
    path = event_path(view)
    return {
        "path": path,
        "value": view.event.data,
        "timestamp": path["timestamp"],
        "ordinal": path["ordinal"],
        "reftime": path["reftime"],
    }


def from_document(document: Event) -> Json:
    """Return an item or a relation as a row of a list; a tombstone has no value."""
    path = document_path(document)
    row: Json = {"path": path, "value": document.data, "reftime": path["reftime"]}
    if is_tombstone(document):
        del row["value"]
    return row


def event_path(view: View) -> Json:
    """Return what names an event, and its version."""
    target = view.event.target
    assert target is not None, "an event without a target is not shown"
    return {
        "collection": target.type,
        "kind": "event",
        "key": target.id,
        "type": view.event.kind,
        "timestamp": view.first.occurred_ms,
        "ordinal": ordinal_of(view),
        "ref": ref_of(view.event.data),
        "reftime": reftime_of(view),
        "ordinal_str": ordinal_text(ordinal_of(view)),
    }


def ordinal_of(view: View) -> int:
    """Return an event's ordinal: one more than its index, or the one it was moved in with."""
    return _moved_number(view, "ordinal") or ids.ordinal(view.index)


def reftime_of(view: View) -> int:
    """Return when an event got the value it has: when it was revised, recorded, or elsewhere."""
    if view.revision != view.index:
        return view.revised_ms
    return _moved_number(view, "reftime") or view.revised_ms


def document_path(document: Event) -> Json:
    """Return what names an item or a relation, and its version."""
    target = document.target
    assert target is not None, "a document is always of a resource"
    relation = relation_of(target)
    path: Json
    if relation is None:
        path = {"collection": target.type, "kind": "item", "key": target.id}
    else:
        path = {
            "kind": "relationship",
            "source": relation.source._asdict(),
            "destination": relation.destination._asdict(),
            "relation": relation.kind,
        }
    path |= {"ref": document_ref(document), "reftime": document.recorded_ms}
    if is_tombstone(document):
        path["tombstone"] = True
    return path


def document_ref(document: Event) -> str:
    """Return the ref of a document; a tombstone's is no value's."""
    return ref_of({"": document.kind} if is_tombstone(document) else document.data)


def is_tombstone(document: Event) -> bool:
    """Tell whether the document says that its resource was deleted."""
    return document.kind in (ITEM_DELETE, RELATION_DELETE)


def ends_history(document: Event) -> bool:
    """Tell whether what was before the document was purged."""
    return is_tombstone(document) and bool(document.data.get(_PURGED))


def is_document(event: Event) -> bool:
    """Tell whether the entry is an item's or a relation's."""
    return event.op is Op.DOCUMENT and event.target is not None


# Relations


def relation_resource(relation: Relation) -> Resource:
    """Return the resource that stands for a relation.

    Shape: the ids of all relations from one item begin alike and lie side by side.
    """
    names = (*relation.source, *relation.destination)
    return Resource(RELATION_TYPE + relation.kind, "/".join(map(_escaped, names)))


def relation_bounds(source: Address) -> tuple[str, str]:
    """Return the least id of a relation from `source`, and the least id beyond all of them."""
    start = f"{_escaped(source.collection)}/{_escaped(source.key)}"
    return f"{start}/", f"{start}0"


def relation_of(resource: Resource) -> Relation | None:
    """Return the relation that a resource stands for; None when it stands for none."""
    if not resource.type.startswith(RELATION_TYPE):
        return None
    names = [_unescaped(name) for name in resource.id.split("/")]
    if len(names) != 4:
        return None
    kind = resource.type.removeprefix(RELATION_TYPE)
    return Relation(Address(names[0], names[1]), kind, Address(names[2], names[3]))


# What the indexes are told


def shows(view: View) -> bool:
    """Tell whether this API shows an ordinary event: it needs something it happened to."""
    return not view.retracted and view.event.target is not None


def derived(view: View, tenant_uuid: str) -> Mapping[str, str | int]:
    """Return what searches ask for besides the event itself: members of `@path`.

    Shape: `reftime` only where it is not the time of recording, `ordinal` only where it was moved
    in with the event.
    """
    event = view.event
    if event.target is None:
        return {}
    if event.op is Op.DOCUMENT:
        return {"ref": document_ref(event), **listed(view, tenant_uuid)}
    terms: dict[str, str | int] = {"ref": ref_of(event.data)}
    if (reftime := reftime_of(view)) != view.first.recorded_ms:
        terms["reftime"] = reftime
    return terms | listed(view, tenant_uuid)


LISTED = frozenset(
    (
        *("ordinal", "relation", "source.collection", "source.key"),
        *("destination.collection", "destination.key"),
    )
)


def listed(view: View, tenant_uuid: str) -> dict[str, str | int]:
    """Return those of the terms by which lists go, `LISTED`."""
    if view.event.target is None:
        return {}
    if view.event.op is not Op.DOCUMENT:
        ordinal = ordinal_of(view)
        return {} if ordinal == ids.ordinal(view.index) else {"ordinal": ordinal}
    relation = relation_of(view.event.target)
    if relation is None:
        return {}
    return {
        "relation": relation.kind,
        "source.collection": relation.source.collection,
        "source.key": relation.source.key,
        "destination.collection": relation.destination.collection,
        "destination.key": relation.destination.key,
    }


def _document(kind: str, target: Resource, value: Json, actor: Resource | None) -> Draft:
    return Draft(kind=kind, op=Op.DOCUMENT, actor=actor, target=target, data=value, dialect=DIALECT)


def _address_of_path(path: Json) -> Address:
    return Address(_text_of(path, "collection"), _text_of(path, "key"))


def _relation_of_path(path: Json) -> Relation:
    ends: list[Address] = []
    for name in ("source", "destination"):
        end = path.get(name)
        if not isinstance(end, dict):
            raise Malformed(f"{name} is an object with collection and key", path=f"/{name}")
        ends.append(_address_of_path(end))
    return Relation(ends[0], _text_of(path, "relation"), ends[1])


def _text_of(path: Json, name: str) -> str:
    text = path.get(name)
    if not isinstance(text, str) or not text:
        raise Malformed(f"{name} is a string that is not empty", path=f"/path/{name}")
    return text


def _integer_of(path: Json, name: str) -> int | None:
    number = path.get(name)
    if number is None or (isinstance(number, int) and not isinstance(number, bool)):
        return number
    raise Malformed(f"{name} is an integer", path=f"/path/{name}")


def _moved_in(draft: Draft, path: Json) -> Draft:
    """Let an event keep the name it had elsewhere, and be stored once however often it comes.

    Small ordinals, as the original gave them before April 2014, are given again.
    """
    ordinal = _integer_of(path, "ordinal")
    text = path.get("ordinal_str")
    if isinstance(text, str) and _HEX_ORDINAL.match(text):
        # The number itself may have passed through a program that rounds it.
        ordinal = int(text, 16)
    if ordinal is None or draft.occurred_ms is None or ordinal <= OWN_ORDINAL_MAX:
        return draft
    if ordinal > _ORDINAL_MAX:
        raise Malformed("an ordinal is less than 2^63", path="/path/ordinal")
    draft.original = {"ordinal": ordinal}
    reftime = _integer_of(path, "reftime")
    if reftime is not None:
        draft.original["reftime"] = times.checked_ms(reftime, "/path/reftime")
    return claiming(draft)


def claiming(draft: Draft, deletions: int = 0) -> Draft:
    """Return the draft of an event that was moved in, with the claim that lets it be stored once.

    After each of so many deletions its name may be claimed once more.
    """
    assert draft.target is not None, "it has a name from elsewhere"
    assert draft.original is not None, "it has a name from elsewhere"
    name = [*draft.target.key, draft.kind, draft.occurred_ms, draft.original["ordinal"]]
    if deletions:
        name.append(deletions)
    claiming = copy(draft)
    # The claim of a deleted event would answer for it for good.
    claiming.claims = claiming.earlier_digests = ()
    claim(claiming, DIALECT.encode() + sha256(msgspec.json.encode(name)).digest(), draft.data)
    return claiming


def _moved_number(view: View, name: str) -> int | None:
    event = view.first
    number = (event.original or {}).get(name) if event.dialect == DIALECT else None
    return number if isinstance(number, int) else None


def _escaped(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")


def _unescaped(name: str) -> str:
    return name.replace("%2F", "/").replace("%25", "%")

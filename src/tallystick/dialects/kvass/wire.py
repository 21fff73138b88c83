"""The Kvass codec: documents to drafts, views to documents.

Pure: it sees no store and no clock. Source: seed Kvass, "Event Object"; wire specification 2.2
and 2.3.
"""

from __future__ import annotations

from typing import Any

from tallystick import json_text, limits
from tallystick.dialects.kvass import extended
from tallystick.dialects.kvass.kinds import KINDS, is_update
from tallystick.errors import Malformed
from tallystick.events import ids
from tallystick.events.diff import changed_members
from tallystick.events.event import Draft, Event, Json, Resource, View, class_of
from tallystick.identity.records import User
from tallystick.log.idempotency import claim
from tallystick.query.expr import And, Eq, Expr, Range

DIALECT = "kvass"
GIVEN_ID = f"{DIALECT}.given_id"

BOOKKEEPING = frozenset({"modified"})
"""Members of an object that an update changes without it being news."""

_SHORT_MEMBERS = frozenset(
    {"_id", "kind", "created", "company", "author", "object", "previous_data", "previous_object"}
)
_DATA_MEMBERS = frozenset({"object_type", "kind", "object", "previous_data"})
_LABELS = ("human_id", "name", "title", "email")


def to_draft(document: Json, *, company: str, author: Resource | None = None) -> Draft:
    """Return the draft of a document, in the seed's form or in the short form of the extension.

    The short form has `object` and `previous_data` where the seed has them within `data`, and may
    give `previous_object`, the whole object before, instead of `previous_data`. A document
    without an author has `author`.
    Raises: Malformed, naming the member.
    """
    flat = _flat(document)
    kind = flat.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Malformed("kind is one of the 31 kinds of this API", path="kind")
    if flat.get("company", extended.oid(company)) != extended.oid(company):
        raise Malformed("company is another than that of the API key", path="company")
    shown = _object(flat.get("object"), "object")
    target = extended.id_of(shown.get("_id"))
    if target is None:
        raise Malformed("the object needs an _id", path="object._id")
    created = flat.get("created")
    draft = Draft(
        kind=kind,
        occurred_ms=None if created is None else extended.to_ms(created, "created"),
        actor=to_actor(flat["author"]) if "author" in flat else author,
        target=Resource(class_of(kind), target, _label(shown)),
        scopes=(Resource("company", company),),
        data=shown,
        previous=_previous(flat, kind, shown),
        dialect=DIALECT,
    )
    return _with_id_of_its_own(draft, flat.get("_id"), document)


def to_actor(author: Any) -> Resource | None:
    """Return the user that an embedded author is; null is nobody.

    Raises: Malformed.
    """
    if author is None:
        return None
    shown = _object(author, "author")
    actor = extended.id_of(shown.get("_id"))
    if actor is None:
        raise Malformed("the author needs an _id", path="author._id")
    return Resource("user", actor, _full_name(shown) or _short(shown.get("email")), shown)


def author_of(user: User, company: str, roles: tuple[str, ...]) -> Resource:
    """Return a user as the author of an event: in full, as the user is now."""
    hexes = [name for name in (user.id, *user.aliases) if ids.is_object_id(name)]
    first, last = _split_name(user.name or "")
    shown: Json = {
        "_id": extended.oid(hexes[0].lower()) if hexes else user.id,
        "_cls": "User",
        "created": extended.date(user.created_ms),
        "modified": extended.date(user.created_ms),
        "first_name": first,
        "last_name": last,
        "email": user.email or "",
        "mobile_phone_number": "",
        "addresses": [],
        "billing_address": {},
        "bio": "",
        "note": "",
        "avatar": "",
        "company": extended.oid(company),
        "tags": [],
        "stripe_customer_id": "",
        "roles": list(roles),
        "deleted": False,
    }
    known = {name: value for name, value in (user.attributes or {}).items() if name in shown}
    return Resource("user", user.id, user.name or user.email, {**shown, **known})


def shows(view: View) -> bool:
    """Tell whether Kvass shows an ordinary event: one of its kinds, about an object of that class.

    An event of its own whose target was erased is still shown, empty.
    """
    event = view.first
    if event.kind not in KINDS:
        return False
    if event.target is None:
        return event.dialect == DIALECT and "target" in event.erased
    return event.target.type == class_of(event.kind)


def derived(view: View, tenant_uuid: str) -> dict[str, str]:
    """Return the terms by which Kvass must find and order events, besides what every event has."""
    return {"id": object_id(view.first), **listed(view, tenant_uuid)}


def listed(view: View, tenant_uuid: str) -> dict[str, str]:
    """Return the term by which lists go: ids made here tell time and index, and need none."""
    given = _given_id(view.first)
    return {} if given is None else {"given_id": given}


def object_id(event: Event) -> str:
    """Return the ObjectId of an event: the one it came with, or one made of time and index."""
    return _given_id(event) or ids.object_id(event.occurred_ms, event.index)


def with_object_id(text: str) -> Expr:
    """Return what holds of the event with an ObjectId; those made here are never given."""
    index = ids.index_of_object_id(text)
    if index is None:
        return Eq(GIVEN_ID, text)
    low, high = ids.times_of_object_id(text)
    return And((Eq("index", index), Range("occurred_ms", low, high)))


def _given_id(event: Event) -> str | None:
    if event.dialect != DIALECT or event.original is None:
        return None
    given = event.original.get("_id")
    return given if isinstance(given, str) and ids.is_object_id(given) else None


def render(view: View, company: str) -> Json:
    """Return an event as Kvass shows it, members in the seed's order."""
    event = view.first
    data: Json = {
        "object_type": class_of(event.kind),
        "kind": event.kind,
        "object": object_of(event),
    }
    if event.previous is not None:
        data["previous_data"] = event.previous
    shown: Json = {
        "_id": extended.oid(object_id(event)),
        "kind": event.kind,
        "created": extended.date(event.occurred_ms),
        "company": extended.oid(company),
        "data": data,
    }
    if event.actor is not None:
        shown["author"] = _author(event.actor, event.dialect)
    return shown


def object_of(event: Event) -> Json:
    """Return the object of an event: its payload, which names the target as its `_id`."""
    target = event.target
    if target is None or extended.id_of(event.data.get("_id")) == target.id:
        return event.data
    return {**event.data, "_id": extended.to_id(target.id)}


def _flat(document: Json) -> Json:
    """Return the members of a document in the short form, whichever it came in."""
    if "data" not in document:
        json_text.check_members(document, _SHORT_MEMBERS)
        return document
    json_text.check_members(document, (_SHORT_MEMBERS - _DATA_MEMBERS) | {"kind", "data"})
    data = document["data"]
    if not isinstance(data, dict):
        raise Malformed("data is an object", path="data")
    json_text.check_members(data, _DATA_MEMBERS, "data.")
    kind = document.get("kind", data.get("kind"))
    if data.get("kind", kind) != kind:
        raise Malformed("data.kind is a copy of kind", path="data.kind")
    if isinstance(kind, str) and data.get("object_type", class_of(kind)) != class_of(kind):
        raise Malformed("object_type is the kind's part before the dot", path="data.object_type")
    inner = {name: data[name] for name in ("object", "previous_data") if name in data}
    outer = {name: value for name, value in document.items() if name != "data"}
    return {**outer, **inner, "kind": kind}


def _object(value: Any, path: str) -> Json:
    if not isinstance(value, dict):
        raise Malformed(f"{path} is an object", path=path)
    extended.check(value, path)
    return value


def _previous(flat: Json, kind: str, shown: Json) -> Json | None:
    """Return the old values that a document gives, or that follow from the old object it gives."""
    for name in ("previous_data", "previous_object"):
        if name in flat and not is_update(kind):
            raise Malformed(f"only an update has {name}", path=name)
    if "previous_data" in flat:
        return _object(flat["previous_data"], "previous_data")
    if "previous_object" not in flat:
        return None
    before = _object(flat["previous_object"], "previous_object")
    return changed_members(before, shown, BOOKKEEPING)


def _with_id_of_its_own(draft: Draft, given: Any, document: Json) -> Draft:
    """Keep the ObjectId that an event had elsewhere; it may come once.

    Those that could be ours are refused: another event may have them, or get them.
    """
    if given is None:
        return draft
    id = extended.id_of(given)
    if id is None or not ids.is_object_id(id):
        raise Malformed('_id is written {"$oid": "<24 hexadecimal digits>"}', path="_id")
    if ids.index_of_object_id(id) is not None:
        raise Malformed("this _id is in the range that is assigned here", path="_id")
    draft.original = {"_id": id}
    claim(draft, b"kvass" + bytes.fromhex(id), document)
    return draft


def _author(actor: Resource, dialect: str) -> Json:
    """Return the embedded author: verbatim if Kvass wrote it, else what is known of the actor."""
    known = actor.attributes or {}
    if dialect == DIALECT and "_id" in known:
        return known
    named: Json = {}
    if actor.name is not None:
        named["first_name"], named["last_name"] = _split_name(actor.name)
    cls = "User" if actor.type == "user" else actor.type
    return {"_id": extended.to_id(actor.id), "_cls": cls, **named, **_without(known)}


def _without(known: Json) -> Json:
    return {name: value for name, value in known.items() if name not in ("_id", "_cls")}


def _split_name(name: str) -> tuple[str, str]:
    """Cut a name before its last word, so that both parts joined by a blank are the name."""
    first, _, last = name.rpartition(" ")
    return (first, last) if first and last else (name, "")


def _full_name(shown: Json) -> str | None:
    parts = [shown.get(name) for name in ("first_name", "last_name")]
    return _short(" ".join(part for part in parts if isinstance(part, str) and part))


def _label(shown: Json) -> str | None:
    """Return what people call an object."""
    labels = [_short(shown.get(name)) for name in _LABELS[:3]]
    labels += [_full_name(shown), _short(shown.get(_LABELS[3]))]
    return next((label for label in labels if label), None)


def _short(value: Any) -> str | None:
    """Return a text that can be a name; None for what is no text, empty or too long."""
    if not isinstance(value, str) or not value:
        return None
    return value if len(value.encode("utf-8", "surrogatepass")) <= limits.NAME_BYTES else None

"""The Onehub codec: documents to drafts, views to events of a feed.

Pure: it sees no store and no clock. Source: seed Onehub; wire specification 1.2, 1.5 and 1.6.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from tallystick import json_text, times
from tallystick.dialects.onehub import markup, timestamps
from tallystick.dialects.onehub.sentence import PREDICATES, SentenceFacts, detail, name_of
from tallystick.errors import Malformed
from tallystick.events import ids
from tallystick.events.event import Draft, Event, Json, Resource, View
from tallystick.events.summary import escape
from tallystick.identity.access import SHARING_ROLES
from tallystick.log.idempotency import claim

DIALECT = "onehub"
VERBS = tuple(PREDICATES)
TYPES = ("file", "folder", "workspace")
ID_MAX = 1 << 53
"""The largest id that every client reads exactly."""

_INTEGER = re.compile(r"(?:0|[1-9][0-9]{0,15})\Z")
_EMAIL_ATTRIBUTE = "email"
_COMMON = frozenset({"id", "updated_at"})
_PRINTED = _COMMON | {"detail", "workspace_id", "user_id"}
_GIVEN = _COMMON | {"verb", "user", "workspace", "file", "folder", "email", "role"}
_USER = frozenset({"id", "name", "email"})
_WORKSPACE = frozenset({"id", "name"})
_FOLDER = frozenset({"id", "filename", "ancestor_ids"})
_FILE = _FOLDER | {"size"}


def to_draft(document: Json, *, zone: tzinfo, user: Resource | None = None) -> Draft:
    """Return the draft of a document: an event as it is printed, or the facts of one.

    The facts are `verb`, `user` (else `user` is who did it), `workspace`, and the `file` or
    `folder` it was done to, if not to the workspace itself; an invitation has `email` and `role`.
    Times without a zone are on the clock of `zone`.
    Raises: Malformed, naming the member.
    """
    inner = document.get("event", document)
    if not isinstance(inner, dict) or (inner is not document and len(document) > 1):
        raise Malformed("an event is an object", path="event")
    draft = _from_printed(inner) if "detail" in inner else _from_facts(inner, user)
    if draft.actor is None:
        raise Malformed("user is who did it", path="user")
    if inner.get("updated_at") is not None:
        text = _text(inner["updated_at"], "updated_at")
        draft.occurred_ms = times.checked_ms(
            timestamps.parse(text, zone, "updated_at").ms, "updated_at"
        )
    if inner.get("id") is not None:
        id = _id(inner["id"], "id")
        draft.original = {"id": id}
        claim(draft, b"onehub%d" % id, document)
    return draft


def shows(view: View) -> bool:
    """Tell whether Onehub shows an ordinary event: one of its verbs, on its things, by its ids."""
    return facts_of(view.first) is not None


def derived(view: View, tenant_uuid: str) -> dict[str, str | int]:
    """Return the terms by which Onehub must find an event, besides what every event has."""
    facts = facts_of(view.first)
    if facts is None:
        return {}
    return {"verb": facts.verb, "workspace": facts.workspace_id, "user": facts.user_id}


def render(view: View, zone: tzinfo) -> Json:
    """Return an event that Onehub shows, as an item of a feed for somebody in a zone."""
    event = view.first
    facts = facts_of(event)
    assert facts is not None, "only what is shown is rendered"
    return {
        "event": {
            "id": id_of(event),
            "updated_at": timestamps.render(event.occurred_ms, zone),
            "detail": detail(facts, event),
            "workspace_id": facts.workspace_id,
            "user_id": facts.user_id,
        }
    }


def page_of(items: Sequence[Json], *, total: int, offset: int, per_page: int) -> Json:
    """Return the envelope of a page.

    An offset between two pages counts as on the later one; an empty answer is page 1 of 0.
    """
    return {
        "total_entries": total,
        "current_page": -(-offset // per_page) + 1 if total else 1,
        "total_pages": -(-total // per_page),
        "per_page": per_page,
        "items": items,
    }


def id_of(event: Event) -> int:
    """Return the integer that names an event: the one it came with, or its place in the log."""
    given = (event.original or {}).get("id") if event.dialect == DIALECT else None
    return given if type(given) is int else ids.ordinal(event.index)


def facts_of(event: Event) -> SentenceFacts | None:
    """Return what the sentence of an event is made of; None when Onehub has no words for it."""
    type, _, verb = event.kind.partition(".")
    actor, target = event.actor, event.target
    if verb not in PREDICATES or type not in TYPES or actor is None or target is None:
        return None
    workspace = next((scope for scope in event.scopes if scope.type == "workspace"), None)
    if workspace is None or target.type != type:
        return None
    user_id, target_id, workspace_id = (
        integer_id(resource.id) for resource in (actor, target, workspace)
    )
    if user_id is None or target_id is None or workspace_id is None:
        return None
    return SentenceFacts(
        verb, type, user_id, name_of(actor), target_id, name_of(target),
        workspace_id, name_of(workspace),
    )  # fmt: skip


def integer_id(text: str) -> int | None:
    """Return an id as the integer that it spells in the only usual way."""
    if not _INTEGER.match(text):
        return None
    number = int(text)
    return number if number <= ID_MAX else None


def _from_printed(inner: Json) -> Draft:
    json_text.check_members(inner, _PRINTED)
    printed = markup.parse(_name(inner["detail"], "detail"))
    if inner.get("workspace_id", printed.workspace_id) != printed.workspace_id:
        raise Malformed("workspace_id is another than detail says", path="workspace_id")
    if "user_id" not in inner:
        raise Malformed("detail does not say the user's id", path="user_id")
    if max(printed.workspace_id, printed.target_id) > ID_MAX:
        raise Malformed("ids are integers up to 2^53", path="detail")
    workspace = Resource("workspace", str(printed.workspace_id), printed.workspace)
    target = workspace
    if printed.type != "workspace":
        target = Resource(printed.type, str(printed.target_id), printed.target)
    data: Json = {}
    if printed.email is not None:
        data["email"] = printed.email
    if printed.complement is not None:
        data["role" if printed.verb == "invite" else "size_text"] = printed.complement
    return Draft(
        kind=f"{printed.type}.{printed.verb}",
        actor=Resource("user", str(_id(inner["user_id"], "user_id")), printed.user),
        target=target,
        scopes=(workspace,),
        data=data,
        dialect=DIALECT,
    )


def _from_facts(inner: Json, user: Resource | None) -> Draft:
    json_text.check_members(inner, _GIVEN)
    verb = inner.get("verb")
    if not isinstance(verb, str) or verb not in PREDICATES:
        raise Malformed(f"verb is one of {', '.join(VERBS)}", path="verb")
    workspace = _workspace(inner.get("workspace"))
    if "file" in inner and "folder" in inner:
        raise Malformed("an event is about one thing, a file or a folder", path="folder")
    type = next((name for name in ("file", "folder") if name in inner), "workspace")
    target = workspace
    folders: tuple[Resource, ...] = ()
    data: Json = {}
    if type != "workspace":
        target, folders, data = _thing(type, inner[type])
    if verb == "invite":
        data |= _invitation(inner)
    elif "email" in inner or "role" in inner:
        raise Malformed("only an invitation has an email and a role", path="email")
    return Draft(
        kind=f"{type}.{verb}",
        actor=_user(inner["user"]) if "user" in inner else user,
        target=target,
        scopes=(workspace, *folders),
        data=data,
        dialect=DIALECT,
    )


def _user(value: Any) -> Resource:
    user = _object(value, "user", _USER)
    email = _name(user["email"], "user.email") if user.get("email") is not None else None
    name = _name(user["name"], "user.name") if user.get("name") is not None else None
    attributes = None if email is None else {_EMAIL_ATTRIBUTE: email}
    return Resource("user", str(_id(user.get("id"), "user.id")), name, attributes)


def _workspace(value: Any) -> Resource:
    workspace = _object(value, "workspace", _WORKSPACE)
    name = _name(workspace.get("name"), "workspace.name")
    return Resource("workspace", str(_id(workspace.get("id"), "workspace.id")), name)


def _thing(type: str, value: Any) -> tuple[Resource, tuple[Resource, ...], Json]:
    """Return a file or folder, the folders it is in from the outside in, and its size."""
    thing = _object(value, type, _FILE if type == "file" else _FOLDER)
    name = _name(thing.get("filename"), f"{type}.filename")
    target = Resource(type, str(_id(thing.get("id"), f"{type}.id")), name)
    ancestors = thing.get("ancestor_ids") or []
    if not isinstance(ancestors, list):
        raise Malformed("ancestor_ids is an array of folders' ids", path=f"{type}.ancestor_ids")
    folders = tuple(
        Resource("folder", str(_id(id, f"{type}.ancestor_ids[{n}]")))
        for n, id in enumerate(ancestors)
    )
    size = thing.get("size")
    if size is None:
        return target, folders, {}
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise Malformed("size is a number of bytes", path=f"{type}.size")
    return target, folders, {"size": size}


def _invitation(inner: Json) -> Json:
    invitation: Json = {"email": _name(inner.get("email"), "email")}
    if inner.get("role") is not None:
        if inner["role"] not in SHARING_ROLES:
            raise Malformed(f"role is one of {', '.join(SHARING_ROLES)}", path="role")
        invitation["role"] = inner["role"]
    return invitation


def _object(value: Any, path: str, known: frozenset[str]) -> Json:
    if not isinstance(value, dict):
        raise Malformed(f"{path} is an object", path=path)
    json_text.check_members(value, known, f"{path}.")
    return value


def _id(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= ID_MAX:
        raise Malformed(f"{path} is an integer", path=path)
    return value


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise Malformed(f"{path} is a text", path=path)
    return value


def _name(value: Any, path: str) -> str:
    """Return a name that comes back from markup as it is."""
    text = _text(value, path)
    if escape(text).count("\ufffd") != text.count("\ufffd"):
        raise Malformed(f"{path} has characters that no markup can hold", path=path)
    return text

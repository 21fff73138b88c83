"""The `detail` of an event: who did what to what, and where, in the markup of the seed.

A pure function of what the event froze and of a template version: a rename changes no sentence.
Source: seed Onehub; wire specification 1.7.
"""

from __future__ import annotations

from typing import NamedTuple

from tallystick.events.event import Event, Resource
from tallystick.events.summary import escape, human_size

TEMPLATE_VERSION = 1

PREDICATES = {
    "create": "created",
    "upload": "uploaded",
    "read": "viewed",
    "download": "downloaded",
    "update": "updated",
    "delete": "deleted",
    "invite": "invited",
}
PREPOSITIONS = {
    "create": "in",
    "upload": "to",
    "read": "in",
    "download": "from",
    "update": "in",
    "delete": "from",
    "invite": "to",
}
_SIZED = frozenset({"upload", "read", "download", "update", "delete"})
_SOMEBODY = "somebody"
_PATHS = {"file": "/files/", "folder": "/folders/"}


class SentenceFacts(NamedTuple):
    """What a sentence is made of; ids are integers, names are as they were then."""

    verb: str
    type: str
    user_id: int
    user: str
    target_id: int
    target: str
    workspace_id: int
    workspace: str


def detail(facts: SentenceFacts, event: Event, version: int = TEMPLATE_VERSION) -> str:
    """Return the sentence of an event as markup.

    Raises: ValueError for a template version there is not.
    """
    if version != TEMPLATE_VERSION:
        raise ValueError(f"there are no templates of version {version}")
    parts = [
        f"<subject>{escape(facts.user)}</subject>",
        f"<predicate>{PREDICATES[facts.verb]}</predicate>",
    ]
    preposition = PREPOSITIONS[facts.verb]
    if facts.verb == "invite":
        email = text_in(event, "email") or _SOMEBODY
        parts.append(f"<object>{escape(email)}</object>")
        parts += [*_complement(text_in(event, "role")), f"{preposition} the {_object(facts)}"]
        return " ".join(parts)
    parts += [f"the {_object(facts)}", *_complement(_size(facts, event))]
    if facts.type != "workspace":
        parts.append(f"{preposition} the {_workspace(facts)}")
    return " ".join(parts)


def name_of(resource: Resource) -> str:
    """Return how a resource was called: by its name, else its e-mail address, else its id."""
    email = (resource.attributes or {}).get("email")
    return resource.name or (email if isinstance(email, str) else "") or resource.id


def text_in(event: Event, name: str) -> str | None:
    """Return a member of the payload if it is a text."""
    value = event.data.get(name)
    return value if isinstance(value, str) and value else None


def _object(facts: SentenceFacts) -> str:
    if facts.type == "workspace":
        link = _link(f"/workspaces/{facts.target_id}", facts.target)
    else:
        path = f"/workspaces/{facts.workspace_id}{_PATHS[facts.type]}{facts.target_id}"
        link = _link(path, facts.target)
    if facts.verb == "delete":
        # Its page is gone.
        link = escape(facts.target)
    return f"<object>{link} {facts.type.capitalize()}</object>"


def _workspace(facts: SentenceFacts) -> str:
    link = _link(f"/workspaces/{facts.workspace_id}", facts.workspace)
    return f"<object>{link} Workspace</object>"


def _link(path: str, name: str) -> str:
    return f'<a href="{path}">{escape(name)}</a>'


def _complement(text: str | None) -> list[str]:
    return [] if text is None else [f"<complement>({escape(text)})</complement>"]


def _size(facts: SentenceFacts, event: Event) -> str | None:
    """Return the size of a file; of an event from elsewhere, in the words it was told in."""
    if facts.type != "file" or facts.verb not in _SIZED:
        return None
    size = event.data.get("size")
    if type(size) is int and size >= 0:
        return human_size(size)
    return text_in(event, "size_text")

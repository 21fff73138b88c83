"""A sentence for every event: "Alice created order 51Q4LN", as text and as markup.

A pure function of what the event froze and of a template version, so an event keeps its sentence
whatever is renamed later and whatever templates come. Kinds of every dialect are told by their
last word if it is a known verb or a participle; what is left over is quoted as it is. The markup
is a well-formed fragment both as HTML and as XML, its text is the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from functools import lru_cache
from typing import NamedTuple

from tallystick.events.event import Event, Op, Resource

TEMPLATE_VERSION = 1

VERBS: dict[str, str] = {
    "add": "added",
    "apply_manifest": "applied a manifest to",
    "bind_route": "bound a route to",
    "cancel": "cancelled",
    "copy-bits": "copied bits to",
    "create": "created",
    "delete": "deleted",
    "delete-request": "requested deletion of",
    "download": "downloaded",
    "invite": "invited",
    "map-route": "mapped a route to",
    "move": "moved",
    "put": "stored",
    "read": "viewed",
    "remove": "removed",
    "rename": "renamed",
    "restage": "restaged",
    "restart": "restarted",
    "scale": "scaled",
    "share": "shared",
    "show": "viewed",
    "ssh-authorized": "was let into",
    "ssh-unauthorized": "was refused",
    "start": "started",
    "stop": "stopped",
    "transfer-owner": "gave away",
    "unbind_route": "unbound a route from",
    "unmap-route": "unmapped a route from",
    "unshare": "unshared",
    "update": "updated",
    "upload": "uploaded",
    "upload-bits": "uploaded bits of",
    "view": "viewed",
}
"""What an actor did to a target, by the last word of a kind."""

HAPPENINGS: dict[str, str] = {
    "arrived": "arrived",
    "completed": "was completed",
    "crash": "crashed",
    "expired": "expired",
    "failed": "failed",
    "future": "was postponed",
    "non_renewing": "will stop at the next cycle",
    "processing": "is being processed",
    "succeeded": "succeeded",
}
"""Phrases for events that happened to a target, by last word of the kind."""

_LOG_VERBS = {Op.REVISE: "revised", Op.RETRACT: "retracted", Op.ERASE: "erased"}
_PREPOSITIONS = {"upload": "to", "invite": "to", "download": "from", "delete": "from"}
_KINDS_KEPT = 1024
_CONTAINERS = ("workspace", "space")
_PARTICIPLE = re.compile(r"[a-z_-]*[a-z]{3}(?<!e)(?<!mb)ed\Z")
_UNITS = ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# The ampersand comes first: it is in all others.
_ENTITIES = {
    "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "\r": "&#13;",
}  # fmt: skip


# Around the names in a sentence; what comes from an event has no such characters left.
_BEGINNINGS = {"actor": "\x01", "kind": "\x02", "scope": "\x03", "target": "\x04"}
_END = "\x05"


class Summary(NamedTuple):
    """A sentence; `html` marks its names with `bdi` elements of a class."""

    text: str
    html: str


# Sentences by what they are made of: pages are read again, by several readers. Each
# operation on it is one step of the interpreter, so threads share it without a lock.
_sentences: dict[tuple[Hashable, ...], Summary] = {}
_SENTENCES_KEPT = 4_096
_INPUTS_CHARS_MAX = 1_000


def of(event: Event, version: int = TEMPLATE_VERSION) -> Summary:
    """Return the sentence of an event.

    Raises: ValueError for a template version there is not.
    """
    if version != TEMPLATE_VERSION:
        raise ValueError(f"there are no templates of version {version}")
    inputs = _inputs(event)
    if inputs is None:
        return _made(event)
    kept = _sentences.get(inputs)
    if kept is None:
        kept = _made(event)
        if len(str(inputs)) <= _INPUTS_CHARS_MAX:
            if len(_sentences) >= _SENTENCES_KEPT:
                _sentences.clear()
            _sentences[inputs] = kept
    return kept


def _inputs(event: Event) -> tuple[Hashable, ...] | None:
    """Return all that a sentence is made of; None where that is too much to compare."""
    actor, target = event.actor, event.target
    if (actor is not None and actor.attributes) or (target is not None and target.attributes):
        return None
    data = event.data
    size, email, role = data.get("size"), None, None
    if event.kind.endswith("invite"):
        email, role = data.get("email"), data.get("role")
    return (
        event.op, event.kind, event.subject, bool(event.erased),
        None if actor is None else (actor.type, actor.id, actor.name),
        None if target is None else (target.type, target.id, target.name),
        tuple([(one.type, one.id, one.name) for one in event.scopes if one.type in _CONTAINERS]),
        size if type(size) is int else None,
        email if isinstance(email, str) else None,
        role if isinstance(role, str) else None,
    )  # fmt: skip


def _made(event: Event) -> Summary:
    sentence = "".join(_sentence(event))
    if event.erased:
        sentence += " (erased)"
    sentence = sentence[:1].upper() + sentence[1:]
    return Summary(_unmarked(sentence), _marked_up(sentence))


def escape(text: str) -> str:
    """Return text as it stands in markup, whether a reader takes it for HTML or for XML.

    Characters that XML cannot hold at all become U+FFFD.
    """
    if not text.isprintable():
        text = _NO_XML.sub("\ufffd", text)
    return _escaped(text)


def _escaped(text: str) -> str:
    for character, entity in _ENTITIES.items():
        text = text.replace(character, entity)
    return text


def human_size(size_bytes: int) -> str:
    """Return a size as people read it: `1 Byte`, `7 KB`, `1.4 MB`.

    KB are whole, larger units have one decimal at most; halves are rounded up.
    Source: wire specification of Onehub 1.7.
    """
    if size_bytes < 1024:
        return f"{size_bytes} Byte" + ("s" if size_bytes != 1 else "")
    tenths = 0
    for power, unit in enumerate(_UNITS[1:], 1):
        step = 1 << (10 * power)
        tenths = (size_bytes + step // 2) // step * 10
        if power > 1:
            tenths = (size_bytes * 10 + step // 2) // step
        if tenths < 10_240 or unit == _UNITS[-1]:
            break
    whole, tenth = divmod(tenths, 10)
    return f"{whole}.{tenth} {unit}" if tenth else f"{whole} {unit}"


def _sentence(event: Event) -> Iterator[str]:
    if event.op in _LOG_VERBS:
        yield from _told(event.actor, _LOG_VERBS[event.op], [f"event {_plain(event.subject)}"])
        return
    before, word, phrase, happening = _telling(event.kind)
    if word == "invite" and event.target is not None:
        yield from _invitation(event, event.target)
        return
    if happening is not None:
        yield from [*_object(event, before), f" {happening}"]
        if event.actor is not None:
            yield from [" (", _name(event.actor), ")"]
    elif phrase is None:
        yield from _quoted(event)
        return
    else:
        yield from _told(event.actor, phrase, _object(event, before))
    yield from _complement(event)
    yield from _container(event, _PREPOSITIONS.get(word, "in"))


class _Telling(NamedTuple):
    """How events of a kind are told."""

    before: list[str]
    """What the kind is about: `app`, `deployment`."""
    word: str
    """Its last word: `create`."""
    phrase: str | None
    """What an actor did to the target, if that is what the word says."""
    happening: str | None
    """Phrases for events that happened to the target, by last word of the kind."""


@lru_cache(_KINDS_KEPT)
def _telling(kind: str) -> _Telling:
    *before, word = kind.split(".")
    phrase = VERBS.get(word) or (word if _PARTICIPLE.match(word) else None)
    return _Telling(
        before[1:] if before[:1] == ["audit"] else before,
        word,
        None if phrase is None else phrase.replace("_", " "),
        HAPPENINGS.get(word),
    )


def _told(actor: Resource | None, phrase: str, about: list[str]) -> Iterator[str]:
    """Yield who did something to something; without an actor, what was done to it."""
    if actor is not None:
        yield from [_name(actor), f" {phrase} ", *about]
    elif " " not in phrase:
        yield from [*about, f" was {phrase}"]
    else:
        yield from [f"somebody {phrase} ", *about]


def _object(event: Event, before: list[str]) -> list[str]:
    """Return what the event is about: `order 51Q4LN`, `deployment of app dora`."""
    target = event.target
    if target is None:
        return [_plain(" ".join(before)).replace("_", " ") or "something"]
    shown = [f"{_type_of(target)} ", _name(target, "target")]
    if event.op is Op.DOCUMENT or not before:
        return shown
    if before[0] == target.type:
        rest, preposition = before[1:], "of"
    else:
        rest, preposition = before, "on"
    if not rest:
        return shown
    return [f"{_plain(' '.join(rest)).replace('_', ' ')} {preposition} ", *shown]


def _quoted(event: Event) -> Iterator[str]:
    """Yield the sentence of a kind that says nothing we know."""
    kind = ["“", _named("kind", _plain(event.kind)), "”"]
    if not event.kind:
        kind = ["an event"]
    if event.actor is not None:
        yield from [_name(event.actor), " recorded "]
    yield from kind
    if event.target is not None:
        yield from [f" on {_type_of(event.target)} ", _name(event.target, "target")]


def _invitation(event: Event, target: Resource) -> Iterator[str]:
    email, role = event.data.get("email"), event.data.get("role")
    whom = [_plain(email) if isinstance(email, str) and email else "somebody"]
    if isinstance(role, str) and role:
        whom.append(f" ({_plain(role)})")
    yield from _told(event.actor, "invited", whom)
    yield from [f" to {_type_of(target)} ", _name(target, "target")]


def _complement(event: Event) -> Iterator[str]:
    size = event.data.get("size")
    if event.target is not None and event.target.type == "file" and type(size) is int and size >= 0:
        yield f" ({human_size(size)})"


def _container(event: Event, preposition: str) -> Iterator[str]:
    for scope in event.scopes:
        if scope.type in _CONTAINERS and scope.name and not _is_target(scope, event):
            yield f" {preposition} {scope.type} "
            yield _name(scope, "scope")
            return


def _is_target(scope: Resource, event: Event) -> bool:
    return event.target is not None and scope.key == event.target.key


def _name(resource: Resource, role: str = "actor") -> str:
    email = (resource.attributes or {}).get("email")
    name = resource.name or (email if isinstance(email, str) else None) or resource.id
    return _named(role, _plain(name) or "somebody")


def _type_of(resource: Resource) -> str:
    return _plain(resource.type).replace("_", " ")


def _plain(text: str | None) -> str:
    """Return text for one line: control characters are shown as U+FFFD."""
    if not text or text.isprintable():
        return text or ""
    return _CONTROL.sub("\ufffd", text)


def _named(role: str, name: str) -> str:
    return f"{_BEGINNINGS[role]}{name}{_END}"


def _unmarked(sentence: str) -> str:
    for beginning in _BEGINNINGS.values():
        sentence = sentence.replace(beginning, "")
    return sentence.replace(_END, "")


def _marked_up(sentence: str) -> str:
    """Return a sentence as markup; its names are marked, and it has no other controls."""
    sentence = _escaped(sentence)
    for role, beginning in _BEGINNINGS.items():
        sentence = sentence.replace(beginning, f'<bdi class="{role}">')
    return sentence.replace(_END, "</bdi>")

"""A resource in one text, `type:id`, in which no two resources look alike.

The first colon parts the type from the id. A colon of the type itself is written `%3A`, and a
percent sign of the type `%25`; the id is written as it is. So `crew:red:7` is the crew `red:7`,
and number 7 of the type `crew:red` is `crew%3Ared:7`.
"""

from __future__ import annotations

import re

_ESCAPES = {"3A": ":", "25": "%"}
_escaped = re.compile("%(3A|25)", re.IGNORECASE)


def to_text(type: str, id: str) -> str:
    """Return the text of a resource."""
    if ":" in type or "%" in type:
        type = type.replace("%", "%25").replace(":", "%3A")
    return f"{type}:{id}"


def parse(text: str) -> tuple[str, str] | None:
    """Return type and id of a text; None when it lacks one of them.

    A percent sign that begins no escape stands for itself.
    """
    type, _, id = text.partition(":")
    if not type or not id:
        return None
    return _escaped.sub(lambda match: _ESCAPES[match[1].upper()], type), id


def canonical(text: str) -> str:
    """Return the one spelling of a text's resource; a text without one is returned as it is."""
    if "%" not in text:
        return text
    resource = parse(text)
    return text if resource is None else to_text(*resource)


def nested_pair(outer: str, inner: str) -> str:
    """Return the text that says that one resource is inside another, given the text of each."""
    if ">" in outer or "%" in outer:
        outer = outer.replace("%", "%25").replace(">", "%3E")
    return f"{outer}>{inner}"

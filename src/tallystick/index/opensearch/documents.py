"""What is written to OpenSearch for an event: one document, found by terms and three columns.

    t  the tenant      i  the index          o, r  when it occurred, when it was recorded
    s  who sees it     f  facts of values    w     words by field      x  the whole text
    p  paths that have a value

Nothing of it can be read back: the log is where an event is read. A document has a version, the
position of the log as of which it is true, so that a repeat does no harm and a late writer is
refused. Taking one away writes a stub in its place, with the version of the entry that says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from tallystick.index.document import Document
from tallystick.index.opensearch import facts
from tallystick.index.search.documents.paths import ROOTS
from tallystick.query.expr import Scalar
from tallystick.query.text import tokens_of
from tallystick.query.values import (
    PAYLOAD_TEXT,
    flatten,
    flatten_places,
    texts_of,
)

CURSOR = "\0cursor"
"""Who sees the document that says how far a tenant's log was read."""

COLUMNS = {"index": "i", "occurred_ms": "o", "recorded_ms": "r"}

_KEYWORD = {"type": "keyword", "doc_values": False}
MAPPING: dict[str, Any] = {
    "dynamic": "strict",
    "_source": {"enabled": False},
    "properties": {
        "t": {"type": "keyword"},
        "i": {"type": "long"},
        "o": {"type": "long"},
        "r": {"type": "long"},
        "s": _KEYWORD,
        "f": _KEYWORD,
        "w": _KEYWORD,
        "p": {"type": "keyword"},
        "m": {"type": "keyword"},
        "x": {
            "type": "text",
            "analyzer": "whitespace",
            "norms": False,
            "position_increment_gap": 10,
        },
    },
}


def tenant_key(tenant: str) -> str:
    """Return how a tenant is called in OpenSearch: names of tenants may be any."""
    return sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def cursor_id(tenant: str) -> str:
    """Return the id of the document that says how far a tenant's log was read."""
    return f"{tenant_key(tenant)}:cursor"


def event_id(tenant: str, index: int | str) -> str:
    """Return the id of an event's document."""
    return f"{tenant_key(tenant)}:{index}"


def id_of(tenant: str, keys: tuple[str, ...]) -> str:
    """Return the id of a document: an item's stays the same whatever entry it is of."""
    if len(keys) == 1:
        return event_id(tenant, keys[0])
    return item_id(tenant, keys[1])


def item_id(tenant: str, key: str) -> str:
    """Return the id of an item's document."""
    digest = sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{tenant_key(tenant)}:i{digest}"


def source_of(tenant: str, document: Document) -> dict[str, Any]:
    """Return the document for an event."""
    view = document.view
    first = view.first
    found: dict[str, None] = {}
    paths: dict[str, None] = {}
    words: dict[str, None] = {}
    for field, value in _values(document):
        if field not in COLUMNS:
            found.update(dict.fromkeys(_facts(field, value)))
        if value is not None:
            paths.update(dict.fromkeys(_above(field)))
        if isinstance(value, str):
            words.update((facts.word(field, token), None) for token in tokens_of(value))
    found.update((facts.place(field), None) for field, _ in flatten_places(view))
    whole = [" ".join(tokens) for text in texts_of(None, view) if (tokens := tokens_of(text))]
    for text in whole:
        words.update((facts.word(None, token), None) for token in text.split(" "))
    for text in texts_of(PAYLOAD_TEXT, view):
        words.update((facts.word(PAYLOAD_TEXT, token), None) for token in tokens_of(text))
    return {
        "t": tenant_key(tenant),
        "i": first.index,
        "o": first.occurred_ms,
        "r": first.recorded_ms,
        "s": list(document.seen),
        "f": list(found),
        "w": list(words),
        "p": list(paths),
        "x": whole,
    }


def stub_of(tenant: str) -> dict[str, Any]:
    """Return what stands where a document was: nobody sees it, and it says nothing."""
    return {"t": tenant_key(tenant)}


def _values(document: Document) -> Iterator[tuple[str, Scalar]]:
    yield from flatten(document.view)
    for field, value in document.terms.items():
        for one in value if isinstance(value, tuple) else (value,):
            yield field, one


def _facts(field: str, value: Scalar) -> Iterator[str]:
    yield facts.equal(field, value)
    if isinstance(value, str):
        yield facts.ordered(field, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield facts.numbers(field, value)


def _above(field: str) -> Iterator[str]:
    """Yield a path and, of a payload's, every path that it is below of."""
    yield path_of(field)
    root = next((root for root in ROOTS if field.startswith(f"{root}.")), None)
    at = len(field)
    while root is not None and at > len(root):
        at = field.rfind(".", 0, at)
        yield path_of(field[:at])


def path_of(field: str) -> str:
    """Return how a path is written."""
    return facts.word(field, "")

"""Requests made from an OpenAPI document: of all that are drawn, those that are HTTP."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.schemas import BaseSchema

# Any header may be drawn, and any value with it. One of these with a wrong value makes a request
# that the HTTP server refuses, or waits for the rest of, before any of our code sees it.
_FRAMING = frozenset({"content-length", "transfer-encoding"})


def schema_of(document: dict[str, Any]) -> BaseSchema:
    """Return the schema of a document; requests that say their own length wrong are not made."""
    schema = schemathesis.openapi.from_dict(document)
    schema.hook("filter_case")(_is_http)
    return schema


def _is_http(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    return _FRAMING.isdisjoint(name.lower() for name in case.headers or ())

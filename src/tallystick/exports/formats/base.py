"""What a format of exports is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

Row = dict[str, Any]
"""A row as `exports.rows` writes it: the event as `/v1/events` shows it, and `leaf_hash`."""


class Source(NamedTuple):
    """Where rows come from: the origin of the log, which names it for good."""

    origin: str


class ExportFormat(NamedTuple):
    """A format: what a file begins with, and how a row is written.

    `row` is given a row and its line, and returns bytes that depend on nothing else.
    """

    name: str
    suffix: str
    media_type: str
    head: bytes
    row: Callable[[Row, bytes, Source], bytes]


def json_line(value: object) -> bytes:
    """Return a value as a line of JSON."""
    return msgspec.json.encode(value) + b"\n"


def resource_text(resource: Any) -> str | None:
    """Return a resource as `type:id`; None for none."""
    return None if resource is None else f"{resource['type']}:{resource['id']}"

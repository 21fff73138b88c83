"""Opaque cursors: the position of a page's last row, as text for a URL.

A cursor says where to go on, not how many rows to skip: what is inserted before it changes
nothing, so pages never skip or repeat. It holds a fingerprint of the question it belongs to and is
refused with any other. It is not secret and not signed: it can only name a place in an order that
its holder may read anyway.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from tallystick.errors import Malformed
from tallystick.query.order import Position

VERSION = 1

CURSOR_CHARS = 16 * 1024
"""Characters of a cursor: room for two strings of `SORTED_CHARS` characters, all escaped."""


def fingerprint(question: object) -> str:
    """Return a short text that differs between any two different questions.

    Shape: `question` is made of plain values and structs; 16 characters.
    """
    return urlsafe_b64encode(sha256(repr(question).encode("utf-8", "surrogatepass")).digest())[
        :16
    ].decode()


def encode(position: Position, question: str) -> str:
    """Return the cursor that goes on behind `position` in the question with this fingerprint."""
    body = json.dumps(
        [VERSION, question, position], ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return urlsafe_b64encode(body.encode()).rstrip(b"=").decode()


def decode(text: str, question: str) -> Position:
    """Return the position behind which the next page begins.

    Raises: Malformed when `text` is no cursor, or one of another question.
    """
    if len(text) > CURSOR_CHARS:
        raise _not_a_cursor()
    try:
        body = json.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        raise _not_a_cursor() from None
    if not isinstance(body, list) or len(body) != 3 or body[0] != VERSION:
        raise _not_a_cursor()
    _, asked, position = body
    if asked != question:
        raise Malformed(
            "the cursor belongs to another query",
            path="cursor",
            hint="send the query, its filters and its order unchanged along with a cursor",
        )
    if not _is_position(position):
        raise _not_a_cursor()
    return tuple(position)


def _is_position(value: object) -> bool:
    if not isinstance(value, list) or not value or type(value[-1]) is not int:
        return False
    return all(map(_is_plain, value))


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
    return value is None or (isinstance(value, int | float) and value == value)


def _not_a_cursor() -> Malformed:
    return Malformed(
        "not a cursor of ours",
        path="cursor",
        hint="start again without a cursor, at the first page",
    )

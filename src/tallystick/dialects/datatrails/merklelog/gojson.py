"""JSON text as Go's `encoding/json` prints it, which is what a DataTrails leaf is a hash of.

Only what event content is made of: strings, lists and objects with string members. Source: wire
specification of DataTrails 4.1, the rules for `content`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from tallystick.errors import Malformed

Dict = Mapping[str, str]
Value = str | Dict | Sequence[Dict]
"""What one attribute may hold."""

# Go escapes these inside strings so that the text can stand in HTML and in JavaScript. None of
# them is part of JSON's own punctuation, so replacing them in finished text is safe.
_GO_ESCAPES = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    "\u2028".encode(): b"\\u2028",
    "\u2029".encode(): b"\\u2029",
}
_NEEDS_ESCAPE = re.compile("[<>&]|\u2028|\u2029".encode())
_UNPRINTABLE = re.compile("[\b\f\ud800-\udfff]")


def encode(value: object) -> bytes:
    """Return `value` as compact UTF-8 text with sorted members, a struct's as declared, and Go's
    escapes.

    U+0008 and U+000C come out as `\\b` and `\\f`, as Go prints them since 1.22.
    Raises: Malformed for a lone surrogate.
    """
    try:
        # Members are sorted by code point, which is the order of their UTF-8 bytes.
        text = msgspec.json.encode(value, order="deterministic")
    except UnicodeEncodeError as error:
        raise Malformed("strings must be Unicode without lone surrogates") from error
    # Looking for each takes a fraction of the time that the expression takes to find none.
    if b"<" in text or b">" in text or b"&" in text or not text.isascii():
        return _NEEDS_ESCAPE.sub(lambda found: _GO_ESCAPES[found.group()], text)
    return text


def check_text(text: str, path: str) -> None:
    """Refuse what two builds of the same verifier would print differently.

    Raises: Malformed for U+0008, U+000C and lone surrogates; the path names the member.
    """
    found = _UNPRINTABLE.search(text)
    if found is not None:
        raise Malformed(
            f"{path} contains U+{ord(found.group()):04X}, which has no single spelling in the log",
            path=path,
        )

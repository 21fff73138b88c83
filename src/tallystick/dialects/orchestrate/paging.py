"""Limits, offsets, and the links from page to page. Pure.

A link is path-absolute, in the very characters the caller used. Source: wire specification,
sections 1, 5, 7, 10 and 19.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote_plus

from tallystick.dialects.orchestrate.errors import Refusal

LIMIT = 10
LIMIT_MAX = 100
OFFSET_MAX = 1_000_000_000
"""Rows that may be skipped: more than a log has, and small enough for every index."""

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_NUMBER = re.compile(r"[0-9]{1,10}\Z")
# What RFC 3986 lets stand in a query, without what separates parameters or means a blank.
_QUERY_SAFE = "-._~!$'()*,;:@/?"
_SEGMENT_SAFE = "-._~!$&'()*+,;=:@"


class Parameter(NamedTuple):
    """One parameter of a query string, decoded and as it was sent."""

    name: str
    value: str
    raw: str


def parse_query(query: bytes) -> list[Parameter]:
    """Return the parameters of a query string in order; empty parts are skipped."""
    if not query:
        return []
    parameters: list[Parameter] = []
    for raw in to_ascii(query).split("&"):
        if raw:
            name, _, value = raw.partition("=")
            parameters.append(Parameter(_decoded(name), _decoded(value), raw))
    return parameters


def to_ascii(url: bytes) -> str:
    """Return part of a URL with its bytes beyond ASCII encoded: some clients send them as is."""
    if url.isascii():
        return url.decode("ascii")
    return _BEYOND_ASCII.sub(lambda match: f"%{ord(match[0]):02X}", url.decode("latin-1"))


def last_value(parameters: Sequence[Parameter], name: str) -> str | None:
    """Return the value of a parameter; the last one counts."""
    return next((p.value for p in reversed(parameters) if p.name == name), None)


def values_of(parameters: Sequence[Parameter], name: str) -> list[str]:
    """Return all values of a parameter."""
    return [p.value for p in parameters if p.name == name]


def limit_of(parameters: Sequence[Parameter], code: str, *, least: int = 1) -> int:
    """Return how many rows a page may have.

    Raises: Refusal with `code` for what is no number from `least` to the maximum.
    """
    return _number(parameters, "limit", LIMIT, (least, LIMIT_MAX), code)


def offset_of(parameters: Sequence[Parameter], code: str) -> int:
    """Return how many rows to skip.

    Raises: Refusal with `code`.
    """
    return _number(parameters, "offset", 0, (0, OFFSET_MAX), code)


def flag_of(parameters: Sequence[Parameter], name: str, *, default: bool, code: str) -> bool:
    """Return the value of a parameter that is true or false.

    Raises: Refusal with `code`.
    """
    text = last_value(parameters, name)
    if text is None:
        return default
    if text.lower() not in ("true", "false"):
        raise Refusal(code, {"param": name, name: text[:64], "info": "true or false"})
    return text.lower() == "true"


def to_segment(text: str) -> str:
    """Return a name as a path segment."""
    return quote(text, safe=_SEGMENT_SAFE)


def to_path(path: str) -> str:
    """Return a decoded path as it stands in a URL."""
    return "/".join(map(to_segment, path.split("/")))


def to_value(text: str) -> str:
    """Return a text as the value of a parameter; characters that are legal there stay."""
    return quote(text, safe=_QUERY_SAFE)


def link(
    path: str,
    front: Sequence[tuple[str, str]],
    parameters: Sequence[Parameter] = (),
    *,
    without: Collection[str] = (),
) -> str:
    """Return a link: `path`, the parameters in `front`, and the caller's others as they were.

    What no URI may have is encoded, even if the caller sent it.
    """
    replaced = {name for name, _ in front} | set(without)
    parts = [f"{name}={to_value(value)}" for name, value in front]
    parts += [_legal(p.raw) for p in parameters if p.name not in replaced]
    return f"{quote(path, safe=_SEGMENT_SAFE + '/%')}?{'&'.join(parts)}"


def link_header(links: dict[str, str]) -> dict[str, str]:
    """Return the Link header of a page; nothing when there are no links."""
    if not links:
        return {}
    return {"Link": ", ".join(f'<{target}>; rel="{name}"' for name, target in links.items())}


def _number(
    parameters: Sequence[Parameter], name: str, default: int, span: tuple[int, int], code: str
) -> int:
    text = last_value(parameters, name)
    if text is None:
        return default
    if _NUMBER.match(text) and span[0] <= int(text) <= span[1]:
        return int(text)
    raise Refusal(
        code, {"param": name, name: text[:64], "info": f"a number from {span[0]} to {span[1]}"}
    )


def _decoded(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _legal(raw: str) -> str:
    """Return a parameter as it was sent; characters that no URI may have are encoded."""
    return quote(raw, safe=_QUERY_SAFE + "%=+&")

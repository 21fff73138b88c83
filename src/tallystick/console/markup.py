"""How values become markup: templates with escaping on, times in the reader's zone, safe links.

Whatever comes from an event is text: it is escaped by the templates, its control characters are
shown as signs, and names stand in elements of their own so that writing from right to left ends
where the name ends.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tallystick import times
from tallystick.console.differences import pretty
from tallystick.console.questions import clause
from tallystick.events import summary
from tallystick.events.event import Event, Resource, class_of
from tallystick.events.references import to_text

_HUES = 8
_PICTURES = {code: 0x2400 + code for code in range(32) if code not in (9, 10, 13)}
_PICTURES |= {0x7F: 0x2421, **{code: 0xFFFD for code in range(0x80, 0xA0)}}


def environment(asset_url: object) -> Environment:
    """Return the templates; `asset_url` gives the address of a static file."""
    env = Environment(
        loader=PackageLoader("tallystick.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
        auto_reload=False,
    )
    env.globals.update(
        asset=asset_url, sentence=sentence, hue=hue, resource_url=resource_url,
        event_url=event_url, trail_url=trail_url, with_query=with_query, clause=clause,
        local_input=local_input, resource_piece=resource_piece, pretty=pretty,
        size=size,
    )  # fmt: skip
    env.filters.update(
        clock=clock,
        day=day,
        stamp=stamp,
        stamp_of=stamp_of,
        iso=times.to_rfc3339,
        number=number,
        short=short,
    )
    return env


class Verbatim:
    """Text that stands in a page as it is, control characters and all: JSON for scripts."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __html__(self) -> str:
        return self._text


def visible(value: object) -> object:
    """Return text with its control characters as signs that can be seen."""
    if isinstance(value, str) and not value.isprintable():
        shown = value.translate(_PICTURES)
        return Markup(shown) if isinstance(value, Markup) else shown  # noqa: S704  # was markup
    return value


def sentence(event: Event) -> Markup:
    """Return the sentence of an event, its names in `bdi` elements."""
    return Markup(summary.of(event).html)  # noqa: S704  # `summary` escapes what it is made of


def hue(text: str) -> int:
    """Return which colour stands for a kind: one for all kinds of a class."""
    return zlib.crc32(class_of(text).encode("utf-8", "surrogatepass")) % _HUES


def event_url(id: str) -> str:
    """Return the address of an event's page."""
    return f"/console/events/{quote(id, safe='')}"


def resource_url(resource: Resource) -> str:
    """Return the address of a resource's page."""
    return "/console/resource?" + urlencode({"type": resource.type, "id": resource.id})


def trail_url(trail: str) -> str:
    """Return the address of a trail's page."""
    return "/console/trail?" + urlencode({"name": trail})


def with_query(path: str, params: Mapping[str, str | int | None]) -> str:
    """Return an address with the parameters that have a value."""
    text = urlencode({name: value for name, value in params.items() if value not in (None, "")})
    return f"{path}?{text}" if text else path


def resource_piece(role: str, resource: Resource) -> str:
    """Return the piece of a search that asks for a resource in a role."""
    return clause(role, to_text(resource.type, resource.id))


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo | None:
    """Return a time zone; None for a name that is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


def local(ms: int, zone: ZoneInfo) -> datetime:
    """Return a time as the reader's clock shows it."""
    return times.in_zone(ms, zone)


def clock(ms: int, zone: ZoneInfo) -> str:
    """Return the time of day, to the millisecond."""
    return local(ms, zone).isoformat(timespec="milliseconds")[11:23]


def day(ms: int, zone: ZoneInfo) -> str:
    """Return the day."""
    moment = local(ms, zone)
    return f"{moment.day} {moment:%b} {moment.year:04d}"


def stamp(ms: int, zone: ZoneInfo) -> str:
    """Return day and time, with the offset from UTC."""
    moment = local(ms, zone)
    offset = moment.isoformat()[-6:]
    return f"{day(ms, zone)}, {clock(ms, zone)} ({'UTC' if offset == '+00:00' else offset})"


def stamp_of(text: str, zone: ZoneInfo) -> str:
    """Return day and time of an RFC 3339 time."""
    return stamp(times.from_rfc3339(text), zone)


def local_input(ms: int, zone: ZoneInfo) -> str:
    """Return a time as a field for local times takes it."""
    return local(ms, zone).replace(tzinfo=None).isoformat(timespec="seconds")


def number(value: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,}"


def size(octets: int) -> str:
    """Return the size of a file."""
    for unit, least in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if octets >= least:
            return f"{octets / least:.1f} {unit}"
    return f"{octets} bytes"


def short(text: str, chars: int = 120) -> str:
    """Return the beginning of a long text."""
    return text if len(text) <= chars else text[: chars - 1] + "…"

"""Server-sent events of the live tail, as a client reads them.

Source: WHATWG HTML, server-sent events, interpreting an event stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec


class StreamEvent(NamedTuple):
    """A change of an event, or a heartbeat, which has no data."""

    id: str
    """The cursor behind it."""
    op: str
    """`record`, `revise`, `retract` or `erase`."""
    data: dict[str, Any] | None


def lines_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a text that comes in pieces, without their ends.

    Only line feeds end lines: JSON may hold other characters that some splitters take for ends.
    """
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest


def stream_events(lines: Iterable[bytes]) -> Iterator[StreamEvent]:
    """Yield what the lines of a stream say; what it was cut off in is left out."""
    id, op, data = "", "record", b""
    for line in lines:
        name, _, value = line.rstrip(b"\r").partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"id":
                id = value.decode()
            case b"event":
                op = value.decode()
            case b"data":
                data += value
            case b"" if not value and id:
                yield StreamEvent(id, op, msgspec.json.decode(data) if data else None)
                op, data = "record", b""

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


def stream_events(lines: Iterable[str]) -> Iterator[StreamEvent]:
    """Yield what the lines of a stream say; what it was cut off in is left out."""
    id, op, data = "", "record", ""
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "id":
                id = value
            case "event":
                op = value
            case "data":
                data += value
        if not line:
            if id:
                yield StreamEvent(id, op, msgspec.json.decode(data) if data else None)
            op, data = "record", ""

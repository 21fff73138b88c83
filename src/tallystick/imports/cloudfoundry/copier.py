"""`tallystick import cloudfoundry`: copies a deployment's events before it forgets them.

Events keep their guid and the time their row was written. How far the copying has come is not
kept beside the log but asked of it, so an import that was interrupted is simply run again,
anywhere; what was copied before is stored once. Source: wire specification of Cloud Foundry 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tallystick import json_text
from tallystick.client.client import ApiError, Client
from tallystick.dialects.cloudfoundry import timestamps
from tallystick.events.event import Json
from tallystick.imports.cloudfoundry.controller import CloudController

EVENTS_PATH = "/extensions/cloudfoundry/events"
IMPORTS_PATH = "/extensions/cloudfoundry/imports"

OVERLAP_MS = 3_600_000
"""How far before the newest copied event a later import starts.

Controllers of one deployment have clocks of their own and commit late, so an event may appear
behind events that are newer than it.
"""

_EVENTS_AT_ONCE = 500
_BYTES_AT_ONCE = 8 * 1024 * 1024
# Answers that concern what was sent and not who sent it: the events are then stored one by one.
_REFUSED = frozenset({400, 413, 422})


class Progress(NamedTuple):
    """How far an import has come: all events up to `timestamp` are stored."""

    read: int
    timestamp: str


class Refused(NamedTuple):
    """An event that was not stored, and why."""

    guid: str
    reason: str


class CopySummary(NamedTuple):
    """What an import did: `stored` events are new here, of `read` ones."""

    read: int
    stored: int
    refused: Sequence[Refused]


def import_events(
    source: CloudController,
    client: Client,
    told: Callable[[Progress], None] = lambda progress: None,
) -> CopySummary:
    """Copy the events of a Cloud Controller that are not here yet; `told` follows each batch.

    Raises: ApiError, Unreachable, Unauthenticated, Malformed; running it again goes on.
    """
    before = _position(client, source.name)
    since = None
    if before["timestamp"] is not None:
        newest_ms = timestamps.from_text(before["timestamp"])
        since = timestamps.to_text(newest_ms - OVERLAP_MS)
    read = 0
    refused: list[Refused] = []
    for page in source.events_since(since):
        for batch in _batches(page):
            refused += _store(client, source.name, batch)
            read += len(batch)
            told(Progress(read, str(batch[-1]["entity"]["timestamp"])))
    after = _position(client, source.name)
    return CopySummary(read, after["total_results"] - before["total_results"], refused)


def _position(client: Client, source: str) -> Json:
    found: Json = client.request("GET", IMPORTS_PATH, params={"source": source})
    return found


def _store(client: Client, source: str, batch: Sequence[Json]) -> list[Refused]:
    """Store a batch as one; if it is refused, store its events one by one."""
    try:
        client.request("POST", EVENTS_PATH, body=batch, params={"source": source})
    except ApiError as error:
        if error.status not in _REFUSED:
            raise
        if len(batch) == 1:
            reason = str(error.problem.get("description") or error.message)
            return [Refused(str(batch[0]["metadata"]["guid"]), reason)]
        return [refused for event in batch for refused in _store(client, source, [event])]
    return []


def _batches(page: Sequence[Json]) -> Iterator[list[Json]]:
    batch: list[Json] = []
    size_bytes = 0
    for event in page:
        event_bytes = len(json_text.encode(event))
        if batch and (len(batch) == _EVENTS_AT_ONCE or size_bytes + event_bytes > _BYTES_AT_ONCE):
            yield batch
            batch, size_bytes = [], 0
        batch.append(event)
        size_bytes += event_bytes
    if batch:
        yield batch

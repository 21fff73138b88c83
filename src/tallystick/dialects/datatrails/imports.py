"""Events that come from another service of this API, with the identities they had there.

Read from the JSON that the other service answered: one event, or the document of a search. What
only that service could say, such as the place in its log, is kept in the event's `original`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tallystick import json_text, limits
from tallystick.dialects.datatrails import wire
from tallystick.dialects.datatrails.caller import APPLICATION
from tallystick.errors import Malformed, TallystickError
from tallystick.events import ids
from tallystick.events.event import Draft, Json, Resource
from tallystick.log.idempotency import claim, claim_of_id

EVENTS_MAX = 1_000
"""Events of one request; a search answers 50 at most."""

_PREFIX = "events/"
_KEPT = (
    "origin_tenant", "created_by", "created_at", "confirmation_status", "merklelog_commit",
    "ledger_entry",
)  # fmt: skip


class Moved(NamedTuple):
    """One event of a request: its identity as far as it has one, and the draft or the error."""

    identity: str | None
    draft: Draft | TallystickError


def decode(body: bytes) -> list[Moved]:
    """Return the events of a request, each with a draft or what is wrong with it.

    Raises: Malformed when the body is neither an event nor a list of them.
    """
    document = json_text.decode_object(body)
    found = document.get("events", [document])
    if not isinstance(found, list) or len(found) > EVENTS_MAX:
        raise Malformed(f"events is a list of {EVENTS_MAX} at most", path="events")
    return [_moved(event) for event in found]


def told(moved: Sequence[Moved], outcomes: Sequence[str | TallystickError]) -> Json:
    """Return what became of each event, for an answer."""
    events: list[Json] = []
    for one, outcome in zip(moved, outcomes, strict=True):
        event: Json = {"identity": one.identity or "", "outcome": "refused"}
        if isinstance(outcome, TallystickError):
            event["message"] = outcome.message
        else:
            event["outcome"] = outcome
        events.append(event)
    return {"events": events}


def _moved(event: Any) -> Moved:
    if not isinstance(event, dict):
        return Moved(None, Malformed("an event is an object", path="events"))
    identity = event.get("identity")
    try:
        return Moved(str(identity), _draft(event))
    except TallystickError as error:
        return Moved(identity if isinstance(identity, str) else None, error)


def _draft(event: Json) -> Draft:
    identity, created_at = event.get("identity"), event.get("created_at")
    if not isinstance(identity, str) or not ids.is_uuid(identity.removeprefix(_PREFIX)):
        raise Malformed("identity is events/ and a UUID", path="identity")
    if not isinstance(created_at, int) or isinstance(created_at, bool):
        raise Malformed("created_at is a time in milliseconds", path="created_at")
    if not limits.OCCURRED_MS_MIN <= created_at <= limits.OCCURRED_MS_MAX:
        raise Malformed("created_at is in the years 0002 to 9998", path="created_at")
    members = {
        name: event[name] for name in ("attributes", "trails", "event_type") if name in event
    }
    draft = wire.decode_event(json_text.encode(members), actor=_actor(event.get("created_by")))
    draft.id = identity.removeprefix(_PREFIX).lower()
    draft.occurred_ms = created_at
    draft.original = {name: event[name] for name in _KEPT if name in event}
    claim(draft, claim_of_id(draft.id), [members, created_at])
    return draft


def _actor(created_by: Any) -> Resource | None:
    if created_by is None or created_by == "":
        return None
    if not isinstance(created_by, str):
        raise Malformed("created_by is a string", path="created_by")
    return Resource(APPLICATION, created_by.removeprefix("members/"))

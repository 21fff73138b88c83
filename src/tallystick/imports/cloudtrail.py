"""AWS CloudTrail records as events.

Source: the record's own members (`eventID`, `eventTime`, `userIdentity`, `resources`).
"""

from __future__ import annotations

from typing import Any

from tallystick import times
from tallystick.errors import Malformed
from tallystick.events import ids

Json = dict[str, Any]


def to_event(record: object) -> Json:
    """Return the event of one CloudTrail record.

    The kind is service and call (`iam.CreateUser`), the actor is who called, the target is the
    first resource named, account and region are scopes.
    Raises: Malformed when the record has no id, time, source or name.
    """
    if not isinstance(record, dict):
        raise Malformed("a CloudTrail record is a JSON object")
    event_id, event_time, source, name = (
        _text(record, member) for member in ("eventID", "eventTime", "eventSource", "eventName")
    )
    if not ids.is_uuid(event_id):
        raise Malformed("eventID is no UUID", path="eventID")
    event: Json = {
        "id": event_id.lower(),
        "kind": f"{source.removesuffix('.amazonaws.com')}.{name}",
        "occurred_at": times.from_rfc3339(event_time, "eventTime"),
        "scopes": _scopes(record),
        "data": record,
        "original": {"system": "aws-cloudtrail", "id": event_id, "time": event_time},
    }
    actor = _actor(record.get("userIdentity"))
    if actor is not None:
        event["actor"] = actor
    target = _target(record.get("resources"))
    if target is not None:
        event["target"] = target
    return event


def _actor(identity: object) -> Json | None:
    if not isinstance(identity, dict) or not isinstance(identity.get("type"), str):
        return None
    members = ("arn", "principalId", "invokedBy", "accountId", "userName")
    values = {member: identity[member] for member in members if identity.get(member)}
    actor_id = next((str(value) for value in values.values()), None)
    if actor_id is None:
        return None
    actor: Json = {"type": identity["type"], "id": actor_id}
    name = values.get("userName") or _session_name(actor_id) or values.get("invokedBy")
    if name:
        actor["name"] = str(name)
    if "accountId" in values:
        actor["attributes"] = {"accountId": values["accountId"]}
    return actor


def _session_name(arn: str) -> str | None:
    return arn.rpartition("/")[2] if arn.startswith("arn:") and "/" in arn else None


def _target(resources: object) -> Json | None:
    first = resources[0] if isinstance(resources, list) and resources else None
    if not isinstance(first, dict) or not isinstance(first.get("ARN"), str):
        return None
    kind = first.get("type")
    return {"type": kind if isinstance(kind, str) else "aws:resource", "id": first["ARN"]}


def _scopes(record: Json) -> list[Json]:
    members = (("aws:account", "recipientAccountId"), ("aws:region", "awsRegion"))
    return [
        {"type": kind, "id": str(record[member])} for kind, member in members if record.get(member)
    ]


def _text(record: Json, member: str) -> str:
    value = record.get(member)
    if not isinstance(value, str) or not value:
        raise Malformed(f"the record has no {member}", path=member)
    return value

"""AWS CloudTrail records as events.

Source: the record's own members (`eventID`, `eventTime`, `userIdentity`, `resources`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tallystick import json_text, times
from tallystick.errors import Malformed
from tallystick.events import ids
from tallystick.imports.files import LeftOut

Json = dict[str, Any]


def to_event(record: object) -> Json:
    """Return the event of one CloudTrail record.

    The kind is service and call (`iam.CreateUser`), the actor is who called, the target is the
    first resource named, account and region are scopes. An Insight record's kind is what was
    noticed and whether it starts or ends (`cloudtrail.ApiCallRateInsight.Start`); its target is
    the call.
    Raises: Malformed when the record has no id, time, source or name; LeftOut for a digest file.
    """
    if isinstance(record, str):
        record = json_text.decode(record.encode())
    if not isinstance(record, dict):
        raise Malformed("a CloudTrail record is a JSON object")
    if (reason := _why_left_out(record)) is not None:
        raise LeftOut(reason)
    event_id, event_time = (_text(record, member) for member in ("eventID", "eventTime"))
    if not ids.is_uuid(event_id):
        raise Malformed("eventID is not a UUID", path="eventID")
    times.from_rfc3339(event_time, "eventTime")
    insight = record.get("insightDetails")
    if not isinstance(insight, dict):
        insight = None
    event: Json = {
        "id": event_id.lower(),
        "kind": _call(record) if insight is None else _insight_kind(insight),
        "occurred_at": event_time,
        "scopes": _scopes(record),
        "data": record,
        "original": {"system": "aws-cloudtrail", "id": event_id, "time": event_time},
    }
    actor = _actor(record.get("userIdentity"))
    if actor is not None:
        event["actor"] = actor
    target = _target(record.get("resources")) if insight is None else _insight_target(insight)
    if target is not None:
        event["target"] = target
    return event


def records_of(value: object) -> Iterator[object]:
    """Yield the records that one JSON value of a delivery holds, some as JSON text.

    A delivery is a log file's object of `Records`, a record, a list of either, what `lookup-events`
    prints, an event of EventBridge, or the messages of a CloudWatch Logs subscription.
    """
    if isinstance(value, list):
        for item in value:
            yield from records_of(item)
    elif not isinstance(value, dict) or _why_left_out(value):
        yield value
    elif isinstance(inner := _first(value, "Records", "Events", "logEvents"), list):
        for item in inner:
            yield from records_of(item)
    elif isinstance(text := _first(value, "CloudTrailEvent", "message"), str):
        yield text
    elif isinstance(detail := value.get("detail"), dict) and "detail-type" in value:
        yield detail
    else:
        yield value


def _why_left_out(value: Json) -> str | None:
    if "digestEndTime" in value or "digestS3Bucket" in value:
        return "a digest file: it signs log files and holds no records"
    if value.get("messageType") == "CONTROL_MESSAGE":
        return "a control message: it holds no records"
    return None


def _first(value: Json, *members: str) -> object:
    if "eventID" in value:
        return None
    return next((value[member] for member in members if member in value), None)


def _call(record: Json) -> str:
    source, name = (_text(record, member) for member in ("eventSource", "eventName"))
    return f"{_service(source)}.{name}"


def _service(source: str) -> str:
    return source.removesuffix(".amazonaws.com")


def _insight_kind(insight: Json) -> str:
    return f"cloudtrail.{_text(insight, 'insightType')}.{_text(insight, 'state')}"


def _insight_target(insight: Json) -> Json | None:
    source, name = insight.get("eventSource"), insight.get("eventName")
    if not (isinstance(source, str) and isinstance(name, str)):
        return None
    return {"type": "aws:call", "id": f"{_service(source)}.{name}"}


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

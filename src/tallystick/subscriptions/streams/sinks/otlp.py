"""OpenTelemetry logs over HTTP, in JSON. Source: OTLP 1.5, opentelemetry-proto logs/v1."""

from __future__ import annotations

from typing import Any

import msgspec

from tallystick import __version__
from tallystick.events.event import Json, Op
from tallystick.events.rendering import EventOut
from tallystick.subscriptions.notices import Notice
from tallystick.subscriptions.streams.exchange import Reply
from tallystick.subscriptions.streams.sinks.base import (
    Context,
    EventBatch,
    Post,
    StreamMessage,
    Verdict,
    by_status,
)

PATH = "/v1/logs"
_INFO, _WARN = (9, "INFO"), (13, "WARN")
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


class Otlp:
    """A collector that takes OTLP over HTTP."""

    def path(self, path: str) -> str:
        """Return the path for logs, unless the URL has one."""
        return PATH if path == "/" else path

    def post(self, batch: EventBatch, context: Context) -> Post:
        """Return the events as log records of one resource."""
        records = [_record(message, context) for message in batch.messages]
        records += [_notice(notice, context) for notice in batch.notices]
        told = {
            "resourceLogs": [
                {
                    "resource": {
                        "attributes": _attributes(
                            {
                                "service.name": "tallystick",
                                "service.version": __version__,
                                "service.instance.id": context.server,
                                "tallystick.tenant": batch.tenant,
                                "tallystick.stream": batch.stream,
                                "tallystick.log": context.origin,
                            }
                        )
                    },
                    "scopeLogs": [
                        {
                            "scope": {"name": "tallystick.streams", "version": __version__},
                            "logRecords": records,
                        }
                    ],
                }
            ]
        }
        return Post({"Content-Type": "application/json"}, msgspec.json.encode(told))

    def verdict(self, reply: Reply) -> Verdict:
        """Return what the answer says; what it took in part must not be sent again."""
        verdict = by_status(reply)
        if verdict.problem is not None or not reply.body.strip():
            return verdict
        try:
            partial = msgspec.json.decode(reply.body, type=_OtlpAnswer).partialSuccess
        except msgspec.MsgspecError:
            return Verdict("the answer does not come from an OTLP collector")
        rejected = 0 if partial is None else int(partial.rejectedLogRecords)
        if partial is None or not (rejected or partial.errorMessage):
            return Verdict()
        return Verdict(note=f"the collector rejected {rejected} records")


class _Partial(msgspec.Struct):
    rejectedLogRecords: int | str = 0
    errorMessage: str = ""

    def __post_init__(self) -> None:
        # 64-bit numbers are texts in the JSON of protocol buffers.
        if isinstance(self.rejectedLogRecords, str) and not self.rejectedLogRecords.isdigit():
            raise ValueError("a count is a number")


class _OtlpAnswer(msgspec.Struct):
    partialSuccess: _Partial | None = None


def _record(message: StreamMessage, context: Context) -> Json:
    names: Json = {
        "tallystick.id": message.name,
        "tallystick.position": message.position,
        "tallystick.op": message.op.value,
    }
    if not isinstance(message.content, Notice):
        names |= _names(message.content)
    return {
        "timeUnixNano": str(max(0, message.time_ms) * 1_000_000),
        "observedTimeUnixNano": str(context.now_ms * 1_000_000),
        "severityNumber": _INFO[0],
        "severityText": _INFO[1],
        "eventName": _name(message),
        "body": _value(msgspec.json.decode(message.body)),
        "attributes": _attributes(names),
    }


def _name(message: StreamMessage) -> str:
    if message.op is Op.RECORD and not isinstance(message.content, Notice):
        return message.content.kind
    return f"tallystick.event.{message.op.value}"


def _names(event: EventOut) -> Json:
    names: Json = {
        "tallystick.index": event.index,
        "tallystick.kind": event.kind,
        "tallystick.dialect": event.dialect,
    }
    for name, resource in (("actor", event.actor), ("target", event.target)):
        if resource is not None:
            names[f"tallystick.{name}"] = f"{resource.type}:{resource.id}"
    if event.scopes:
        names["tallystick.scopes"] = [f"{scope.type}:{scope.id}" for scope in event.scopes]
    return names


def _notice(notice: Json, context: Context) -> Json:
    return {
        "timeUnixNano": str(context.now_ms * 1_000_000),
        "observedTimeUnixNano": str(context.now_ms * 1_000_000),
        "severityNumber": _WARN[0],
        "severityText": _WARN[1],
        "eventName": f"tallystick.stream.{notice['notice']}",
        "body": _value(notice),
    }


def _attributes(values: Json) -> list[Json]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Any) -> Json:
    """Return a value as OTLP's AnyValue."""
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int() if _INT_MIN <= value <= _INT_MAX:
            return {"intValue": str(value)}
        case int():
            return {"stringValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case dict():
            return {"kvlistValue": {"values": _attributes(value)}}
        case _:
            return {"arrayValue": {"values": [_value(each) for each in value]}}

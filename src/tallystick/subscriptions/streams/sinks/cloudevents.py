"""CloudEvents over HTTP: a batch as one JSON array, a single event as one object.

Source: CloudEvents 1.0.2, HTTP protocol binding and JSON format.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from tallystick import times
from tallystick.events.event import Json, Op
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

BATCH = "application/cloudevents-batch+json; charset=UTF-8"
ONE = "application/cloudevents+json; charset=UTF-8"


class CloudEvents:
    """A receiver of CloudEvents; `single` sends each event as a request of its own."""

    def __init__(self, *, single: bool) -> None:
        self._single = single

    def path(self, path: str) -> str:
        """Return the path of the URL."""
        return path

    def post(self, batch: EventBatch, context: Context) -> Post:
        """Return the events in structured mode."""
        told = [_event(message, batch.tenant, context) for message in batch.messages]
        told += [_notice(batch, number, context) for number in range(len(batch.notices))]
        if self._single and len(told) == 1:
            return Post({"Content-Type": ONE}, msgspec.json.encode(told[0]))
        return Post({"Content-Type": BATCH}, msgspec.json.encode(told))

    def verdict(self, reply: Reply) -> Verdict:
        """Return what the status says."""
        return by_status(reply)


def source_of(tenant: str, context: Context) -> str:
    """Return what names a tenant's log in all CloudEvents of it."""
    return f"//{quote(context.server, safe='.:[]')}/v1/tenants/{quote(tenant, safe='')}"


def _event(message: StreamMessage, tenant: str, context: Context) -> Json:
    event = message.content
    recorded = message.op is Op.RECORD and not isinstance(event, Notice)
    told: Json = {
        "specversion": "1.0",
        # Source and id name one change: a revised event is sent again.
        "id": message.name if recorded else f"{message.name}/{message.op}/{message.position}",
        "source": source_of(tenant, context),
        "type": _type(message),
        "time": times.to_rfc3339(message.time_ms),
        "datacontenttype": "application/json",
        "tallystickindex": str(message.position),
        "tallystickop": message.op.value,
        "data": msgspec.Raw(message.body),
    }
    if not isinstance(event, Notice) and event.target is not None:
        told["subject"] = _text(f"{event.target.type}:{event.target.id}")
    return told


def _type(message: StreamMessage) -> str:
    if message.op is Op.RECORD and not isinstance(message.content, Notice):
        return _text(message.content.kind)
    return f"tallystick.event.{message.op.value}"


def _notice(batch: EventBatch, number: int, context: Context) -> Json:
    notice = batch.notices[number]
    return {
        "specversion": "1.0",
        "id": f"{batch.id}/{number}",
        "source": source_of(batch.tenant, context),
        "type": f"tallystick.stream.{notice['notice']}",
        "time": times.to_rfc3339(context.now_ms),
        "datacontenttype": "application/json",
        "data": notice,
    }


def _text(text: str) -> str:
    """Return a text without the control characters that an attribute may not have."""
    return "".join(char if char.isprintable() or char == " " else "\N{REPLACEMENT CHARACTER}"
                   for char in text)  # fmt: skip

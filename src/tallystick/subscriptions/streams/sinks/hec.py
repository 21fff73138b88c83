"""Splunk's HTTP Event Collector: events in its envelope, one JSON object after the other.

Source: Splunk documentation, "Format events for HTTP Event Collector" and "Troubleshoot HTTP Event
Collector" (its codes).
"""

from __future__ import annotations

import msgspec

from tallystick.errors import Malformed
from tallystick.events.event import Json
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

PATH = "/services/collector/event"
OPTIONS = frozenset({"index", "source", "sourcetype", "host"})
_SOURCETYPE = "tallystick:event"


class Hec:
    """A Splunk; its token is among the stream's headers."""

    def __init__(self, options: Json) -> None:
        unknown = sorted(options.keys() - OPTIONS)
        if unknown or not all(isinstance(value, str) and value for value in options.values()):
            raise Malformed(
                f"a Splunk sink takes the options {', '.join(sorted(OPTIONS))}, each a string",
                path="/options",
            )
        self._options = options

    def path(self, path: str) -> str:
        """Return the collector's path, unless the URL has one."""
        return PATH if path == "/" else path

    def post(self, batch: EventBatch, context: Context) -> Post:
        """Return the events in Splunk's envelope."""
        told = [self._event(batch, context, message) for message in batch.messages]
        for notice in batch.notices:
            envelope = self._envelope(batch, context, context.now_ms)
            told.append(msgspec.json.encode({**envelope, "event": notice}))
        return Post({"Content-Type": "application/json"}, b"\n".join(told))

    def verdict(self, reply: Reply) -> Verdict:
        """Return what status and code say; a collector may refuse with 200."""
        verdict = by_status(reply)
        if verdict.problem is not None:
            # Splunk has no way to say that it is gone for good.
            return verdict._replace(gone=False)
        try:
            answer = msgspec.json.decode(reply.body, type=_HecAnswer)
        except msgspec.MsgspecError:
            return Verdict("the answer does not come from a Splunk collector")
        return Verdict() if answer.code == 0 else Verdict(f"Splunk answered code {answer.code}")

    def _event(self, batch: EventBatch, context: Context, message: StreamMessage) -> bytes:
        told = self._envelope(batch, context, message.time_ms)
        told["event"] = msgspec.Raw(message.body)
        told["fields"] = _fields(message)
        return msgspec.json.encode(told)

    def _envelope(self, batch: EventBatch, context: Context, time_ms: int) -> Json:
        return {
            # Seconds with milliseconds, as Splunk reads them, without a float's rounding.
            "time": msgspec.Raw(_seconds(time_ms)),
            "host": context.server,
            "source": f"tallystick:{batch.tenant}:{batch.stream}",
            "sourcetype": _SOURCETYPE,
            **self._options,
        }


class _HecAnswer(msgspec.Struct):
    code: int


def _fields(message: StreamMessage) -> Json:
    """Return what Splunk indexes: a flat object of texts."""
    fields: Json = {"op": message.op.value, "event_id": message.name}
    fields["position"] = str(message.position)
    event = message.content
    if isinstance(event, Notice):
        return fields
    fields["kind"] = event.kind
    if event.actor is not None:
        fields["actor"] = f"{event.actor.type}:{event.actor.id}"
    if event.target is not None:
        fields["target"] = f"{event.target.type}:{event.target.id}"
    if event.scopes:
        fields["scope"] = [f"{scope.type}:{scope.id}" for scope in event.scopes]
    return fields


def _seconds(time_ms: int) -> bytes:
    sign, time_ms = ("-" if time_ms < 0 else ""), abs(time_ms)
    return f"{sign}{time_ms // 1000}.{time_ms % 1000:03}".encode()

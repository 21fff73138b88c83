"""Webhooks: a batch of events as JSON, signed. Source: Standard Webhooks 1.0."""

from __future__ import annotations

import msgspec

from tallystick.subscriptions.streams.exchange import Reply
from tallystick.subscriptions.streams.signing import WebhookSigner
from tallystick.subscriptions.streams.sinks.base import (
    Context,
    EventBatch,
    Post,
    Verdict,
    by_status,
)


class Webhook:
    """A receiver of Standard Webhooks."""

    def __init__(self, signer: WebhookSigner) -> None:
        self._signer = signer

    def path(self, path: str) -> str:
        """Return the path of the URL."""
        return path

    def post(self, batch: EventBatch, context: Context) -> Post:
        """Return the events, the log's checkpoint and the signatures over both."""
        body = body_of(batch, context)
        signed = self._signer.headers(batch.id, body, context.now_ms)
        return Post({"Content-Type": "application/json", **signed}, body)

    def verdict(self, reply: Reply) -> Verdict:
        """Return what the status says."""
        return by_status(reply)


def body_of(batch: EventBatch, context: Context) -> bytes:
    """Return the body of a delivery."""
    events = b",".join(message.body for message in batch.messages)
    rest: dict[str, object] = {
        "stream": batch.stream,
        "range": {"from": batch.start, "to": batch.stop},
    }
    if batch.notices:
        rest["notices"] = batch.notices
    rest["checkpoint"] = context.checkpoint
    # The events are JSON already: they go in as they are.
    return b'{"events":[' + events + b"]," + msgspec.json.encode(rest)[1:]

"""Carrying batches: a sink's encoding, a connection or an object store, and what came of it."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from tallystick.errors import Malformed, TallystickError, for_operator
from tallystick.identity.streams import Stream
from tallystick.subscriptions.streams import signing
from tallystick.subscriptions.streams.exchange import (
    AddressRefused,
    Dialer,
    ReceiverConnection,
    Target,
    target_of,
)
from tallystick.subscriptions.streams.signing import Derive, WebhookSigner
from tallystick.subscriptions.streams.sinks import objects
from tallystick.subscriptions.streams.sinks.base import Context, Encoder, EventBatch, excerpt
from tallystick.subscriptions.streams.sinks.cloudevents import CloudEvents
from tallystick.subscriptions.streams.sinks.hec import Hec
from tallystick.subscriptions.streams.sinks.otlp import Otlp
from tallystick.subscriptions.streams.sinks.webhook import Webhook
from tallystick.subscriptions.streams.stretches import BatchBounds

DELIVERY = BatchBounds(messages=100, octets=256 * 1024)
OBJECT = BatchBounds(messages=1_000_000, octets=32 * 1024 * 1024, linger_ms=5 * 60 * 1000)
ONE = BatchBounds(messages=1, octets=1)


class DeliveryAttempt(NamedTuple):
    """What came of one attempt; `problem` None is success."""

    took_ms: int
    status: int | None = None
    problem: str | None = None
    gone: bool = False
    note: str | None = None
    retry_after_s: float | None = None
    answer: str = ""
    """The beginning of the answer, for the person who tests a stream; never kept."""


class Carrier(Protocol):
    """Takes batches where a stream goes; belongs to one thread."""

    def deliver(self, batch: EventBatch, context: Context) -> DeliveryAttempt:
        """Try once to deliver a batch."""

    def close(self) -> None:
        """Close the connection; idempotent."""


class Outside(NamedTuple):
    """What carriers need of the world, whatever the stream."""

    dialer: Dialer
    destinations: Mapping[str, Mapping[str, Any]]
    derive: Derive


def bounds_of(stream: Stream) -> BatchBounds:
    """Return how much a stream delivers at once."""
    if stream.sink == "objects":
        return OBJECT
    return DELIVERY if stream.mode == "ordered" else ONE


def carrier_of(stream: Stream, outside: Outside) -> Carrier:
    """Return what carries the batches of a stream.

    Raises: Malformed for a stream that cannot be carried, SettingsError, StoreCorrupt.
    """
    if stream.sink == "objects":
        if stream.mode != "ordered":
            raise Malformed("object sinks write in order", path="/mode")
        form = objects.form_of(stream.options)
        return ObjectCarrier(objects.destination(stream.to, outside.destinations), form)
    headers = signing.unseal(stream.headers, stream.salt, outside.derive)
    target = target_of(stream.to)
    return HttpCarrier(target, headers, _encoder(stream, outside.derive), outside.dialer)


def _encoder(stream: Stream, derive: Derive) -> Encoder:
    if stream.sink != "hec" and stream.options:
        raise Malformed("only Splunk and object sinks take options", path="/options")
    match stream.sink:
        case "hec":
            return Hec(stream.options)
        case "otlp":
            return Otlp()
        case "cloudevents":
            return CloudEvents(single=stream.mode == "parallel")
        case _:
            return Webhook(WebhookSigner(stream, derive))


class HttpCarrier:
    """Carries batches as requests."""

    def __init__(
        self, target: Target, headers: Mapping[str, str], encoder: Encoder, dialer: Dialer
    ) -> None:
        self._path = encoder.path(target.path)
        self._headers = headers
        self._encoder = encoder
        self._exchange = ReceiverConnection(target, dialer)

    def deliver(self, batch: EventBatch, context: Context) -> DeliveryAttempt:
        """Try once to deliver a batch."""
        post = self._encoder.post(batch, context)
        started_s = time.monotonic()
        try:
            headers = {**post.headers, **self._headers}
            reply = self._exchange.post(self._path, headers, post.body)
        except (AddressRefused, OSError, http.client.HTTPException) as error:
            self._exchange.close()
            return DeliveryAttempt(_since_ms(started_s), problem=_told(error))
        verdict = self._encoder.verdict(reply)
        return DeliveryAttempt(
            _since_ms(started_s),
            reply.status,
            *verdict,
            reply.retry_after_s if verdict.problem else None,
            excerpt(reply.body),
        )

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._exchange.close()


class ObjectCarrier:
    """Carries batches as objects."""

    def __init__(self, destination: objects.Destination, form: str) -> None:
        self._destination = destination
        self._form = form

    def deliver(self, batch: EventBatch, context: Context) -> DeliveryAttempt:
        """Write the object of a batch."""
        started_s = time.monotonic()
        try:
            content = objects.content_of(batch, self._form, context.origin)
            self._destination.put(objects.object_name(batch, self._form), content)
        except TallystickError as error:
            return DeliveryAttempt(_since_ms(started_s), problem=for_operator(error))
        except Exception as error:  # the library raises what its store told it
            return DeliveryAttempt(_since_ms(started_s), problem=type(error).__name__)
        return DeliveryAttempt(_since_ms(started_s))

    def close(self) -> None:
        """Do nothing: the library keeps its connections."""


def _told(error: Exception) -> str:
    """Return what went wrong on the way, in words that hold nothing a receiver chose."""
    match error:
        case AddressRefused():
            return str(error)
        case ssl.SSLCertVerificationError():
            return f"the receiver's certificate is not good: {error.verify_message}"
        case TimeoutError():
            return "the receiver took too long"
        case http.client.HTTPException():
            return "the receiver does not speak HTTP, or closed midway"
        case OSError() if error.strerror:
            return f"the receiver cannot be reached: {error.strerror}"
    return f"the receiver cannot be reached: {type(error).__name__}"


def _since_ms(started_s: float) -> int:
    return int((time.monotonic() - started_s) * 1000)

"""What a sink is given, and what it makes of it and of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tallystick.events.event import Json, Op
from tallystick.events.rendering import EventOut
from tallystick.subscriptions.notices import Notice
from tallystick.subscriptions.streams.exchange import Reply


class StreamMessage(NamedTuple):
    """One change of an event, ready to be sent."""

    position: int
    """The entry that made the change."""
    op: Op
    time_ms: int
    """When the event occurred; of one that was taken away, when that was recorded."""
    content: EventOut | Notice
    """What the receiver may know: an event, or that one was taken away."""
    body: bytes
    """The content as JSON."""

    @property
    def name(self) -> str:
        """What names the event: its id, or the digest of one that only its readers know."""
        if isinstance(self.content, Notice):
            return self.content.id or f"sha256-{self.content.id_sha256}"
        return self.content.id


class EventBatch(NamedTuple):
    """Messages that are delivered together, and the stretch of the log that they are all of."""

    id: str
    """The same for the same stretch of the same stream."""
    tenant: str
    stream: str
    start: int
    stop: int
    messages: Sequence[StreamMessage]
    notices: Sequence[Json] = ()
    """What the sender has to say itself: that retention removed a stretch, or a test."""

    @property
    def size(self) -> int:
        """How many events and notices it holds."""
        return len(self.messages) + len(self.notices)


class Context(NamedTuple):
    """What deliveries say of where they come from."""

    server: str
    """The name of the server."""
    origin: str
    """The origin of the log."""
    checkpoint: str
    """The latest checkpoint of the log, as signed."""
    now_ms: int


class Post(NamedTuple):
    """The body of a request, and its headers beside those that the stream has."""

    headers: Mapping[str, str]
    body: bytes


class Verdict(NamedTuple):
    """What an answer means: `problem` None is success; `gone` asks never to be sent to again."""

    problem: str | None = None
    gone: bool = False
    note: str | None = None
    """What a receiver that took a batch has to say about it."""


class Encoder(Protocol):
    """One kind of receiver."""

    def path(self, path: str) -> str:
        """Return the path of requests, given that of the URL."""

    def post(self, batch: EventBatch, context: Context) -> Post:
        """Return the request that delivers a batch."""

    def verdict(self, reply: Reply) -> Verdict:
        """Return what an answer means."""


def by_status(reply: Reply) -> Verdict:
    """Return what the status of an answer says."""
    if 200 <= reply.status < 300:
        return Verdict()
    if reply.status == 410:
        return Verdict("the receiver answered 410: it accepts no more events", gone=True)
    if 300 <= reply.status < 400:
        return Verdict(f"the receiver answered {reply.status}: redirects are not followed")
    # Of the answer only its number is kept: a receiver may quote what it was sent.
    return Verdict(f"the receiver answered {reply.status}")


def excerpt(body: bytes) -> str:
    """Return the beginning of an answer as one printable line."""
    text = " ".join(body[:400].decode("utf-8", "replace").split())
    return "".join(char if char.isprintable() else "?" for char in text)[:200]

"""Administration of streams: made, looked at, paused, moved and ended.

Every act is an entry in the tenant's log that names the actor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tallystick import limits, times
from tallystick.clock import Clock
from tallystick.errors import Conflict, Malformed, NotFound
from tallystick.events.event import Json, Resource
from tallystick.identity import makers, stream_acts
from tallystick.identity.acts import Act
from tallystick.identity.records import Identity
from tallystick.identity.streams import Maker, Mode, Sink, Stream, new_salt
from tallystick.ledger.ledger import Ledger
from tallystick.query.native_filter import NativeFilter
from tallystick.store.stream_states import StreamStates
from tallystick.subscriptions.streams import positions, signing, status
from tallystick.subscriptions.streams.carriers import DeliveryAttempt, Outside, carrier_of
from tallystick.subscriptions.streams.signing import WebhookSigner
from tallystick.subscriptions.streams.sinks.base import Context, EventBatch

Place = str | int
"""A position in the log, a time, `now` or `start`."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_HEADERS_MAX = 16
_HEADER_CHARS = 4096
_OURS = frozenset(
    {
        "host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent",
        "webhook-id", "webhook-timestamp", "webhook-signature",
    }
)  # fmt: skip


class WantedStream(NamedTuple):
    """A stream to be made; `token` is a Splunk's, `start` says where it begins."""

    name: str
    sink: Sink
    to: str
    mode: Mode = "ordered"
    filter: NativeFilter = NativeFilter()
    headers: Mapping[str, str] | None = None
    token: str | None = None
    options: Json | None = None
    start: Place = "now"


class StreamAdministration:
    """Carries out what administrators want of streams; safe to share between threads."""

    def __init__(
        self,
        ledger: Ledger,
        identity: Identity,
        clock: Clock,
        states: StreamStates,
        outside: Outside,
        *,
        server_name: str,
    ) -> None:
        self._ledger = ledger
        self._identity = identity
        self._clock = clock
        self._states = states
        self._outside = outside
        self._server_name = server_name

    # Looking

    def all(self, tenant: str) -> list[Stream]:
        """Return the streams of a tenant."""
        self._identity.tenant(tenant)
        return self._identity.list(Stream, tenant)

    def get(self, tenant: str, id: str) -> Stream:
        """Return a stream.

        Raises: NotFound.
        """
        self._identity.tenant(tenant)
        return _existing(self._identity.get(Stream, tenant, id), id)

    def status(self, stream: Stream) -> Json:
        """Return a stream and how far it has come, as JSON."""
        states, tenant = self._states, stream.tenant
        size = self._ledger.proofs.head(tenant).size
        known = status.stream(stream, states.load(tenant, stream.id), size)
        if stream.mode == "parallel":
            known["waiting"], known["dead"] = states.counts(tenant, stream.id)
        if stream.sink == "webhook":
            known["public_key"] = WebhookSigner(stream, self._outside.derive).secrets().public_key
        return known

    def secret(self, stream: Stream) -> str | None:
        """Return the secret that a webhook is signed with; None for any other stream."""
        if stream.sink != "webhook":
            return None
        return WebhookSigner(stream, self._outside.derive).secrets().secret

    def deliveries(self, stream: Stream, limit: int) -> list[Json]:
        """Return the latest attempts of a stream, latest first."""
        found = self._states.deliveries(stream.tenant, stream.id, limit)
        return [status.delivery(doc) for doc in found]

    def dead_letters(self, stream: Stream, limit: int) -> list[Json]:
        """Return the dead letters of a stream, in the order of the log."""
        found = self._states.dead(stream.tenant, stream.id, limit)
        return [status.letter(letter) for letter in found]

    # Acts

    def create(self, tenant: str, wanted: WantedStream, maker: Maker, actor: Resource) -> Stream:
        """Make a stream.

        Raises: Malformed, InvalidQuery, Conflict, SettingsError.
        """
        self._identity.tenant(tenant)
        if _NAME.fullmatch(wanted.name) is None:
            raise Malformed(
                "a stream's name has 1 to 64 letters, digits, - and _, a letter or digit first",
                path="/name",
            )
        if len(self._identity.list(Stream, tenant)) >= limits.STREAMS:
            raise Conflict(f"the tenant has {limits.STREAMS} streams already")
        salt = new_salt()
        headers = _headers(wanted)
        stream = Stream(
            id=wanted.name,
            tenant=tenant,
            created_ms=self._clock.now_ms(),
            sink=wanted.sink,
            to=wanted.to,
            mode=wanted.mode,
            filter=wanted.filter,
            maker=maker,
            maker_name=actor,
            salt=salt,
            start=self._position(tenant, wanted.start, "/from"),
            headers=signing.seal(headers, salt, self._outside.derive) if headers else None,
            options=wanted.options or {},
        )
        # Whatever could not be sent is refused now, and not when it is due.
        stream.filter.where()
        carrier_of(stream, self._outside).close()
        self._ledger.administer(tenant, stream_acts.created(stream, actor))
        return stream

    def pause(self, tenant: str, id: str, reason: str, actor: Resource) -> Stream:
        """Let a stream send nothing until it is resumed.

        Raises: NotFound, Conflict.
        """
        return self._changed(tenant, id, lambda s: stream_acts.paused(s, reason, actor))

    def resume(self, tenant: str, id: str, maker: Maker, actor: Resource) -> Stream:
        """Let a stream go on; `maker` answers for what it reads where its maker is gone.

        Raises: NotFound, Conflict.
        """

        def resume(stream: Stream) -> Act:
            try:
                makers.visible_to(self._identity, tenant, stream.maker)
            except makers.MakerGone:
                return stream_acts.resumed(stream, maker, actor)
            return stream_acts.resumed(stream, stream.maker, actor)

        return self._changed(tenant, id, resume)

    def replay(
        self, tenant: str, id: str, start: Place, stop: Place | None, actor: Resource
    ) -> Stream:
        """Send a stretch of the log again; without `stop`, everything from `start` on.

        Raises: NotFound, Malformed.
        """
        first = self._position(tenant, start, "/from")
        end = None if stop is None else self._position(tenant, stop, "/to")
        if end is not None and end <= first:
            raise Malformed("the range between from and to is empty", path="/to")
        return self._changed(tenant, id, lambda s: stream_acts.replayed(s, first, end, actor))

    def revive(self, tenant: str, id: str, actor: Resource) -> Stream:
        """Send all dead letters again.

        Raises: NotFound.
        """
        return self._changed(tenant, id, lambda stream: stream_acts.revived(stream, actor))

    def skip(self, tenant: str, id: str, to: Place | None, actor: Resource) -> Stream:
        """Go on elsewhere, without `to` behind what the stream is stuck on.

        Raises: NotFound, Conflict when it is not stuck, Malformed.
        """
        stream = self.get(tenant, id)
        if to is None:
            start = status.behind_pending(self._states.load(tenant, stream.id))
            if start is None:
                raise Conflict(
                    "the stream is not stuck", hint="pass the position to continue from as to"
                )
        else:
            start = self._position(tenant, to, "/to")
        return self._changed(tenant, id, lambda s: stream_acts.skipped(s, start, actor))

    def rotate(self, tenant: str, id: str, actor: Resource) -> tuple[Stream, int]:
        """Give a webhook another secret; return until when the one before counts.

        Raises: NotFound, Malformed.
        """
        now_ms = self._clock.now_ms()

        def rotate(stream: Stream) -> Act:
            if stream.sink != "webhook":
                raise Malformed("only a webhook has a secret")
            return stream_acts.rotated(stream, now_ms, actor)

        return self._changed(tenant, id, rotate), now_ms + signing.OVERLAP_MS

    def delete(self, tenant: str, id: str, actor: Resource) -> None:
        """End a stream.

        Raises: NotFound.
        """

        def delete(stream: Stream | None) -> Act:
            return stream_acts.deleted(_existing(stream, id), actor)

        self._ledger.changes.carry_out(Stream, tenant, id, delete)

    def test(self, tenant: str, id: str, actor: Resource) -> DeliveryAttempt:
        """Send a message that says it is a test, and return what came of it.

        Raises: NotFound.
        Cost: waits for the receiver.
        """
        stream = self.get(tenant, id)
        head = self._ledger.proofs.head(tenant)
        now_ms = self._clock.now_ms()
        notice: Json = {"notice": "test", "stream": stream.id, "at": times.to_rfc3339(now_ms)}
        batch = EventBatch(
            f"{stream.salt}-test-{now_ms}", tenant, stream.id, head.size, head.size, (), (notice,)
        )
        context = Context(self._server_name, head.origin, head.checkpoint, now_ms)
        carrier = carrier_of(stream, self._outside)
        try:
            outcome = carrier.deliver(batch, context)
        finally:
            carrier.close()
        told: Json = {"delivered": outcome.problem is None, "status": outcome.status}
        self._ledger.append(tenant, [stream_acts.draft_of(stream, "stream.tested", told, actor)])
        return outcome

    def _changed(self, tenant: str, id: str, act: Callable[[Stream], Act]) -> Stream:
        changed = self._ledger.changes.carry_out(
            Stream, tenant, id, lambda stream: act(_existing(stream, id))
        )
        assert changed is not None, "only deleting leaves nothing"
        return changed

    def _position(self, tenant: str, place: Place, path: str) -> int:
        """Return the position that a place of the log stands for."""
        size = self._ledger.proofs.head(tenant).size
        match place:
            case "now":
                return size
            case "start":
                return 0
            case bool():
                raise Malformed("a position is a number", path=path)
            case int():
                if not 0 <= place <= size:
                    raise Malformed(f"the log has positions 0 to {size}", path=path)
                return place
        return positions.recorded_from(self._ledger.store, tenant, times.from_rfc3339(place, path))


def _existing(stream: Stream | None, id: str) -> Stream:
    if stream is None:
        raise NotFound(f"no such stream: {id!r}")
    return stream


def _headers(wanted: WantedStream) -> dict[str, str]:
    """Return the headers of every request.

    Raises: Malformed.
    """
    headers = dict(wanted.headers or {})
    if (wanted.token is not None) != (wanted.sink == "hec"):
        raise Malformed("only a Splunk sink takes a token", path="/token")
    if wanted.token is not None:
        headers["Authorization"] = f"Splunk {wanted.token}"
    if headers and wanted.sink == "objects":
        raise Malformed("an object destination takes no headers", path="/headers")
    if len(headers) > _HEADERS_MAX:
        raise Malformed(f"a stream has {_HEADERS_MAX} headers at most", path="/headers")
    for name, value in headers.items():
        if _HEADER_NAME.fullmatch(name) is None or name.lower() in _OURS:
            raise Malformed(f"{name!r} is not a header that a stream may set", path="/headers")
        if not (value.isascii() and value.isprintable() and 0 < len(value) <= _HEADER_CHARS):
            raise Malformed(
                f"the header {name} has 1 to {_HEADER_CHARS} printable ASCII characters",
                path="/headers",
            )
    return headers

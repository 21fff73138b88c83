"""Streams under `/v1/admin`: made, looked at, paused, moved and ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import limits, times
from tallystick.dialects.services import Services
from tallystick.errors import Conflict, Malformed, NotFound
from tallystick.events.event import Json
from tallystick.http.admin import stream_json
from tallystick.http.admin.guard import ONE, AdminGuard, Input, decode, json_response
from tallystick.http.auth import CONTROL, Authenticator
from tallystick.http.native import parameters
from tallystick.identity import stream_acts
from tallystick.identity.acts import Act
from tallystick.identity.streams import Maker, Mode, Sink, Stream, new_salt
from tallystick.query.native_filter import NativeFilter
from tallystick.store.stream_states import DELIVERIES, StreamStates
from tallystick.subscriptions.streams import makers, positions, signing
from tallystick.subscriptions.streams.carriers import Outside, carrier_of
from tallystick.subscriptions.streams.signing import WebhookSigner
from tallystick.subscriptions.streams.sinks.base import Context, EventBatch

_STREAMS = ONE + "/streams"
_STREAM = _STREAMS + "/{id}"
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
_DEAD_SHOWN = 1_000


class FilterIn(Input, frozen=True, rename={"from_": "from"}):
    """The filters of lists; several values of one are alternatives."""

    q: str | None = None
    kind: tuple[str, ...] = ()
    actor: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    trail: tuple[str, ...] = ()
    dialect: tuple[str, ...] = ()
    from_: str | None = None
    to: str | None = None


class StreamIn(Input, frozen=True, rename={"from_": "from"}):
    """A stream to be made; `token` is a Splunk's, `from` says where it begins."""

    name: str
    sink: Sink
    to: str
    mode: Mode = "ordered"
    filter: FilterIn = FilterIn()
    headers: dict[str, str] | None = None
    token: str | None = None
    options: Json | None = None
    from_: str | int = "now"


class PauseIn(Input, frozen=True):
    """Why a stream is paused."""

    reason: str = "paused by an administrator"


class ReplayIn(Input, frozen=True, rename={"from_": "from"}):
    """What to send again: entries from a position or time on, or all dead letters."""

    from_: str | int | None = None
    to: str | int | None = None
    dead: bool = False


class SkipIn(Input, frozen=True):
    """Where a stream goes on: at a position or time, by default behind what it is stuck on."""

    to: str | int | None = None


class StreamServices(NamedTuple):
    """What routes about streams need beside what all routes have."""

    states: StreamStates
    outside: Outside


class AdminStreamsApi:
    """Handlers of streams; every act is an entry in the tenant's log."""

    def __init__(
        self,
        services: Services,
        authenticator: Authenticator,
        guard: AdminGuard,
        streams: StreamServices,
    ) -> None:
        self._services = services
        self._ledger = services.ledger
        self._identity = services.identity
        self._authenticator = authenticator
        self._guard = guard
        self._states = streams.states
        self._outside = streams.outside

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        acts: dict[str, Callable[[Request, str], Response]] = {
            "pause": self._pause,
            "resume": self._resume,
            "test": self._test,
            "replay": self._replay,
            "skip": self._skip,
            "rotate-secret": self._rotate,
        }
        return [
            Route(_STREAMS, on(self._list), methods=["GET"]),
            Route(_STREAMS, on(self._create), methods=["POST"]),
            Route(_STREAM, on(self._show), methods=["GET"]),
            Route(_STREAM, on(self._delete), methods=["DELETE"]),
            Route(_STREAM + "/deliveries", on(self._deliveries), methods=["GET"]),
            Route(_STREAM + "/dead-letters", on(self._dead), methods=["GET"]),
            *(Route(f"{_STREAM}/{name}", on(act), methods=["POST"]) for name, act in acts.items()),
        ]

    # Looking

    def _list(self, request: Request, tenant: str) -> Response:
        self._identity.tenant(tenant)
        found = self._identity.list(Stream, tenant)
        return json_response({"streams": [self._json(stream) for stream in found]})

    def _show(self, request: Request, tenant: str) -> Response:
        return json_response(self._json(self._stream(request, tenant)))

    def _deliveries(self, request: Request, tenant: str) -> Response:
        stream = self._stream(request, tenant)
        limit = parameters.whole(request.query_params, "limit", 50, 1, DELIVERIES)
        found = self._states.deliveries(tenant, stream.id, limit)
        return json_response({"deliveries": [stream_json.delivery(doc) for doc in found]})

    def _dead(self, request: Request, tenant: str) -> Response:
        stream = self._stream(request, tenant)
        limit = parameters.whole(request.query_params, "limit", 50, 1, _DEAD_SHOWN)
        found = self._states.dead(tenant, stream.id, limit)
        return json_response({"dead_letters": [stream_json.letter(letter) for letter in found]})

    # Acts

    def _create(self, request: Request, tenant: str) -> Response:
        wanted = decode(StreamIn, request.state.body)
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
        actor = self._guard.actor(request)
        stream = Stream(
            id=wanted.name,
            tenant=tenant,
            created_ms=self._services.clock.now_ms(),
            sink=wanted.sink,
            to=wanted.to,
            mode=wanted.mode,
            filter=_filter(wanted.filter),
            maker=self._maker(request, tenant),
            maker_name=actor,
            salt=salt,
            start=self._position(tenant, wanted.from_, "/from"),
            headers=signing.seal(headers, salt, self._outside.derive) if headers else None,
            options=wanted.options or {},
        )
        # Whatever could not be sent is refused now, and not when it is due.
        stream.filter.where()
        carrier_of(stream, self._outside).close()
        self._ledger.administer(tenant, stream_acts.created(stream, actor))
        return json_response(self._json(stream) | self._secrets(stream), 201)

    def _pause(self, request: Request, tenant: str) -> Response:
        wanted = decode(PauseIn, request.state.body or b"{}")
        actor = self._guard.actor(request)
        return self._change(
            request, tenant, lambda stream: stream_acts.paused(stream, wanted.reason, actor)
        )

    def _resume(self, request: Request, tenant: str) -> Response:
        maker, actor = self._maker(request, tenant), self._guard.actor(request)

        def resume(stream: Stream) -> Act:
            try:
                makers.visible_to(self._identity, tenant, stream.maker)
            except makers.MakerGone:
                # Who resumes it answers for what it reads from here on.
                return stream_acts.resumed(stream, maker, actor)
            return stream_acts.resumed(stream, stream.maker, actor)

        return self._change(request, tenant, resume)

    def _replay(self, request: Request, tenant: str) -> Response:
        wanted = decode(ReplayIn, request.state.body)
        actor = self._guard.actor(request)
        if wanted.dead:
            if wanted.from_ is not None or wanted.to is not None:
                raise Malformed("dead letters are replayed all at once", path="/dead")
            return self._change(request, tenant, lambda s: stream_acts.revived(s, actor))
        if wanted.from_ is None:
            raise Malformed("say from where to send again", path="/from")
        start = self._position(tenant, wanted.from_, "/from")
        stop = None if wanted.to is None else self._position(tenant, wanted.to, "/to")
        if stop is not None and stop <= start:
            raise Malformed("there is nothing between from and to", path="/to")
        return self._change(
            request, tenant, lambda stream: stream_acts.replayed(stream, start, stop, actor)
        )

    def _skip(self, request: Request, tenant: str) -> Response:
        wanted = decode(SkipIn, request.state.body or b"{}")
        actor = self._guard.actor(request)
        stream = self._stream(request, tenant)
        if wanted.to is None:
            start = stream_json.behind_pending(self._states.load(tenant, stream.id))
            if start is None:
                raise Conflict("the stream is not stuck", hint="say where to go on with to")
        else:
            start = self._position(tenant, wanted.to, "/to")
        return self._change(request, tenant, lambda s: stream_acts.skipped(s, start, actor))

    def _rotate(self, request: Request, tenant: str) -> Response:
        now_ms, actor = self._services.clock.now_ms(), self._guard.actor(request)

        def rotate(stream: Stream) -> Act:
            if stream.sink != "webhook":
                raise Malformed("only a webhook has a secret of ours")
            return stream_acts.rotated(stream, now_ms, actor)

        stream = self._changed(request, tenant, rotate)
        until = times.to_rfc3339(now_ms + signing.OVERLAP_MS)
        told = self._json(stream) | self._secrets(stream) | {"previous_secret_until": until}
        return json_response(told)

    def _delete(self, request: Request, tenant: str) -> Response:
        actor = self._guard.actor(request)

        def delete(stream: Stream | None) -> Act:
            return stream_acts.deleted(_there(stream, request), actor)

        self._ledger.changes.carry_out(Stream, tenant, request.path_params["id"], delete)
        return Response(status_code=204)

    def _test(self, request: Request, tenant: str) -> Response:
        """Send a message that says it is a test, and tell what came of it."""
        stream = self._stream(request, tenant)
        head = self._ledger.proofs.head(tenant)
        now_ms = self._services.clock.now_ms()
        notice: Json = {"notice": "test", "stream": stream.id, "at": times.to_rfc3339(now_ms)}
        batch = EventBatch(
            f"{stream.salt}-test-{now_ms}", tenant, stream.id, head.size, head.size, (), (notice,)
        )
        server = self._services.settings.server_name
        carrier = carrier_of(stream, self._outside)
        try:
            outcome = carrier.deliver(batch, Context(server, head.origin, head.checkpoint, now_ms))
        finally:
            carrier.close()
        told: Json = {"delivered": outcome.problem is None, "status": outcome.status}
        draft = stream_acts.draft_of(stream, "stream.tested", told, self._guard.actor(request))
        self._ledger.append(tenant, [draft])
        more = {
            "problem": outcome.problem,
            "note": outcome.note,
            "answer": outcome.answer or None,
            "took_ms": outcome.took_ms,
        }
        return json_response(told | {name: value for name, value in more.items() if value})

    # What they share

    def _stream(self, request: Request, tenant: str) -> Stream:
        self._identity.tenant(tenant)
        stream = self._identity.get(Stream, tenant, request.path_params["id"])
        return _there(stream, request)

    def _change(self, request: Request, tenant: str, act: Callable[[Stream], Act]) -> Response:
        return json_response(self._json(self._changed(request, tenant, act)))

    def _changed(self, request: Request, tenant: str, act: Callable[[Stream], Act]) -> Stream:
        changed = self._ledger.changes.carry_out(
            Stream, tenant, request.path_params["id"],
            lambda stream: act(_there(stream, request)),
        )  # fmt: skip
        assert changed is not None, "only deleting leaves nothing"
        return changed

    def _json(self, stream: Stream) -> Json:
        states, tenant = self._states, stream.tenant
        size = self._ledger.proofs.head(tenant).size
        told = stream_json.stream(stream, states.load(tenant, stream.id), size)
        if stream.mode == "parallel":
            told["waiting"], told["dead"] = states.counts(tenant, stream.id)
        if stream.sink == "webhook":
            told["public_key"] = WebhookSigner(stream, self._outside.derive).secrets().public_key
        return told

    def _secrets(self, stream: Stream) -> Json:
        if stream.sink != "webhook":
            return {}
        return {"secret": WebhookSigner(stream, self._outside.derive).secrets().secret}

    def _maker(self, request: Request, tenant: str) -> Maker:
        if request.scope["state"].get(CONTROL):
            return makers.OPERATOR
        return makers.maker_of(self._identity, self._authenticator.of_scope(request.scope))

    def _position(self, tenant: str, text: str | int, path: str) -> int:
        """Return the position that a number, a time, `now` or `start` stands for."""
        size = self._ledger.proofs.head(tenant).size
        match text:
            case "now":
                return size
            case "start":
                return 0
            case bool():
                raise Malformed("a position is a number", path=path)
            case int():
                if not 0 <= text <= size:
                    raise Malformed(f"the log has positions 0 to {size}", path=path)
                return text
        return positions.recorded_from(self._ledger.store, tenant, times.from_rfc3339(text, path))


def _there(stream: Stream | None, request: Request) -> Stream:
    if stream is None:
        raise NotFound(f"there is no stream {request.path_params['id']!r}")
    return stream


def _filter(wanted: FilterIn) -> NativeFilter:
    members = msgspec.structs.asdict(wanted)
    start, end = members.pop("from_"), members.pop("to")
    return NativeFilter(
        **members,
        from_ms=None if start is None else times.from_rfc3339(start, "/filter/from"),
        to_ms=None if end is None else times.from_rfc3339(end, "/filter/to"),
    )


def _headers(wanted: StreamIn) -> dict[str, str]:
    """Return the headers of every request.

    Raises: Malformed.
    """
    headers = dict(wanted.headers or {})
    if (wanted.token is not None) != (wanted.sink == "hec"):
        raise Malformed("a Splunk, and nothing else, has a token", path="/token")
    if wanted.token is not None:
        headers["Authorization"] = f"Splunk {wanted.token}"
    if headers and wanted.sink == "objects":
        raise Malformed("a destination for objects has no headers", path="/headers")
    if len(headers) > _HEADERS_MAX:
        raise Malformed(f"a stream has {_HEADERS_MAX} headers at most", path="/headers")
    for name, value in headers.items():
        if _HEADER_NAME.fullmatch(name) is None or name.lower() in _OURS:
            raise Malformed(f"{name!r} is no header that a stream may set", path="/headers")
        if not (value.isascii() and value.isprintable() and 0 < len(value) <= _HEADER_CHARS):
            raise Malformed(
                f"the header {name} has 1 to {_HEADER_CHARS} printable ASCII characters",
                path="/headers",
            )
    return headers

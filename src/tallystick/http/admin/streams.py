"""Streams under `/v1/admin`: made, looked at, paused, moved and ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.dialects.services import Services
from tallystick.errors import Malformed
from tallystick.events.event import Json
from tallystick.http.admin.guard import ONE, AdminGuard, Input, decode, json_response
from tallystick.http.auth import CONTROL, Authenticator
from tallystick.http.native import parameters
from tallystick.identity import makers
from tallystick.identity.streams import Maker, Mode, Sink, Stream
from tallystick.query.native_filter import NativeFilter
from tallystick.store.stream_states import DELIVERIES
from tallystick.subscriptions.streams.administration import StreamAdministration, WantedStream

_STREAMS = ONE + "/streams"
_STREAM = _STREAMS + "/{id}"
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


class AdminStreamsApi:
    """Handlers of streams; every act is an entry in the tenant's log."""

    def __init__(
        self,
        services: Services,
        authenticator: Authenticator,
        guard: AdminGuard,
        streams: StreamAdministration,
    ) -> None:
        self._identity = services.identity
        self._authenticator = authenticator
        self._guard = guard
        self._streams = streams

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

    def _list(self, request: Request, tenant: str) -> Response:
        streams = self._streams
        return json_response({"streams": [streams.status(each) for each in streams.all(tenant)]})

    def _show(self, request: Request, tenant: str) -> Response:
        return self._answer(self._streams.get(tenant, _id(request)))

    def _deliveries(self, request: Request, tenant: str) -> Response:
        stream = self._streams.get(tenant, _id(request))
        limit = parameters.whole(request.query_params, "limit", 50, 1, DELIVERIES)
        return json_response({"deliveries": self._streams.deliveries(stream, limit)})

    def _dead(self, request: Request, tenant: str) -> Response:
        stream = self._streams.get(tenant, _id(request))
        limit = parameters.whole(request.query_params, "limit", 50, 1, _DEAD_SHOWN)
        return json_response({"dead_letters": self._streams.dead_letters(stream, limit)})

    def _create(self, request: Request, tenant: str) -> Response:
        body = decode(StreamIn, request.state.body)
        # An unknown tenant is 404 for everybody.
        self._identity.tenant(tenant)
        wanted = WantedStream(
            body.name, body.sink, body.to, body.mode, _filter(body.filter), body.headers,
            body.token, body.options, body.from_,
        )  # fmt: skip
        actor = self._guard.actor(request)
        stream = self._streams.create(tenant, wanted, self._maker(request, tenant), actor)
        return json_response(self._streams.status(stream) | self._secret(stream), 201)

    def _pause(self, request: Request, tenant: str) -> Response:
        wanted = decode(PauseIn, request.state.body or b"{}")
        actor = self._guard.actor(request)
        return self._answer(self._streams.pause(tenant, _id(request), wanted.reason, actor))

    def _resume(self, request: Request, tenant: str) -> Response:
        maker, actor = self._maker(request, tenant), self._guard.actor(request)
        return self._answer(self._streams.resume(tenant, _id(request), maker, actor))

    def _replay(self, request: Request, tenant: str) -> Response:
        wanted = decode(ReplayIn, request.state.body)
        actor, id = self._guard.actor(request), _id(request)
        if wanted.dead:
            if wanted.from_ is not None or wanted.to is not None:
                raise Malformed("a replay of dead letters takes no range", path="/dead")
            return self._answer(self._streams.revive(tenant, id, actor))
        if wanted.from_ is None:
            raise Malformed("say where the replay starts", path="/from")
        return self._answer(self._streams.replay(tenant, id, wanted.from_, wanted.to, actor))

    def _skip(self, request: Request, tenant: str) -> Response:
        wanted = decode(SkipIn, request.state.body or b"{}")
        actor = self._guard.actor(request)
        return self._answer(self._streams.skip(tenant, _id(request), wanted.to, actor))

    def _rotate(self, request: Request, tenant: str) -> Response:
        stream, until_ms = self._streams.rotate(tenant, _id(request), self._guard.actor(request))
        until = {"previous_secret_until": times.to_rfc3339(until_ms)}
        return json_response(self._streams.status(stream) | self._secret(stream) | until)

    def _delete(self, request: Request, tenant: str) -> Response:
        self._streams.delete(tenant, _id(request), self._guard.actor(request))
        return Response(status_code=204)

    def _test(self, request: Request, tenant: str) -> Response:
        """Send a message that says it is a test, and tell what came of it."""
        outcome = self._streams.test(tenant, _id(request), self._guard.actor(request))
        told: Json = {"delivered": outcome.problem is None, "status": outcome.status}
        more = {
            "problem": outcome.problem,
            "note": outcome.note or None,
            "answer": outcome.answer or None,
            "took_ms": outcome.took_ms,
        }
        set_ones = {name: value for name, value in more.items() if value is not None}
        return json_response(told | set_ones)

    def _answer(self, stream: Stream) -> Response:
        return json_response(self._streams.status(stream))

    def _secret(self, stream: Stream) -> Json:
        secret = self._streams.secret(stream)
        return {} if secret is None else {"secret": secret}

    def _maker(self, request: Request, tenant: str) -> Maker:
        if request.scope["state"].get(CONTROL):
            return makers.OPERATOR
        return makers.maker_of(self._identity, self._authenticator.of_scope(request.scope))


def _id(request: Request) -> str:
    id: str = request.path_params["id"]
    return id


def _filter(wanted: FilterIn) -> NativeFilter:
    members = msgspec.structs.asdict(wanted)
    start, end = members.pop("from_"), members.pop("to")
    return NativeFilter(
        **members,
        from_ms=None if start is None else times.from_rfc3339(start, "/filter/from"),
        to_ms=None if end is None else times.from_rfc3339(end, "/filter/to"),
    )

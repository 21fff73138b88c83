"""The composition root of the HTTP side: one ASGI application over one node.

It gives every request an id, finds whose URL space a path is in, and turns every exception into an
answer of that API's shape. All routes live on the root of one port.
"""

from __future__ import annotations

import asyncio
import gc
import math
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, ParamSpec, TypeVar

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.types import Message, Receive, Scope, Send

from tallystick.console.app import Console, wants_console
from tallystick.console.services import ConsoleServices
from tallystick.dialects import common_settings
from tallystick.dialects.base import Dialect, PathOwner
from tallystick.dialects.services import Services
from tallystick.errors import (
    SettingsError,
    StoreBusy,
    StoreError,
    TallystickError,
    Unexpected,
    for_operator,
)
from tallystick.http.admin.clients import AdminClientsApi
from tallystick.http.admin.console_links import ConsoleLinksApi
from tallystick.http.admin.erasures import AdminErasuresApi
from tallystick.http.admin.guard import AdminGuard
from tallystick.http.admin.holds import AdminHoldsApi
from tallystick.http.admin.key_sets import AdminKeySetsApi
from tallystick.http.admin.keys import AdminKeysApi
from tallystick.http.admin.retention import AdminRetentionApi
from tallystick.http.admin.reviews import AdminReviewsApi
from tallystick.http.admin.streams import AdminStreamsApi
from tallystick.http.admin.tenants import AdminTenantsApi
from tallystick.http.admin.users import AdminUsersApi
from tallystick.http.admin.witnesses import AdminWitnessesApi
from tallystick.http.answer import Answer, Answering
from tallystick.http.auth import Authenticator, look_again
from tallystick.http.body import ClientGone, body_of, pieces_of
from tallystick.http.bridge import Bridge
from tallystick.http.connection import whole_sender
from tallystick.http.dispatch import APPEND, error_of, request_id_of
from tallystick.http.export_files import open_exports
from tallystick.http.hosts import Hosts, check_host
from tallystick.http.live.console_stream import ConsoleStream
from tallystick.http.live.hub import Hub
from tallystick.http.metrics import Metrics
from tallystick.http.mounts import mount_of, mounts_of
from tallystick.http.native.append import Appender
from tallystick.http.native.file_download import file_response
from tallystick.http.native.follow import LogFollower
from tallystick.http.native.routes import NativeApi
from tallystick.http.native.timestamps import TimestampsApi
from tallystick.http.native.tlog import TlogApi
from tallystick.http.oauth import OauthApi
from tallystick.http.openapi import OpenapiApi
from tallystick.http.ops import OpsApi
from tallystick.http.outgoing_metrics import OutgoingMetrics
from tallystick.http.problem import problem_response
from tallystick.http.proof_headers import ProofHeaders
from tallystick.http.proxies import Proxies
from tallystick.http.questions import ASKER
from tallystick.http.read_recorder import ReadRecorder
from tallystick.http.read_threads import REQUEST
from tallystick.http.room import Room
from tallystick.identity.admission import ADMISSION, Admission
from tallystick.identity.passwords import Passwords
from tallystick.identity.throttle import Throttle
from tallystick.node.erasure_runner import ErasureRunner
from tallystick.node.node import Node
from tallystick.node.retention_runner import RetentionRunner
from tallystick.node.session_cleaner import SessionCleaner
from tallystick.settings import Settings
from tallystick.subscriptions.followers import FOLLOWERS
from tallystick.subscriptions.streams.administration import StreamAdministration
from tallystick.subscriptions.streams.keeper import StreamsKeeper
from tallystick.subscriptions.streams.opening import open_states, outside_of

P = ParamSpec("P")
T = TypeVar("T")
State = MutableMapping[str, Any]

_log = structlog.get_logger("tallystick.http")


class App:
    """Everything that listens, as one ASGI application."""

    def __init__(self, node: Node, dialects: Sequence[Dialect]) -> None:
        self.node = node
        self._door: Bridge | None = None
        self._passwords = Passwords()
        self._dialects = _served(dialects, node.settings)
        authenticator = Authenticator(node.identity, node.issuer)
        self.services = Services(
            node.ledger,
            node.identity,
            node.issuer,
            node.settings,
            node.clock,
            self._the_door,
            authenticator.of_scope,
            body_of,
            pieces_of,
            Hosts(node.settings).base_url,
            Proxies(node.settings.trusted_proxies).client_address,
            self._passwords,
            Throttle(),
            node.blobs,
            node.follower_services,
        )
        self._stream_states = open_states(node.folder, node.settings, node.name)
        self._streams_keeper: StreamsKeeper | None = None
        self._streams = StreamAdministration(
            node.ledger,
            node.identity,
            node.clock,
            self._stream_states,
            outside_of(node.settings, node.key),
            server_name=node.settings.server_name,
        )
        self._exports = open_exports(node)
        node.commit_listeners.append(self._exports.committed)
        self.console = Console(self.services, self._dialects, self._console_services())
        self.live = Hub(node.store, self._run, node.identity)
        node.commit_listeners.append(self.live.committed)
        self._eraser: ErasureRunner | None = None
        self._cleaner: SessionCleaner | None = None
        self._remover: RetentionRunner | None = None
        self._metrics = Metrics(node)
        room = Room(node.settings.answer_bytes)
        recorder = ReadRecorder(self.services, node.reads)
        self._answering = Answering(self._metrics, room, ProofHeaders(self.services), recorder)
        self._metrics.add(
            OutgoingMetrics(
                node.store, node.identity, self._stream_states, self.live, self._exports,
                shows_names=node.settings.metrics_key is not None,
            )
        )  # fmt: skip
        self._appender = Appender(self.services, authenticator, lambda: node.witnesses)
        # One of it, wherever it is reached: it counts attempts to log in.
        public = common_settings(node.settings, self._dialects).public_clients
        oauth = OauthApi(self.services, public).routes()
        common = [*self._common_routes(authenticator), *oauth]
        owned = {dialect.name: list(dialect.routes(self.services)) for dialect in self._dialects}
        self._routers = self._make_routers(common, owned)
        self._mounts = mounts_of(node.settings.mounts, self._dialects, owned, common, oauth)
        self.router = self._routers[None]

    @staticmethod
    def _make_routers(
        common: Sequence[BaseRoute], owned: Mapping[str, Sequence[BaseRoute]]
    ) -> dict[str | None, Router]:
        """Return a router for each owner of paths: all have all routes, each its own first."""
        routers: dict[str | None, Router] = {}
        routers[None] = Router([*common, *chain(*owned.values())], redirect_slashes=False)
        for name, first in owned.items():
            others = (routes for other, routes in owned.items() if other != name)
            routers[name] = Router([*first, *common, *chain(*others)], redirect_slashes=False)
        return routers

    def _common_routes(self, authenticator: Authenticator) -> list[BaseRoute]:
        guard = AdminGuard(self.services, authenticator)
        names = [dialect.name for dialect in self._dialects]
        return [
            *NativeApi(self.services, authenticator, self.live, self._exports).routes(),
            *AdminTenantsApi(self.services, authenticator, guard, self.node.tenant_end).routes(),
            *AdminKeysApi(self.services, guard).routes(),
            *AdminUsersApi(self.services, guard).routes(),
            *AdminKeySetsApi(self.services, guard).routes(),
            *AdminClientsApi(self.services, guard, names).routes(),
            *AdminHoldsApi(self.services, guard).routes(),
            *AdminWitnessesApi(self.services, guard, self.node).routes(),
            *AdminStreamsApi(self.services, authenticator, guard, self._streams).routes(),
            *ConsoleLinksApi(self.console.new_link).routes(),
            *AdminErasuresApi(self.services, guard, self.node.erasures).routes(),
            *AdminReviewsApi(self.services, guard).routes(),
            *AdminRetentionApi(self.services, guard, self.node.retention).routes(),
            *OpsApi(self.node, self._metrics).routes(),
            *TlogApi(self.services, authenticator, self.node.cosigned).routes(),
            *TimestampsApi(self.services, authenticator, self.node.timestamps).routes(),
            *OpenapiApi(self._dialects).routes(),
            *ConsoleStream(
                self.services, LogFollower(self.services, self.live), self.console.sessions
            ).routes(),
            *self.console.routes(),
        ]

    def _console_services(self) -> ConsoleServices:
        node = self.node
        return ConsoleServices(
            node.index.lag, self._streams, node.erasures, node.retention, self._exports,
            file_response, node.witness_status, node.stopped,
        )  # fmt: skip

    def _the_door(self) -> Bridge:
        if self._door is None:
            # A command's own server follows the log whenever it is asked, however long that takes.
            query_s = self.node.settings.query_seconds if self.node.followers else math.inf
            self._door = Bridge(self.node.ledger, query_s=query_s)
        return self._door

    async def _run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._the_door().run(function, *args, **kwargs)

    def stop_following(self) -> None:
        """End every live tail, so that the server need not wait for them."""
        self.live.stop()

    def _start(self) -> None:
        """Start what works beside requests."""
        node = self.node
        node.follow([*FOLLOWERS, *chain(*(dialect.followers for dialect in self._dialects))])
        if node.followers:
            self._streams_keeper = StreamsKeeper(node.ledger, self._stream_states, node.name)
            self._exports.start()
        self._eraser = ErasureRunner(node.erasures)
        if node.followers:
            self._cleaner = SessionCleaner(node.ledger, node.identity, node.clock)
        node.commit_listeners.append(self._eraser.committed)
        hours = node.settings.retention_hours
        if node.followers and hours > 0:
            self._remover = RetentionRunner(node.retention, node.clock, hours=hours)

    def close(self) -> None:
        """Let the worker threads finish what they are doing."""
        if self._eraser is not None:
            self._eraser.close()
            self._eraser = None
        if self._cleaner is not None:
            self._cleaner.close()
            self._cleaner = None
        if self._remover is not None:
            self._remover.close()
            self._remover = None
        self._exports.close()
        self.node.stop_following()
        if self._streams_keeper is not None:
            self._streams_keeper.close()
            self._streams_keeper = None
        self._stream_states.close()
        if self._door is not None:
            self._door.close()
            self._door = None
        self._passwords.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        request_id = state["request_id"] = request_id_of(scope)
        scope["app"] = self
        # No dialect and no mount has that path: nobody is asked whose it is.
        is_append = (scope["method"], scope["path"]) == APPEND
        mount = None if is_append else mount_of(self._mounts, scope["path"])
        whole = whole_sender(scope) if mount is None else None
        if mount is not None:
            scope, send = mount.below(scope), mount.back(send)
        owner = None if is_append else self._owner(scope) if mount is None else mount.dialect
        router = self._router_of(owner) if mount is None else mount.router
        answer = Answer(send, whole, owner, scope, self._answering)
        REQUEST.set(state)
        try:
            check_host(scope)
            if scope["method"] in ("GET", "HEAD"):
                ASKER.set(receive)
            receive = self._looking_again(receive, state)
            if is_append:
                # It looks again before each chunk that it stores.
                await self._appender(scope, receive, answer)
            elif owner is self.console and not self.console.owns(scope["path"]):
                await self.console.entrance(scope, receive, answer)
            else:
                answer.look_again_with(partial(look_again, state, self._the_door()))
                await router(scope, receive, answer)
        except ClientGone:
            return
        except TallystickError as error:
            await self._fail(scope, receive, answer, error)
        except HTTPException as error:
            await self._fail(scope, receive, answer, error_of(error, router, scope))
        except Exception:
            _log.exception("request_failed", path=scope["path"], request_id=request_id)
            await self._fail(scope, receive, answer, Unexpected())
        finally:
            answer.end()

    def _looking_again(self, receive: Receive, state: State) -> Receive:
        """Return what takes in a request and looks at its credential again for each part."""

        async def received() -> Message:
            message = await receive()
            admission: Admission | None = state.get(ADMISSION)
            if admission is not None and admission.is_stale():
                await look_again(state, self._the_door())
            return message

        return received

    def _owner(self, scope: Scope) -> PathOwner | None:
        if self.console.owns(scope["path"]) or wants_console(scope):
            return self.console
        path = scope["path"]
        return next((dialect for dialect in self._dialects if dialect.owns(path)), None)

    def _router_of(self, owner: PathOwner | None) -> Router:
        name = None if owner is None else owner.name
        return self._routers[name if name in self._routers else None]

    async def _fail(
        self, scope: Scope, receive: Receive, answer: Answer, error: TallystickError
    ) -> None:
        if answer.started:
            # Half an answer cannot be taken back; closing the connection tells the client.
            _log.warning("answer_broken_off", path=scope["path"], error=error.code)
            raise error
        request_id = scope["state"]["request_id"]
        if isinstance(error, Unexpected) and error.__cause__ is not None:
            _log.error("request_failed", path=scope["path"], request_id=request_id, exc_info=error)
        elif isinstance(error, StoreBusy | StoreError) and error.__cause__ is not None:
            _log.warning("store_failed", reason=for_operator(error), request_id=request_id)
        request = Request(scope, receive)
        response: Response
        if answer.owner is None:
            response = problem_response(request, error, request_id)
        else:
            response = answer.owner.error_response(request, error)
        await response(scope, receive, answer)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            try:
                message = await receive()
            except asyncio.CancelledError:
                # A second Ctrl-C: requests are not waited for, and nothing is left to answer.
                return
            if message["type"] == "lifespan.startup":
                # What exists now lives as long as the server: keep the collector away from it, and
                # let the event loop take the interpreter back from other threads quickly.
                gc.collect()
                gc.freeze()
                gc.set_threshold(50_000, 20, 50)
                sys.setswitchinterval(0.0005)
                self._start()
                await send({"type": "lifespan.startup.complete"})
            else:
                self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _served(dialects: Sequence[Dialect], settings: Settings) -> list[Dialect]:
    """Return the dialects that are wanted, none with a setting that means nothing to it."""
    for dialect in dialects:
        known = dialect.settings.__struct_fields__
        for name in sorted(settings.of_dialect(dialect.name).keys() - {*known}):
            raise SettingsError(f"unknown setting {dialect.name}.{name}")
    names = [dialect.name for dialect in dialects]
    wanted = names if settings.dialects is None else settings.dialects
    for name in wanted:
        if name not in names:
            raise SettingsError(
                f"dialects: no such dialect: {name!r}", hint=f"known dialects: {', '.join(names)}"
            )
    return [dialect for dialect in dialects if dialect.name in wanted]

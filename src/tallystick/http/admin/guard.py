"""Who may administer a tenant, and what administration's requests and answers are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tallystick import json_text, limits
from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, NotFound
from tallystick.events.event import Resource
from tallystick.http.auth import CONTROL, Authenticator
from tallystick.http.body import body_of
from tallystick.http.problem import of_body
from tallystick.identity import access
from tallystick.identity.access import Principal, Scope
from tallystick.identity.actors import OPERATOR
from tallystick.identity.calling import note_caller

BASE = "/v1/admin/tenants"
ONE = BASE + "/{tenant}"


class Input(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A request body of administration; unknown members are refused."""


Shape = TypeVar("Shape", bound=Input)
Handler = Callable[[Request, str], Response]

_WITH_BODY = ("POST", "PATCH")


class AdminGuard:
    """Lets administrators of a tenant pass: its admin keys, and the control socket."""

    def __init__(self, services: Services, authenticator: Authenticator) -> None:
        self._services = services
        self._authenticator = authenticator

    def on(
        self, handler: Handler, also: Scope | None = None
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return a route's endpoint that runs `handler` in a thread, with the body read.

        A key needs the scope `also` besides `admin`.
        """

        async def guarded(request: Request) -> Response:
            tenant = request.path_params["tenant"]
            self.authorise(request, tenant, also)
            request.state.body = await body_of(request, limits.EVENT_BYTES)
            with of_body() if request.method in _WITH_BODY else nullcontext():
                response: Response = await self._services.door().run(handler, request, tenant)
            return response

        return guarded

    def authorise(self, request: Request, tenant: str | None, also: Scope | None = None) -> None:
        """Let the request pass, for one tenant or (None) for all.

        Raises: Unauthenticated, Forbidden, NotFound.
        """
        if request.scope["state"].get(CONTROL):
            note_caller(Principal(tenant=tenant or "", scopes=frozenset({Scope.ADMIN})))
            return
        principal = self._authenticator.of_scope(request.scope)
        access.require(principal, Scope.ADMIN)
        if also is not None:
            access.require(principal, also)
        if tenant is None:
            raise Forbidden(
                "tenants can only be created through the control socket of the data folder"
            )
        if principal.tenant != tenant:
            raise NotFound(f"no such tenant: {tenant!r}")

    def actor(self, request: Request) -> Resource:
        """Return who administers, for the log."""
        if request.scope["state"].get(CONTROL):
            return OPERATOR
        return self._authenticator.actor(self._authenticator.of_scope(request.scope))


def decode(shape: type[Shape], body: bytes) -> Shape:
    """Return a request body in its shape.

    Raises: Malformed.
    """
    return json_text.decode_as(msgspec.json.Decoder(shape), body)


def json_response(value: object, status: int = 200) -> Response:
    """Return an answer with a JSON body."""
    return Response(json_text.encode(value), status, media_type="application/json")

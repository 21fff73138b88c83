"""Signing in through an OpenID provider: leaving for it, coming back, and signing out there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick.console.gate import Frame, Gate, back_to
from tallystick.console.provided_users import ProvidedUsers
from tallystick.console.session import PATH, Sessions, SessionToken, proven_again
from tallystick.console.single_sign_on import Departure, OidcSettings, Provider
from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, Unauthenticated

SIGNED_OUT = f"{PATH}/signed-out"
DEPARTURE_S = 10 * 60
"""How long a person may take at the provider."""

_OIDC = f"{PATH}/oidc"
_COOKIE = "tallystick_oidc"
_PURPOSE = "oidc"


class SingleSignOn:
    """Handlers of the way to a provider and back."""

    def __init__(
        self,
        services: Services,
        sessions: Sessions,
        frame: Frame,
        gate: Gate,
        settings: OidcSettings,
    ) -> None:
        self.label = settings.label
        self._services = services
        self._sessions = sessions
        self._frame = frame
        self._gate = gate
        self._provider = Provider(settings, services.clock)
        self._users = ProvidedUsers(services, settings)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route(_OIDC, self.leave, methods=["GET"]),
            Route(f"{_OIDC}/confirm", self.leave_to_confirm, methods=["GET"]),
            Route(f"{_OIDC}/callback", self.come_back, methods=["GET"]),
            Route(SIGNED_OUT, self.signed_out, methods=["GET"]),
        ]

    async def leave(self, request: Request) -> Response:
        """Send a person to the provider."""
        return await self._leave(request, "")

    async def leave_to_confirm(self, request: Request) -> Response:
        """Send a person who is signed in to the provider, to be asked again who they are."""
        visit = await self._gate.visit(request, None)
        return await self._leave(request, visit.visitor.token.id)

    async def _leave(self, request: Request, session: str) -> Response:
        after = back_to(request.query_params.get("next"))
        departure = self._provider.departure(after, session)
        run = self._services.door().run
        address = await run(self._provider.address, departure, self._redirect_uri(request))
        response = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
        response.set_cookie(
            _COOKIE, self._sessions.sealed(_PURPOSE, msgspec.json.encode(departure)),
            max_age=DEPARTURE_S, path=_OIDC, httponly=True, samesite="lax",
            secure=self._sessions.is_secure(request),
        )  # fmt: skip
        return response

    async def come_back(self, request: Request) -> Response:
        """Begin a session for the person whom the provider sends back, or go on with theirs."""
        departure = self._departure(request)
        run = self._services.door().run
        address = self._services.client_address(request.scope)
        with self._services.throttle.attempt(f"oidc {departure.state}", address) as attempt:
            token: SessionToken = await run(
                self._token, departure, dict(request.query_params), self._redirect_uri(request)
            )
            attempt.succeeded = True
        if departure.session:
            visit = await self._gate.visit(request, None)
            if visit.visitor.token.id != departure.session:
                raise Forbidden("You signed in again meanwhile. Repeat what you did.")
            token = proven_again(visit.visitor.token, token)
            await run(self._sessions.end, visit.visitor.token)
        response = RedirectResponse(departure.after, 303)
        self._sessions.set_cookie(request, response, token)
        response.delete_cookie(_COOKIE, path=_OIDC)
        return response

    def _token(
        self, departure: Departure, answer: dict[str, str], redirect_uri: str
    ) -> SessionToken:
        try:
            claims = self._provider.claims(departure, answer, redirect_uri)
            return self._sessions.of_user(self._users.user(claims), provided=True)
        except Unauthenticated as error:
            # Not a page that is to be shown after signing in: signing in is what went wrong.
            raise SignInRefused(error.message, hint=error.hint) from None

    def _departure(self, request: Request) -> Departure:
        try:
            cookie = self._sessions.unsealed(_PURPOSE, request.cookies.get(_COOKIE, ""))
        except Unauthenticated:
            raise SignInRefused(
                "This sign-in was not begun in this browser.", hint=_AGAIN
            ) from None
        departure = msgspec.json.decode(cookie, type=Departure)
        if self._services.clock.now_ms() // 1000 >= departure.begun_s + DEPARTURE_S:
            raise SignInRefused("This sign-in took too long.", hint=_AGAIN)
        return departure

    async def signed_out(self, request: Request) -> Response:
        """Answer the page after a sign-out, with the way out of the provider's own session."""
        after = f"{self._services.base_url(request.scope)}{PATH}/sign-in"
        way_out = await self._services.door().run(self._provider.way_out, after)
        return self._frame.page(
            request, "signed_out.html", narrow=True, way_out=way_out, provider=self.label
        )

    def _redirect_uri(self, request: Request) -> str:
        return f"{self._services.base_url(request.scope)}{_OIDC}/callback"


_AGAIN = "Begin again on the sign-in page."


class SignInRefused(Forbidden):
    """Somebody came back from the provider and may not sign in."""

    code = "sign_in_refused"

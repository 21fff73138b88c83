"""Signing in and out: by API key, by login and password, or with a link of the server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick.console.gate import Frame, Gate, Visit, back_to, check_origin
from tallystick.console.session import (
    FORM_COOKIE,
    PATH,
    Sessions,
    SessionToken,
    proven_again,
)
from tallystick.console.single_sign_on_pages import SIGNED_OUT, SingleSignOn
from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, RateLimited, Unauthenticated
from tallystick.identity.records import User

_USED_LINK = "This link was used already, or its time is over."
_WRONG_LOGIN = "Login or password is wrong."


class SignInPages:
    """Handlers of sign-in, sign-out and the proof that acts of administration ask for."""

    def __init__(
        self,
        services: Services,
        sessions: Sessions,
        frame: Frame,
        gate: Gate,
        single_sign_on: SingleSignOn | None,
    ) -> None:
        self._services = services
        self._identity = services.identity
        self._sessions = sessions
        self._frame = frame
        self._gate = gate
        self._single_sign_on = single_sign_on

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route(f"{PATH}/sign-in", self.form, methods=["GET"]),
            Route(f"{PATH}/sign-in", self.sign_in, methods=["POST"]),
            Route(f"{PATH}/sign-in/{{link}}", self.by_link, methods=["GET"]),
            Route(f"{PATH}/sign-out", self.sign_out, methods=["POST"]),
            Route(f"{PATH}/confirm", self._gate.signed_in(self._confirm_form), methods=["GET"]),
            Route(f"{PATH}/confirm", self.confirm, methods=["POST"]),
        ]

    @property
    def _provider(self) -> str | None:
        """What the OpenID provider is called, if people may sign in through one."""
        return None if self._single_sign_on is None else self._single_sign_on.label

    async def form(self, request: Request) -> Response:
        """Answer the sign-in page."""
        return self._form(request, back_to(request.query_params.get("next")))

    def _form(
        self,
        request: Request,
        after: str,
        error: str | None = None,
        status: int = 200,
        login: str = "",
    ) -> Response:
        cookie = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(16)
        response = self._frame.page(
            request, "sign_in.html", status, narrow=True, error=error, after=after, login=login,
            proof=self._sessions.form_proof(cookie), provider=self._provider,
        )  # fmt: skip
        if FORM_COOKIE not in request.cookies:
            response.set_cookie(
                FORM_COOKIE, cookie, path=PATH, httponly=True, samesite="strict",
                secure=self._sessions.is_secure(request),
            )  # fmt: skip
        return response

    async def sign_in(self, request: Request) -> Response:
        """Begin a session for a key, or for a login and its password."""
        check_origin(request)
        fields = await self._gate.form(request)
        after = back_to(fields.get("next"))
        cookie = request.cookies.get(FORM_COOKIE, "")
        proof = self._sessions.form_proof(cookie)
        if not cookie or not secrets.compare_digest(
            proof.encode(), fields.get("proof", "").encode()
        ):
            return self._form(request, after, "The page was open for too long. Try again.", 403)
        try:
            token = await self._shown(request, fields)
        except Unauthenticated as error:
            return self._form(request, after, error.message, 401, fields.get("login", ""))
        except RateLimited as error:
            response = self._form(request, after, _too_often(error), 429)
            response.headers["Retry-After"] = str(_seconds(error))
            return response
        return self._go_on(request, token, after)

    def _go_on(self, request: Request, token: SessionToken, after: str) -> Response:
        response = RedirectResponse(after, 303)
        self._sessions.set_cookie(request, response, token)
        response.delete_cookie(FORM_COOKIE, path=PATH)
        return response

    async def _shown(self, request: Request, fields: Mapping[str, str]) -> SessionToken:
        """Return a session for the secret in a form.

        Raises: Unauthenticated, RateLimited.
        """
        address = self._services.client_address(request.scope)
        if "link" in fields:
            return await self._by_link_again(fields["link"], address)
        if "key" in fields:
            run = self._services.door().run
            with self._services.throttle.attempt("console key", address) as attempt:
                token: SessionToken = await run(self._sessions.of_key, fields["key"])
                attempt.succeeded = True
            return token
        return self._sessions.of_user(await self._user(fields, address))

    async def _by_link_again(self, text: str, address: str) -> SessionToken:
        """Return the operator's session for another link of the server, whole or its end."""
        tenants = await self._services.door().run(self._identity.tenants)
        with self._services.throttle.attempt("console link", address) as attempt:
            if not tenants or not self._sessions.use_link(text.strip().rpartition("/")[2]):
                raise Unauthenticated(_USED_LINK)
            attempt.succeeded = True
        return self._sessions.of_operator(tenants[0].id)

    async def _user(self, fields: Mapping[str, str], address: str) -> User:
        services = self._services
        login, password = fields.get("login", ""), fields.get("password", "")
        user: User | None = None
        if login:
            user = await services.door().run(self._identity.user_by_login, login)
        with services.throttle.attempt(f"login {login.casefold()}", address) as attempt:
            # Checked for a user who is not there too, so that time does not tell who exists.
            checked = services.passwords.checked(password, user.password if user else None)
            known = await asyncio.wrap_future(checked)
            if user is None or not known or user.disabled:
                raise Unauthenticated(_WRONG_LOGIN)
            attempt.succeeded = True
        return user

    async def by_link(self, request: Request) -> Response:
        """Begin the operator's session with a link that is used for the first time."""
        is_ahead = request.headers.get("sec-purpose", "").startswith("prefetch")
        tenants = await self._services.door().run(self._identity.tenants)
        link = request.path_params["link"]
        if request.method != "GET" or is_ahead or not tenants or not self._sessions.use_link(link):
            return self._form(request, PATH, _USED_LINK, 401)
        return self._go_on(request, self._sessions.of_operator(tenants[0].id), PATH)

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        after = f"{PATH}/sign-in"
        try:
            visit = await self._gate.visit(request, None)
        except Unauthenticated:
            pass
        else:
            await self._services.door().run(self._sessions.end, visit.visitor.token)
            if visit.visitor.token.provided and self._single_sign_on is not None:
                after = SIGNED_OUT
        response = RedirectResponse(after, 303)
        self._sessions.clear_cookie(response)
        return response

    def _confirm_form(self, visit: Visit) -> Response:
        return self._ask_again(visit, back_to(visit.params.get("next")))

    def _ask_again(
        self, visit: Visit, after: str, error: str | None = None, status: int = 200
    ) -> Response:
        user = None
        if visit.visitor.token.kind == "user":
            user = self._identity.get(User, visit.tenant, visit.visitor.token.subject)
        login = None if user is None else user.login
        return visit.show(
            "confirm.html", status, narrow=True, error=error, after=after, login=login,
            provider=self._provider if visit.visitor.token.provided else None,
        )  # fmt: skip

    async def confirm(self, request: Request) -> Response:
        """Note that the person has shown the secret again."""
        visit = await self._gate.visit(request, None)
        after = back_to(visit.form.get("next"))
        run = self._services.door().run
        try:
            shown = await self._shown(request, visit.form)
            if shown.kind == "operator":
                shown = self._sessions.in_tenant(shown, visit.tenant)
            token = proven_again(visit.visitor.token, shown)
        except RateLimited as error:
            return await run(self._ask_again, visit, after, _too_often(error), 429)
        except (Unauthenticated, Forbidden) as error:
            return await run(self._ask_again, visit, after, error.message, 403)
        await run(self._sessions.end, visit.visitor.token)
        response = RedirectResponse(after, 303)
        self._sessions.set_cookie(request, response, token)
        return response


def _seconds(error: RateLimited) -> int:
    return max(1, round(error.retry_after_s))


def _too_often(error: RateLimited) -> str:
    return f"Too many attempts. Try again in {_seconds(error)} seconds."

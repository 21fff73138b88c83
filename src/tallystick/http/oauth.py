"""`/oauth/token` and the keys that verify its tokens, for the clients of several dialects.

Grants: password and refresh_token for public clients such as `cf` and for registered ones, and
client_credentials for registered ones. Errors have the shape of RFC 6749 section 5.2, as the
user account server (UAA) of Cloud Foundry words them. Source: wire specification of Cloud Foundry
2; of Onehub 1.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text, limits
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, RateLimited, TooLarge, Unauthenticated
from tallystick.events.event import Json
from tallystick.http.auth import basic_credentials
from tallystick.http.body import body_of
from tallystick.identity import access, sessions
from tallystick.identity.acts import Act
from tallystick.identity.records import OAuthClient, Session, User
from tallystick.identity.tokens import Issued, Refresh, Turn, is_secret_of

PUBLIC_CLIENTS = ("cf",)
"""Clients that everybody may use: their secret is empty, so it proves nothing."""

_FIELDS_MAX = 100
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="tallystick"'}


class _Refusal(Exception):
    """A token request is refused, as RFC 6749 tells it; never leaves this module."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description


class _Credentials(NamedTuple):
    """Which client asks; `registered` None for a public one."""

    id: str
    registered: OAuthClient | None


class OauthApi:
    """Handlers of the token endpoint."""

    def __init__(self, services: Services, public_clients: Iterable[str]) -> None:
        self._services = services
        self._identity = services.identity
        self._issuer = services.issuer
        self._public = frozenset((*PUBLIC_CLIENTS, *public_clients))

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route("/oauth/token", self.token, methods=["GET", "POST"]),
            Route("/token_keys", self.keys, methods=["GET"]),
            Route("/token_key", self.key, methods=["GET"]),
        ]

    async def token(self, request: Request) -> Response:
        """Answer a token, or why there is none."""
        try:
            fields = await self._fields(request)
            issued = await self._issue(request, fields)
        except _Refusal as error:
            return _refusal(error)
        except RateLimited as error:
            refusal = _refusal(_Refusal(429, "unauthorized", error.message))
            refusal.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
            return refusal
        except (Malformed, TooLarge) as error:
            return _refusal(_Refusal(400, "invalid_request", error.message))
        answer: Json = {
            "access_token": issued.access_token,
            "token_type": "bearer",
            "expires_in": issued.expires_in_s,
            "scope": issued.scope,
            "jti": issued.jti,
        }
        if issued.refresh_token is not None:
            answer["refresh_token"] = issued.refresh_token
        return _json(answer, headers=_NO_STORE)

    async def keys(self, request: Request) -> Response:
        """Answer the keys that verify tokens."""
        return _json({"keys": [self._issuer.public_jwk()]})

    async def key(self, request: Request) -> Response:
        """Answer the key that verifies tokens."""
        return _json(self._issuer.public_jwk())

    async def _fields(self, request: Request) -> dict[str, str]:
        query = request.scope["query_string"]
        if request.method == "POST":
            query = await body_of(request, limits.TOKEN_REQUEST_BYTES)
        try:
            return dict(parse_qsl(query.decode(), max_num_fields=_FIELDS_MAX))
        except ValueError:
            raise Malformed("the request is not form-encoded") from None

    async def _issue(self, request: Request, fields: Mapping[str, str]) -> Issued:
        grant = fields.get("grant_type")
        if grant is None:
            raise _Refusal(400, "invalid_request", "Missing grant type")
        if grant not in ("password", "refresh_token", "client_credentials"):
            raise _Refusal(400, "unsupported_grant_type", f"Unsupported grant type: {grant}")
        if request.method != "POST" and grant != "client_credentials":
            # In an address a password would end up in logs.
            raise _Refusal(400, "invalid_request", f"Send the {grant} grant by POST")
        run = self._services.door().run
        client: _Credentials = await run(self._client, request, fields)
        wanted = frozenset(fields.get("scope", "").split())
        issued: Issued
        match grant:
            case "password":
                user = await self._user(request, fields)
                issued = await run(self._by_password, user, client, wanted)
            case "refresh_token":
                issued = await run(self._by_refresh, fields, client)
            case _:
                issued = await run(self._by_client, client, wanted)
        return issued

    def _client(self, request: Request, fields: Mapping[str, str]) -> _Credentials:
        """Return the client that a request shows to be, in its header, its form or both."""
        id, secret = fields.get("client_id"), fields.get("client_secret", "")
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            shown, secret = _basic(value, request.headers.get("x-cf-encoded-credentials"))
            if id is not None and id != shown:
                raise _bad_client()
            id = shown
        if id is None:
            raise _bad_client()
        if id in PUBLIC_CLIENTS and secret:
            # Its secret is known to be empty: another one is a mistake, as everywhere.
            raise _bad_client()
        if id in self._public:
            return _Credentials(id, None)
        client = self._identity.client(id)
        now_ms = self._services.clock.now_ms()
        address = self._services.client_address(request.scope)
        with self._services.throttle.attempt(f"client {id}", address) as attempt:
            if client is None or not is_secret_of(client, secret, now_ms):
                raise _bad_client()
            attempt.succeeded = True
        return _Credentials(id, client)

    async def _user(self, request: Request, fields: Mapping[str, str]) -> User:
        """Return the user whose login and password a request shows."""
        services = self._services
        login, password = fields.get("username", ""), fields.get("password", "")
        user: User | None = None
        if login:
            user = await services.door().run(self._identity.user_by_login, login)
        address = services.client_address(request.scope)
        with services.throttle.attempt(f"login {login.casefold()}", address) as attempt:
            # Checked for a user who is not there too, so that time does not tell who exists.
            checked = services.passwords.checked(password, user.password if user else None)
            known = await asyncio.wrap_future(checked)
            if user is None or not known or user.disabled:
                raise _bad_login()
            attempt.succeeded = True
        return user

    def _by_password(self, user: User, client: _Credentials, wanted: frozenset[str]) -> Issued:
        if client.registered is not None and client.registered.tenant != user.tenant:
            raise _bad_login()
        scopes = _narrowed(access.token_scopes(user.grants), wanted)
        return self._issuer.issue_for_user(user, client=client.id, scopes=scopes)

    def _by_refresh(self, fields: Mapping[str, str], client: _Credentials) -> Issued:
        token = fields.get("refresh_token")
        if token is None:
            raise _Refusal(400, "invalid_request", "Missing refresh token")
        try:
            shown = self._issuer.refreshed(token, client=client.id)
            turn = self._next_turn(shown)
        except Unauthenticated as error:
            raise _Refusal(401, "invalid_token", error.message) from None
        return self._issuer.issue_for_user(
            shown.user, client=client.id, scopes=shown.scopes, turn=turn
        )

    def _next_turn(self, shown: Refresh) -> Turn:
        """Use a refresh token up and return the turn of the next; one used before ends the session.

        Raises: Unauthenticated.
        """
        services, tenant = self._services, shown.user.tenant

        def decide(known: Session | None) -> Act | None:
            return sessions.exchanged(shown, known, services.clock.now_ms())

        session = services.ledger.changes.carry_out(Session, tenant, shown.turn.session, decide)
        if session is None or session.ended:
            raise Unauthenticated("the refresh token was used before: the session has ended")
        return Turn(session.id, session.turn)

    def _by_client(self, client: _Credentials, wanted: frozenset[str]) -> Issued:
        if client.registered is None:
            raise _Refusal(
                401, "unauthorized_client", "Unauthorized grant type: client_credentials"
            )
        scopes = _narrowed(client.registered.scopes, wanted)
        return self._issuer.issue_for_client(client.registered, scopes)


def _basic(value: str, encoded: str | None) -> tuple[str, str]:
    try:
        id, secret = basic_credentials(value)
    except Unauthenticated:
        raise _bad_client() from None
    if encoded == "true":
        return unquote_plus(id), unquote_plus(secret)
    return id, secret


def _narrowed(allowed: Sequence[str], wanted: frozenset[str]) -> tuple[str, ...]:
    """Return the scopes that are allowed and wanted; wanting none is wanting all."""
    scopes = tuple(scope for scope in allowed if not wanted or scope in wanted)
    if wanted and not scopes:
        raise _Refusal(400, "invalid_scope", f"Allowed scopes are {', '.join(allowed) or 'none'}")
    return scopes


def _bad_client() -> _Refusal:
    return _Refusal(401, "invalid_client", "Bad credentials")


def _bad_login() -> _Refusal:
    return _Refusal(401, "unauthorized", "Bad credentials")


def _refusal(error: _Refusal) -> Response:
    told = {"error": error.error, "error_description": error.description}
    challenge = _CHALLENGE if error.status == 401 else {}
    return _json(told, error.status, {**_NO_STORE, **challenge})


def _json(value: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json_text.encode(value), status, headers, "application/json;charset=UTF-8")

"""Who asks: the API key selects the company, a bearer token says which administrator it is.

Keys of service accounts need no bearer. Events are for administrators only. Source: wire
specification 2.1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jwt
from starlette.requests import Request

from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, RequestError, Unauthenticated
from tallystick.identity import access
from tallystick.identity.access import Principal, Scope
from tallystick.identity.admission import admit
from tallystick.identity.records import KeySet, User
from tallystick.identity.tokens import Bearer, UnknownSubject
from tallystick.query.expr import Expr

KEY_HEADERS = ("X-Kvass-Api-Key", "X-Builton-Api-Key", "X-Share-Api-Key")
"""Where the API key may be: the service was Share before it was Kvass, and Builton after."""


class KvassCaller(NamedTuple):
    """Who asks, for which company, and what they may see."""

    principal: Principal
    company: str
    visible: Expr
    user: User | None

    @property
    def tenant(self) -> str:
        """The tenant that the company is."""
        return self.principal.tenant


def caller_of(services: Services, request: Request, right: Scope) -> KvassCaller:
    """Return who asks, now and as long as the request is open.

    Raises: Unauthenticated; Forbidden for who is no administrator or lacks the right.
    """
    latest: list[KvassCaller] = []

    def look() -> Principal:
        latest[:] = [_caller(services, request, right)]
        return latest[0].principal

    admit(request.scope["state"], services.identity, look)
    return latest[0]


def _caller(services: Services, request: Request, right: Scope) -> KvassCaller:
    key = _key_of(services, request)
    access.require(key, right)
    company = services.identity.tenant(key.tenant).hex
    authorization = request.headers.get("authorization")
    if authorization is None and key.service:
        return KvassCaller(key, company, access.visible(key), None)
    bearer = _bearer_of(services, key.tenant, authorization)
    access.require(bearer.principal, right)
    if not _is_admin(bearer.principal):
        raise Forbidden("events are for administrators", role_needed="admin")
    return KvassCaller(bearer.principal, company, access.visible(bearer.principal), bearer.user)


def _key_of(services: Services, request: Request) -> Principal:
    for name in KEY_HEADERS:
        secret = request.headers.get(name)
        if secret is not None:
            principal = services.identity.principal_of_key(secret)
            if principal is None:
                raise Unauthenticated("the API key is unknown or revoked")
            return principal
    raise Unauthenticated("an API key is required", hint="send it as X-Kvass-Api-Key")


def _bearer_of(services: Services, tenant: str, authorization: str | None) -> Bearer:
    """Return whom a token stands for: one of ours, or one that a key of the company verifies.

    Raises: Unauthenticated, also for a token of another tenant; Forbidden for a good token of
    somebody who is neither a user here nor an administrator.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("a bearer token is required", hint="send Authorization: Bearer")
    token = token.strip()
    issuer = _issuer_of(token)
    if issuer == services.issuer.url:
        bearer = services.issuer.bearer(token)
        if bearer.principal.tenant != tenant:
            raise Unauthenticated("the API key and the token do not belong together")
        return bearer
    refusal: RequestError = Unauthenticated("no key of the company verifies the token")
    for key_set in services.identity.list(KeySet, tenant):
        if key_set.issuer is None or key_set.issuer == issuer:
            try:
                return services.issuer.foreign_bearer(token, key_set)
            except UnknownSubject:
                # Another key set may name users by another claim.
                refusal = Forbidden("events are for administrators", role_needed="admin")
            except Unauthenticated as error:
                # A key that does not fit says less than one that does.
                refusal = refusal if isinstance(refusal, Forbidden) else error
    raise refusal


def _issuer_of(token: str) -> Any:
    """Return who a token says has issued it; that alone proves nothing."""
    try:
        return jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Unauthenticated("the token is no JWT") from None


def _is_admin(principal: Principal) -> bool:
    if Scope.ADMIN in principal.scopes:
        return True
    return access.ADMINISTRATOR in principal.grants

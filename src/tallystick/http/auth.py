"""Whose request it is: an API key or a bearer token, from the places clients put them."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

from tallystick.dialects.services import Door
from tallystick.errors import Unauthenticated
from tallystick.events.event import Resource
from tallystick.http.body import text_header
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.actors import OPERATOR, actor_of
from tallystick.identity.admission import ADMISSION, Admission, admit
from tallystick.identity.calling import note_caller
from tallystick.identity.records import Identity
from tallystick.identity.tenants import only_tenant
from tallystick.identity.tokens import Issuer

CONTROL = "tallystick.control"
"""Name in a request's state that only the data folder's control socket sets."""

TENANT_HEADER = b"x-tallystick-tenant"
"""Names the tenant of a request over the control socket."""


async def look_again(state: Mapping[str, Any], door: Door) -> None:
    """See that the credential of an open request still allows what it allowed.

    Raises: Unauthenticated.
    """
    admission: Admission | None = state.get(ADMISSION)
    if admission is not None and admission.is_stale():
        await door.run(admission.look_again)


class Authenticator:
    """Turns credentials of a request into a principal; keeps nothing of them."""

    def __init__(self, identity: Identity, issuer: Issuer) -> None:
        self._identity = identity
        self._issuer = issuer

    def of_scope(self, scope: Scope) -> Principal:
        """Return the principal of a request.

        Raises: Unauthenticated.
        """
        state = scope["state"]
        if state.get(CONTROL):
            return self._in_control(text_header(scope, TENANT_HEADER))
        authorization = text_header(scope, b"authorization")
        api_key = text_header(scope, b"x-api-key")
        return admit(state, self._identity, lambda: self.principal(authorization, api_key))

    def _in_control(self, tenant: str | None) -> Principal:
        if tenant is None:
            tenant = only_tenant([known.id for known in self._identity.tenants()])
        self._identity.tenant(tenant)
        principal = Principal(tenant=tenant, scopes=frozenset({access.Scope.ADMIN}))
        note_caller(principal)
        return principal

    def principal(self, authorization: str | None, api_key: str | None = None) -> Principal:
        """Return the principal of an `Authorization` value and an `X-Api-Key` value.

        A key may come as bearer, as the user name of Basic, or in the header of its own; where
        two credentials come, they must be of the same tenant, and the bearer's user is who asks.
        Raises: Unauthenticated.
        """
        by_key = None if api_key is None else self._by_key(api_key)
        if authorization is None:
            if by_key is None:
                raise Unauthenticated(hint="send Authorization: Bearer with an API key")
            return by_key
        by_header = self._by_header(authorization)
        if by_key is not None and by_key.tenant != by_header.tenant:
            raise Unauthenticated("the API key and the bearer do not belong together")
        return by_header

    def actor(self, principal: Principal) -> Resource:
        """Return the caller as the log names them; the owner of the folder is its operator."""
        return actor_of(self._identity, principal) or OPERATOR

    def _by_header(self, authorization: str) -> Principal:
        scheme, _, value = authorization.partition(" ")
        match scheme.lower():
            case "bearer" | "oauth":
                token = value.strip()
                if token.count(".") == 2:
                    return self._issuer.bearer(token).principal
                return self._by_key(token)
            case "basic":
                return self._by_key(user_of_basic(value))
        raise Unauthenticated("the Authorization header has no known scheme")

    def _by_key(self, secret: str) -> Principal:
        principal = self._identity.principal_of_key(secret)
        if principal is None:
            raise Unauthenticated("the key is unknown or revoked")
        return principal


def user_of_basic(value: str) -> str:
    """Return the user name of Basic credentials, with or without a colon and a password.

    Raises: Unauthenticated.
    """
    return basic_credentials(value)[0]


def basic_credentials(value: str) -> tuple[str, str]:
    """Return user name and password of Basic credentials.

    Raises: Unauthenticated.
    """
    try:
        text = b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise Unauthenticated("the Basic credentials are malformed") from None
    user, _, password = text.partition(":")
    return user, password

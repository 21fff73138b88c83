"""Tokens for people without an account: they read the feed of one resource, for an hour at most.

A program of the tenant makes one for each page it shows. It is signed and kept nowhere; it ends
with its time, and with the credential that made it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

import msgspec

from tallystick.clock import Clock
from tallystick.errors import Forbidden, TokenExpired, Unauthenticated
from tallystick.identity.access import Principal
from tallystick.identity.records import ApiKey, Identity, OAuthClient, User

VIEWER_TOKEN_S = 3600
"""How long a viewer token lasts at most."""

FEED_ROLES = ("actor", "target", "scope")

_PREFIX = "tlv_"
_CHARS_MAX = 8192

FeedRole = Literal["actor", "target", "scope"]


class ViewerToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a viewer token says, signed."""

    tenant: str
    role: FeedRole
    type: str
    id: str
    until_s: int
    maker: Literal["key", "client", "user", "operator"]
    maker_id: str = ""
    mark: str = ""
    """The token mark of the client or user that made it."""
    origin: str | None = None
    """The only web origin whose pages may use it."""


class ViewerTokens:
    """Makes and reads viewer tokens; safe to share between threads."""

    def __init__(self, secret: bytes, identity: Identity, clock: Clock) -> None:
        self._secret = secret
        self._identity = identity
        self._clock = clock

    def issue(
        self,
        principal: Principal,
        resource: tuple[FeedRole, str, str],
        *,
        lasts_s: int,
        origin: str | None = None,
    ) -> tuple[str, ViewerToken]:
        """Return a token for the events in which a resource has a role, and what it says.

        Raises: Forbidden for a principal that is no key, client or user of the tenant.
        """
        maker, maker_id, mark = self._maker(principal)
        role, type, id = resource
        token = ViewerToken(
            tenant=principal.tenant, role=role, type=type, id=id, origin=origin,
            until_s=self._clock.now_ms() // 1000 + min(lasts_s, VIEWER_TOKEN_S),
            maker=maker, maker_id=maker_id, mark=mark,
        )  # fmt: skip
        text = _base64(msgspec.json.encode(token))
        return f"{_PREFIX}{text}.{self._mac(text)}", token

    def read(self, text: str) -> ViewerToken:
        """Return what a token says.

        Raises: Unauthenticated; TokenExpired when only its time is over.
        """
        body, _, mac = text.removeprefix(_PREFIX).partition(".")
        is_ours = hmac.compare_digest(mac.encode(), self._mac(body).encode())
        if not text.startswith(_PREFIX) or len(text) > _CHARS_MAX or not is_ours:
            raise Unauthenticated("the viewer token is not one of ours")
        data = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        token = msgspec.json.decode(data, type=ViewerToken)
        if self._clock.now_ms() // 1000 >= token.until_s:
            raise TokenExpired("the viewer token has expired")
        if not self._is_trusted(token):
            raise Unauthenticated("the credential that made the viewer token is gone")
        return token

    def _maker(
        self, principal: Principal
    ) -> tuple[Literal["key", "client", "user", "operator"], str, str]:
        if principal.client is not None:
            client = self._identity.get(OAuthClient, principal.tenant, principal.client)
            if client is not None:
                return "client", client.id, client.token_mark
        elif principal.key is not None:
            return "key", principal.key, ""
        elif principal.user is None:
            return "operator", "", ""
        if principal.user is not None:
            user = self._identity.get(User, principal.tenant, principal.user)
            if user is not None:
                return "user", user.id, user.token_mark
        raise Forbidden("viewer tokens are made by keys, clients and users of the tenant")

    def _is_trusted(self, token: ViewerToken) -> bool:
        if self._identity.is_suspended(token.tenant):
            return False
        match token.maker:
            case "key":
                key = self._identity.get(ApiKey, token.tenant, token.maker_id)
                return key is not None and key.revoked_ms is None
            case "client":
                client = self._identity.get(OAuthClient, token.tenant, token.maker_id)
                return client is not None and client.token_mark == token.mark
            case "user":
                user = self._identity.get(User, token.tenant, token.maker_id)
                return user is not None and not user.disabled and user.token_mark == token.mark
        return True

    def _mac(self, text: str) -> str:
        message = b"viewer\n" + text.encode("utf-8", "surrogatepass")
        return _base64(hmac.new(self._secret, message, hashlib.sha256).digest())


def feed_role(given: Mapping[str, str | None]) -> tuple[FeedRole, str] | None:
    """Return the only role that is given, with its resource; None for none or several."""
    found = [(role, value) for role in FEED_ROLES if (value := given.get(role)) is not None]
    return found[0] if len(found) == 1 else None  # type: ignore[return-value]  # one of them


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

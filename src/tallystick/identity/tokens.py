"""Bearer tokens: the server's own issuer, and JWTs verified with a tenant's key set.

One issuer, one token kind: a signed JWT (ES256) that names a tenant, and a user or a client. A
foreign JWT is only ever verified by a key set that belongs to one tenant, and yields principals of
that tenant alone; its claims never choose it. Source: RFC 7519, RFC 9068.
"""

from __future__ import annotations

import math
import secrets
import uuid
from typing import Any, NamedTuple

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tallystick.clock import Clock
from tallystick.errors import TokenExpired, Unauthenticated
from tallystick.events.event import Json
from tallystick.identity import access, credentials
from tallystick.identity.access import Principal, Scope
from tallystick.identity.records import Identity, KeySet, OAuthClient, Session, User

ACCESS_TOKEN_S = 3600
REFRESH_TOKEN_S = 30 * 24 * 3600

_ALGORITHM = "ES256"
_REFRESH_SUFFIX = "-r"
_CACHE_TOKENS = 10_000
_FOREIGN_ALGORITHMS = ("HS256", "RS256", "ES256", "ES384", "EdDSA")


class Issued(NamedTuple):
    """What a token endpoint answers with."""

    access_token: str
    refresh_token: str | None
    expires_in_s: int
    scope: str
    jti: str


class UnknownSubject(Unauthenticated):
    """A token is good, and names neither a user of the tenant nor an administrator."""


class Turn(NamedTuple):
    """Where a session stands: how often its refresh token was exchanged for the next one."""

    session: str
    number: int


class Refresh(NamedTuple):
    """What a refresh token is good for."""

    user: User
    scopes: tuple[str, ...]
    turn: Turn


class Bearer(NamedTuple):
    """Whom a verified token stands for."""

    principal: Principal
    claims: Json
    user: User | None
    client: str | None


class Issuer:
    """Issues and verifies bearer tokens; safe to share between threads."""

    def __init__(
        self,
        private_key: ec.EllipticCurvePrivateKey,
        identity: Identity,
        clock: Clock,
        *,
        url: str,
    ) -> None:
        self._private_key = private_key
        self._public_key = private_key.public_key()
        self._identity = identity
        self._clock = clock
        self.url = url
        self.key_id = f"{self._public_key.public_numbers().x:064x}"[:16]
        # Verified tokens by their text: checking a signature again is the costly part.
        self._verified: dict[str, Json] = {}

    def issue_for_user(
        self, user: User, *, client: str, scopes: tuple[str, ...], turn: Turn | None = None
    ) -> Issued:
        """Return tokens for a user who has shown who they are.

        `turn` is that of the session which goes on; None begins one.
        """
        turn = turn or Turn(uuid.uuid4().hex, 0)
        claims: Json = {
            "sub": user.id,
            "user_id": user.id,
            "user_name": user.login or user.id,
            "email": user.email or user.login or user.id,
            "grant_type": "password",
            "origin": "tallystick",
            "tenant": user.tenant,
            "rev_sig": user.token_mark or secrets.token_hex(4),
            "session": turn.session,
            "turn": turn.number,
        }
        return self._issue(claims, client, scopes, REFRESH_TOKEN_S)

    def issue_for_client(self, client: OAuthClient, scopes: tuple[str, ...]) -> Issued:
        """Return a token for a program that has shown its secret; it cannot be refreshed."""
        claims: Json = {
            **client.claims,
            "sub": client.id,
            "grant_type": "client_credentials",
            "authorities": list(scopes),
            "tenant": client.tenant,
            "rev_sig": client.token_mark or secrets.token_hex(4),
        }
        return self._issue(claims, client.id, scopes, None)

    def refreshed(self, token: str, *, client: str) -> Refresh:
        """Return what a refresh token is good for that `client` was given.

        The scopes are those that the user's grants allow now, as far as the token had them.
        Whether its turn has come is not known here.
        Raises: Unauthenticated.
        """
        claims = self._claims(token)
        if not str(claims.get("jti", "")).endswith(_REFRESH_SUFFIX):
            raise Unauthenticated("this is no refresh token")
        if claims["client_id"] != client:
            raise Unauthenticated("the refresh token was given to another client")
        user = self._user_of(claims)
        had = claims.get("scope", ())
        scopes = tuple(scope for scope in access.token_scopes(user.grants) if scope in had)
        # Tokens of older programs name no session: each is the first of its own.
        turn = Turn(str(claims.get("session", claims["jti"])), int(claims.get("turn", 0)))
        return Refresh(user, scopes, turn)

    def bearer(self, token: str) -> Bearer:
        """Return whom an access token stands for: one of ours, or a tenant's foreign JWT.

        Raises: Unauthenticated; TokenExpired when only its time is over.
        """
        # Whatever was verified with our own key says that we issued it.
        if token not in self._verified:
            issuer = _unverified(token).get("iss")
            if isinstance(issuer, str) and issuer != self.url:
                key_set = self._identity.key_set_of_issuer(issuer)
                if key_set is not None:
                    return self.foreign_bearer(token, key_set)
        claims = self._claims(token)
        if str(claims.get("jti", "")).endswith(_REFRESH_SUFFIX):
            raise Unauthenticated("a refresh token is no access token")
        return self._own_bearer(claims)

    def foreign_bearer(self, token: str, key_set: KeySet) -> Bearer:
        """Return whom a JWT stands for, verified by a tenant's key set.

        Raises: Unauthenticated; TokenExpired when only its time is over; UnknownSubject.
        """
        claims = _verify_foreign(token, key_set, self._clock.now_ms())
        name = claims.get(key_set.user_claim)
        if not isinstance(name, str | int):
            raise Unauthenticated(f"the token has no {key_set.user_claim}")
        user = self._identity.user_by_alias(key_set.tenant, str(name))
        if user is not None and user.disabled:
            raise Unauthenticated("the user is gone")
        scopes = frozenset({Scope.READ})
        if user is not None and access.ADMINISTRATOR in user.grants:
            scopes |= {Scope.WRITE}
        if _is_admin(claims, key_set):
            scopes |= {Scope.WRITE, Scope.ADMIN}
        if user is None and Scope.ADMIN not in scopes:
            raise UnknownSubject("the token names no user of this tenant")
        if user is not None:
            principal = self._identity.principal_of_user(user, scopes)
        else:
            principal = Principal(tenant=key_set.tenant, scopes=scopes, user=str(name))
        return Bearer(principal, claims, user, None)

    def public_jwk(self) -> Json:
        """Return the key that verifies our tokens, as a JWK with its PEM text in `value`."""
        jwk: Json = dict(ECAlgorithm.to_jwk(self._public_key, as_dict=True))
        pem = self._public_key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {
            **{name: jwk[name] for name in ("kty", "crv", "x", "y")},
            "alg": _ALGORITHM,
            "use": "sig",
            "kid": self.key_id,
            "value": pem.decode(),
        }

    def _issue(
        self, claims: Json, client: str, scopes: tuple[str, ...], refresh_s: int | None
    ) -> Issued:
        now_s = self._clock.now_ms() // 1000
        jti = uuid.uuid4().hex
        common: Json = {
            **claims,
            "jti": jti,
            "client_id": client,
            "cid": client,
            "azp": client,
            "scope": list(scopes),
            "aud": sorted({scope.partition(".")[0] for scope in scopes} | {client}),
            "iss": self.url,
            "iat": now_s,
            "auth_time": now_s,
            "exp": now_s + ACCESS_TOKEN_S,
            "zid": "uaa",
        }
        refresh = None
        if refresh_s is not None:
            refresh = self._sign({**common, "jti": jti + _REFRESH_SUFFIX, "exp": now_s + refresh_s})
        return Issued(self._sign(common), refresh, ACCESS_TOKEN_S, " ".join(scopes), jti)

    def _sign(self, claims: Json) -> str:
        headers = {"kid": self.key_id}
        return jwt.encode(claims, self._private_key, algorithm=_ALGORITHM, headers=headers)

    def _claims(self, token: str) -> Json:
        claims = self._verified.get(token)
        if claims is None:
            claims = self._verify(token)
            if len(self._verified) >= _CACHE_TOKENS:
                self._verified = {}
            self._verified[token] = claims
        if claims["exp"] * 1000 <= self._clock.now_ms():
            raise TokenExpired
        return claims

    def _verify(self, token: str) -> Json:
        try:
            return jwt.decode(
                token,
                self._public_key,
                algorithms=[_ALGORITHM],
                issuer=self.url,
                options={"verify_exp": False, "verify_aud": False, "require": ["exp", "jti"]},
            )
        except jwt.PyJWTError:
            raise Unauthenticated("the token is not one of ours") from None

    def _user_of(self, claims: Json) -> User:
        """Return the user that a token of ours was issued for."""
        user = self._identity.get(User, str(claims["tenant"]), str(claims["user_id"]))
        if user is None or user.disabled:
            raise Unauthenticated("the user is gone")
        if user.token_mark and claims["rev_sig"] != user.token_mark:
            raise Unauthenticated("the user's tokens were revoked: log in again")
        session = str(claims.get("session", claims["jti"]))
        known = self._identity.get(Session, user.tenant, session)
        # A missing session stands for one that goes on, so damage must not make one missing.
        is_damaged = self._identity.is_distrusted(Session, user.tenant, session)
        if is_damaged or (known is not None and known.ended):
            raise Unauthenticated("the session has ended: log in again")
        return user

    def _own_bearer(self, claims: Json) -> Bearer:
        names = {str(name) for name in claims.get("scope", ())}
        # A client's own claims may have any name, so only what is set here tells the two apart.
        if claims["grant_type"] == "password":
            user = self._user_of(claims)
            if access.PLATFORM_ADMIN not in access.token_scopes(user.grants):
                # An administrator who is none any more is none at once, not when the token ends.
                names.discard(access.PLATFORM_ADMIN)
            principal = _narrowed(self._identity.principal_of_user(user, scopes_of(names)), names)
            return Bearer(principal, claims, user, str(claims["client_id"]))
        client = self._identity.get(OAuthClient, str(claims["tenant"]), str(claims["client_id"]))
        if client is None:
            # DataTrails: a secret that expired does not revoke tokens, a deleted client does.
            raise Unauthenticated("the client is gone")
        if client.token_mark and claims["rev_sig"] != client.token_mark:
            raise Unauthenticated("the client was registered again: ask for a new token")
        names &= set(client.scopes)
        return Bearer(self._principal_of_client(client, names), claims, None, client.id)

    def _principal_of_client(self, client: OAuthClient, names: set[str]) -> Principal:
        """Return a principal for a program: with the roles of its user, if it was given one.

        Platform scopes to read and write are exercised by roles, so without a user they show
        nothing.
        Raises: Unauthenticated when that user is gone or shut out.
        """
        scopes = scopes_of(names)
        if client.user is not None:
            user = self._identity.get(User, client.tenant, client.user)
            if user is None or user.disabled:
                raise Unauthenticated("the user of this client is gone")
            principal = _narrowed(self._identity.principal_of_user(user, scopes), names)
            return msgspec.structs.replace(principal, client=client.id)
        by_role = names <= access.SCOPES_BY_ROLE
        return Principal(
            tenant=client.tenant,
            scopes=scopes,
            user=client.id if by_role else None,
            client=client.id,
        )


def _narrowed(principal: Principal, names: set[str]) -> Principal:
    """Return a principal that reads no more than the scopes of its token say."""
    grants = access.within_scopes(principal.grants, frozenset(names))
    return msgspec.structs.replace(principal, grants=grants)


def is_secret_of(client: OAuthClient, secret: str, now_ms: int) -> bool:
    """Tell whether a client has this secret, valid now."""
    digest = credentials.digest_of_secret(secret)
    return any(
        credentials.is_same(known.digest, digest)
        and known.valid_from_ms <= now_ms
        and (known.valid_until_ms is None or now_ms < known.valid_until_ms)
        for known in client.secrets
    )


def scopes_of(names: object) -> frozenset[Scope]:
    """Return what a token's scope names allow; names of the platform's own kind included."""
    found: set[Scope] = set()
    for name in names if isinstance(names, list | tuple | set | frozenset) else ():
        found |= _SCOPES.get(str(name), frozenset())
    return frozenset(found)


_SEE = frozenset({Scope.READ})
_SCOPES: dict[str, frozenset[Scope]] = {
    **{scope.value: frozenset({scope}) for scope in Scope},
    "cloud_controller.admin": frozenset({Scope.READ, Scope.WRITE, Scope.ADMIN}),
    "cloud_controller.admin_read_only": _SEE,
    "cloud_controller.global_auditor": _SEE,
    "cloud_controller.read": _SEE,
    # People leave events by what they do, not by telling of it: programs and administrators write.
    "cloud_controller.write": frozenset(),
}


def _unverified(token: str) -> Json:
    try:
        claims: Any = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Unauthenticated("the token is no JWT") from None
    return dict(claims)


def _verify_foreign(token: str, key_set: KeySet, now_ms: int) -> Json:
    keys: list[tuple[Any, tuple[str, ...]]] = [
        (pem, _FOREIGN_ALGORITHMS[1:]) for pem in key_set.public_keys
    ]
    if key_set.secret is not None:
        keys.append((key_set.secret, _FOREIGN_ALGORITHMS[:1]))
    for key, algorithms in keys:
        try:
            claims: Json = jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                audience=key_set.audience,
                issuer=key_set.issuer,
                options={
                    "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                    "verify_aud": key_set.audience is not None,
                },
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        _check_times(claims, now_ms / 1000)
        return claims
    raise Unauthenticated("no key of the tenant verifies the token")


def _check_times(claims: Json, now_s: float) -> None:
    expires, starts = (_seconds_of(claims, name) for name in ("exp", "nbf"))
    if expires is None:
        raise Unauthenticated("the token has no exp: a token that never ends is not taken")
    if expires <= now_s:
        raise TokenExpired
    if starts is not None and starts > now_s:
        raise Unauthenticated("the token is not valid yet")


def _seconds_of(claims: Json, name: str) -> int | float | None:
    """Return a time of a token, if it has that.

    Raises: Unauthenticated for what is no number: a bound that cannot be read is not kept.
    """
    value = claims.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_nan = isinstance(value, float) and math.isnan(value)
    if value is not None and (is_nan or not is_number):
        raise Unauthenticated(f"the token's {name} is no time")
    return value


def _is_admin(claims: Json, key_set: KeySet) -> bool:
    value = claims.get(key_set.admin_claim) if key_set.admin_claim else None
    values = value if isinstance(value, list) else [value]
    return any(name in values for name in ("admin", access.PLATFORM_ADMIN))

"""An OpenID provider as the console meets it: where to send people, and who they turn out to be.

Authorization code flow with PKCE. What comes back counts only together with the cookie that was
set when the person left: it holds state, nonce and verifier, signed.
Source: OpenID Connect Core 1.0, RFC 7636, RFC 9207.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx2
import msgspec

from tallystick import json_text
from tallystick.clock import Clock
from tallystick.errors import Pushback, SettingsError, Unauthenticated
from tallystick.events.event import Json
from tallystick.settings import Settings, bad_setting

TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 256 * 1024
METADATA_S = 3600.0
KEYS_S_MIN = 60.0
"""How long keys are kept at least: a token with an unknown one must not make us ask each time."""

LEEWAY_S = 60
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `oidc` of the settings."""

    issuer: str
    """The provider's issuer, as its metadata names it."""
    client_id: str
    client_secret: str | None = None
    """None for a public client, which PKCE alone protects."""
    label: str = "single sign-on"
    """What the provider is called on the sign-in page."""
    tenant: str | None = None
    """The tenant that people sign in to; None means the sole one."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    user_claim: str = "sub"
    """The claim that is the user's id."""
    roles_claim: str = "groups"
    """The claim that lists a person's groups; a path such as `realm_access.roles` too."""
    roles: dict[str, tuple[str, ...]] = {}
    """By group what its members may: `admin`, or a role and a scope, `Viewer workspace:4137`."""


class ProviderFailed(Pushback):
    """The provider does not answer as it must."""

    code = "provider_failed"


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a person who left for the provider."""

    state: str
    nonce: str
    verifier: str
    after: str
    """The page to come back to."""
    begun_s: int
    session: str = ""
    """The session in which the person is to be proven again; empty to begin one."""


class _Known(NamedTuple):
    metadata: Json
    keys: Any
    read_s: float


def oidc_settings(settings: Settings) -> OidcSettings | None:
    """Return how people sign in through a provider; None when they do not.

    Raises: SettingsError.
    """
    if not settings.oidc:
        return None
    try:
        wanted = msgspec.convert(settings.oidc, OidcSettings, strict=False)
    except msgspec.ValidationError as error:
        raise bad_setting(error, "oidc") from None
    if not _is_safe(wanted.issuer):
        raise SettingsError("oidc.issuer is an https URL")
    try:
        import authlib  # type: ignore[import-untyped]  # noqa: F401  # an extra that most do without
    except ImportError:
        raise SettingsError(
            "oidc needs a library that is not installed", hint="pip install 'tallystick[oidc]'"
        ) from None
    return wanted


class Provider:
    """One provider; safe to share between threads."""

    def __init__(self, settings: OidcSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        # Guards what is known of the provider; held while it is asked, so that one asks.
        self._lock = threading.Lock()
        self._known: _Known | None = None

    def departure(self, after: str, session: str = "") -> Departure:
        """Return what to remember of a person who is sent to the provider."""
        return Departure(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            after=after,
            begun_s=self._now_s(),
            session=session,
        )

    def address(self, departure: Departure, redirect_uri: str) -> str:
        """Return where to send a person.

        Raises: ProviderFailed.
        """
        from authlib.oauth2.rfc7636 import (  # type: ignore[import-untyped]
            create_s256_code_challenge,
        )

        params = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": departure.state,
            "nonce": departure.nonce,
            "code_challenge": create_s256_code_challenge(departure.verifier),
            "code_challenge_method": "S256",
        }
        if departure.session:
            params |= {"prompt": "login", "max_age": "0"}
        return _with(str(self._metadata()["authorization_endpoint"]), params)

    def way_out(self, after: str) -> str | None:
        """Return where a person ends the provider's own session; None if that is not known."""
        try:
            endpoint = self._metadata().get("end_session_endpoint")
        except ProviderFailed:
            return None
        if not isinstance(endpoint, str) or not _is_safe(endpoint):
            return None
        params = {"client_id": self._settings.client_id, "post_logout_redirect_uri": after}
        return _with(endpoint, params)

    def claims(self, departure: Departure, answer: Mapping[str, str], redirect_uri: str) -> Json:
        """Return what the provider says of the person who came back.

        Raises: Unauthenticated, ProviderFailed.
        """
        self._check_answer(departure, answer)
        tokens = self._exchange(answer.get("code", ""), departure, redirect_uri)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str):
            raise ProviderFailed("The provider sent no ID token.")
        claims, header = self._opened(id_token)
        return self._validated(claims, header, departure, access_token)

    def _check_answer(self, departure: Departure, answer: Mapping[str, str]) -> None:
        if not secrets.compare_digest(departure.state.encode(), answer.get("state", "").encode()):
            raise Unauthenticated("This sign-in was not begun in this browser. Begin again.")
        issuer = answer.get("iss")
        must_name = self._metadata().get("authorization_response_iss_parameter_supported") is True
        if issuer != self._settings.issuer and (issuer is not None or must_name):
            raise Unauthenticated("The answer is of another provider.")
        if answer.get("error") == "access_denied":
            raise Unauthenticated("The provider did not let you in.")
        if "error" in answer or not answer.get("code"):
            raise Unauthenticated("The provider broke the sign-in off. Begin again.")

    def _exchange(self, code: str, departure: Departure, redirect_uri: str) -> Json:
        """Return the tokens for a code."""
        metadata, wanted = self._metadata(), self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": departure.verifier,
        }
        auth: httpx2.BasicAuth | None = None
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if wanted.client_secret is not None and "client_secret_basic" in methods:
            auth = httpx2.BasicAuth(wanted.client_id, wanted.client_secret)
        else:
            form["client_id"] = wanted.client_id
            if wanted.client_secret is not None:
                form["client_secret"] = wanted.client_secret
        return self._ask("POST", str(metadata["token_endpoint"]), data=form, auth=auth)

    def _opened(self, token: str) -> tuple[Json, Json]:
        """Return claims and header of an ID token whose signature is right.

        Raises: Unauthenticated, ProviderFailed.
        """
        from joserfc import jwt
        from joserfc.errors import JoseError

        for fresh in (False, True):
            known = self._known_now(fresh_keys=fresh)
            try:
                opened = jwt.decode(token, known.keys, algorithms=_ALGORITHMS)
            except (JoseError, ValueError):
                # The provider may sign with a key that it did not have when we asked.
                continue
            return dict(opened.claims), dict(opened.header)
        raise Unauthenticated("The provider's ID token is not signed by a key of the provider.")

    def _validated(
        self, claims: Json, header: Json, departure: Departure, access_token: object
    ) -> Json:
        from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
        from joserfc.errors import JoseError

        wanted, now_s = self._settings, self._now_s()
        token = CodeIDToken(
            claims,
            header,
            options={
                "iss": {"essential": True, "value": wanted.issuer},
                "aud": {"essential": True, "value": wanted.client_id},
                "nonce": {"essential": True, "value": departure.nonce},
            },
            params={
                "nonce": departure.nonce,
                "client_id": wanted.client_id,
                "access_token": access_token,
            },
        )
        try:
            token.validate(now=now_s, leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise Unauthenticated(f"The provider's ID token does not count: {error}.") from None
        if departure.session:
            proven_s = claims.get("auth_time")
            if not isinstance(proven_s, int) or proven_s < departure.begun_s - LEEWAY_S:
                raise Unauthenticated("The provider did not ask who you are.")
        return claims

    # What is known of the provider

    def _metadata(self) -> Json:
        return self._known_now().metadata

    def _known_now(self, *, fresh_keys: bool = False) -> _Known:
        with self._lock:
            known, now_s = self._known, time.monotonic()
            age_s = METADATA_S if known is None else now_s - known.read_s
            if known is None or age_s >= (KEYS_S_MIN if fresh_keys else METADATA_S):
                known = self._known = self._read(now_s)
            return known

    def _read(self, now_s: float) -> _Known:
        from authlib.oidc.discovery import get_well_known_url  # type: ignore[import-untyped]
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        issuer = self._settings.issuer
        metadata = self._ask("GET", get_well_known_url(issuer, external=True))
        if metadata.get("issuer") != issuer:
            raise ProviderFailed("The provider's metadata names another issuer.")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _is_safe(metadata.get(name)):
                raise ProviderFailed(f"The provider's metadata has no {name} over https.")
        try:
            keys = KeySet.import_key_set(self._ask("GET", str(metadata["jwks_uri"])))  # type: ignore[arg-type]  # checked there
        except (JoseError, ValueError, TypeError, KeyError):
            raise ProviderFailed("The provider's keys cannot be read.") from None
        return _Known(metadata, keys, now_s)

    def _ask(self, method: str, url: str, **request: Any) -> Json:
        """Return the JSON object that the provider answers.

        Raises: ProviderFailed.
        """
        body = b""
        headers = {"Accept": "application/json"}
        try:
            # Asked a few times an hour: a connection is not worth keeping.
            with (
                httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False) as http,
                http.stream(method, url, headers=headers, **request) as response,
            ):
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > ANSWER_BYTES_MAX:
                        raise ProviderFailed("The provider answers too much.")
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise ProviderFailed("The provider cannot be reached.") from None
        if response.status_code != 200:
            raise ProviderFailed(f"The provider answered {response.status_code}.")
        try:
            answer = json_text.decode(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ProviderFailed("The provider did not answer in JSON.")
        return answer

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000


def _is_safe(url: object) -> bool:
    """Tell whether a URL is one over https, or of this machine."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


def _with(url: str, params: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(params)}"

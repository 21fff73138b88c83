"""Sessions of people in the console: a signed cookie, whom it stands for, and how it ends.

The cookie says who signed in and when; it holds no secret of theirs. A session ends with its time,
with a sign-out (a record, so that other servers know), and as soon as its key is revoked, its user
is disabled or changes the password. Cookies are looked at under `/console` only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from typing import Literal, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.requests import Request
from starlette.responses import Response

from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, TallystickError, Unauthenticated
from tallystick.events.event import Resource
from tallystick.identity import access, acts
from tallystick.identity.access import Principal, Scope
from tallystick.identity.actors import actor_of
from tallystick.identity.admission import admit
from tallystick.identity.records import ApiKey, Session, User
from tallystick.identity.tokens import scopes_of

COOKIE = "tallystick_session"
FORM_COOKIE = "tallystick_form"
PATH = "/console"

SESSION_S = 12 * 3600
"""A session at most: a working day."""

FRESH_S = 15 * 60
"""How long after signing in acts of administration need no further proof."""

LINK_S = 15 * 60
"""How long a sign-in link may be used, once."""

_LINKS_MAX = 100
_ENDED_MAX = 10_000
_COOKIE_CHARS_MAX = 4096

OPERATOR = Resource("operator", "console")
"""The owner of the data folder, signed in with a link that the server printed."""


class SessionToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's cookie says, signed."""

    id: str
    tenant: str
    kind: Literal["key", "user", "operator"]
    subject: str
    mark: str
    """What voids the session once it differs: the user's token mark, the operator's server run."""
    begun_s: int
    proven_s: int
    """When the person last showed a secret."""
    provided: bool = False
    """Whether an OpenID provider vouched for the person."""


class Visitor(NamedTuple):
    """The person a request comes from."""

    principal: Principal
    token: SessionToken
    name: str
    actor: Resource
    csrf: str

    @property
    def is_admin(self) -> bool:
        """Tell whether the person administers the tenant."""
        return self.principal.may(Scope.ADMIN)

    @property
    def owner(self) -> str:
        """Name the person as the owner of saved searches."""
        return f"{self.token.kind}:{self.token.subject}"


class Sessions:
    """Begins, recognises and ends sessions; safe to share between threads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._identity = services.identity
        private = services.followers.derive_key(ec.SECP256R1(), "console")
        number = private.private_numbers().private_value
        self._secret = number.to_bytes(32, "big")
        self._run = secrets.token_hex(8)
        self._lock = threading.Lock()  # guards the two that follow
        self._links: OrderedDict[str, int] = OrderedDict()
        # Ended here; the record of it may not have been written.
        self._ended: OrderedDict[str, None] = OrderedDict()

    def of_key(self, secret: str) -> SessionToken:
        """Return a session for the holder of an API key.

        Raises: Unauthenticated.
        """
        principal = self._identity.principal_of_key(secret.strip())
        if principal is None or principal.key is None:
            raise Unauthenticated("This key is unknown or was revoked.")
        return self._begun(principal.tenant, "key", principal.key, "")

    def of_user(self, user: User, *, provided: bool = False) -> SessionToken:
        """Return a session for a user whose password was right, or whom a provider vouched for."""
        begun = self._begun(user.tenant, "user", user.id, user.token_mark)
        return msgspec.structs.replace(begun, provided=provided)

    def of_operator(self, tenant: str) -> SessionToken:
        """Return a session for the owner of the data folder."""
        return self._begun(tenant, "operator", "", self._run)

    def in_tenant(self, token: SessionToken, tenant: str) -> SessionToken:
        """Return the operator's session in another tenant, as old as the one it goes on from."""
        moved = self._begun(tenant, "operator", "", self._run)
        return msgspec.structs.replace(moved, begun_s=token.begun_s, proven_s=token.proven_s)

    def _begun(
        self, tenant: str, kind: Literal["key", "user", "operator"], subject: str, mark: str
    ) -> SessionToken:
        now_s = self._now_s()
        return SessionToken(
            id=secrets.token_hex(16), tenant=tenant, kind=kind, subject=subject, mark=mark,
            begun_s=now_s, proven_s=now_s,
        )  # fmt: skip

    def new_link(self) -> str:
        """Return the secret of a link that signs the operator in, once and soon."""
        secret = secrets.token_urlsafe(24)
        with self._lock:
            self._links[_digest(secret)] = self._now_s() + LINK_S
            while len(self._links) > _LINKS_MAX:
                self._links.popitem(last=False)
        return secret

    def use_link(self, secret: str) -> bool:
        """Tell whether a link may be used, and let nobody use it again."""
        with self._lock:
            until_s = self._links.pop(_digest(secret), 0)
        return self._now_s() < until_s

    def visitor(self, request: Request) -> Visitor:
        """Return who sent a request, for as long as the session lasts.

        Raises: Unauthenticated.
        """
        token = self._token(request.cookies.get(COOKIE, ""))
        state = request.scope["state"]
        principal = admit(state, self._identity, lambda: self._principal(token))
        actor = OPERATOR
        if token.kind != "operator":
            actor = actor_of(self._identity, principal) or OPERATOR
        name = "Operator" if token.kind == "operator" else actor.name or actor.id
        return Visitor(principal, token, name, actor, self._mac("csrf", token.id))

    def require_fresh(self, visitor: Visitor) -> None:
        """Let a visitor pass who showed a secret lately.

        Raises: StaleProof.
        """
        if self._now_s() - visitor.token.proven_s >= FRESH_S:
            raise StaleProof

    def end(self, token: SessionToken) -> None:
        """End a session for good, on every server."""
        with self._lock:
            self._ended[token.id] = None
            while len(self._ended) > _ENDED_MAX:
                self._ended.popitem(last=False)
        record = Session(id=token.id, tenant=token.tenant, user=token.subject, turn=0)
        try:
            self._services.ledger.changes.carry_out(
                Session, token.tenant, token.id,
                lambda known: None if known and known.ended else acts.end_session(
                    record, self._now_s() * 1000, reason="signed out of the console"
                ),
            )  # fmt: skip
        except TallystickError:
            # A store that takes no writes keeps nobody signed in here.
            return

    def set_cookie(self, request: Request, response: Response, token: SessionToken) -> None:
        """Send a session's cookie along with a response."""
        response.set_cookie(
            COOKIE, self.sealed("session", msgspec.json.encode(token)),
            max_age=max(1, token.begun_s + SESSION_S - self._now_s()), path=PATH,
            secure=self.is_secure(request), httponly=True, samesite="lax",
        )  # fmt: skip

    def sealed(self, purpose: str, data: bytes) -> str:
        """Return data as a signed text for a cookie; it can be read, not changed."""
        text = _base64(data)
        return f"{text}.{self._mac(purpose, text)}"

    def unsealed(self, purpose: str, cookie: str) -> bytes:
        """Return the data of a text that `sealed` made.

        Raises: Unauthenticated.
        """
        text, _, mac = cookie.partition(".")
        expected = self._mac(purpose, text)
        if len(cookie) > _COOKIE_CHARS_MAX or not hmac.compare_digest(
            mac.encode(), expected.encode()
        ):
            raise Unauthenticated("Sign in to see this page.")
        return _unbase64(text)

    def clear_cookie(self, response: Response) -> None:
        """Let the browser forget the session."""
        response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="lax")

    def is_secure(self, request: Request) -> bool:
        """Tell whether the console is reached over https."""
        return self._services.base_url(request.scope).startswith("https:")

    def form_proof(self, cookie: str) -> str:
        """Return what a form carries that only a page of ours could have shown."""
        return self._mac("form", cookie)

    def check_form(self, visitor: Visitor, given: str) -> None:
        """Let a form pass that a page of this session showed.

        Raises: Forbidden.
        """
        if not hmac.compare_digest(visitor.csrf.encode(), given.encode()):
            raise Forbidden(
                "This form was not sent from a page of your session.",
                hint="Open the page again and repeat what you did.",
            )

    def _token(self, cookie: str) -> SessionToken:
        token = msgspec.json.decode(self.unsealed("session", cookie), type=SessionToken)
        if self._now_s() >= token.begun_s + SESSION_S:
            raise Unauthenticated("Your session has ended. Sign in again.")
        return token

    def _principal(self, token: SessionToken) -> Principal:
        known = self._identity.get(Session, token.tenant, token.id)
        if token.id in self._ended or (known is not None and known.ended):
            raise Unauthenticated("You signed out. Sign in again.")
        if self._now_s() >= token.begun_s + SESSION_S:
            raise Unauthenticated("Your session has ended. Sign in again.")
        match token.kind:
            case "key":
                return self._by_key(token)
            case "user":
                return self._by_user(token)
        if token.mark != self._run:
            raise Unauthenticated("The server was started again. Use its new sign-in link.")
        return Principal(tenant=token.tenant, scopes=frozenset({Scope.ADMIN}))

    def _by_key(self, token: SessionToken) -> Principal:
        key = self._identity.get(ApiKey, token.tenant, token.subject)
        if key is None or key.revoked_ms is not None:
            raise Unauthenticated("The key that you signed in with was revoked.")
        return Principal(
            tenant=key.tenant, scopes=frozenset(key.scopes), key=key.id, service=key.service
        )

    def _by_user(self, token: SessionToken) -> Principal:
        user = self._identity.get(User, token.tenant, token.subject)
        if user is None or user.disabled or user.token_mark != token.mark:
            raise Unauthenticated("Your account was changed. Sign in again.")
        scopes = scopes_of(set(access.token_scopes(user.grants)))
        return self._identity.principal_of_user(user, scopes)

    def _mac(self, purpose: str, text: str) -> str:
        message = f"{purpose}\n{text}".encode("utf-8", "surrogatepass")
        return _base64(hmac.new(self._secret, message, hashlib.sha256).digest())

    def _now_s(self) -> int:
        return self._services.clock.now_ms() // 1000


class StaleProof(Forbidden):
    """Show once more who you are."""

    code = "stale_proof"


def proven_again(token: SessionToken, shown: SessionToken) -> SessionToken:
    """Return a session whose person has just shown the secret again, under another id.

    Raises: Forbidden when somebody else signed in.
    """
    if (token.tenant, token.kind, token.subject) != (shown.tenant, shown.kind, shown.subject):
        raise Forbidden("This is not the account that you are signed in with.")
    return msgspec.structs.replace(shown, begun_s=token.begun_s)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

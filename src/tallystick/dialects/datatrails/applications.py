"""App registrations: the programs of a tenant that get tokens with a client secret.

They are OAuth clients like all others, marked as this dialect's. A secret is shown when it is made
and never again. Source: wire specification of DataTrails 1.
"""

from __future__ import annotations

import binascii
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from tallystick import json_text, limits, times
from tallystick.dialects.datatrails.rendering import DIALECT
from tallystick.errors import Malformed
from tallystick.events.event import Json
from tallystick.identity import credentials
from tallystick.identity.records import ClientSecret, OAuthClient

OWNER = "OWNER"
ROLES = ("ROLE_UNSPECIFIED", OWNER)
SECRET_MS = 365 * 24 * 3600 * 1000
PAGE_SIZE = 100
PAGE_SIZE_MAX = 1_000
CLAIMS_MAX = 100
"""Custom claims of one application: they travel in every token."""

_RESERVED_PREFIXES = ("jit_", "arc_")
_RESERVED_CLAIMS = frozenset(
    {
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "authorities", "tenant"),
        *("client_id", "cid", "azp", "grant_type", "user_id", "user_name", "email", "origin"),
        *("auth_time", "zid", "rev_sig"),
    }
)


class Wanted(NamedTuple):
    """What a request says of an application; None is left as it is."""

    display_name: str | None
    custom_claims: dict[str, str] | None
    roles: tuple[str, ...] | None


class ApplicationsPage(NamedTuple):
    """Which applications a list is to hold: those after an id, by a name."""

    size: int
    after: str
    display_name: str | None


def decode_new(body: bytes) -> Wanted:
    """Return what a request to create asks for.

    Raises: Malformed with the path of the offending member.
    """
    wanted = _decode(body, ("display_name", "custom_claims", "roles"))
    if not wanted.display_name:
        raise Malformed("an application has a display_name", path="display_name")
    return wanted


def decode_change(body: bytes) -> Wanted:
    """Return what a request to change asks for.

    Raises: Malformed with the path of the offending member.
    """
    return _decode(body, ("display_name", "custom_claims"))


def new_client(tenant: str, wanted: Wanted, *, now_ms: int) -> tuple[OAuthClient, str]:
    """Return a new application and its secret."""
    roles = wanted.roles or ()
    secret, text = new_secret(now_ms=now_ms)
    client = OAuthClient(
        id=str(uuid.uuid4()),
        tenant=tenant,
        created_ms=now_ms,
        name=wanted.display_name or "",
        secrets=(secret,),
        scopes=("read", "write", "admin") if OWNER in roles else ("read", "write"),
        claims=wanted.custom_claims or {},
        attributes={"dialect": DIALECT, "roles": list(roles)},
    )
    return client, text


def new_secret(*, now_ms: int) -> tuple[ClientSecret, str]:
    """Return what is kept of a new secret, and the secret."""
    text = credentials.new_secret()
    return ClientSecret(credentials.digest_of_secret(text), now_ms, now_ms + SECRET_MS), text


def changed(client: OAuthClient, wanted: Wanted) -> OAuthClient:
    """Return an application with what a request changes."""
    return msgspec.structs.replace(
        client,
        name=client.name if wanted.display_name is None else wanted.display_name,
        claims=client.claims if wanted.custom_claims is None else wanted.custom_claims,
    )


def is_application(client: OAuthClient) -> bool:
    """Tell whether an OAuth client is an application of this dialect."""
    return client.attributes.get("dialect") == DIALECT


def rendered(client: OAuthClient, tenant_identity: str, secret: str = "") -> Json:
    """Return an application as the API shows it; its secret only when it was just made."""
    return {
        "identity": f"applications/{client.id}",
        "display_name": client.name,
        "client_id": client.id,
        "tenant_id": tenant_identity,
        "credentials": [
            {
                "secret": secret,
                "valid_from": times.to_rfc3339(known.valid_from_ms),
                "valid_until": ""
                if known.valid_until_ms is None
                else times.to_rfc3339(known.valid_until_ms),
            }
            for known in client.secrets
        ],
        "custom_claims": client.claims,
        "roles": client.attributes.get("roles", []),
    }


def page_of(parameters: Mapping[str, str]) -> ApplicationsPage:
    """Return which page of the list a request asks for.

    Raises: Malformed.
    """
    size = parameters.get("page_size", str(PAGE_SIZE))
    if not (size.isascii() and size.isdigit() and len(size) <= 9):
        raise Malformed("page_size is an integer", path="page_size")
    token = parameters.get("page_token", "")
    after, name = _open_token(token) if token else ("", parameters.get("display_name"))
    return ApplicationsPage(min(int(size) or PAGE_SIZE, PAGE_SIZE_MAX), after, name)


def listed(clients: Sequence[OAuthClient], page: ApplicationsPage, tenant_identity: str) -> Json:
    """Return a page of the applications among `clients`, which come by id."""
    found = [
        client
        for client in clients
        if is_application(client)
        and client.id > page.after
        and page.display_name in (None, client.name)
    ]
    shown = found[: page.size]
    token = _token(shown[-1].id, page.display_name) if len(found) > page.size else ""
    applications = [rendered(client, tenant_identity) for client in shown]
    return {"applications": applications, "next_page_token": token}


# The original's client sends nothing but the token for the next page, so it tells all.


def _token(after: str, display_name: str | None) -> str:
    return urlsafe_b64encode(json_text.encode([after, display_name])).decode()


def _open_token(token: str) -> tuple[str, str | None]:
    try:
        value = json_text.decode(urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, Malformed):
        value = None
    match value:
        case [str(after), None]:
            return after, None
        case [str(after), str(name)]:
            return after, name
    raise Malformed("page_token is none of ours", path="page_token")


def _decode(body: bytes, known: Sequence[str]) -> Wanted:
    document = json_text.decode_object(body)
    json_text.check_members(document, known)
    return Wanted(
        _display_name(document.get("display_name")),
        _claims(document.get("custom_claims")),
        _roles(document.get("roles")),
    )


def _display_name(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value.encode()) > limits.NAME_BYTES:
        raise Malformed(
            f"display_name is a text of 1 to {limits.NAME_BYTES} bytes", path="display_name"
        )
    return value


def _claims(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) > CLAIMS_MAX:
        raise Malformed(
            f"custom_claims is an object of {CLAIMS_MAX} strings at most", path="custom_claims"
        )
    for name, claim in value.items():
        path = f"custom_claims.{name}"
        if name in _RESERVED_CLAIMS or name.startswith(_RESERVED_PREFIXES):
            raise Malformed(f"{name!r} is a reserved claim", path=path)
        if not isinstance(claim, str):
            raise Malformed("a custom claim is a string", path=path)
    return value


def _roles(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or any(role not in ROLES for role in value):
        raise Malformed(f"roles are among {', '.join(ROLES)}", path="roles")
    return tuple(value)

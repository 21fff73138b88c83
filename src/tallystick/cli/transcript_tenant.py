"""A tenant of its own for a transcript, with everything that transcripts ask for."""

from __future__ import annotations

import secrets
from base64 import b64encode

import httpx2

from tallystick.cli.target import tenant_path
from tallystick.client.client import Client
from tallystick.errors import NotFound

_ADMINISTRATOR, _VIEWER = "481", "482"
_TIMEOUT_S = 30.0


def fresh_variables(client: Client, server: str) -> dict[str, str]:
    """Make a tenant through the control socket and return a transcript's variables.

    `key` is an ordinary key and `basic` the same for Basic credentials, `admin_key` one that may
    do everything, `service_key` one of a service account. `jwt` is a token of an administrator in
    the zone of America/Los_Angeles, `viewer` one of a Viewer of workspace 4137.
    Raises: NotFound when the server at `server` does not know the tenant.
    """
    made = client.request("POST", "/v1/admin/tenants", body={"id": _name("transcript")})
    tenant = str(made["id"])
    key = _key(client, tenant, "read", "write", "purge")
    administrator = {"name": "Matthew Anderson", "time_zone": "America/Los_Angeles"}
    return {
        "key": key,
        "basic": b64encode(f"{key}:".encode()).decode(),
        "admin_key": _key(client, tenant, "admin"),
        "service_key": _key(client, tenant, "read", "write", service=True),
        "jwt": _token(client, server, tenant, _ADMINISTRATOR, "tenant:*", "admin", administrator),
        "viewer": _token(
            client, server, tenant, _VIEWER, "workspace:4137", "Viewer", {"name": "Vera Viewer"}
        ),
        "tenant": tenant,
        "tenant_uuid": str(made["uuid"]),
        "company": str(made["hex"]),
    }


def _key(client: Client, tenant: str, *scopes: str, service: bool = False) -> str:
    body = {"scopes": scopes, "service": service}
    return str(client.request("POST", tenant_path(tenant, "keys"), body=body)["key"])


def _token(
    client: Client,
    server: str,
    tenant: str,
    id: str,
    scope: str,
    role: str,
    members: dict[str, str],
) -> str:
    login, password = _name(id), secrets.token_urlsafe()
    body = {"id": id, "login": login, "password": password, **members}
    client.request("POST", tenant_path(tenant, "users"), body=body)
    grant = {"scope": scope, "role": role}
    client.request("POST", tenant_path(tenant, "users", id, "grants"), body=grant)
    form = {"grant_type": "password", "username": login, "password": password}
    with httpx2.Client(timeout=_TIMEOUT_S) as http:
        answer = http.post(f"{server.rstrip('/')}/oauth/token", data=form, auth=("cf", ""))
    if answer.status_code != 200:
        raise NotFound(
            f"the server at {server} gives no token for a user that was just made",
            hint="--data names the folder of another server",
        )
    return str(answer.json()["access_token"])


def _name(stem: str) -> str:
    return f"{stem}-{secrets.token_hex(6)}"

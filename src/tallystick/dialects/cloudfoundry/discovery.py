"""What clients ask before they log in: where the APIs and the login are, and which version.

Pure functions of the address under which the server is reached. Source: wire specification of
Cloud Foundry 1.
"""

from __future__ import annotations

from tallystick import __version__
from tallystick.events.event import Json

V2_VERSION = "2.293.0"
V3_VERSION = "3.228.0"
"""The versions whose events this is; clients refuse to work, or warn, below others."""

_NAME = "Tallystick"
_DESCRIPTION = "A tamper-evident store of Cloud Foundry's events"
_SERVED_BY_V3 = ("apps", "audit_events", "organizations", "spaces")
_ELSEWHERE = (
    "app_ssh", "credhub", "log_cache", "log_stream", "logging", "network_policy_v0",
    "network_policy_v1", "routing",
)  # fmt: skip


def root(base_url: str) -> Json:
    """Return the links at `/`; what there is not here is null."""
    links: Json = {
        "self": {"href": base_url},
        "cloud_controller_v2": {"href": f"{base_url}/v2", "meta": {"version": V2_VERSION}},
        "cloud_controller_v3": {"href": f"{base_url}/v3", "meta": {"version": V3_VERSION}},
        "login": {"href": base_url},
        "uaa": {"href": base_url},
    }
    return {"links": links | dict.fromkeys(_ELSEWHERE)}


def v2_info(base_url: str, user: str | None) -> Json:
    """Return the description of the server; `user` is the guid of the caller, if known."""
    info: Json = {
        "name": _NAME,
        "build": __version__,
        "support": "",
        "version": 0,
        "description": _DESCRIPTION,
        "authorization_endpoint": base_url,
        "token_endpoint": base_url,
        "min_cli_version": None,
        "min_recommended_cli_version": None,
        "app_ssh_endpoint": None,
        "app_ssh_host_key_fingerprint": None,
        "app_ssh_oauth_client": None,
        "doppler_logging_endpoint": None,
        "api_version": V2_VERSION,
        "osbapi_version": None,
    }
    return info if user is None else info | {"user": user}


def v3_info(base_url: str) -> Json:
    """Return the description of the server as version 3 tells it."""
    return {
        "build": __version__,
        "cli_version": {"minimum": "", "recommended": ""},
        "custom": {},
        "description": _DESCRIPTION,
        "name": _NAME,
        "version": 0,
        "osbapi_version": "",
        "rate_limits": {"enabled": False, "general_limit": 0, "reset_interval_in_minutes": 0},
        "links": {"self": {"href": f"{base_url}/v3/info"}, "support": {"href": ""}},
    }


def v3_root(base_url: str) -> Json:
    """Return the links of version 3."""
    names = {"self": "", **{name: f"/{name}" for name in _SERVED_BY_V3}}
    return {"links": {name: {"href": f"{base_url}/v3{path}"} for name, path in names.items()}}


def login(base_url: str, timestamp: str) -> Json:
    """Return what the login server says of itself and asks of users."""
    return {
        "app": {"version": __version__},
        "links": {
            "uaa": base_url,
            "login": base_url,
            "passwd": None,
            "register": None,
        },
        "prompts": {
            "username": ["text", "Username"],
            "password": ["password", "Password"],
        },
        "zone_name": "uaa",
        "entityID": "tallystick",
        "commit_id": __version__,
        "timestamp": timestamp,
    }

"""Who is recorded as the actor of what a caller writes."""

from __future__ import annotations

from tallystick.events.event import Resource
from tallystick.identity.access import Principal
from tallystick.identity.records import ApiKey, Identity, OAuthClient, User

OPERATOR = Resource("operator", "control.sock")
"""The owner of the data folder, as the log names them."""


def actor_of(
    identity: Identity, principal: Principal, *, client_type: str = "client"
) -> Resource | None:
    """Return who asks, named as it is called now: a client, a user or a key; None for neither.

    A program that was given a user reads by that user's roles, and writes as itself.
    """
    if principal.client is not None:
        client = identity.get(OAuthClient, principal.tenant, principal.client)
        return Resource(client_type, principal.client, None if client is None else client.name)
    if principal.user is not None:
        user = identity.get(User, principal.tenant, principal.user)
        return Resource("user", principal.user, None if user is None else user.name)
    if principal.key is not None:
        key = identity.get(ApiKey, principal.tenant, principal.key)
        return Resource("key", principal.key, None if key is None else key.label)
    return None

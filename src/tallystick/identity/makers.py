"""For whom a stream or an export reads: who made it, with the rights they have now."""

from __future__ import annotations

import hashlib

from tallystick.errors import Forbidden
from tallystick.identity import access
from tallystick.identity.access import Principal, Scope
from tallystick.identity.records import ApiKey, Identity, OAuthClient, User
from tallystick.identity.streams import Maker
from tallystick.query.expr import Expr, Nothing

OPERATOR = Maker()
"""The owner of the data folder: sees everything, and does not end."""


class MakerGone(Exception):
    """The maker of a stream or export is gone, or may not read; its text says which."""


def maker_of(identity: Identity, principal: Principal) -> Maker:
    """Return a principal as a stream or export remembers it.

    Raises: Forbidden for one that nobody could look up again.
    """
    maker = Maker(
        key=principal.key,
        user=principal.user,
        client=principal.client,
        scopes=tuple(sorted(principal.scopes)),
    )
    try:
        visible_to(identity, principal.tenant, maker)
    except MakerGone as gone:
        raise Forbidden(f"this needs a maker who can be looked up later: {gone}") from None
    return maker


def principal_of(identity: Identity, tenant: str, maker: Maker) -> Principal:
    """Return whom a maker stands for now.

    Raises: MakerGone, saying why there is nobody any more.
    """
    if maker == OPERATOR:
        return Principal(tenant=tenant, scopes=frozenset({Scope.ADMIN}))
    if identity.is_suspended(tenant):
        raise MakerGone("the tenant is suspended")
    scopes = frozenset(maker.scopes)
    if maker.key is not None:
        key = identity.get(ApiKey, tenant, maker.key)
        if key is None or key.revoked_ms is not None:
            raise MakerGone(f"its maker, the key {maker.key!r}, was revoked")
        return Principal(tenant=tenant, scopes=frozenset(key.scopes) & scopes, key=key.id)
    if maker.client is not None and identity.get(OAuthClient, tenant, maker.client) is None:
        raise MakerGone(f"its maker, the client {maker.client!r}, was deleted")
    if maker.user is not None and maker.user != maker.client:
        user = identity.get(User, tenant, maker.user)
        if user is None or user.disabled:
            raise MakerGone(f"its maker, the user {maker.user!r}, is gone")
        if access.PLATFORM_ADMIN not in access.token_scopes(user.grants):
            # An administrator who is none any more reads with the roles that are left.
            scopes -= {Scope.ADMIN}
        return identity.principal_of_user(user, scopes)
    return Principal(tenant=tenant, scopes=scopes, user=maker.user, client=maker.client)


def visible_to(identity: Identity, tenant: str, maker: Maker) -> Expr:
    """Return what a maker may see now.

    Raises: MakerGone when that is nothing.
    """
    visible = access.visible(principal_of(identity, tenant, maker))
    if isinstance(visible, Nothing):
        raise MakerGone("its maker may not read any more")
    return visible


def rights_digest(id: str, visible: Expr) -> str:
    """Return what tells whether the maker of something sees as much as before."""
    return hashlib.sha256(f"{id} {visible!r}".encode()).hexdigest()

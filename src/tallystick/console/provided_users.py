"""Users whom an OpenID provider vouches for: found or made, with the roles that settings give.

A user stays tied to issuer and subject: an account of the same id that was made otherwise is not
handed over to whom the provider calls so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tallystick.console.single_sign_on import OidcSettings
from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, RequestError, SettingsError, Unauthenticated
from tallystick.events.event import Draft, Json, Resource
from tallystick.identity import access, acts
from tallystick.identity.access import WHOLE_TENANT, Grant
from tallystick.identity.acts import Act
from tallystick.identity.records import User

_ISSUER, _SUBJECT = "oidc_issuer", "oidc_subject"
_GROUPS_MAX = 1_000


def granted(settings: OidcSettings) -> dict[str, tuple[Grant, ...]]:
    """Return what the members of each group may.

    Raises: SettingsError.
    """
    found: dict[str, tuple[Grant, ...]] = {}
    for group, roles in settings.roles.items():
        try:
            found[group] = tuple(_grant(role) for role in roles)
        except RequestError as error:
            raise SettingsError(f"oidc.roles.{group}: {error.message}", hint=error.hint) from None
    return found


def _grant(text: str) -> Grant:
    role, _, scope = text.rpartition(" ")
    if ":" not in scope:
        role, scope = text, WHOLE_TENANT
    access.check_role(role)
    return Grant(access.checked_scope(scope), role)


class ProvidedUsers:
    """Finds, makes and changes users by what the provider says of them."""

    def __init__(self, services: Services, settings: OidcSettings) -> None:
        self._services = services
        self._identity = services.identity
        self._settings = settings
        self._granted = granted(settings)

    def user(self, claims: Json) -> User:
        """Return the user that claims are about, with the roles of the person's groups.

        Raises: Unauthenticated, Forbidden, Malformed.
        """
        tenant, id = self._tenant(), claims.get(self._settings.user_claim)
        if not isinstance(id, str) or not id:
            raise Unauthenticated("The provider does not say which user you are.")
        known = self._identity.get(User, tenant, id)
        if known is not None and not self._is_same(known, claims):
            raise Forbidden(
                "An account with your id exists that single sign-on did not make.",
                hint="An administrator gives it the attributes oidc_issuer and oidc_subject.",
            )
        if known is not None and known.disabled:
            raise Unauthenticated("Your account is disabled.")
        grants = self._grants(claims)
        if known is None:
            if not grants:
                raise Forbidden("No role is given to your groups.")
            known = self._make(tenant, id, claims)
        user = self._with_grants(self._with_names(known, claims), grants)
        if not grants:
            raise Forbidden("No role is given to your groups.")
        return user

    def is_provided(self, user: User) -> bool:
        """Tell whether a user signs in through the provider."""
        return (user.attributes or {}).get(_ISSUER) == self._settings.issuer

    def _tenant(self) -> str:
        if self._settings.tenant is not None:
            return self._identity.tenant(self._settings.tenant).id
        tenants = self._identity.tenants()
        if len(tenants) != 1:
            raise Unauthenticated(
                "The setting oidc.tenant must say which tenant people sign in to."
            )
        return tenants[0].id

    def _is_same(self, user: User, claims: Json) -> bool:
        known = user.attributes or {}
        return (known.get(_ISSUER), known.get(_SUBJECT)) == (
            self._settings.issuer, claims.get("sub")
        )  # fmt: skip

    def _make(self, tenant: str, id: str, claims: Json) -> User:
        user = User(
            id=id,
            tenant=tenant,
            created_ms=self._services.clock.now_ms(),
            name=_text(claims, "name"),
            email=_text(claims, "email"),
            attributes={_ISSUER: self._settings.issuer, _SUBJECT: claims["sub"]},
        )
        act = acts.create_user(user)
        _sign(act.draft, user)
        self._services.ledger.administer(tenant, act)
        return self._again(user)

    def _with_names(self, user: User, claims: Json) -> User:
        changed = msgspec.structs.replace(
            user,
            name=_text(claims, "name") or user.name,
            email=_text(claims, "email") or user.email,
        )
        if changed == user:
            return user
        return self._changed(
            user,
            lambda now: acts.change_user(
                now, msgspec.structs.replace(now, name=changed.name, email=changed.email)
            ),
        )

    def _with_grants(self, user: User, grants: frozenset[Grant]) -> User:
        """Give a user exactly the roles of the person's groups; each change is an entry."""
        for grant in user.grants:
            if grant not in grants:
                gone = grant
                user = self._changed(
                    user,
                    lambda now: acts.remove_grant(now, gone.scope, gone.role),  # noqa: B023  # used at once
                )
        for grant in sorted(grants - set(user.grants), key=lambda g: (g.scope, g.role)):
            user = self._changed(user, lambda now: acts.add_grant(now, grant))  # noqa: B023  # used at once
        return user

    def _grants(self, claims: Json) -> frozenset[Grant]:
        groups = _groups(claims, self._settings.roles_claim)
        found = {grant for group in groups for grant in self._granted.get(group, ())}
        # In one scope a user has one file-sharing role: the strongest that a group gives.
        sharing: dict[str, Grant] = {}
        for grant in (one for one in found if one.role in access.SHARING_ROLES):
            held = sharing.get(grant.scope)
            if held is None or access.sharing_rank(grant.role) > access.sharing_rank(held.role):
                sharing[grant.scope] = grant
        others = (one for one in found if one.role not in access.SHARING_ROLES)
        return frozenset((*others, *sharing.values()))

    def _changed(self, user: User, decide: Callable[[User], Act]) -> User:
        def change(now: User | None) -> Act:
            if now is None:
                raise Unauthenticated("Your account was deleted just now.")
            act = decide(now)
            _sign(act.draft, now)
            return act

        self._services.ledger.changes.carry_out(User, user.tenant, user.id, change)
        return self._again(user)

    def _again(self, user: User) -> User:
        known = self._identity.get(User, user.tenant, user.id)
        if known is None:
            raise Unauthenticated("Your account was deleted just now.")
        return known


def _sign(draft: Draft, user: User) -> None:
    """Say in the log that the provider's word is behind an act."""
    draft.actor = Resource("oidc", (user.attributes or {}).get(_ISSUER, "provider"))


def _text(claims: Json, name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and value.strip() else None


def _groups(claims: Json, path: str) -> Iterable[str]:
    """Return the groups at a path of the claims; a name with dots is looked for first."""
    value: object = claims
    for name in (path,) if path in claims else path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, str):
        value = value.split()
    return (
        [one for one in value if isinstance(one, str)][:_GROUPS_MAX]
        if isinstance(value, list)
        else []
    )

"""Who may see and do what. Pure functions of a principal; deny by default.

`visible` is ANDed into every read of every dialect before it reaches an index, so a token sees no
more through one API than through another. Names of roles are those of the systems whose clients
come here; the tables below say what each means.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from tallystick.errors import Forbidden
from tallystick.query.expr import Eq, Everything, Expr, In, Not, Nothing, all_of, any_of


class Scope(enum.StrEnum):
    """What a credential may do."""

    READ = "read"
    WRITE = "write"
    PURGE = "purge"
    """Retract and erase."""
    ADMIN = "admin"
    """Everything, identity included."""


class Grant(msgspec.Struct, frozen=True):
    """A role of a user within a scope, such as `workspace:4137` or `tenant:*`."""

    scope: str
    role: str


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: a key, or a user with a token.

    `user` None means a program's key, which sees everything its scopes allow. `own_events_only`
    is the setting that keeps lower file-sharing roles to what they did themselves.
    """

    tenant: str
    scopes: frozenset[Scope]
    key: str | None = None
    service: bool = False
    user: str | None = None
    grants: tuple[Grant, ...] = ()
    client: str | None = None
    own_events_only: bool = False

    def may(self, scope: Scope) -> bool:
        """Tell whether the credential allows `scope`; admin allows everything."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


WHOLE_TENANT = "tenant:*"
"""The scope of a grant that reaches everything of a tenant."""

PLATFORM_ADMIN = "cloud_controller.admin"
"""What tokens of the platform's administrators say."""

SHARING_ROLES = (
    "Access Denied",
    "Viewer",
    "Printer",
    "Downloader",
    "Creator",
    "Collaborator",
    "Moderator",
    "Administrator",
)
"""Weakest first; each includes those before it. Source: wire specification of Onehub 1.2."""

DEFAULT_SHARING_ROLE = "Downloader"

_SHARING_LEVELS = ("tenant", "workspace", "folder", "file")
_SEES_TENANT = frozenset({"admin", "admin_read_only", "global_auditor", "auditor"})
_SEES_ORGANIZATION = frozenset({"organization_auditor"})
_SEES_SPACE = frozenset({"space_developer", "space_auditor", "space_supporter"})
_PLATFORM_ROLES = frozenset(
    {
        *_SEES_TENANT, *_SEES_ORGANIZATION, *_SEES_SPACE,
        "organization_user", "organization_manager", "organization_billing_manager",
        "space_manager", "user",
    }
)  # fmt: skip


_READ, _WRITE = "cloud_controller.read", "cloud_controller.write"
SCOPES_BY_ROLE = frozenset({_READ, _WRITE})
"""Token scopes that allow only what roles allow."""

_TOKEN_SCOPES = {
    "admin": (PLATFORM_ADMIN, _READ, _WRITE),
    "admin_read_only": ("cloud_controller.admin_read_only", _READ),
    "global_auditor": ("cloud_controller.global_auditor", _READ),
    "auditor": ("cloud_controller.global_auditor", _READ),
}
"""By role in the whole tenant, the strongest first."""


def token_scopes(grants: Iterable[Grant]) -> tuple[str, ...]:
    """Return the scopes that a user's token has, by the names the platform's clients know."""
    roles = {grant.role for grant in grants if grant.scope == WHOLE_TENANT}
    strongest = next((role for role in _TOKEN_SCOPES if role in roles), None)
    return (_READ, _WRITE) if strongest is None else _TOKEN_SCOPES[strongest]


def require(principal: Principal, scope: Scope) -> None:
    """Let the principal pass if its credential allows `scope`.

    Raises: Forbidden.
    """
    if not principal.may(scope):
        raise Forbidden(f"this needs a credential with scope {scope}", role_needed=scope)


def visible(principal: Principal) -> Expr:
    """Return what the principal may see, as an expression to be ANDed into every read."""
    if not principal.may(Scope.READ):
        return Nothing()
    if principal.user is None or Scope.ADMIN in principal.scopes:
        return Everything()
    return any_of((_platform(principal.grants), _sharing(principal)))


def sharing_rank(role: str) -> int:
    """Return the rank of a file-sharing role; an unknown name counts as the default role."""
    name = role if role in SHARING_ROLES else DEFAULT_SHARING_ROLE
    return SHARING_ROLES.index(name)


def _platform(grants: Iterable[Grant]) -> Expr:
    """Return what platform roles show: the tenant, organizations, or spaces."""
    seen: list[str] = []
    for grant in grants:
        kind = grant.scope.partition(":")[0]
        if kind == "tenant" and grant.role in _SEES_TENANT:
            return Everything()
        if (kind == "organization" and grant.role in _SEES_ORGANIZATION) or (
            kind == "space" and grant.role in _SEES_SPACE
        ):
            seen.append(grant.scope)
    return In("scope", tuple(seen)) if seen else Nothing()


def _sharing(principal: Principal) -> Expr:
    """Return what file-sharing roles show: the most specific grant of an event decides."""
    shown: Expr = Nothing()
    for level in _SHARING_LEVELS:
        here = [
            grant
            for grant in principal.grants
            if grant.scope.partition(":")[0] == level and grant.role not in _PLATFORM_ROLES
        ]
        shown = _override(shown, level, here, principal)
    return shown


def _override(shown: Expr, level: str, grants: list[Grant], principal: Principal) -> Expr:
    """Let the grants of one level decide for their own events, and `shown` for all others."""
    if not grants:
        return shown
    if level == "tenant":
        return any_of(_shown_by(grant, principal) for grant in grants)
    decided = _within(level, [grant.scope for grant in grants])
    allowed = [
        all_of((_within(level, [grant.scope]), _shown_by(grant, principal))) for grant in grants
    ]
    return any_of((*allowed, all_of((shown, Not(decided)))))


def _shown_by(grant: Grant, principal: Principal) -> Expr:
    rank = sharing_rank(grant.role)
    if rank == 0:
        return Nothing()
    if principal.own_events_only and rank < SHARING_ROLES.index("Moderator"):
        return Eq("actor", f"user:{principal.user}")
    return Everything()


def _within(level: str, scopes: list[str]) -> Expr:
    inside = In("scope", tuple(scopes))
    if level == "workspace":
        return inside
    return any_of((inside, In("target", tuple(scopes))))

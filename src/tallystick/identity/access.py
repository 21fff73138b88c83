"""Who may see and do what. Pure functions of a principal; deny by default.

`visible` is ANDed into every read of every dialect before it reaches an index, so a token sees no
more through one API than through another. Names of roles are those of the systems whose clients
come here; the tables below say what each means.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from tallystick.errors import Forbidden, Malformed
from tallystick.events import references
from tallystick.query.expr import Everything, Expr, In, Not, Nothing, all_of, any_of


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

    `user` None means a program's key, which sees everything its scopes allow. `aliases` are other
    ids of the user. `own_events_only` is the setting that keeps lower file-sharing roles to what
    they did themselves.
    """

    tenant: str
    scopes: frozenset[Scope]
    key: str | None = None
    service: bool = False
    user: str | None = None
    aliases: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    client: str | None = None
    own_events_only: bool = False

    @property
    def is_person(self) -> bool:
        """Tell whether somebody logged in, and not a program with a secret of its own."""
        return self.user is not None and self.client is None

    def may(self, scope: Scope) -> bool:
        """Tell whether the credential allows `scope`; admin allows everything."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


WHOLE_TENANT = "tenant:*"
"""The scope of a grant that reaches everything of a tenant."""

ADMINISTRATOR = Grant(WHOLE_TENANT, "admin")
"""The grant of who administers a tenant."""

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

_LOWEST_RANK = SHARING_ROLES.index("Viewer")
_MODERATOR_RANK = SHARING_ROLES.index("Moderator")
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


ROLES = (*SHARING_ROLES, *sorted(_PLATFORM_ROLES))
"""Every role that means something."""

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


GRANT_SCOPES = ("tenant", "organization", "space", "workspace", "folder", "file")
"""The types of scopes in which roles mean something; a grant in another shows nothing."""


def checked_scope(text: str) -> str:
    """Return the scope of a grant in the one spelling it has.

    Raises: Malformed for a text that is no `type:id`, and for a type in which no role is held.
    """
    scope = references.parse(text)
    if scope is None:
        raise Malformed("a grant has a scope such as workspace:4137", path="scope")
    type, id = scope
    if type not in GRANT_SCOPES:
        near = get_close_matches(type.casefold(), GRANT_SCOPES, n=1)
        meant = f"did you mean {near[0]}?" if near else f"types are {', '.join(GRANT_SCOPES)}"
        raise Malformed(f"no role is held in a {type!r}", path="scope", hint=meant)
    if type == "tenant" and id != "*":
        raise Malformed(f"the whole tenant is written {WHOLE_TENANT}", path="scope")
    return references.to_text(type, id)


def check_role(role: str) -> None:
    """Let a role that means something pass.

    Raises: Malformed.
    """
    if role not in ROLES:
        near = [one for one in ROLES if _plainly(one) == _plainly(role)]
        meant = f"did you mean {near[0]}?" if near else f"roles are {', '.join(ROLES)}"
        raise Malformed(f"there is no role {role!r}", path="role", hint=meant)


def _plainly(role: str) -> str:
    return role.replace(" ", "").replace("_", "").casefold()


def token_scopes(grants: Iterable[Grant]) -> tuple[str, ...]:
    """Return the scopes that a user's token has, by the names the platform's clients know."""
    roles = {grant.role for grant in grants if grant.scope == WHOLE_TENANT}
    strongest = next((role for role in _TOKEN_SCOPES if role in roles), None)
    return (_READ, _WRITE) if strongest is None else _TOKEN_SCOPES[strongest]


def within_scopes(grants: Iterable[Grant], names: frozenset[str]) -> tuple[Grant, ...]:
    """Return the grants that a token with some scope names exercises.

    A token that was asked with no more than what roles allow has no role in the whole tenant.
    """
    kept = tuple(grants)
    if not names or not names <= SCOPES_BY_ROLE:
        return kept
    return tuple(
        grant for grant in kept if grant.scope != WHOLE_TENANT or grant.role not in _SEES_TENANT
    )


def require(principal: Principal, scope: Scope) -> None:
    """Let the principal pass if its credential allows `scope`.

    Raises: Forbidden.
    """
    if not principal.may(scope):
        raise Forbidden(f"this needs a credential with scope {scope}", role_needed=scope)


def visible(principal: Principal) -> Expr:
    """Return what the principal may see, as an expression to be ANDed into every read."""
    return _seen(principal, _LOWEST_RANK, own_events_only=principal.own_events_only)


def reachable(principal: Principal) -> Expr:
    """Return the events in places that the principal may enter, by any actor.

    The same as `visible` unless lower roles see their own events only.
    """
    return _seen(principal, _LOWEST_RANK, own_events_only=False)


def moderated(principal: Principal) -> Expr:
    """Return the events in places where the principal may see everybody's: as a moderator."""
    return _seen(principal, _MODERATOR_RANK, own_events_only=False)


def _seen(principal: Principal, rank: int, *, own_events_only: bool) -> Expr:
    if not principal.may(Scope.READ):
        return Nothing()
    if principal.user is None or Scope.ADMIN in principal.scopes:
        return Everything()
    own = In(
        "actor",
        tuple(references.to_text("user", name) for name in (principal.user, *principal.aliases)),
    )
    shown: list[Expr] = [
        Nothing() if held < rank else own if own_events_only and held < _MODERATOR_RANK
        else Everything()
        for held in range(len(SHARING_ROLES))
    ]  # fmt: skip
    return any_of((_platform(principal.grants), _sharing(principal.grants, shown)))


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


def _sharing(grants: Iterable[Grant], shown: Sequence[Expr]) -> Expr:
    """Return what file-sharing roles show: the most specific grant of an event decides.

    `shown` has what each role shows, by rank.
    """
    levels: dict[str, dict[Expr, list[str]]] = {level: {} for level in _SHARING_LEVELS}
    for grant in grants:
        level = grant.scope.partition(":")[0]
        if level in levels and grant.role not in _PLATFORM_ROLES:
            outcome = shown[sharing_rank(grant.role)]
            levels[level].setdefault(outcome, []).append(grant.scope)
    everywhere = any_of(levels["tenant"])
    for level in _SHARING_LEVELS[1:]:
        everywhere = _override(everywhere, level, levels[level])
    return everywhere


def _override(shown: Expr, level: str, outcomes: Mapping[Expr, Sequence[str]]) -> Expr:
    """Let the grants of one level decide for their own events, and `shown` for all others."""
    if not outcomes:
        return shown
    decided = [scope for scopes in outcomes.values() for scope in scopes]
    # Where a workspace takes nothing away, what it shows stays one list whose length is known.
    within = _inside if level == "workspace" and isinstance(shown, Nothing) else _within
    allowed: list[Expr] = []
    for outcome, scopes in outcomes.items():
        others = [scope for scope in decided if scope not in frozenset(scopes)]
        if isinstance(outcome, Nothing):
            continue
        if level == "folder" and others:
            allowed += [all_of((_deepest(scope, others), outcome)) for scope in scopes]
        else:
            allowed.append(all_of((within(scopes), outcome)))
    return any_of((*allowed, all_of((shown, Not(within(decided))))))


def _deepest(folder: str, others: Sequence[str]) -> Expr:
    """Match what is in a folder and not, further in, in one of the others."""
    deeper = In("nested", tuple(references.nested_pair(folder, other) for other in others))
    return all_of((_within([folder]), Not(deeper)))


def _inside(scopes: Sequence[str]) -> Expr:
    return In("scope", tuple(scopes))


def _within(scopes: Sequence[str]) -> Expr:
    """Match what is in a place, and what is about the place itself."""
    return any_of((_inside(scopes), In("target", tuple(scopes))))

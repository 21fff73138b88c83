"""Who asks, and which organizations, spaces and apps they may know of.

Only bearer credentials count, and a bad one is told apart from none, since clients renew their
token on the former alone. Source: wire specification of Cloud Foundry 6 and 7.
"""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request

from tallystick.dialects.cloudfoundry.errors import InsufficientScope, InvalidAuthToken
from tallystick.dialects.cloudfoundry.wire import ORGANIZATION, SPACE
from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, Unauthenticated
from tallystick.identity import access
from tallystick.identity.access import Principal, Scope
from tallystick.query.expr import Everything, Expr

_IN_SPACE = frozenset({"space_developer", "space_auditor", "space_manager", "space_supporter"})
_IN_ORGANIZATION = frozenset(
    {
        "organization_user", "organization_manager", "organization_auditor",
        "organization_billing_manager",
    }
)  # fmt: skip
# These see what is inside an organization, not only that it is there.
_INTO_ORGANIZATION = frozenset({"organization_manager", "organization_auditor"})
# Who has nothing else may use version 3 only.
_V3_ONLY = "space_supporter"
_WITHOUT_WEIGHT = frozenset({"organization_user", "user"})


class CloudFoundryCaller(NamedTuple):
    """Who asks, and what they may see."""

    principal: Principal
    visible: Expr

    @property
    def tenant(self) -> str:
        """The deployment that the caller belongs to."""
        return self.principal.tenant

    def sees_all(self) -> bool:
        """Tell whether nothing is hidden from the caller."""
        return isinstance(self.visible, Everything)

    def spaces(self) -> frozenset[str]:
        """Return the spaces in which the caller has a role."""
        return _ids(self.principal, SPACE, _IN_SPACE)

    def organizations(self) -> frozenset[str]:
        """Return the organizations in which the caller has a role."""
        return _ids(self.principal, ORGANIZATION, _IN_ORGANIZATION)

    def open_organizations(self) -> frozenset[str]:
        """Return the organizations whose spaces and apps the caller may know of."""
        return _ids(self.principal, ORGANIZATION, _INTO_ORGANIZATION)


def authenticate(services: Services, request: Request) -> Principal:
    """Return whose request it is.

    Raises: Unauthenticated without a bearer credential, InvalidAuthToken for a bad one.
    """
    authorization = request.headers.get("authorization")
    if authorization is not None and not _is_bearer(authorization):
        raise Unauthenticated
    try:
        return services.authenticate(request.scope)
    except Unauthenticated as error:
        if authorization is None:
            raise
        raise InvalidAuthToken(error.message) from error


def reader_of(services: Services, request: Request) -> CloudFoundryCaller:
    """Return who asks to read.

    Raises: Unauthenticated, InvalidAuthToken, InsufficientScope.
    """
    principal = authenticate(services, request)
    if not principal.may(Scope.READ):
        raise InsufficientScope
    return CloudFoundryCaller(principal, access.visible(principal))


def v2_reader_of(services: Services, request: Request) -> CloudFoundryCaller:
    """Return who asks to read through version 2, which is closed to mere space supporters.

    Raises: as `reader_of`, Forbidden.
    """
    caller = reader_of(services, request)
    roles = {grant.role for grant in caller.principal.grants} - _WITHOUT_WEIGHT
    if roles == {_V3_ONLY} and not caller.sees_all():
        raise Forbidden("space supporters use version 3")
    return caller


def writer_of(services: Services, request: Request) -> Principal:
    """Return who asks to record events: a program's key, or an administrator.

    Platform users write events by what they do, not by telling of it.
    Raises: Unauthenticated, InvalidAuthToken, Forbidden.
    """
    principal = authenticate(services, request)
    access.require(principal, Scope.WRITE)
    if principal.is_person:
        access.require(principal, Scope.ADMIN)
    return principal


def _is_bearer(authorization: str) -> bool:
    return authorization.partition(" ")[0].lower() == "bearer"


def _ids(principal: Principal, type: str, roles: frozenset[str]) -> frozenset[str]:
    return frozenset(
        grant.scope.removeprefix(f"{type}:")
        for grant in principal.grants
        if grant.role in roles and grant.scope.startswith(f"{type}:")
    )

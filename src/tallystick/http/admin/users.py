"""Users and their grants under `/v1/admin`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound
from tallystick.events.event import Json
from tallystick.http.admin.guard import ONE, AdminGuard, Input, decode, json_response
from tallystick.identity import access, acts
from tallystick.identity.access import Grant
from tallystick.identity.acts import Act
from tallystick.identity.records import User


class UserIn(Input, frozen=True):
    """A user to be made."""

    id: str
    login: str | None = None
    name: str | None = None
    email: str | None = None
    time_zone: str = "UTC"
    password: str | None = None
    aliases: tuple[str, ...] = ()
    attributes: Json | None = None


class UserChanges(Input, frozen=True):
    """What is to be different about a user; `null` takes away what there is."""

    login: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    email: str | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    password: str | UnsetType | None = UNSET
    attributes: Json | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET


class GrantIn(Input, frozen=True):
    """A role within a scope."""

    scope: str
    role: str


class AdminUsersApi:
    """Handlers of users and grants; every change is an entry in the tenant's log."""

    def __init__(self, services: Services, guard: AdminGuard) -> None:
        self._services = services
        self._clock = services.clock
        self._identity = services.identity
        self._ledger = services.ledger
        self._guard = guard

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(ONE + "/users", on(self._list_users), methods=["GET"]),
            Route(ONE + "/users", on(self._create_user), methods=["POST"]),
            Route(ONE + "/users/{id:path}/grants", on(self._list_grants), methods=["GET"]),
            Route(ONE + "/users/{id:path}/grants", on(self._add_grant), methods=["POST"]),
            Route(ONE + "/users/{id:path}/grants", on(self._remove_grant), methods=["DELETE"]),
            Route(ONE + "/users/{id:path}", on(self._change_user), methods=["PATCH"]),
            Route(ONE + "/users/{id:path}", on(self._delete_user), methods=["DELETE"]),
        ]

    def _list_users(self, request: Request, tenant: str) -> Response:
        self._identity.tenant(tenant)
        return json_response({"users": [_user(user) for user in self._identity.list(User, tenant)]})

    def _create_user(self, request: Request, tenant: str) -> Response:
        wanted = decode(UserIn, request.state.body)
        self._identity.tenant(tenant)
        _check_zone(wanted.time_zone)
        user = User(
            id=wanted.id,
            tenant=tenant,
            created_ms=self._clock.now_ms(),
            login=wanted.login,
            name=wanted.name,
            email=wanted.email,
            time_zone=wanted.time_zone,
            password=self._hashed(wanted.password),
            aliases=wanted.aliases,
            attributes=wanted.attributes,
        )
        self._ledger.administer(tenant, acts.create_user(user))
        return json_response(_user(user), 201)

    def _hashed(self, password: str | None) -> str | None:
        if not password:
            return None
        acts.check_password(password)
        return self._services.passwords.hash(password)

    def _list_grants(self, request: Request, tenant: str) -> Response:
        return json_response({"grants": [_grant(grant) for grant in self._user(request).grants]})

    def _add_grant(self, request: Request, tenant: str) -> Response:
        wanted = decode(GrantIn, request.state.body)
        grant = Grant(access.checked_scope(wanted.scope), wanted.role)
        self._change(request, lambda user: acts.add_grant(user, grant))
        return json_response(_grant(grant), 201)

    def _remove_grant(self, request: Request, tenant: str) -> Response:
        params = request.query_params
        if "scope" not in params:
            raise Malformed("pass the scope of the grant to remove", path="scope")
        scope, role = params["scope"], params.get("role")
        self._change(request, lambda user: acts.remove_grant(user, scope, role))
        return Response(status_code=204)

    def _change_user(self, request: Request, tenant: str) -> Response:
        wanted = msgspec.structs.asdict(decode(UserChanges, request.state.body))
        changes = {name: value for name, value in wanted.items() if value is not UNSET}
        if "time_zone" in changes:
            _check_zone(changes["time_zone"])
        if "password" in changes:
            changes["password"] = self._hashed(changes["password"])

        def change(user: User) -> Act:
            return acts.change_user(user, msgspec.structs.replace(user, **changes))

        changed = self._change(request, change)
        return json_response(_user(_existing(changed, request.path_params["id"])))

    def _delete_user(self, request: Request, tenant: str) -> Response:
        self._change(request, acts.delete)
        return Response(status_code=204)

    def _user(self, request: Request) -> User:
        tenant, id = request.path_params["tenant"], request.path_params["id"]
        return _existing(self._identity.get(User, tenant, id), id)

    def _change(self, request: Request, act: Callable[[User], Act]) -> User | None:
        tenant, id = request.path_params["tenant"], request.path_params["id"]
        return self._ledger.changes.carry_out(
            User, tenant, id, lambda user: act(_existing(user, id))
        )


def _existing(user: User | None, id: str) -> User:
    if user is None:
        raise NotFound(f"no such user: {id!r}")
    return user


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Malformed(
            f"{name!r} is not a time zone; write it like America/Los_Angeles", path="/time_zone"
        ) from None


def _user(user: User) -> Json:
    return {
        "id": user.id,
        "tenant": user.tenant,
        "login": user.login,
        "name": user.name,
        "email": user.email,
        "time_zone": user.time_zone,
        "disabled": user.disabled,
        "aliases": user.aliases,
        "grants": [_grant(grant) for grant in user.grants],
        "created_at": times.to_rfc3339(user.created_ms),
    }


def _grant(grant: Grant) -> Json:
    return {"scope": grant.scope, "role": grant.role}

"""Administration under `/v1/admin`: tenants, keys, users, grants, key sets, rebuilds.

A key with scope `admin` administers its own tenant. The control socket of the data folder, which
only the folder's owner can open, administers all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import limits, times
from tallystick.dialects.base import Services
from tallystick.errors import Malformed, NotFound
from tallystick.events.event import Json
from tallystick.http.admin.guard import BASE, ONE, AdminGuard, Input, decode, json_response
from tallystick.http.auth import CONTROL, Authenticator
from tallystick.http.body import body_of
from tallystick.http.pointers import of_body
from tallystick.identity import access, acts, credentials
from tallystick.identity.access import Grant, Scope
from tallystick.identity.acts import Act
from tallystick.identity.records import ApiKey, KeySet, Tenant, User


class TenantIn(Input, frozen=True):
    """A tenant to be made."""

    id: str
    name: str | None = None
    aliases: tuple[str, ...] = ()


class PolicyIn(Input, frozen=True):
    """What a tenant decides about itself."""

    public_log: bool


class KeyIn(Input, frozen=True):
    """A key to be made; `secret` takes over one that programs already have."""

    scopes: tuple[Scope, ...]
    label: str | None = None
    service: bool = False
    secret: str | None = None


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


class KeySetIn(Input, frozen=True):
    """Keys that verify foreign JWTs."""

    id: str
    secret: str | None = None
    public_keys: tuple[str, ...] = ()
    issuer: str | None = None
    audience: str | None = None
    user_claim: str = "sub"
    admin_claim: str | None = None


class AdminApi:
    """Handlers of administration; every change is an entry in the tenant's log."""

    def __init__(self, services: Services, authenticator: Authenticator, guard: AdminGuard) -> None:
        self._services = services
        self._identity = services.identity
        self._ledger = services.ledger
        self._authenticator = authenticator
        self._guard = guard

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(BASE, self.list_tenants, methods=["GET"]),
            Route(BASE, self.create_tenant, methods=["POST"]),
            Route(ONE, on(self._get_tenant), methods=["GET"]),
            Route(ONE, on(self._change_policy), methods=["PATCH"]),
            Route(ONE + "/keys", on(self._list_keys), methods=["GET"]),
            Route(ONE + "/keys", on(self._create_key), methods=["POST"]),
            Route(ONE + "/keys/{id}", on(self._revoke_key), methods=["DELETE"]),
            Route(ONE + "/users", on(self._list_users), methods=["GET"]),
            Route(ONE + "/users", on(self._create_user), methods=["POST"]),
            Route(ONE + "/users/{id:path}/grants", on(self._list_grants), methods=["GET"]),
            Route(ONE + "/users/{id:path}/grants", on(self._add_grant), methods=["POST"]),
            Route(ONE + "/users/{id:path}/grants", on(self._remove_grant), methods=["DELETE"]),
            Route(ONE + "/users/{id:path}", on(self._change_user), methods=["PATCH"]),
            Route(ONE + "/users/{id:path}", on(self._delete_user), methods=["DELETE"]),
            Route(ONE + "/keysets", on(self._list_key_sets), methods=["GET"]),
            Route(ONE + "/keysets", on(self._save_key_set), methods=["POST"]),
            Route(ONE + "/keysets/{id:path}", on(self._delete_key_set), methods=["DELETE"]),
            Route(ONE + "/log-key", on(self._log_key), methods=["GET"]),
        ]

    # Tenants

    async def list_tenants(self, request: Request) -> Response:
        """Answer the tenants the caller administers."""
        if request.scope["state"].get(CONTROL):
            tenants = await self._services.door().run(self._identity.tenants)
        else:
            principal = self._authenticator.of_scope(request.scope)
            access.require(principal, Scope.ADMIN)
            tenants = [self._identity.tenant(principal.tenant)]
        return json_response({"tenants": [_tenant(tenant) for tenant in tenants]})

    async def create_tenant(self, request: Request) -> Response:
        """Make a tenant and its log."""
        self._guard.authorise(request, None)
        wanted = decode(TenantIn, await body_of(request, limits.EVENT_BYTES))
        with of_body():
            tenant, act = acts.create_tenant(
                wanted.id,
                server_name=self._services.settings.server_name,
                now_ms=self._services.clock.now_ms(),
                name=wanted.name,
                aliases=wanted.aliases,
            )
        await self._services.door().run(self._ledger.administer, tenant.id, act)
        return json_response(_tenant(tenant), 201)

    def _get_tenant(self, request: Request, tenant: str) -> Response:
        return json_response(_tenant(self._identity.tenant(tenant)))

    def _change_policy(self, request: Request, tenant: str) -> Response:
        wanted = decode(PolicyIn, request.state.body)

        def change(known: Tenant | None) -> Act:
            if known is None:
                raise NotFound(f"there is no tenant {tenant!r}")
            return acts.change_policy(known, public_log=wanted.public_log)

        self._ledger.changes.carry_out(Tenant, tenant, tenant, change)
        return json_response(_tenant(self._identity.tenant(tenant)))

    def _log_key(self, request: Request, tenant: str) -> Response:
        head = self._ledger.proofs.head(tenant)
        key = self._ledger.proofs.verifier_key(tenant)
        return json_response({"origin": head.origin, "verifier_key": key})

    # Keys

    def _list_keys(self, request: Request, tenant: str) -> Response:
        self._identity.tenant(tenant)
        return json_response({"keys": [_key(key) for key in self._identity.list(ApiKey, tenant)]})

    def _create_key(self, request: Request, tenant: str) -> Response:
        wanted = decode(KeyIn, request.state.body)
        self._identity.tenant(tenant)
        key, secret, act = acts.create_key(
            tenant,
            wanted.scopes,
            now_ms=self._services.clock.now_ms(),
            secret=wanted.secret,
            label=wanted.label,
            service=wanted.service,
        )
        self._ledger.administer(tenant, act)
        return json_response({**_key(key), "key": secret}, 201)

    def _revoke_key(self, request: Request, tenant: str) -> Response:
        def revoke(key: ApiKey | None) -> Act | None:
            if key is None:
                raise NotFound("there is no such key")
            if key.revoked_ms is not None:
                return None
            return acts.revoke_key(key, now_ms=self._services.clock.now_ms())

        self._ledger.changes.carry_out(ApiKey, tenant, request.path_params["id"], revoke)
        return Response(status_code=204)

    # Users and grants

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
            created_ms=self._services.clock.now_ms(),
            login=wanted.login,
            name=wanted.name,
            email=wanted.email,
            time_zone=wanted.time_zone,
            password=_hashed(wanted.password),
            aliases=wanted.aliases,
            attributes=wanted.attributes,
        )
        self._ledger.administer(tenant, acts.create_user(user))
        return json_response(_user(user), 201)

    def _change_user(self, request: Request, tenant: str) -> Response:
        wanted = msgspec.structs.asdict(decode(UserChanges, request.state.body))
        changes = {name: value for name, value in wanted.items() if value is not UNSET}
        if "time_zone" in changes:
            _check_zone(changes["time_zone"])
        if "password" in changes:
            changes["password"] = _hashed(changes["password"])

        def change(user: User) -> Act:
            return acts.change_user(user, msgspec.structs.replace(user, **changes))

        changed = self._change(request, change)
        return json_response(_user(_existing(changed, request.path_params["id"])))

    def _delete_user(self, request: Request, tenant: str) -> Response:
        self._change(request, acts.delete)
        return Response(status_code=204)

    def _list_grants(self, request: Request, tenant: str) -> Response:
        return json_response({"grants": [_grant(grant) for grant in self._user(request).grants]})

    def _add_grant(self, request: Request, tenant: str) -> Response:
        wanted = decode(GrantIn, request.state.body)
        grant = Grant(wanted.scope, wanted.role)
        self._change(request, lambda user: acts.add_grant(user, grant))
        return json_response(_grant(grant), 201)

    def _remove_grant(self, request: Request, tenant: str) -> Response:
        params = request.query_params
        if "scope" not in params:
            raise Malformed("scope names the grant to remove", path="scope")
        scope, role = params["scope"], params.get("role")
        self._change(request, lambda user: acts.remove_grant(user, scope, role))
        return Response(status_code=204)

    def _user(self, request: Request) -> User:
        tenant, id = request.path_params["tenant"], request.path_params["id"]
        return _existing(self._identity.get(User, tenant, id), id)

    def _change(self, request: Request, act: Callable[[User], Act]) -> User | None:
        tenant, id = request.path_params["tenant"], request.path_params["id"]
        return self._ledger.changes.carry_out(
            User, tenant, id, lambda user: act(_existing(user, id))
        )

    # Key sets for JWTs

    def _list_key_sets(self, request: Request, tenant: str) -> Response:
        found = self._identity.list(KeySet, tenant)
        return json_response({"keysets": [_key_set(key_set) for key_set in found]})

    def _save_key_set(self, request: Request, tenant: str) -> Response:
        wanted = decode(KeySetIn, request.state.body)
        self._identity.tenant(tenant)
        members = msgspec.structs.asdict(wanted)
        key_set = KeySet(tenant=tenant, created_ms=self._services.clock.now_ms(), **members)
        act = acts.save_key_set(key_set)
        self._ledger.changes.carry_out(KeySet, tenant, key_set.id, lambda _: act)
        return json_response(_key_set(key_set), 201)

    def _delete_key_set(self, request: Request, tenant: str) -> Response:
        def delete(key_set: KeySet | None) -> Act:
            if key_set is None:
                raise NotFound("there is no such key set")
            return acts.delete(key_set)

        self._ledger.changes.carry_out(KeySet, tenant, request.path_params["id"], delete)
        return Response(status_code=204)


def _existing(user: User | None, id: str) -> User:
    if user is None:
        raise NotFound(f"there is no user {id!r}")
    return user


def _hashed(password: str | None) -> str | None:
    return credentials.hash_password(password) if password else None


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Malformed(
            f"{name!r} is no time zone; write it like America/Los_Angeles", path="/time_zone"
        ) from None


def _tenant(tenant: Tenant) -> Json:
    return {
        "id": tenant.id,
        "name": tenant.name,
        "uuid": tenant.uuid,
        "hex": tenant.hex,
        "number": tenant.number,
        "log_id": tenant.log_id,
        "public_log": tenant.public_log,
        "created_at": times.to_rfc3339(tenant.created_ms),
    }


def _key(key: ApiKey) -> Json:
    told: Json = {
        "id": key.id,
        "tenant": key.tenant,
        "scope": " ".join(key.scopes),
        "service": key.service,
        "created_at": times.to_rfc3339(key.created_ms),
    }
    if key.label is not None:
        told["label"] = key.label
    if key.revoked_ms is not None:
        told["revoked_at"] = times.to_rfc3339(key.revoked_ms)
    return told


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


def _key_set(key_set: KeySet) -> Json:
    return {
        "id": key_set.id,
        "tenant": key_set.tenant,
        "issuer": key_set.issuer,
        "audience": key_set.audience,
        "user_claim": key_set.user_claim,
        "admin_claim": key_set.admin_claim,
        "has_secret": key_set.secret is not None,
        "public_keys": key_set.public_keys,
    }

"""Identity: tenants, keys, users, grants, token key sets and clients, as records in the store.

Reading is here; every change is an `Act`, an entry of op `system` in the tenant's log together
with the record it changes, so that administration is part of what can be proven. Secrets are kept
as hashes only.
"""

from __future__ import annotations

import secrets
import time
import uuid
from typing import NamedTuple, TypeVar

import msgspec

from tallystick import access, credentials, ids
from tallystick.access import Grant, Principal, Scope
from tallystick.errors import Malformed, NotFound
from tallystick.event import Draft, Json, Op, Resource
from tallystick.store.base import IdentityRow, IdentityWrite, Store

_CACHE_ROWS = 10_000
_NAME_CHARS_MAX = 256


class Tenant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An isolation unit: one log, its names, and its settings."""

    id: str
    name: str
    uuid: str
    hex: str
    log_id: str
    created_ms: int
    number: int | None = None
    """An integer by which clients of an integer-id system know the tenant."""
    public_log: bool = True


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A program's credential; only the hash of its secret is kept."""

    id: str
    tenant: str
    digest: str
    scopes: tuple[Scope, ...]
    created_ms: int
    label: str | None = None
    service: bool = False
    revoked_ms: int | None = None


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person of a tenant."""

    id: str
    tenant: str
    created_ms: int
    login: str | None = None
    name: str | None = None
    email: str | None = None
    time_zone: str = "UTC"
    password: str | None = None
    aliases: tuple[str, ...] = ()
    attributes: Json | None = None
    grants: tuple[Grant, ...] = ()
    disabled: bool = False


class KeySet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Keys that verify foreign JWTs of one tenant.

    `secret` is for HS256 and kept as it is, since verifying needs it; `public_keys` are PEM texts.
    """

    id: str
    tenant: str
    created_ms: int
    secret: str | None = None
    public_keys: tuple[str, ...] = ()
    issuer: str | None = None
    audience: str | None = None
    user_claim: str = "sub"
    admin_claim: str | None = None
    """A claim that, when it equals or holds `admin`, makes the bearer an administrator."""


class Client(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A program registered for OAuth; its secrets are kept as hashes with their validity."""

    id: str
    tenant: str
    created_ms: int
    name: str
    secrets: tuple[ClientSecret, ...] = ()
    scopes: tuple[str, ...] = ()
    user: str | None = None
    claims: Json = {}
    attributes: Json = {}


class ClientSecret(msgspec.Struct, frozen=True):
    """One secret of a client."""

    digest: str
    valid_from_ms: int
    valid_until_ms: int | None = None


class Act(NamedTuple):
    """An act of administration: the entry that tells it and the records it changes."""

    draft: Draft
    writes: tuple[IdentityWrite, ...]
    origin: str | None = None


Record = TypeVar("Record", Tenant, ApiKey, User, KeySet, Client)
_AnyRecord = Tenant | ApiKey | User | KeySet | Client

_KINDS: dict[type, str] = {
    Tenant: "tenant", ApiKey: "key", User: "user", KeySet: "keyset", Client: "client",
}  # fmt: skip


class Identity:
    """Reads identity records, remembering them until one changes.

    `ttl_s` bounds how long a record changed by another process may still be believed; a store with
    one process needs no bound. `own_events_only` goes to every user's principal.
    """

    def __init__(
        self, store: Store, *, ttl_s: float | None = None, own_events_only: bool = False
    ) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._own_events_only = own_events_only
        self._principals: dict[str, tuple[Principal | None, float]] = {}
        self._records: dict[tuple[str, str, str], tuple[object, float]] = {}

    def changed(self) -> None:
        """Forget everything remembered; called after identity was written."""
        self._principals = {}
        self._records = {}

    def tenants(self) -> list[Tenant]:
        """Return all tenants by id."""
        return [_decode(row, Tenant) for row in self._store.identities(None, "tenant")]

    def tenant(self, id: str) -> Tenant:
        """Return a tenant.

        Raises: NotFound.
        """
        tenant = self.get(Tenant, id, id)
        if tenant is None:
            raise NotFound(f"there is no tenant {id!r}")
        return tenant

    def tenant_of_log(self, log_id: str) -> Tenant | None:
        """Return the tenant whose log has this id."""
        return self._find("log", log_id, Tenant)

    def tenant_of_alias(self, alias: str) -> Tenant | None:
        """Return the tenant known by an id, UUID, 24-digit hex or integer form."""
        return self._find("tenant", alias.lower(), Tenant)

    def list(self, record: type[Record], tenant: str) -> list[Record]:
        """Return a tenant's records of one type by id."""
        return [_decode(row, record) for row in self._store.identities(tenant, _KINDS[record])]

    def get(self, record: type[Record], tenant: str, id: str) -> Record | None:
        """Return one record."""
        key = (_KINDS[record], tenant, id)
        found = self._records.get(key)
        if found is not None and self._fresh(found[1]):
            return found[0]  # type: ignore[return-value]  # the kind in the key names the type
        row = self._store.identity(tenant, key[0], id)
        value = None if row is None else _decode(row, record)
        if len(self._records) >= _CACHE_ROWS:
            self._records = {}
        self._records[key] = (value, time.monotonic())
        return value

    def user_by_login(self, login: str) -> User | None:
        """Return the user with a login; logins are unique on the server."""
        return self._find("login", login.casefold(), User)

    def user_by_alias(self, tenant: str, alias: str) -> User | None:
        """Return the user of a tenant known by an id or alias."""
        return self._find("user", f"{tenant}\n{alias}", User)

    def client(self, client_id: str) -> Client | None:
        """Return the OAuth client with an id; ids are unique on the server."""
        return self._find("client", client_id, Client)

    def key_set_of_issuer(self, issuer: str) -> KeySet | None:
        """Return the key set registered for an issuer of JWTs."""
        return self._find("issuer", issuer, KeySet)

    def principal_of_key(self, secret: str) -> Principal | None:
        """Return whom an API key stands for; None if it is unknown or revoked."""
        digest = credentials.digest_of_secret(secret)
        known = self._principals.get(digest)
        if known is not None and self._fresh(known[1]):
            return known[0]
        key = self._find("key", digest, ApiKey)
        principal = None
        if key is not None and credentials.is_same(key.digest, digest) and key.revoked_ms is None:
            principal = Principal(
                tenant=key.tenant,
                scopes=frozenset(key.scopes),
                key=key.id,
                service=key.service,
            )
        if len(self._principals) >= _CACHE_ROWS:
            self._principals = {}
        self._principals[digest] = (principal, time.monotonic())
        return principal

    def principal_of_user(self, user: User, scopes: frozenset[Scope]) -> Principal:
        """Return a principal for a user, with the grants the user has now."""
        return Principal(
            tenant=user.tenant,
            scopes=scopes,
            user=user.id,
            aliases=user.aliases,
            grants=user.grants,
            own_events_only=self._own_events_only,
        )

    def _find(self, namespace: str, text: str, record: type[Record]) -> Record | None:
        row = self._store.find_identity(namespace, text)
        return None if row is None else _decode(row, record)

    def _fresh(self, since_s: float) -> bool:
        return self._ttl_s is None or time.monotonic() - since_s < self._ttl_s


def create_tenant(
    id: str,
    *,
    server_name: str,
    now_ms: int,
    name: str | None = None,
    aliases: tuple[str, ...] = (),
) -> tuple[Tenant, Act]:
    """Return a new tenant and the act that makes it.

    `aliases` may hold a UUID, 24 hexadecimal digits and an integer: the other forms of its id.
    Raises: Malformed.
    """
    _check_id(id, "id")
    if "/" in id:
        # It is one step of the paths of administration, with others behind it.
        raise Malformed("a tenant's id has no slash", path="id")
    forms = _forms((id, *aliases))
    tenant_uuid = forms.uuid or str(uuid.uuid4())
    tenant = Tenant(
        id=id,
        name=name or id,
        uuid=tenant_uuid,
        hex=forms.hex or uuid.UUID(tenant_uuid).hex[:24],
        number=forms.number,
        log_id=secrets.token_hex(16),
        created_ms=now_ms,
    )
    draft = _act("tenant.created", "tenant", id, {"name": tenant.name, "uuid": tenant.uuid})
    origin = f"{server_name}/log/{tenant.log_id}"
    return tenant, Act(draft, (_write(tenant, new=True),), origin)


def change_policy(tenant: Tenant, *, public_log: bool) -> Act:
    """Return the act that opens a tenant's log to everybody, or leaves it to the tenant's keys."""
    draft = _act("policy.changed", "tenant", tenant.id, {"public_log": public_log})
    return Act(draft, (_write(msgspec.structs.replace(tenant, public_log=public_log)),))


def create_key(
    tenant: str,
    scopes: tuple[Scope, ...],
    *,
    now_ms: int,
    secret: str | None = None,
    label: str | None = None,
    service: bool = False,
) -> tuple[ApiKey, str, Act]:
    """Return a new key, its secret (shown once) and the act that makes it.

    Raises: Malformed.
    """
    if not scopes:
        raise Malformed("a key needs at least one scope", path="scopes")
    text = secret or credentials.new_api_key()
    if len(text) > _NAME_CHARS_MAX or len(text) < 8 or not text.isprintable() or ":" in text:
        raise Malformed(
            "a key's secret has 8 to 256 printable characters and no colon", path="secret"
        )
    key = ApiKey(
        id=secrets.token_hex(8),
        tenant=tenant,
        digest=credentials.digest_of_secret(text),
        scopes=scopes,
        created_ms=now_ms,
        label=label,
        service=service,
    )
    told: Json = {"scopes": list(scopes), "service": service}
    if label is not None:
        told["label"] = label
    return key, text, Act(_act("key.created", "key", key.id, told), (_write(key, new=True),))


def revoke_key(key: ApiKey, *, now_ms: int) -> Act:
    """Return the act that makes a key useless."""
    revoked = msgspec.structs.replace(key, revoked_ms=now_ms)
    return Act(_act("key.revoked", "key", key.id, {}), (_write(revoked),))


def create_user(user: User) -> Act:
    """Return the act that makes a user.

    Raises: Malformed.
    """
    _check_id(user.id, "id")
    _forms((user.id, *user.aliases))
    told: Json = {"login": user.login, "name": user.name, "email": user.email}
    draft = _act("user.created", "user", user.id, {k: v for k, v in told.items() if v is not None})
    return Act(draft, (_write(user, new=True),))


def change_user(user: User, kind: str, told: Json) -> Act:
    """Return the act that replaces a user's record; `told` is what the log says of it."""
    return Act(_act(kind, "user", user.id, told), (_write(user),))


def add_grant(user: User, grant: Grant) -> Act:
    """Return the act that gives a user a role; a role in the same scope is replaced.

    Raises: Malformed for a scope that is no `type:id`, and for a role that there is not.
    """
    kind, colon, id = grant.scope.partition(":")
    if not (kind and colon and id):
        raise Malformed("a grant has a scope such as workspace:4137", path="scope")
    access.check_role(grant.role)
    grants = (*(g for g in user.grants if g != grant), grant)
    if grant.role in access.SHARING_ROLES:
        others = (g for g in user.grants if g.scope != grant.scope)
        platform = (
            g for g in user.grants if g.scope == grant.scope and g.role not in access.SHARING_ROLES
        )
        grants = (*others, *platform, grant)
    told: Json = {"scope": grant.scope, "role": grant.role}
    return change_user(msgspec.structs.replace(user, grants=grants), "grant.added", told)


def remove_grant(user: User, scope: str, role: str | None = None) -> Act:
    """Return the act that takes a user's roles in a scope away.

    Raises: NotFound when there is none.
    """
    kept = tuple(g for g in user.grants if g.scope != scope or (role and g.role != role))
    if len(kept) == len(user.grants):
        raise NotFound(f"user {user.id!r} has no such grant")
    told: Json = {"scope": scope, **({"role": role} if role else {})}
    return change_user(msgspec.structs.replace(user, grants=kept), "grant.removed", told)


def save_key_set(key_set: KeySet) -> Act:
    """Return the act that registers or replaces a key set for JWTs.

    Raises: Malformed when it has no key at all, or one that cannot be read.
    """
    _check_id(key_set.id, "id")
    if not key_set.secret and not key_set.public_keys:
        raise Malformed("a key set needs a secret or public keys", path="secret")
    if not all(map(credentials.is_public_key, key_set.public_keys)):
        raise Malformed("a public key is one in PEM form", path="public_keys")
    return Act(_act("keyset.saved", "keyset", key_set.id, {}), (_write(key_set),))


def save_client(client: Client, kind: str, *, new: bool = False) -> Act:
    """Return the act that registers or replaces an OAuth client."""
    return Act(_act(kind, "client", client.id, {"name": client.name}), (_write(client, new=new),))


def delete(record: KeySet | Client | User, kind: str) -> Act:
    """Return the act that removes a record."""
    name = _KINDS[type(record)]
    write = IdentityWrite(record.tenant, name, record.id, None)
    return Act(_act(kind, name, record.id, {}), (write,))


class _Forms(NamedTuple):
    uuid: str | None
    hex: str | None
    number: int | None


def _forms(names: tuple[str, ...]) -> _Forms:
    tenant_uuid = hex_form = number = None
    for name in names:
        if ids.is_uuid(name):
            tenant_uuid = name.lower()
        elif ids.is_object_id(name):
            hex_form = name.lower()
        elif name.isascii() and name.isdigit() and len(name) <= 15:
            number = int(name)
        elif name != names[0]:
            raise Malformed("an alias is a UUID, 24 hex digits or an integer", path="aliases")
    return _Forms(tenant_uuid, hex_form, number)


def _check_id(text: str, path: str) -> None:
    if not 0 < len(text) <= _NAME_CHARS_MAX or not text.isprintable():
        raise Malformed(f"{path} has 1 to {_NAME_CHARS_MAX} printable characters", path=path)


def _act(kind: str, type: str, id: str, data: Json) -> Draft:
    return Draft(kind=kind, op=Op.SYSTEM, target=Resource(type, id), data=data, dialect="native")


def _write(record: _AnyRecord, *, new: bool = False) -> IdentityWrite:
    tenant = record.id if isinstance(record, Tenant) else record.tenant
    name, doc = _KINDS[type(record)], msgspec.json.encode(record)
    return IdentityWrite(tenant, name, record.id, doc, tuple(_lookups(record)), new)


def _lookups(record: _AnyRecord) -> list[tuple[str, str]]:
    match record:
        case Tenant():
            forms = {record.id.lower(), record.uuid, record.hex}
            forms |= set() if record.number is None else {str(record.number)}
            return [("log", record.log_id), *(("tenant", text) for text in sorted(forms))]
        case ApiKey():
            return [("key", record.digest)]
        case User():
            names = {record.id, *record.aliases}
            found = [("user", f"{record.tenant}\n{name}") for name in sorted(names)]
            return found + ([("login", record.login.casefold())] if record.login else [])
        case KeySet():
            return [("issuer", record.issuer)] if record.issuer else []
        case Client():
            return [("client", record.id)]


def _decode(row: IdentityRow, record: type[Record]) -> Record:
    return msgspec.json.decode(row.doc, type=record)

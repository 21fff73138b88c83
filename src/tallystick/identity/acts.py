"""Administration: what changes tenants, keys, users, grants, token key sets and clients.

Every change is an `Act`, an entry of op `system` in the tenant's log together with the record it
changes, so that administration is part of what can be proven. Nothing is written here: the ledger
carries acts out. The records and how to find them are in `identity`.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tallystick import limits
from tallystick.errors import Conflict, Malformed, NotFound
from tallystick.events import ids, references
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.identity import access, credentials, records
from tallystick.identity.access import Grant, Scope
from tallystick.identity.records import (
    AnyRecord,
    ApiKey,
    ConfiguredWitness,
    KeySet,
    OAuthClient,
    SavedSearch,
    Session,
    Tenant,
    User,
)
from tallystick.store.base import IdentityWrite

SECRET_CHARS = range(16, 257)
"""How long a key's or client's secret may be that somebody brings along: kept as one SHA-256."""

PASSWORD_CHARS = range(8, 1025)
"""How long a password may be. Source: NIST SP 800-63B section 5.1.1."""

KEY_SET_SECRET_BYTES = 32
"""A secret of a key set at least: what HS256 needs. Source: RFC 7518 section 3.2."""


class Act(NamedTuple):
    """An act of administration: the entry that tells it and the records it changes.

    `origin` is that of the log that the act begins. An act on a record that exists is carried out
    by `Changes`, which knows what it replaces.
    """

    draft: Draft
    writes: tuple[IdentityWrite, ...]
    origin: str | None = None


OfTenant = Callable[[Tenant], Act]
"""Makes an act on a tenant as it is stored."""


class Continued(NamedTuple):
    """A log that ended: its last head, as it was signed, and why another one continues it."""

    tenant: str
    origin: str
    size: int
    root: str
    checkpoint: str
    reason: str


def create_tenant(
    id: str,
    *,
    server_name: str,
    now_ms: int,
    name: str | None = None,
    aliases: tuple[str, ...] = (),
    continues: Continued | None = None,
) -> tuple[Tenant, Act]:
    """Return a new tenant and the act that makes it.

    `aliases` may hold a UUID, 24 hexadecimal digits and an integer: the other forms of its id.
    What a log `continues` stands in its entry 0.
    Raises: Malformed.
    """
    check_id(id)
    if "/" in id:
        # It is one step of the paths of administration, with others behind it.
        raise Malformed("a tenant's id has no slash", path="id")
    forms = _forms(id, aliases)
    tenant_uuid = forms.uuid or str(uuid.uuid4())
    tenant = Tenant(
        id=id,
        name=name or id,
        uuid=tenant_uuid,
        hex=forms.hex or uuid.UUID(tenant_uuid).hex[:24],
        number=forms.number,
        log_id=secrets.token_hex(16),
        created_ms=now_ms,
        continues=None if continues is None else continues.tenant,
    )
    told: Json = {"name": tenant.name, "uuid": tenant.uuid}
    if continues is not None:
        told["continues"] = continues._asdict()
    origin = f"{server_name}/log/{tenant.log_id}"
    return tenant, _act("tenant.created", tenant, told)._replace(origin=origin)


ACCESS_LOGS = ("off", "exports", "all", "strict")
"""Which reads of a tenant's log become entries of it; what left by an export always does."""


def change_policy(
    tenant: Tenant, *, public_log: bool | None = None, access_log: str | None = None
) -> Act:
    """Return the act that says who may read a tenant's public log, and which reads are recorded.

    Raises: Malformed when nothing is said, or nothing that is known.
    """
    wanted = {"public_log": public_log, "access_log": access_log}
    told: Json = {name: value for name, value in wanted.items() if value is not None}
    if not told:
        raise Malformed("say what to change: public_log, access_log", path="")
    if access_log is not None and access_log not in ACCESS_LOGS:
        raise Malformed(f"access_log is one of {', '.join(ACCESS_LOGS)}", path="/access_log")
    return _act("policy.changed", msgspec.structs.replace(tenant, **told), told)


def suspend_tenant(tenant: Tenant, *, now_ms: int, reason: str) -> Act:
    """Return the act after which no credential of a tenant is taken.

    Raises: Malformed without a reason; Conflict when it is suspended.
    """
    if not reason.strip():
        raise Malformed("a tenant is suspended for a reason", path="/reason")
    if tenant.suspended_ms is not None:
        raise Conflict(f"the tenant {tenant.id!r} is suspended already")
    changed = msgspec.structs.replace(tenant, suspended_ms=now_ms)
    return _act("tenant.suspended", changed, {"reason": reason})


def resume_tenant(tenant: Tenant, *, reason: str) -> Act:
    """Return the act after which a tenant's credentials are taken again.

    Raises: Malformed without a reason; Conflict when it is not suspended, or deleted.
    """
    if not reason.strip():
        raise Malformed("a tenant is resumed for a reason", path="/reason")
    if tenant.deleted_ms is not None or tenant.suspended_ms is None:
        state = "not suspended" if tenant.deleted_ms is None else "deleted"
        raise Conflict(f"the tenant {tenant.id!r} is {state}")
    changed = msgspec.structs.replace(tenant, suspended_ms=None)
    return _act("tenant.resumed", changed, {"reason": reason})


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
    if len(text) not in SECRET_CHARS or not text.isprintable() or ":" in text:
        raise Malformed(
            "a key's secret has 16 to 256 printable characters and no colon", path="secret"
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
    return key, text, _act("key.created", key, told)


def revoke_key(key: ApiKey, *, now_ms: int) -> Act:
    """Return the act that makes a key useless."""
    return _act("key.revoked", msgspec.structs.replace(key, revoked_ms=now_ms), {})


def create_user(user: User) -> Act:
    """Return the act that makes a user.

    Tokens of one who had the same id before are of no use to it.
    Raises: Malformed.
    """
    check_id(user.id)
    _check_lookup(user.login, "login")
    _forms(user.id, user.aliases)
    user = msgspec.structs.replace(user, token_mark=_new_mark())
    told: Json = {"login": user.login, "name": user.name, "email": user.email}
    told = {name: value for name, value in told.items() if value is not None}
    return _act("user.created", user, told)


def change_user(user: User, changed: User) -> Act:
    """Return the act that changes what is known of a user; ids, aliases and grants stay.

    With another password, or disabled, all tokens that the user has are void.
    Raises: Malformed.
    """
    _check_lookup(changed.login, "login")
    told = {name: getattr(changed, name) for name in _TOLD_OF_USER}
    told = {name: value for name, value in told.items() if value != getattr(user, name)}
    if changed.attributes != user.attributes:
        told["attributes"] = "changed"
    if changed.password != user.password:
        told["password"] = "changed" if changed.password else "removed"
    if changed.password != user.password or changed.disabled:
        changed = msgspec.structs.replace(changed, token_mark=_new_mark())
    return _act("user.changed", changed, told)


def add_grant(user: User, grant: Grant) -> Act:
    """Return the act that gives a user a role.

    A file-sharing role takes the place of the one that the user has in the same scope.
    Raises: Malformed for a scope in which no role is held, and for an unknown role.
    """
    grant = Grant(access.checked_scope(grant.scope), grant.role)
    access.check_role(grant.role)
    replaced = access.SHARING_ROLES if grant.role in access.SHARING_ROLES else (grant.role,)
    kept = (g for g in user.grants if g.scope != grant.scope or g.role not in replaced)
    told: Json = {"scope": grant.scope, "role": grant.role}
    return _act("grant.added", msgspec.structs.replace(user, grants=(*kept, grant)), told)


def remove_grant(user: User, scope: str, role: str | None = None) -> Act:
    """Return the act that takes a user's roles in a scope away, or one of them.

    Raises: NotFound when there is none.
    """
    # A grant that an older program took is found by the text it was given.
    spellings = (scope, references.canonical(scope))
    kept = tuple(g for g in user.grants if g.scope not in spellings or (role and g.role != role))
    if len(kept) == len(user.grants):
        raise NotFound(f"user {user.id!r} has no such grant")
    told: Json = {"scope": scope, **({"role": role} if role else {})}
    return _act("grant.removed", msgspec.structs.replace(user, grants=kept), told)


def save_key_set(key_set: KeySet) -> Act:
    """Return the act that registers or replaces a key set for JWTs.

    Raises: Malformed when it has no key at all, or one that cannot be read.
    """
    check_id(key_set.id)
    _check_lookup(key_set.issuer, "issuer")
    if not key_set.secret and not key_set.public_keys:
        raise Malformed("a key set needs a secret or public keys", path="secret")
    if key_set.secret and len(key_set.secret.encode()) < KEY_SET_SECRET_BYTES:
        raise Malformed(f"a shared secret has {KEY_SET_SECRET_BYTES} bytes or more", path="secret")
    if not all(map(credentials.is_public_key, key_set.public_keys)):
        raise Malformed("a public key is one in PEM form", path="public_keys")
    return _act("keyset.saved", key_set, {})


def create_client(client: OAuthClient) -> Act:
    """Return the act that registers an OAuth client.

    Tokens of one that had the same id before are of no use to it.
    """
    client = msgspec.structs.replace(client, token_mark=_new_mark())
    return _act("client.created", client, {"name": client.name})


def change_client(client: OAuthClient, kind: str) -> Act:
    """Return the act that replaces an OAuth client; `kind` is what the log calls the change."""
    return _act(kind, client, {"name": client.name})


def continue_session(session: Session) -> Act:
    """Return the act that exchanges a session's refresh token for the next one."""
    told: Json = {"user": session.user, "turn": session.turn, "used_ms": session.used_ms}
    return _act("session.refreshed", session, told)


def end_session(session: Session, now_ms: int, reason: str = "refresh token reused") -> Act:
    """Return the act that makes all tokens of a session useless."""
    ended = msgspec.structs.replace(session, ended=True, used_ms=now_ms)
    told: Json = {"user": session.user, "reason": reason, "used_ms": now_ms}
    return _act("session.ended", ended, told)


def save_search(search: SavedSearch) -> Act:
    """Return the act that keeps a search of the console.

    Raises: Malformed.
    """
    if not 0 < len(search.name.strip()) <= limits.ID_CHARS or not search.name.isprintable():
        raise Malformed(f"a name has 1 to {limits.ID_CHARS} printable characters", path="name")
    if len(search.query.encode()) > 2 * limits.QUERY_BYTES:
        raise Malformed("the search is too long to be kept", path="query")
    told: Json = {"name": search.name, "query": search.query, "owner": search.owner}
    return _act("search.saved", search, told)


def add_witness(witness: ConfiguredWitness) -> Act:
    """Return the act that has the checkpoints of a tenant's log cosigned by a witness."""
    check_id(witness.id)
    return _act("witness.added", witness, {"key": witness.key, "url": witness.url})


def delete(
    record: KeySet | OAuthClient | SavedSearch | User | ConfiguredWitness | Session,
) -> Act:
    """Return the act that removes a record."""
    kind = records.kind_of(record)
    write = IdentityWrite(record.tenant, kind, record.id, None)
    return Act(_draft(f"{kind}.deleted", record, {}), (write,))


def check_password(password: str) -> None:
    """Raise Malformed for a password that is too short or too long."""
    if len(password) not in PASSWORD_CHARS:
        raise Malformed("a password has 8 to 1,024 characters", path="password")


def check_id(id: str) -> None:
    """Let an id pass that somebody chose for a record.

    Raises: Malformed.
    """
    if not 0 < len(id) <= limits.ID_CHARS or not id.isprintable():
        raise Malformed(f"an id has 1 to {limits.ID_CHARS} printable characters", path="id")


def _check_lookup(text: str | None, path: str) -> None:
    """Let a text pass that a record is found by: stores keep those in indexes.

    Raises: Malformed.
    """
    if text is not None and len(text.encode()) > limits.NAME_BYTES:
        raise Malformed(f"{path} may have {limits.NAME_BYTES} bytes", path=path)


def _new_mark() -> str:
    return secrets.token_hex(4)


_TOLD_OF_USER = ("login", "name", "email", "time_zone", "disabled")


class _Forms(NamedTuple):
    uuid: str | None
    hex: str | None
    number: int | None


def _forms(id: str, aliases: tuple[str, ...]) -> _Forms:
    tenant_uuid = hex_form = number = None
    for name in (id, *aliases):
        if ids.is_uuid(name):
            tenant_uuid = name.lower()
        elif ids.is_object_id(name):
            hex_form = name.lower()
        elif name.isascii() and name.isdigit() and len(name) <= 15:
            number = int(name)
        elif name != id:
            raise Malformed("an alias is a UUID, 24 hex digits or an integer", path="aliases")
    return _Forms(tenant_uuid, hex_form, number)


def _act(kind: str, record: AnyRecord, told: Json) -> Act:
    return Act(_draft(kind, record, told), (records.to_write(record),))


def _draft(kind: str, record: AnyRecord, told: Json) -> Draft:
    target = Resource(records.kind_of(record), record.id)
    return Draft(kind=kind, op=Op.SYSTEM, target=target, data=told, dialect="native")

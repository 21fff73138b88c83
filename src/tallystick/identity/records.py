"""Identity: tenants, keys, users, grants, token key sets and clients, as records in the store.

What the records are, how they stand in the store and how they are found again; what changes them
is in `administration`. Of keys, passwords and client secrets only hashes are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from tallystick.errors import NotFound, StoreCorrupt
from tallystick.events.event import Json
from tallystick.identity import credentials
from tallystick.identity.access import Grant, Principal, Scope
from tallystick.identity.exports import ExportJob
from tallystick.identity.policies import RetentionPolicy
from tallystick.identity.streams import Stream
from tallystick.json_text import NOT_JSON
from tallystick.store.base import IdentityRow, IdentityWrite, Store

_CACHE_ROWS = 10_000


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
    access_log: str = "off"
    """Which reads become entries of the log: `off`, `exports`, `all` or `strict`."""
    suspended_ms: int | None = None
    """Since when no credential of the tenant is taken."""
    deleted_ms: int | None = None
    """When everything of the tenant was destroyed; what is left only keeps its id and log."""
    continues: str | None = None
    """The tenant whose log this one continues; nothing is written to that log any more."""


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
    token_mark: str = ""
    """What tokens of the user carry as `rev_sig`: those with another one are void."""


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


class OAuthClient(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    token_mark: str = ""
    """What tokens of the client carry as `rev_sig`: those with another one are void."""


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user's session whose refresh token was used: which one is next, or that it has ended."""

    id: str
    tenant: str
    user: str
    turn: int
    ended: bool = False
    used_ms: int = 0
    """When its token was used last; 0 in what earlier programs recorded."""


class ConfiguredWitness(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A witness that is asked to cosign the checkpoints of a tenant's log; its id is its name."""

    id: str
    tenant: str
    created_ms: int
    key: str
    url: str


class SavedSearch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A search of the console that somebody keeps under a name."""

    id: str
    tenant: str
    created_ms: int
    name: str
    query: str
    """The parameters of its address."""
    owner: str
    """Who keeps it, such as `user:17`; for nobody else."""


class ClientSecret(msgspec.Struct, frozen=True):
    """One secret of a client."""

    digest: str
    valid_from_ms: int
    valid_until_ms: int | None = None


K = TypeVar("K")
V = TypeVar("V")
Record = TypeVar(
    "Record",
    Tenant, ApiKey, User, KeySet, OAuthClient, Session, SavedSearch, ConfiguredWitness, Stream,
    ExportJob,
    RetentionPolicy,
)  # fmt: skip
AnyRecord = (
    Tenant
    | ApiKey
    | User
    | KeySet
    | OAuthClient
    | Session
    | SavedSearch
    | ConfiguredWitness
    | Stream
    | ExportJob
    | RetentionPolicy
)

_KINDS: dict[type, str] = {
    Tenant: "tenant", ApiKey: "key", User: "user", KeySet: "keyset", OAuthClient: "client",
    Session: "session", SavedSearch: "search", ConfiguredWitness: "witness",
    Stream: "stream", ExportJob: "export", RetentionPolicy: "policy",
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
        self.generation = 0
        """Counts the changes that were noticed; written by the callers of `changed`."""
        self._own_events_only = own_events_only
        self._distrusted: frozenset[tuple[str, str, str]] = frozenset()
        self._principals = _Remembered[str, Principal | None](ttl_s)
        self._records = _Remembered[tuple[str, str, str], object](ttl_s)

    def distrust(self, records: Iterable[tuple[str, str, str]]) -> None:
        """Let no record among these (tenant, kind, id) stand for anybody from here on."""
        self._distrusted = frozenset(records)
        self.changed()

    def changed(self) -> None:
        """Forget everything remembered; called after identity was written."""
        self._principals.forget()
        self._records.forget()
        # Last: a thread that sees the new number reads nothing from before.
        self.generation += 1

    def tenants(self) -> list[Tenant]:
        """Return all tenants by id."""
        return [decode(row.doc, Tenant) for row in self._store.identities(None, "tenant")]

    def tenant(self, id: str) -> Tenant:
        """Return a tenant.

        Raises: NotFound.
        """
        tenant = self.get(Tenant, id, id)
        if tenant is None:
            raise NotFound(f"there is no tenant {id!r}")
        return tenant

    def is_suspended(self, id: str) -> bool:
        """Tell whether no credential of a tenant is taken; a tenant without a record has none."""
        tenant = self.get(Tenant, id, id)
        return tenant is not None and tenant.suspended_ms is not None

    def tenant_of_log(self, log_id: str) -> Tenant | None:
        """Return the tenant whose log has this id."""
        return self._find("log", log_id, Tenant)

    def tenant_of_alias(self, alias: str) -> Tenant | None:
        """Return the tenant known by an id, UUID, 24-digit hex or integer form."""
        return self._find("tenant", alias.lower(), Tenant)

    def list_of_all(self, record: type[Record]) -> list[Record]:
        """Return the records of one type of every tenant, by tenant and id."""
        return [decode(row.doc, record) for row in self._store.identities(None, _KINDS[record])]

    def list(self, record: type[Record], tenant: str) -> list[Record]:
        """Return a tenant's records of one type by id."""
        return [decode(row.doc, record) for row in self._store.identities(tenant, _KINDS[record])]

    def get(self, record: type[Record], tenant: str, id: str) -> Record | None:
        """Return one record."""
        key = (_KINDS[record], tenant, id)
        found = self._records.get(key, lambda: self._read(record, tenant, id))
        return found  # type: ignore[return-value]  # the kind in the key names the type

    def user_by_login(self, login: str) -> User | None:
        """Return the user with a login; logins are unique on the server."""
        return self._find("login", login.casefold(), User)

    def user_by_alias(self, tenant: str, alias: str) -> User | None:
        """Return the user of a tenant known by an id or alias."""
        return self._find("user", f"{tenant}\n{alias}", User)

    def client(self, client_id: str) -> OAuthClient | None:
        """Return the OAuth client with an id; ids are unique on the server."""
        return self._find("client", client_id, OAuthClient)

    def key_set_of_issuer(self, issuer: str) -> KeySet | None:
        """Return the key set registered for an issuer of JWTs."""
        return self._find("issuer", issuer, KeySet)

    def principal_of_key(self, secret: str) -> Principal | None:
        """Return whom an API key stands for; None if it is unknown or revoked."""
        digest = credentials.digest_of_secret(secret)
        return self._principals.get(digest, lambda: self._principal_of_digest(digest))

    def _principal_of_digest(self, digest: str) -> Principal | None:
        key = self._find("key", digest, ApiKey)
        if key is None or not credentials.is_same(key.digest, digest) or key.revoked_ms is not None:
            return None
        return Principal(
            tenant=key.tenant, scopes=frozenset(key.scopes), key=key.id, service=key.service
        )

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

    def _read(self, record: type[Record], tenant: str, id: str) -> Record | None:
        row = stored(self._store, record, tenant, id)
        return None if row is None or self._is_distrusted(row) else decode(row.doc, record)

    def is_distrusted(self, record: type[Record], tenant: str, id: str) -> bool:
        """Tell whether a record, there or missing, contradicts the log: rights must not follow."""
        return (tenant, _KINDS[record], id) in self._distrusted

    def _is_distrusted(self, row: IdentityRow) -> bool:
        # A tenant is no credential, and its log must stay readable.
        return row.kind != "tenant" and (row.tenant, row.kind, row.id) in self._distrusted

    def _find(self, namespace: str, text: str, record: type[Record]) -> Record | None:
        row = self._store.find_identity(namespace, text)
        if row is None or row.kind != _KINDS[record] or self._is_distrusted(row):
            return None
        return decode(row.doc, record)


class _Remembered(Generic[K, V]):
    """What was read, until it is to be forgotten, or for `ttl_s` seconds."""

    def __init__(self, ttl_s: float | None) -> None:
        self._ttl_s = ttl_s
        self._known: dict[K, tuple[V, float]] = {}

    def forget(self) -> None:
        """Forget everything, and whatever is being read just now as well."""
        self._known = {}

    def get(self, key: K, read: Callable[[], V]) -> V:
        """Return what is remembered under a key, else what `read` returns."""
        # What is changed while it is read must not be remembered: then nobody asks these again.
        known = self._known
        found = known.get(key)
        if found is not None and (self._ttl_s is None or time.monotonic() - found[1] < self._ttl_s):
            return found[0]
        value = read()
        if len(known) >= _CACHE_ROWS:
            known.clear()
        known[key] = (value, time.monotonic())
        return value


def kind_of(record: AnyRecord) -> str:
    """Return what the store and the log call a record's type."""
    return _KINDS[type(record)]


def stored(store: Store, record: type[Record], tenant: str, id: str) -> IdentityRow | None:
    """Return one record as it stands in the store."""
    return store.identity(tenant, _KINDS[record], id)


def decode(doc: bytes, record: type[Record]) -> Record:
    """Return the record that a stored document is.

    Raises: StoreCorrupt.
    """
    try:
        return msgspec.json.decode(doc, type=record)
    except NOT_JSON as error:
        raise StoreCorrupt(
            f"a {_KINDS[record]} on record does not decode", hint="run tallystick fsck"
        ) from error


def to_write(record: AnyRecord) -> IdentityWrite:
    """Return the write that puts a new record into the store, with all that it is found by."""
    tenant = record.id if isinstance(record, Tenant) else record.tenant
    doc = msgspec.json.encode(record)
    return IdentityWrite(tenant, kind_of(record), record.id, doc, tuple(_lookups(record)))


def lookups_of(kind: str, doc: bytes) -> tuple[tuple[str, str], ...]:
    """Return all that a stored record is found by, in the order of the store."""
    types = {name: record for record, name in _KINDS.items()}
    if kind not in types:
        return ()
    return tuple(sorted(_lookups(msgspec.json.decode(doc, type=types[kind]))))


def _lookups(record: AnyRecord) -> list[tuple[str, str]]:
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
        case OAuthClient():
            return [("client", record.id)]
        case Session() | SavedSearch() | ConfiguredWitness() | Stream() | ExportJob():
            return []
        case RetentionPolicy():
            return []

"""Acts of administration that forms ask for: made of the same parts as those of the API.

Each takes a visit whose form says what to do, and returns a secret to be shown once, or None.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from zoneinfo import ZoneInfo

import msgspec

from tallystick.console.gate import Visit
from tallystick.console.markup import zone_of
from tallystick.console.questions import moment
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound
from tallystick.identity import access, acts, credentials
from tallystick.identity.access import Grant, Scope
from tallystick.identity.acts import Act
from tallystick.identity.records import (
    ApiKey,
    ClientSecret,
    KeySet,
    OAuthClient,
    Record,
    Tenant,
    User,
)
from tallystick.ledger import holds

_NOTHING = "It is no longer there."


class Acts:
    """Carries out what administrators ask for."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._identity = services.identity
        self._ledger = services.ledger

    def create_key(self, visit: Visit) -> str:
        """Make a key and return its secret."""
        scopes = tuple(scope for scope in Scope if visit.form.get(f"scope-{scope}") == "1")
        _, secret, act = acts.create_key(
            visit.tenant,
            scopes,
            now_ms=self._now_ms(),
            label=_given(visit, "label"),
            service=visit.form.get("service") == "1",
        )
        self._do(visit, act)
        return secret

    def revoke_key(self, visit: Visit) -> None:
        """Make a key useless."""

        def revoke(key: ApiKey) -> Act | None:
            return None if key.revoked_ms else acts.revoke_key(key, now_ms=self._now_ms())

        self._change(visit, ApiKey, revoke)

    def create_user(self, visit: Visit) -> None:
        """Make a user."""
        user = User(
            id=visit.form.get("id", "").strip(),
            tenant=visit.tenant,
            created_ms=self._now_ms(),
            login=_given(visit, "login"),
            name=_given(visit, "name"),
            email=_given(visit, "email"),
            time_zone=_zone(visit).key,
            password=self._hashed(visit),
        )
        self._do(visit, acts.create_user(user))

    def change_user(self, visit: Visit) -> None:
        """Change what is known of a user; an empty password leaves the one there is."""
        changes: dict[str, object] = {
            "login": _given(visit, "login"),
            "name": _given(visit, "name"),
            "email": _given(visit, "email"),
            "time_zone": _zone(visit).key,
            "disabled": visit.form.get("disabled") == "1",
        }
        if (hashed := self._hashed(visit)) is not None:
            changes["password"] = hashed

        def change(user: User) -> Act | None:
            changed = msgspec.structs.replace(user, **changes)
            return None if changed == user else acts.change_user(user, changed)

        self._change(visit, User, change)

    def delete_user(self, visit: Visit) -> None:
        """Delete a user."""
        self._change(visit, User, acts.delete)

    def add_grant(self, visit: Visit) -> None:
        """Give a user a role."""
        scope = access.checked_scope(visit.form.get("scope", "").strip())
        grant = Grant(scope, visit.form.get("role", ""))
        self._change(visit, User, lambda user: acts.add_grant(user, grant))

    def remove_grant(self, visit: Visit) -> None:
        """Take a role from a user."""
        scope, role = visit.form.get("scope", ""), visit.form.get("role", "")
        self._change(visit, User, lambda user: acts.remove_grant(user, scope, role))

    def create_client(self, visit: Visit) -> str:
        """Register an OAuth client and return its id and secret."""
        name, user, dialect = (_given(visit, field) for field in ("name", "user", "dialect"))
        if name is None:
            raise Malformed("A client has a name.", path="name")
        if user is not None and self._identity.get(User, visit.tenant, user) is None:
            raise Malformed(f"No user has the id {user!r}.", path="user")
        secret, now_ms = credentials.new_secret(), self._now_ms()
        client = OAuthClient(
            id=str(uuid.uuid4()),
            tenant=visit.tenant,
            created_ms=now_ms,
            name=name,
            secrets=(ClientSecret(credentials.digest_of_secret(secret), now_ms),),
            scopes=tuple(s.value for s in Scope if visit.form.get(f"scope-{s}") == "1"),
            user=user,
            attributes={} if dialect is None else {"dialect": dialect},
        )
        self._do(visit, acts.create_client(client))
        return f"{client.id}:{secret}"

    def delete_client(self, visit: Visit) -> None:
        """Delete an OAuth client."""
        self._change(visit, OAuthClient, acts.delete)

    def save_key_set(self, visit: Visit) -> None:
        """Register or replace the keys that verify foreign tokens."""
        key_set = KeySet(
            id=visit.form.get("id", "").strip(),
            tenant=visit.tenant,
            created_ms=self._now_ms(),
            secret=_given(visit, "secret"),
            public_keys=_pems(visit.form.get("public_keys", "")),
            issuer=_given(visit, "issuer"),
            audience=_given(visit, "audience"),
            user_claim=_given(visit, "user_claim") or "sub",
            admin_claim=_given(visit, "admin_claim"),
        )
        act = acts.save_key_set(key_set)
        act.draft.actor = visit.visitor.actor
        self._ledger.changes.carry_out(KeySet, visit.tenant, key_set.id, lambda _: act)

    def delete_key_set(self, visit: Visit) -> None:
        """Delete a key set."""
        self._change(visit, KeySet, acts.delete)

    def place_hold(self, visit: Visit) -> None:
        """Place a legal hold."""
        _, act = holds.place(
            visit.tenant,
            visit.form.get("query", "").strip(),
            reason=visit.form.get("reason", ""),
            by=visit.visitor.actor,
            now_ms=self._now_ms(),
            from_ms=moment(visit.form.get("from", ""), visit.zone, "from"),
            to_ms=moment(visit.form.get("to", ""), visit.zone, "to"),
        )
        self._ledger.administer(visit.tenant, act)

    def lift_hold(self, visit: Visit) -> None:
        """Lift a legal hold."""
        _, act = self._ledger.holds.lifted(
            visit.tenant,
            visit.form.get("id", ""),
            reason=visit.form.get("reason", ""),
            by=visit.visitor.actor,
            now_ms=self._now_ms(),
        )
        self._ledger.administer(visit.tenant, act)

    def change_policy(self, visit: Visit) -> None:
        """Open a tenant's log to everybody, or leave it to the tenant's keys."""
        public = visit.form.get("public_log") == "1"

        def change(tenant: Tenant) -> Act | None:
            is_same = tenant.public_log == public
            return None if is_same else acts.change_policy(tenant, public_log=public)

        self._change(visit, Tenant, change, id=visit.tenant)

    def create_tenant(self, visit: Visit) -> None:
        """Make a tenant and its log."""
        tenant, act = acts.create_tenant(
            visit.form.get("id", "").strip(),
            server_name=self._services.settings.server_name,
            now_ms=self._now_ms(),
            name=_given(visit, "name"),
        )
        act.draft.actor = visit.visitor.actor
        self._ledger.administer(tenant.id, act)

    def _do(self, visit: Visit, act: Act) -> None:
        act.draft.actor = visit.visitor.actor
        self._ledger.administer(visit.tenant, act)

    def _change(
        self,
        visit: Visit,
        record: type[Record],
        decide: Callable[[Record], Act | None],
        *,
        id: str | None = None,
    ) -> None:
        """Carry out an act on a record that exists.

        Raises: NotFound, and what `decide` raises.
        """

        def change(known: Record | None) -> Act | None:
            if known is None:
                raise NotFound(_NOTHING)
            act = decide(known)
            if act is not None:
                act.draft.actor = visit.visitor.actor
            return act

        name = visit.form.get("id", "") if id is None else id
        self._ledger.changes.carry_out(record, visit.tenant, name, change)

    def _hashed(self, visit: Visit) -> str | None:
        password = visit.form.get("password", "")
        if not password:
            return None
        acts.check_password(password)
        return self._services.passwords.hash(password)

    def _now_ms(self) -> int:
        return self._services.clock.now_ms()


def _pems(text: str) -> tuple[str, ...]:
    """Return the keys of a text that has several, one after the other."""
    end = "-----END PUBLIC KEY-----"
    parts = (part.strip() for part in text.replace("\r\n", "\n").split(end))
    return tuple(f"{part}\n{end}\n" for part in parts if part)


def _given(visit: Visit, field: str) -> str | None:
    return visit.form.get(field, "").strip() or None


def _zone(visit: Visit) -> ZoneInfo:
    name = _given(visit, "time_zone") or "UTC"
    zone = zone_of(name)
    if zone is None:
        raise Malformed(
            f"{name!r} is not a time zone; write it like America/Los_Angeles.", path="time_zone"
        )
    return zone

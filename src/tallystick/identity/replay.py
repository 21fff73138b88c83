"""Identity as the log tells it: acts of administration replayed, and compared with the records.

Every record of identity is made, changed and deleted by an entry of op `system`, so a record that
was changed behind the program's back contradicts its entries. What entries do not tell cannot be
compared: digests of keys and client secrets, passwords, the keys of a key set, and aliases. It
stands in the threat model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from tallystick.errors import StoreCorrupt
from tallystick.events import entry
from tallystick.events.entry import SALT_BYTES, SECTIONS
from tallystick.events.event import Event, Json, Op
from tallystick.identity import exports
from tallystick.identity.access import SHARING_ROLES
from tallystick.json_text import NOT_JSON
from tallystick.store.base import IdentityRow, LogRow, Store
from tallystick.tlog.encoding import to_base64
from tallystick.tlog.hashing import leaf_hash, section_commitment

_ROWS = 256

KINDS = (
    "tenant", "key", "user", "keyset", "client", "hold", "session", "search", "witness", "stream",
    "blob", "erasure", "export", "policy",
)  # fmt: skip
"""The kinds of records, as the store and the targets of entries call them."""

_TENANT_MADE: Json = {"public_log": True, "access_log": "off", "suspended": False, "deleted": False}
_KEY_MADE: Json = {"label": None, "service": False, "revoked": False}
_USER_MADE: Json = {"login": None, "name": None, "email": None, "disabled": False, "grants": ()}
_SESSION_MADE: Json = {"ended": False}
_STREAM_MADE: Json = {"epoch": 1, "state": "active", "secret": 1, "run": 1, "revived": 0}
_STREAM_CHANGES = ("paused", "disabled", "resumed", "replayed", "skipped", "secret_rotated")
_EXPORT_MADE: Json = {"ended": False}
_HOLD_MADE: Json = {"from_ms": None, "to_ms": None, "lifted": False}


def is_report(kind: str) -> bool:
    """Tell whether entries of op `system` of a kind change nothing: the store's index has no such.

    They tell how far a stream is, or who looked.
    """
    return kind == "stream.delivered" or kind.startswith("access.")


class IdentityDifference(NamedTuple):
    """A record that is not as the entries of its log tell, and in what."""

    tenant: str
    kind: str
    id: str
    what: str

    def __str__(self) -> str:
        return f"tenant {self.tenant!r}, {self.kind} {self.id!r}: {self.what}"


class _Known(NamedTuple):
    """What the entries up to `index` tell of a record; None once it was deleted."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    facts: Json | None


class IdentityReplay:
    """The records of one tenant as far as its entries tell of them."""

    def __init__(self, tenant: str, kinds: Iterable[str] = KINDS) -> None:
        self._tenant = tenant
        self._kinds = frozenset(kinds)
        self._known: dict[tuple[str, str], _Known] = {}
        # Kinds of which an entry was erased: a record of those may be one that it recorded.
        self._has_gaps = False
        self.last_index: int | None = None
        """Where the last act on any of the kinds stands."""

    def apply(self, event: Event) -> None:
        """Take the next entry of the log into account."""
        if event.op is not Op.SYSTEM:
            return
        if event.target is None:
            self._has_gaps = True
            return
        if event.target.type not in self._kinds:
            return
        self.last_index = event.index
        key = (event.target.type, event.target.id)
        change = _CHANGES.get(event.kind)
        if change is None:
            return
        before = self._known.get(key)
        facts = None if before is None else before.facts
        # Of an entry whose data was erased, only the fact remains that there was an act.
        told: Json | None = {}
        if "data" not in event.erased or change is _gone:
            with contextlib.suppress(KeyError, TypeError, AttributeError):
                told = change(dict(facts or {}), event.data)
        self._known[key] = _Known(event.index, told)

    def advance(self, store: Store, start: int, stop: int) -> None:
        """Take the entries [start, stop) of the log into account, as the store's index finds them.

        Raises: StoreCorrupt when one of them is not what its leaf was made of.
        Cost: one read of the index, and one of the entries that it finds.
        """
        indexes = store.act_indexes(self._tenant, start, stop)
        for at in range(0, len(indexes), _ROWS):
            rows = store.rows_at(self._tenant, indexes[at : at + _ROWS])
            for _, row in sorted(rows.items()):
                self.apply(_verified(self._tenant, row))

    def differences(self, rows: Iterable[IdentityRow]) -> Iterator[IdentityDifference]:
        """Yield what is not as the entries tell, given all records of the kinds."""
        there: set[tuple[str, str]] = set()
        for row in rows:
            there.add((row.kind, row.id))
            what = self._compare(row)
            if what is not None:
                yield IdentityDifference(self._tenant, row.kind, row.id, what)
        for key, known in self._known.items():
            if known.facts is not None and key not in there:
                what = f"it is gone, though entry {known.index} tells of it"
                yield IdentityDifference(self._tenant, *key, what)

    def _compare(self, row: IdentityRow) -> str | None:
        known = self._known.get((row.kind, row.id))
        if known is None:
            return None if self._has_gaps else "no entry of the log tells of it"
        if known.facts is None:
            return f"it is there, though entry {known.index} deleted it"
        try:
            record = msgspec.json.decode(row.doc, type=dict[str, Any])
        except NOT_JSON:
            return "it does not decode"
        for name, told in known.facts.items():
            stored = _FACTS.get(name, lambda record, name=name: record.get(name))(record)
            if stored != told and not (name == "grants" and _same_grants(stored, told)):
                return f"its {name} is {stored!r}, and {told!r} by entry {known.index}"
        return None


def identity_differences(store: Store, tenant: str, size: int) -> list[IdentityDifference]:
    """Return what is wrong with a tenant's records, blobs aside, for a log of `size` entries.

    Raises: StoreCorrupt.
    """
    kinds = tuple(kind for kind in KINDS if kind != "blob")
    replay = IdentityReplay(tenant, kinds)
    replay.advance(store, 0, size)
    rows = [row for kind in kinds for row in store.identities(tenant, kind)]
    return list(replay.differences(rows))


def _verified(tenant: str, row: LogRow) -> Event:
    """Return the event of a row whose bytes are those that its leaf commits to.

    Raises: StoreCorrupt.
    """
    if row.leaf != leaf_hash(row.entry) or not _sections_match(row):
        raise StoreCorrupt(
            f"entry {row.index} of tenant {tenant!r} is not what was recorded",
            hint="run tallystick fsck, then restore a backup",
        )
    return entry.decode(tenant, row.index, row.entry, row.sections)


def _sections_match(row: LogRow) -> bool:
    committed = msgspec.json.decode(row.entry, type=_Commitments).sections
    return all(
        committed.get(name) == to_base64(section_commitment(value[:SALT_BYTES], value[SALT_BYTES:]))
        for name, value in zip(SECTIONS, row.sections, strict=True)
        if value is not None
    )


class _Commitments(msgspec.Struct):
    sections: dict[str, str]


def _same_grants(stored: object, told: object) -> bool:
    return isinstance(stored, tuple) and isinstance(told, tuple) and set(stored) == set(told)


def _pairs(grants: Iterable[Json]) -> tuple[tuple[str, str], ...]:
    return tuple((grant["scope"], grant["role"]) for grant in grants)


# How a fact is read from a record, where it is not simply a member of that name.
_FACTS: dict[str, Callable[[Json], object]] = {
    "public_log": lambda record: record.get("public_log", True),
    "access_log": lambda record: record.get("access_log", "off"),
    "suspended": lambda record: record.get("suspended_ms") is not None,
    "deleted": lambda record: record.get("deleted_ms") is not None,
    "service": lambda record: record.get("service", False),
    "disabled": lambda record: record.get("disabled", False),
    "time_zone": lambda record: record.get("time_zone", "UTC"),
    "ended": lambda record: record.get("ended", False),
    "used_ms": lambda record: record.get("used_ms", 0),
    "revoked": lambda record: record.get("revoked_ms") is not None,
    "lifted": lambda record: record.get("lifted_ms") is not None,
    "epoch": lambda record: record.get("epoch", 1),
    "state": lambda record: record.get("state", "active"),
    "secret": lambda record: record.get("secret", 1),
    "run": lambda record: record.get("run", 1),
    "revived": lambda record: record.get("revived", 0),
    "options": lambda record: record.get("options", {}),
    "has_password": lambda record: record.get("password") is not None,
    "grants": lambda record: _pairs(record.get("grants", ())),
}

_USER_FACTS = ("login", "name", "email", "time_zone", "disabled")


def _changed_user(facts: Json, data: Json) -> Json:
    told = {name: data[name] for name in _USER_FACTS if name in data}
    if "password" in data:
        told["has_password"] = data["password"] == "changed"  # noqa: S105  # what was done with it
    return facts | told


def _granted(facts: Json, data: Json) -> Json:
    scope, role = data["scope"], data["role"]
    replaced = SHARING_ROLES if role in SHARING_ROLES else (role,)
    kept = tuple(g for g in facts.get("grants", ()) if g[0] != scope or g[1] not in replaced)
    return facts | {"grants": (*kept, (scope, role))}


def _ungranted(facts: Json, data: Json) -> Json:
    scope, role = data["scope"], data.get("role")
    kept = (g for g in facts.get("grants", ()) if g[0] != scope or (role and g[1] != role))
    return facts | {"grants": tuple(kept)}


def _blob_facts(facts: Json, data: Json) -> Json:
    return {"digest": data["sha256"], "size": data["size"], "mime_type": data["mime_type"]}


def _compliance(facts: Json, data: Json) -> Json:
    """Compliance is lengthened and never shortened, whatever an entry says."""
    until_ms = max(data["until_ms"], facts.get("until_ms", 0))
    return {"query": "*", "lifted": False, "until_ms": until_ms}


def _export_made(facts: Json, data: Json) -> Json:
    return _EXPORT_MADE | {name: data[name] for name in exports.FACTS}


def _session_end(data: Json) -> Json:
    return {"ended": True, **{name: data[name] for name in ("user", "used_ms") if name in data}}


def _gone(facts: Json, data: Json) -> None:
    return None


def _tenant_made(facts: Json, data: Json) -> Json:
    made = _TENANT_MADE | data
    return made | {"continues": made["continues"]["tenant"]} if "continues" in made else made


_Change = Callable[[Json, Json], Json | None]

_CHANGES: dict[str, _Change] = {
    "tenant.created": _tenant_made,
    "tenant.suspended": lambda facts, data: facts | {"suspended": True},
    "tenant.resumed": lambda facts, data: facts | {"suspended": False},
    "tenant.deleted": lambda facts, data: {"suspended": True, "deleted": True},
    "policy.changed": lambda facts, data: facts | data,
    "key.created": lambda facts, data: _KEY_MADE | data,
    "key.revoked": lambda facts, data: facts | {"revoked": True},
    "user.created": lambda facts, data: _USER_MADE | data,
    "user.changed": _changed_user,
    "user.deleted": _gone,
    "grant.added": _granted,
    "grant.removed": _ungranted,
    "keyset.saved": lambda facts, data: {},
    "keyset.deleted": _gone,
    "client.created": lambda facts, data: dict(data),
    "client.changed": lambda facts, data: facts | data,
    "client.secret_regenerated": lambda facts, data: facts | data,
    "client.deleted": _gone,
    "compliance.set": _compliance,
    "hold.placed": lambda facts, data: _HOLD_MADE | data,
    "hold.lifted": lambda facts, data: facts | {"lifted": True, "lift_reason": data.get("reason")},
    "session.refreshed": lambda facts, data: _SESSION_MADE | facts | data,
    "session.ended": lambda facts, data: facts | _session_end(data),
    "session.deleted": _gone,
    "policy.set": lambda facts, data: {name: data[name] for name in ("query", "days", "floor")},
    "policy.deleted": _gone,
    "search.saved": lambda facts, data: dict(data),
    "search.deleted": _gone,
    "witness.added": lambda facts, data: dict(data),
    "witness.deleted": _gone,
    "stream.created": lambda facts, data: _STREAM_MADE | data,
    **{f"stream.{what}": lambda facts, data: facts | data for what in _STREAM_CHANGES},
    "stream.deleted": _gone,
    "erasure.requested": lambda facts, data: facts | data,
    "erasure.waiting": lambda facts, data: facts | data,
    "erasure.completed": lambda facts, data: facts | data,
    "export.requested": _export_made,
    "export.ended": lambda facts, data: facts | {"ended": data["ended"]},
    "export.deleted": _gone,
    "blob.stored": _blob_facts,
    "blob.erased": _gone,
}
"""What an act makes of the facts known of its target, by kind of entry."""

"""The end of a tenant: all content, keys and accounts destroyed, the entries left to prove it.

What stays are entries without content, hash tiles, checkpoints and the bare record of the tenant:
the proofs of others never depended on them, and receipts given out before still verify. A legal
hold in force, compliance included, keeps the whole tenant.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from tallystick import times
from tallystick.errors import Conflict, NotFound, UnderHold
from tallystick.events import entry, erased_sections
from tallystick.events.event import HOLD_ACTS, Draft, Json, Op, Resource
from tallystick.identity import acts, records
from tallystick.identity.records import Tenant
from tallystick.identity.replay import KINDS
from tallystick.ledger.blob_erasure import erase_blob
from tallystick.ledger.blobs import Blobs
from tallystick.ledger.erasure import ForgottenClaims, present_sections
from tallystick.ledger.ledger import Ledger
from tallystick.log.commit_plan import Item
from tallystick.log.views import event_of
from tallystick.store.base import Erasure, IdentityWrite, LogRow
from tallystick.store.slices import row_slices
from tallystick.tlog.encoding import to_base64

CERTIFICATE_FORMAT = "tallystick-deletion-certificate/1"
DELETED = "tenant.deleted"

_CLAIMS_AHEAD = 16_384


class TenantEnd:
    """Suspends, resumes and deletes tenants; safe to share between threads."""

    def __init__(self, ledger: Ledger, blobs: Blobs) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._blobs = blobs

    def suspend(self, tenant: str, *, reason: str) -> Tenant:
        """Take no credential of a tenant any more, also of requests that are open.

        Raises: NotFound, Conflict, Malformed.
        """
        now_ms = self._ledger.clock.now_ms()
        return self._change(
            tenant, lambda known: acts.suspend_tenant(known, now_ms=now_ms, reason=reason)
        )

    def resume(self, tenant: str, *, reason: str) -> Tenant:
        """Take a tenant's credentials again.

        Raises: NotFound, Conflict, Malformed.
        """
        return self._change(tenant, lambda known: acts.resume_tenant(known, reason=reason))

    def delete(self, tenant: str, *, by: Resource, reason: str) -> Json:
        """Destroy everything of a suspended tenant, and return the certificate of it.

        It may be called again after it was cut off, and goes on where it was.
        Raises: NotFound, Malformed; Conflict for a tenant that is not suspended, or is deleted;
        UnderHold.
        """
        known = self._tenant(tenant)
        if known.suspended_ms is None or known.deleted_ms is not None:
            state = "deleted already" if known.deleted_ms is not None else "not suspended"
            raise Conflict(f"the tenant {tenant!r} is {state}", hint="suspend it, export it first")
        for hold in self._ledger.holds.active(tenant):
            raise UnderHold(
                f"the legal hold {hold.id!r} keeps the tenant {tenant!r}",
                hold=hold.id,
                hint="lift every hold first; compliance ends by itself",
            )
        head = self._store.log_head(tenant)
        assert head is not None, "a tenant has a log"
        blobs = self._erase_blobs(tenant)
        entries = self._erase_entries(tenant)
        told: Json = {
            "size": head.size, "root": to_base64(head.root), "entries": entries, "blobs": blobs,
            "by": f"{by.type}:{by.id}", "reason": reason,
        }  # fmt: skip
        self._delete_records(known, told)
        self._ledger.settle()
        return self.certificate(tenant)

    def certificate(self, tenant: str) -> Json:
        """Return what proves the deletion of a tenant to somebody who has not the log.

        Raises: NotFound; Conflict for a tenant that is not deleted.
        """
        known = self._tenant(tenant)
        head = self._store.log_head(tenant)
        if known.deleted_ms is None or head is None:
            raise Conflict(f"the tenant {tenant!r} is not deleted")
        indexes = self._store.system_indexes(tenant, 0, head.size)
        rows = self._store.rows_at(tenant, indexes[-_CLAIMS_AHEAD:])
        events = [event_of(tenant, row) for _, row in sorted(rows.items())]
        told = next(event for event in reversed(events) if event.kind == DELETED)
        return {
            "format": CERTIFICATE_FORMAT,
            "tenant": tenant,
            "origin": head.origin,
            "deleted_at": times.to_rfc3339(known.deleted_ms),
            **told.data,
            "receipts": self._ledger.proofs.receipts(tenant, [told.index]),
        }

    def _tenant(self, tenant: str) -> Tenant:
        row = records.stored(self._store, Tenant, tenant, tenant)
        if row is None:
            raise NotFound(f"there is no tenant {tenant!r}")
        return records.decode(row.doc, Tenant)

    def _change(self, tenant: str, act: acts.OfTenant) -> Tenant:
        def decide(known: Tenant | None) -> acts.Act:
            if known is None:
                raise NotFound(f"there is no tenant {tenant!r}")
            return act(known)

        changed = self._ledger.changes.carry_out(Tenant, tenant, tenant, decide)
        assert changed is not None, "a tenant is never removed"
        return changed

    def _erase_blobs(self, tenant: str) -> int:
        blobs = self._blobs.list(tenant)
        for blob in blobs:
            erase_blob(self._ledger, self._blobs, tenant, blob.id, dialect="native", actor=None)
        return len(blobs)

    def _erase_entries(self, tenant: str) -> int:
        """Erase all sections that no check of the log needs; return of how many entries."""
        head = self._store.log_head(tenant)
        size = 0 if head is None else head.size
        claims, claimed, erased = ForgottenClaims(self._store, tenant, ()), 0, 0
        for rows in row_slices(self._store, tenant, 0, size):
            if rows[-1].index >= claimed:
                claimed = rows[0].index + _CLAIMS_AHEAD
                stretch = range(rows[0].index, claimed)
                claims = ForgottenClaims(self._store, tenant, stretch)
            erasures = [
                Erasure(row.index, sections) for row in rows if (sections := _erasable(tenant, row))
            ]
            if not erasures:
                continue
            draft = Draft(
                kind="erase",
                op=Op.ERASE,
                target=Resource("tenant", tenant),
                data={"deletion": True, **erased_sections.encode_rows(erasures)},
            )
            item = Item(entry.prepare(draft), (), tuple(erasures), forgotten=claims.of(erasures))
            self._ledger.append_all(tenant, [item], settle=False)
            erased += len(erasures)
        return erased

    def _delete_records(self, known: Tenant, told: Json) -> None:
        """Delete every record of a tenant but its own, which keeps its names only."""
        rows = [
            row
            for kind in KINDS
            if kind != "tenant"
            for row in self._store.identities(known.id, kind)
        ]
        now_ms = self._ledger.clock.now_ms()
        left = msgspec.structs.replace(known, name=known.id, deleted_ms=now_ms)
        row = records.stored(self._store, Tenant, known.id, known.id)
        assert row is not None, "it was read before"
        writes = [
            IdentityWrite(row.tenant, row.kind, row.id, None, replaces=row.doc) for row in rows
        ]
        writes.append(records.to_write(left)._replace(replaces=row.doc))
        told["records"] = dict(sorted(Counter(row.kind for row in rows).items()))
        draft = Draft(kind=DELETED, op=Op.SYSTEM, target=Resource("tenant", known.id), data=told)
        self._ledger.append_all(known.id, [Item(entry.prepare(draft), tuple(writes))])


def _erasable(tenant: str, row: LogRow) -> tuple[str, ...]:
    """Return the sections of an entry that go: all but those that checks of the log need."""
    present = present_sections(row)
    if not present:
        return ()
    event = event_of(tenant, row)
    if event.op is Op.ERASE and erased_sections.records_entries(event):
        return tuple(name for name in present if name != "data")
    if event.op is Op.SYSTEM and event.kind in HOLD_ACTS:
        return tuple(name for name in present if name != "target")
    return present
